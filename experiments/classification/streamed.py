"""Classification of packed data, which are read while networks are trained on them."""

import functools
from typing import Any

import jax
import numpy as np

import jaxnet as jn
from experiments.baselines import class_baseline, compare
from experiments.classification import evaluation
from experiments.classification.config import Cnn, Config, Linear, Mlp
from experiments.classification.network import arrange, build_learner, build_network
from experiments.command import finish, stopwatch
from experiments.data.streams.packed import (
    PackedDataset,
    load_packed,
    pass_over,
    scaler,
    split_packed,
    unscaled,
)
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.prepare import resolve
from experiments.streamed import check_packed, describe_packed, stream_batches
from experiments.summary import summarize
from experiments.training import (
    check_directory,
    open_directory,
    seed_keys,
    train_options,
)
from jaxnet import runs, streams
from jaxnet.training import fold_in_name

_EXAMPLES_SHOWN = 5_000


def run(config: Config) -> dict[str, Any]:
    """Train networks on packed data, evaluate them, and leave a run directory.

    All networks of a run see the same batches. The order of the examples is a function of the seed,
    and the position in it of the step, so that a run resumes and replays.

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
    dataset = load_packed(config.data)
    config = resolve(config, dataset.name)
    _check(config, dataset)
    parts = split_packed(dataset, seed=config.seed, validation_fraction=config.validation_fraction)
    num_train, num_classes = len(parts.train), dataset.num_classes
    network = build_network(config, dataset.in_shape, num_classes)
    learner = build_learner(config, network, num_classes, num_train)
    check_memory(config, learner.init)
    options = train_options(config)
    batches = stream_batches(config, dataset, parts.train)
    found = pass_over(dataset, parts)
    scale = scaler(found.inputs, dataset.examples.description.columns["x"].dtype)

    def prepared(batch: dict[str, Any]) -> dict[str, Any]:
        leading = batch["y"].shape
        x: Any = arrange(config, scale(batch["x"].reshape(-1, *dataset.in_shape)))
        return {"x": x.reshape(*leading, *x.shape[1:]), "y": batch["y"].astype(np.int32)}

    validation, test = (jax.device_put(prepared(each)) for each in (found.validation, found.test))
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    learning_metrics = jax.jit(jax.vmap(evaluation.learning_metrics, (0, None)))

    def evaluate(params: Any, _: Any) -> dict[str, jax.Array]:
        return learning_metrics(outputs(params, validation["x"]), validation["y"])

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
                evaluate=evaluate if parts.validation is not None else None,
            )
            tested = outputs(trained.params, test["x"])
            metrics = dict(
                jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, test["y"])
            )
            threshold = None
            if num_classes == 2:
                validated = outputs(trained.params, validation["x"]), validation["y"]
                decisions = evaluation.decide(config, validated, (tested, test["y"]), None)
                metrics |= decisions
                threshold = float(decisions["threshold"].mean())
        model = SavedModel.of(dataset, found.inputs, trained.params, threshold=threshold)
        save_model(directory, model)
        labels, shown = np.asarray(test["y"]), slice(_EXAMPLES_SHOWN)
        captions = evaluation.draw_learning(directory, trained.history)
        captions |= evaluation.draw(
            directory,
            np.asarray(tested)[:, shown],
            labels[shown],
            dataset.class_names,
            images=unscaled(found.test["x"][shown]) if dataset.is_image else None,
            threshold=threshold,
        )
        summary = summarize(
            trained.params,
            metrics,
            num_examples={
                name: 0 if part is None else len(part) for name, part in parts._asdict().items()
            },
            state_sha256=trained.state_sha256,
            seconds=seconds,
        ) | {"best_epochs": trained.best_epochs.tolist()}
        summary |= _described(dataset, found.class_counts, labels, metrics)
        classes = evaluation.class_table(np.asarray(tested), labels, dataset.class_names)
        summary["tables"] = {"Classes": classes}
        return finish(directory, config, summary, captions)


def _described(
    dataset: PackedDataset,
    class_counts: np.ndarray,
    labels: np.ndarray,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    # In proportion, for as many labels as fit anywhere.
    shares = np.maximum(1, np.round(class_counts / class_counts.sum() * 1e6)).astype(int)
    baseline = class_baseline(
        np.repeat(np.arange(len(shares)), shares), labels, dataset.class_names
    )
    return {
        "data": describe_packed(dataset),
        "baseline": {"name": baseline.name, "metrics": baseline.metrics},
        "notes": compare(baseline, metrics),
    }


def _check(config: Config, dataset: PackedDataset) -> None:
    """Raise where options do not fit data that are read while they are trained on."""
    model = config.model
    if not isinstance(model, Linear | Mlp | Cnn):
        raise ValueError(f"model {model.name} takes sequences, and packed data are not; use mlp")
    if isinstance(model, Cnn) and not dataset.is_image:
        raise ValueError(f"model cnn takes images, and {dataset.name} holds a table; use mlp")
    check_packed(config)
    if config.calibrate != "none" or config.coverage is not None:
        name = "calibrate" if config.calibrate != "none" else "coverage"
        raise ValueError(
            f"{name} is not computed for packed data, found {dataset.name}; leave it out, or give "
            "the table itself"
        )
    if config.label_smoothing > 0 and dataset.num_classes == 2:
        raise ValueError(
            "label_smoothing needs more than two classes, since two have one logistic output, "
            f"found {config.label_smoothing}; leave it out"
        )
    if config.patience is not None and config.validation_fraction == 0:
        raise ValueError(
            f"patience {config.patience} needs validation data, and validation_fraction 0 leaves "
            "none; leave one of the two out"
        )
