"""Regression on packed data, which are read while networks are trained on them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.baselines import compare, mean_baseline
from experiments.command import finish, stopwatch
from experiments.data.scaling import standardize
from experiments.data.streams.packed import load_packed, pass_over, scaler, split_packed
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.prepare import resolve
from experiments.regression.config import Config
from experiments.regression.network import (
    build_learner,
    build_network,
    final_metrics,
    learning_metrics,
)
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.streamed import check_packed, describe_packed, stream_batches
from experiments.summary import summarize
from experiments.training import check_directory, open_directory, seed_keys, train_options
from jaxnet import runs, streams
from jaxnet.training import fold_in_name

_VALIDATION_FRACTION = 0.2
_EXAMPLES_SHOWN = 5_000


def run(config: Config) -> dict[str, Any]:
    """Train networks on packed data, evaluate them, and leave a run directory.

    All networks of a run see the same batches.

    Args:
        config: the options, whose `data` are packed.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    check_directory(config)
    assert config.data is not None
    dataset = load_packed(config.data, task="regression")
    config = resolve(config, dataset.name)
    check_packed(config)
    if config.coverage is not None:
        raise ValueError(
            f"coverage is not computed for packed data, found {dataset.name}; leave it out, or "
            "give the table itself"
        )
    if dataset.is_image:
        raise ValueError(f"{dataset.name} holds images, expected features (n,) of each example")
    parts = split_packed(dataset, seed=config.seed, validation_fraction=_VALIDATION_FRACTION)
    network = build_network(config, dataset.in_shape)
    learner = build_learner(config, network, len(parts.train))
    check_memory(config, learner.init)
    options, batches = train_options(config), stream_batches(config, dataset, parts.train)
    found = pass_over(dataset, parts)
    targets = found.targets
    assert targets is not None
    scale = scaler(found.inputs, dataset.examples.description.columns["x"].dtype)

    def prepared(batch: dict[str, Any]) -> dict[str, Any]:
        return {"x": scale(batch["x"]), "y": standardize(targets, batch["y"])}

    validation, test = (jax.device_put(prepared(each)) for each in (found.validation, found.test))
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    evaluate = jax.jit(jax.vmap(learning_metrics, (0, None)))
    order = fold_in_name(jax.random.key(config.seed), "order")
    data = streams.stream(parts.train, batches, order, function=prepared)
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            trained = runs.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                data,
                batches=None,
                options=options,
                evaluate=lambda params, _: evaluate(
                    outputs(params, validation["x"]), validation["y"]
                ),
            )
            tested = outputs(trained.params, test["x"])[..., 0]
            labels = found.test["y"].astype(np.float64)
            centered = (labels - targets.mean).astype(np.float32)
            metrics = jax.jit(jax.vmap(final_metrics, (0, None)))(
                jnp.float32(targets.scale) * tested, jax.device_put(centered)
            )
        model = SavedModel.of(dataset, found.inputs, trained.params, targets=targets)
        save_model(directory, model)
        predicted = targets.mean + targets.scale * np.asarray(tested, np.float64).mean(axis=0)
        shown = slice(_EXAMPLES_SHOWN)
        captions = draw_figure(
            directory,
            "learning_curves",
            "Learning curves, of the standardized target: mean and range.",
            lambda: figures.learning_curves(trained.history),
        )
        captions |= draw_figure(
            directory,
            "predictions",
            "Predictions for test examples, by the mean of all networks.",
            lambda: figures.predictions(labels[shown], predicted[shown], dataset.unit),
        )
        # The mean of the training targets is that which was fitted.
        baseline = mean_baseline(np.full(1, targets.mean), labels)
        summary = summarize(
            trained.params,
            metrics,
            num_examples={
                name: 0 if part is None else len(part) for name, part in parts._asdict().items()
            },
            state_sha256=trained.state_sha256,
            seconds=seconds,
        )
        summary |= {
            "best_epochs": trained.best_epochs.tolist(),
            "data": describe_packed(dataset),
            "baseline": {"name": baseline.name, "metrics": baseline.metrics},
            "notes": compare(baseline, metrics),
        }
        return finish(directory, config, summary, captions)
