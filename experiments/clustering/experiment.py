"""Clustering: clusters in unlabelled images, emails and tables, found in codes that are learned.

    python -m experiments.clustering                        # digits, 10 networks in one program
    python -m experiments.clustering kmeans
    python -m experiments.clustering dec --reset --query 7
    python -m experiments.clustering --dataset emails
    python -m experiments.clustering --data table.csv --num-clusters 5

Labels, where there are any, only evaluate: accuracy under the best one-to-one assignment of
clusters to classes, and normalized mutual information. They are not used for training or for
choosing anything but the default number of clusters. A deep method is two trainings in one run:
an autoencoder, whose directory is `pretraining/`, and then the network together with its clusters.
`clusters.csv` holds the cluster of each example, `model.json` and `model.safetensors` all networks
and clusters.

Published: on MNIST, all 70 000 images, DEC 0.843 (Xie, Girshick, Farhadi 2016), IDEC 0.881 (Guo et
al. 2017), DCN with soft resets 0.964 (Miklautz et al. 2025). Measured figures: docs/results.md.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jaxnet as jn
from experiments.baselines import cluster_baseline
from experiments.clustering import outputs
from experiments.clustering.config import Config, Deep, GaussianMixture, KMeans, N2d
from experiments.clustering.inputs import example_shape, fit_inputs, load_data, scale_inputs
from experiments.clustering.methods import Method, build_method, cluster, start_all
from experiments.clustering.prediction import build_network, output_mean, predict
from experiments.clustering.recipes import recipe
from experiments.clustering.scores import final_metrics, note_empty_clusters, scores
from experiments.command import finish, stopwatch
from experiments.config import DescentOptions
from experiments.data import Dataset
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.placement import Placement, place
from experiments.precision import require_float32
from experiments.prepare import prepare
from experiments.summary import describe, describe_data, summarize
from experiments.training import (
    batch_size,
    build_optimizer,
    config_optimizer,
    network_at,
    open_directory,
    seed_keys,
    train_options,
)
from jaxnet import clustering, runs
from jaxnet.checkpoint import params_sha256

__all__ = [
    "Config",
    "build_network",
    "check",
    "fit_inputs",
    "load_data",
    "predict",
    "prediction_suffix",
    "recipe",
    "run",
    "scale_inputs",
]


def run(config: Config) -> dict[str, Any]:
    """Cluster the examples with each network.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, dataset, _, inputs, x = prepare(
        config,
        load=load_data,
        check=check,
        fit=fit_inputs,
        scale=scale_inputs,
        divide=False,
    )
    clustering.check_clusters(x, config.num_clusters)
    options = config.method
    method = build_method(config, example_shape(dataset.in_shape), mean=output_mean(config))
    if method.network is not None:
        check_memory(config, method.network.init)
    batches = [batch_size(options, len(x))] if isinstance(options, DescentOptions) else []
    config, placement = place(config, config.num_seeds, batches)
    pretraining = _pretraining(config, method, len(x), placement)
    deep = _deep_training(config, method, len(x), placement)
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            data, params, hashes = {"x": placement.everywhere(jax.device_put(x))}, None, {}
            if pretraining is not None:
                trained = pretraining(directory.stage("pretraining"), data)
                params, hashes["pretraining"] = trained.params, trained.state_sha256
            params = start_all(method, seed_keys(config, "start"), params, data["x"])
            before, history = None, {}
            if deep is None:
                directory.write_log([])
            else:
                before = cluster(method, params, data["x"])
                trained = deep(directory, data, params, scores(method, data["x"], dataset))
                params, hashes["clustering"] = trained.params, trained.state_sha256
                history = dict(trained.history)
            clusters = cluster(method, params, data["x"])
            metrics = final_metrics(clusters, before, dataset, config.seed)
        outputs.write_clusters(directory, clusters.clusters)
        # UMAP's embedding is that of the examples of the run; new ones get their own.
        saved = {name: value for name, value in params.items() if name != "embedding"}
        save_model(directory, SavedModel.of(dataset, inputs, saved))
        captions = outputs.draw(directory, dataset, history, before, clusters)
        if config.query is not None:
            captions |= outputs.draw_query(directory, dataset, x, clusters.codes[0], config.query)
        summary = summarize(
            params,
            metrics,
            num_examples={"all": len(x)},
            state_sha256=hashes or params_sha256(params),
            seconds=seconds,
        )
        summary |= {"method": options.name, "tables": outputs.tables(dataset, x, clusters)}
        notes = note_empty_clusters(clusters.clusters, config.num_clusters)
        if dataset.class_names:
            summary |= describe(dataset, cluster_baseline(dataset.y), metrics, notes=notes)
        else:
            summary |= {"data": describe_data(dataset), "notes": notes}
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _pretraining(
    config: Config, method: Method, num_examples: int, placement: Placement
) -> Callable[[runs.RunDirectory, Any], runs.TrainResult] | None:
    """From a directory and data to the trained autoencoders; None where the method has none."""
    options = config.method
    if method.pretrain is None or isinstance(options, KMeans | GaussianMixture):
        return None
    optimizer = build_optimizer(
        options,
        num_examples,
        learning_rate=options.pretrain_rate,
        num_epochs=options.pretrain_epochs,
    )
    learner = method.pretrain(optimizer)
    return lambda directory, data: placement.train(
        directory,
        learner,
        jax.jit(jax.vmap(learner.init))(seed_keys(config)),
        data,
        batches=batch_size(options, num_examples),
        options=train_options(options, num_epochs=options.pretrain_epochs),
    )


