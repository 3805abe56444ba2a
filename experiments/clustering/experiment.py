"""Clustering: groups in unlabelled pictures, mails and tables, by what a network learns of them.

    python -m experiments.clustering                        # digits, 10 networks in one program
    python -m experiments.clustering --method kmeans
    python -m experiments.clustering --method dec --reset True --query 7
    python -m experiments.clustering --dataset emails
    python -m experiments.clustering --data table.csv --num-clusters 5

Labels, where there are any, only score: accuracy under the best one-to-one assignment of clusters
to classes, and normalized mutual information. They choose nothing and train nothing. A deep method
is two trainings in one run: an autoencoder, whose directory is `pretraining/`, and then the network
together with its clusters. `clusters.csv` holds the cluster of each example, and
`model.safetensors` the parameters of all networks and clusters, stacked.

Published: on MNIST, all 70 000 pictures, DEC 0.843 (Xie, Girshick, Farhadi 2016), IDEC 0.881 (Guo
et al. 2017), DCN with soft resets 0.964 (Miklautz et al. 2025). Measured figures: docs/results.md.
"""

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.clustering.methods import DEEP, Method, build_method, cluster, start_all
from experiments.clustering.outputs import draw, draw_query, tables, write_clusters
from experiments.clustering.scores import final_metrics, scores
from experiments.command import finish, stopwatch
from experiments.data import (
    Dataset,
    fit_idf,
    fit_standardization,
    fit_unit_interval,
    load,
    standardize,
)
from experiments.options import (
    TrainingConfig,
    load_unsupervised,
    refuse_meaningless,
    require_positive,
    require_rate,
    resolve,
    seed_keys,
    training_optimizer,
)
from experiments.recipes import clustering_recipe
from experiments.summary import summarize
from jaxnet import clustering
from jaxnet.checkpoint import export_params, params_sha256
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.training import start_from, train