def _deep_training(
    config: Config, method: Method, num_examples: int, placement: Placement
) -> Callable[[runs.RunDirectory, Any, Any, Any], runs.TrainResult] | None:
    """The training of network and clusters together; None where the method has none.

    Returns:
        From a directory, data, parameters to start from, and `evaluate(params)`.
    """
    options = config.method
    if method.learner is None or not isinstance(options, Deep):
        return None
    optimizer = config_optimizer(options, num_examples)
    learner_of = functools.partial(method.learner, optimizer, num_examples)
    batches, watch = batch_size(options, num_examples), train_options(options)

    def train(
        directory: runs.RunDirectory, data: Any, params: Any, evaluate: Any
    ) -> runs.TrainResult:
        first = network_at(params, 0)
        return placement.train(
            directory,
            learner_of(lambda key: first),
            runs.start_states(learner_of, seed_keys(config, "clustering"), params),
            data | {"index": jnp.arange(num_examples)},
            batches=batches,
            options=watch,
            evaluate=lambda params, _: evaluate(params),
            hooks=method.hooks(num_examples),
        )

    return train


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are a table."""
    return ".csv"


def check(config: Config, dataset: Dataset) -> None:
    """Check data, and that the options fit them.

    Raises:
        ValueError: they do not.
    """
    num_examples, options = len(dataset.x), config.method
    if isinstance(options, KMeans | GaussianMixture):
        require_float32(config, f"method {options.name}")
    if dataset.is_tokens:
        raise ValueError(
            f"{dataset.name} is texts as tokens, which have no distances; cluster a table of the "
            "weights of their words"
        )
    if dataset.is_image:
        jn.check_unit_interval(dataset.x)
    else:
        jn.check_data(dataset.inputs)
    if getattr(options, "augment", False) and not dataset.is_image:
        raise ValueError(f"augment needs images, and {dataset.name} is a table; leave it out")
    if config.num_clusters > num_examples:
        raise ValueError(
            f"num_clusters must lie from 2 to the {num_examples} examples, found "
            f"{config.num_clusters}; use fewer clusters"
        )
    if config.query is not None and config.query >= num_examples:
        raise ValueError(
            f"query must lie from 0 to {num_examples - 1}, found {config.query}; name an example"
        )
    if not isinstance(options, N2d):
        return
    if options.num_neighbors >= num_examples:
        raise ValueError(
            f"num_neighbors must lie from 2 to {num_examples - 1}, one less than the examples, "
            f"found {options.num_neighbors}; use fewer"
        )
    if importlib.util.find_spec("umap") is None:
        raise ValueError(
            "method n2d needs the package umap-learn, which is not installed; "
            "run: pip install 'functional-jaxnet[umap]'"
        )