# The methods that each option is for, where it is not for all.
_METHODS = {
    "covariance": ("gmm", "n2d"),
    "min_variance": ("gmm", "n2d", "vade"),
    "embedding_dim": ("n2d",),
    "num_neighbors": ("n2d",),
    "hidden_dims": DEEP,
    "activation": DEEP,
    "code_dim": DEEP,
    "augment": DEEP,
    "pretrain_epochs": DEEP,
    "pretrain_rate": DEEP,
    "refresh_every": ("dec", "idec"),
    "strength": ("idec", "dcn"),
    "output_std": ("vade",),
    "reset": ("dec", "idec", "dcn", "vade"),
    "reset_every": ("dec", "idec", "dcn", "vade"),
    "reset_factor": ("dec", "idec", "dcn", "vade"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Find groups in unlabelled data. Options left out take the values of a recipe."""

    experiment: ClassVar[str] = "clustering"

    dataset: str = "digits"
    """digits, mnist, mnist_test (its 10 000 test pictures), fashion_mnist, emails, or a table."""
    data_dir: Path | None = None
    """Folder that holds mnist/, fashion-mnist/, spamassassin/; by default JAXNET_DATA, then a
    download."""
    method: (
        Literal["kmeans", "gmm", "autoencoder_kmeans", "dec", "idec", "dcn", "vade", "n2d"] | None
    ) = None
    """How to cluster; kmeans and gmm see the data themselves, all others what a network learns."""
    num_clusters: int | None = None
    """Clusters to find; by default as many as the labels have classes, of mails 12."""
    num_restarts: int | None = None
    """Runs of k-means or of a mixture from other starts, of which the best is taken."""
    covariance: Literal["full", "diagonal", "spherical"] | None = None
    """Of the components of a Gaussian mixture."""
    min_variance: float | None = None
    """Added to the variances of a Gaussian mixture."""
    embedding_dim: int | None = None
    """Numbers that UMAP makes of a code; by default as many as there are clusters."""
    num_neighbors: int | None = None
    """Nearest codes of each code that UMAP sees."""
    hidden_dims: tuple[int, ...] | None = None
    """Sizes of the hidden layers of the encoder; the decoder has them backwards."""
    activation: Literal["relu", "silu"] | None = None
    """Of the hidden layers."""
    code_dim: int | None = None
    """Numbers in a code."""
    augment: bool | None = None
    """For pictures: train on slightly shifted, rotated and scaled ones, as DEC-DA does."""
    pretrain_epochs: int | None = None
    """Passes over the data of the autoencoder alone; --num-epochs are those that follow."""
    pretrain_rate: float | None = None
    """Peak learning rate of the autoencoder alone."""
    refresh_every: int | None = None
    """For dec and idec: steps from one computation of the targets to the next."""
    strength: float | None = None
    """For idec and dcn: weight of the clusters beside the squared error of the rebuilt input."""
    output_std: float | None = None
    """For vade: standard deviation of inputs around what is rebuilt; 0 for Bernoulli pixels."""
    reset: bool | None = None
    """Soft resets of the encoder with new clusters, as BRB."""
    reset_every: int | None = None
    """Epochs from one reset to the next."""
    reset_factor: float | None = None
    """Share of the encoder's parameters that a reset keeps."""
    query: int | None = None
    """Also show the nearest neighbors of this example, by its code and by its pixels."""


def load_data(config: Config) -> Dataset:
    """The data set of a config, whose labels only score.

    Raises:
        ValueError: no such data set, or data that cannot be used.
    """
    if config.dataset != "mnist_test" or config.data is not None:
        return load_unsupervised(config, data_dir=config.data_dir)
    whole = load("mnist", data_dir=config.data_dir)
    test = slice(len(whole.x) - whole.num_official_test, None)
    return dataclasses.replace(
        whole, name="mnist_test", x=whole.x[test], y=whole.y[test], num_official_test=0
    )


def run(config: Config) -> dict[str, Any]:
    """Run the experiment.

    Args:
        config: the options; what is None is taken from the recipe of data set and method.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    RunDirectory.check(config)
    dataset = load_data(config)
    recipe = clustering_recipe(dataset, config)
    recipe = _for_method(config, recipe)
    config = resolve(dataclasses.replace(config, dataset=dataset.name), recipe)
    _check(config, dataset)
    counts = ("num_restarts", "code_dim", "embedding_dim", "pretrain_epochs")
    counts += ("refresh_every", "reset_every")
    require_positive(config, *counts)
    x = _vectors(dataset, config)
    clustering.check_clusters(x, config.num_clusters or 0)
    method = build_method(config, x.shape[1], dataset.x.shape[1:], mean=_mean(dataset))
    optimizer = training_optimizer(config, len(x))
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            data = {"x": jnp.asarray(x)}
            params, hashes = _pretrained(method, config, data, directory)
            starts = start_all(method, seed_keys(config, "start"), params, data["x"])
            first, history = None, {}
            if method.learner is None:
                params = starts
                directory.write_log([])
            else:
                first = cluster(method, starts, data["x"])
                make = functools.partial(method.learner, optimizer, len(x))
                trained = train(
                    make(lambda key: jax.tree.map(lambda leaf: leaf[0], starts)),
                    start_from(make, seed_keys(config, "clustering"), starts),
                    data | {"index": jnp.arange(len(x))},
                    scores(method, data["x"], dataset),
                    config,
                    directory,
                    hooks=method.hooks(len(x)),
                )
                params, hashes["clustering"] = trained.params, trained.state_sha256
                history = dict(trained.history)
            found = cluster(method, params, data["x"])
            metrics = final_metrics(found, first, dataset, config.seed)
        write_clusters(directory, found.clusters)
        export_params(directory.path / "model.safetensors", {"params": params})
        captions = draw(directory, dataset, history, first, found)
        if config.query is not None:
            captions |= draw_query(directory, dataset, x, found.codes[0], config.query)
        summary = summarize(
            params,
            metrics,
            num_examples={"all": len(x)},
            state_sha256=hashes or params_sha256(params),
            seconds=seconds,
        )
        summary |= {"method": config.method, "tables": tables(dataset, x, found)}
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _pretrained(
    method: Method, config: Config, data: dict[str, jax.Array], directory: RunDirectory
) -> tuple[Any, dict[str, str]]:
    """The autoencoders of all networks, trained by themselves, and the hash of their states."""
    if method.pretrain is None:
        return None, {}
    config = dataclasses.replace(
        config, num_epochs=config.pretrain_epochs, learning_rate=config.pretrain_rate
    )
    learner = method.pretrain(training_optimizer(config, len(data["x"])))
    states = jax.jit(jax.vmap(learner.init))(seed_keys(config))
    part = directory.part("pretraining")
    trained = train(learner, states, data, lambda params: {}, config, part)
    return trained.params, {"pretraining": trained.state_sha256}


def _vectors(dataset: Dataset, config: Config) -> np.ndarray:
    """Examples as vectors: pixels and shares as they are, other features brought to one scale.

    Networks rebuild numbers in [0, 1]; k-means and mixtures see features of equal variance. Words
    get their TF-IDF weights, and mails the length 1, so that distances are those of angles.
    """
    x = dataset.x.reshape(len(dataset.x), -1)
    if dataset.is_image:
        jn.check_unit_interval(x)
        return x
    jn.check_data(x)
    if dataset.is_text:
        x = standardize(fit_idf(x), x)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        # Networks start from features whose mean square is 1.
        return x * np.float32(math.sqrt(x.shape[1])) if config.method in DEEP else x
    if x.min() >= 0 and x.max() <= 1:
        return x
    fit = fit_unit_interval if config.method in DEEP else fit_standardization
    return standardize(fit(x), x)


def _mean(dataset: Dataset) -> Callable[[jax.Array], jax.Array]:
    """From outputs to rebuilt examples in [0, 1]; most weights of words are 0, far from 1/2."""
    return (lambda outputs: outputs) if dataset.is_text else jax.nn.sigmoid


def _for_method(config: Config, recipe: dict[str, Any]) -> dict[str, Any]:
    """The part of a recipe that has a meaning for the method.

    Raises:
        ValueError: an option of the command line that has none.
    """
    method = config.method or recipe["method"]
    refuse_meaningless(config, _METHODS, "method", method)
    return {
        name: value for name, value in recipe.items() if method in _METHODS.get(name, (method,))
    }


def _check(config: Config, dataset: Dataset) -> None:
    """Refuse options out of range, or that do not fit the data."""
    if config.augment and not dataset.is_image:
        raise ValueError(f"augment needs pictures, and {dataset.name} is a table; leave it out")
    if config.num_clusters is None:
        raise ValueError("num_clusters is needed where the data have no labels")
    if not 2 <= config.num_clusters <= len(dataset.x):
        raise ValueError(
            f"num_clusters must lie from 2 to the {len(dataset.x)} examples, "
            f"found {config.num_clusters}"
        )
    if config.query is not None and not 0 <= config.query < len(dataset.x):
        raise ValueError(f"query must lie from 0 to {len(dataset.x) - 1}, found {config.query}")
    if config.patience is not None:
        raise ValueError("patience needs a validation loss, and clustering has none; leave it out")
    if config.num_neighbors is not None and not 2 <= config.num_neighbors < len(dataset.x):
        raise ValueError(
            f"num_neighbors must lie from 2 to {len(dataset.x) - 1}, one less than the examples, "
            f"found {config.num_neighbors}"
        )
    if config.method == "n2d" and importlib.util.find_spec("umap") is None:
        raise ValueError(
            "method n2d needs the package umap-learn, which is not installed; "
            "run: pip install 'functional-jaxnet[umap]'"
        )
    for name in ("min_variance", "strength", "output_std"):
        value = getattr(config, name)
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, found {value}")
    if config.reset_factor is not None and not 0 <= config.reset_factor <= 1:
        raise ValueError(f"reset_factor must lie in [0, 1], found {config.reset_factor}")
    require_rate(config, "pretrain_rate")
