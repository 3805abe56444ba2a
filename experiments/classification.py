"""Classification: softmax or logistic networks on labelled data.

    python -m experiments.classification                    # digits, 10 networks in one program
    python -m experiments.classification --dataset breast_cancer --cross-validate 10 --repeats 10
    python -m experiments.classification --dataset mnist    # finds or downloads the data set

Published figures, the commands that are held against them and their times: docs/results.md.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments import evaluation, figures
from experiments.datasets import (
    Dataset,
    fit_standardization,
    folds,
    load,
    split,
    standardize,
)
from experiments.recipes import classification_recipe
from experiments.run import (
    TrainingConfig,
    finish,
    main,
    make_optimizer,
    require_batch,
    resolve,
    seed_keys,
    statistics,
    stopwatch,
    train,
)
from experiments.run_directory import RunDirectory, stacked_sha256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train networks to tell classes apart. Options left out take the values of a recipe."""

    dataset: str = "digits"
    """digits, breast_cancer, wine, iris, mnist or fashion_mnist."""
    data_dir: Path | None = None
    """Folder that holds mnist/ and fashion-mnist/; by default JAXNET_DATA, then a download."""
    model: Literal["linear", "mlp", "cnn"] = "mlp"
    """linear (logistic regression), mlp, or cnn for pictures."""
    hidden_dims: tuple[int, ...] | None = None
    """Sizes of the hidden dense layers."""
    channels: tuple[int, ...] | None = None
    """Channels of each stage of a cnn."""
    convs_per_stage: int | None = None
    """Convolutions in each stage of a cnn."""
    dropout: float | None = None
    """Rate of dropout after each hidden layer."""
    input_dropout: float | None = None
    """Rate of dropout on the input of an mlp."""
    label_smoothing: float | None = None
    """Probability mass spread over all classes, in [0, 1)."""
    l2: float | None = None
    """Strength of the L2 penalty on the kernels."""
    cross_validate: int = 0
    """Number of folds; 0 trains on one split instead."""
    repeats: int = 1
    """Repeats of the cross-validation, each with other folds."""
    false_positive_cost: float = 1.0
    """With two classes: cost of calling a negative example positive."""
    false_negative_cost: float = 1.0
    """With two classes: cost of calling a positive example negative."""


def run(config: Config) -> dict[str, Any]:
    """Run the experiment.

    Args:
        config: the options; what is None is taken from the recipe of data set and model.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    RunDirectory.check(config.out)
    dataset = load(config.dataset, task="classification", data_dir=config.data_dir)
    config = resolve(config, classification_recipe(dataset.name, config.model))
    _check(config, dataset)
    jn.check_data(dataset.x, dataset.y, num_classes=dataset.num_classes)
    return (
        cross_validate(config, dataset) if config.cross_validate else train_split(config, dataset)
    )


def train_split(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Train `num_seeds` networks on one split and test them."""
    with stopwatch() as seconds:
        parts = split(dataset, seed=config.seed)
        inputs = _inputs(config, dataset)
        fitted = fit_standardization(inputs[parts.train], per_feature=not dataset.is_image)
        inputs = standardize(fitted, inputs)
        network = build_network(config, dataset)
        learner = build_learner(config, dataset, network, len(parts.train))
        states = jax.jit(jax.vmap(learner.init))(seed_keys(config))
        directory = RunDirectory.create("classification", config, dataset.sha256, config.out)

        outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
        held_out = jnp.asarray(inputs[parts.validation])
        held_out_labels = jnp.asarray(dataset.y[parts.validation])
        watched = jax.jit(jax.vmap(evaluation.learning_metrics, (0, None)))
        trained = train(
            learner,
            states,
            {"x": inputs[parts.train], "y": dataset.y[parts.train]},
            lambda params: watched(outputs(params, held_out), held_out_labels),
            config,
            directory,
        )
        params = jax.jit(jax.vmap(jn.evaluation_params))(trained.states)
        tested = outputs(params, jnp.asarray(inputs[parts.test]))
        labels = jnp.asarray(dataset.y[parts.test])
        metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, labels))
        threshold = None
        if dataset.num_classes == 2:
            costs = evaluation.Costs(config.false_positive_cost, config.false_negative_cost)
            choose = functools.partial(evaluation.choose_threshold, costs=costs)
            decide = functools.partial(evaluation.decision_metrics, costs=costs)
            thresholds = jax.vmap(choose, (0, None))(outputs(params, held_out), held_out_labels)
            metrics |= jax.vmap(decide, (0, None, 0))(tested, labels, thresholds)
            threshold = float(thresholds.mean())
    directory.save_figure("learning_curves", figures.learning_curves(trained.history))
    captions = {
        "learning_curves": "Learning curves: mean and range over the networks. The training loss "
        "includes dropout, label smoothing and penalties."
    }
    captions |= evaluation.draw(
        directory,
        np.asarray(tested),
        dataset.y[parts.test],
        dataset.class_names,
        images=dataset.x[parts.test] if dataset.is_image else None,
        threshold=threshold,
    )
    summary = {
        "num_parameters": sum(leaf[0].size for leaf in jax.tree.leaves(params)),
        "num_examples": {name: len(part) for name, part in parts._asdict().items()},
        "metrics": {name: statistics(values) for name, values in metrics.items()},
        "params_sha256": stacked_sha256(trained.states),
        "seconds": seconds,
    }
    return finish(directory, config, summary, captions)


def cross_validate(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Train one network for each fold of each repeat, all in one vmapped program."""
    with stopwatch() as seconds:
        trains, tests = folds(
            dataset.y, num_folds=config.cross_validate, num_repeats=config.repeats, seed=config.seed
        )
        # One shape for all folds: training folds are cut to the smallest, test folds are padded
        # with examples of weight 0.
        num_train, num_test = min(map(len, trains)), max(map(len, tests))
        require_batch(config, num_train)
        trains = np.stack([fold[:num_train] for fold in trains])
        weights = np.stack([np.arange(num_test) < len(fold) for fold in tests])
        tests = np.stack([np.pad(fold, (0, num_test - len(fold))) for fold in tests])
        inputs = _inputs(config, dataset)
        fitted = [
            fit_standardization(inputs[fold], per_feature=not dataset.is_image) for fold in trains
        ]
        means = np.stack([fold.mean for fold in fitted])
        scales = np.stack([fold.scale for fold in fitted])
        network = build_network(config, dataset)
        learner = build_learner(config, dataset, network, num_train)
        config = dataclasses.replace(config, num_seeds=len(trains))
        keys = seed_keys(config)

        def fold(key, mean, scale, train_fold, test_fold, weight, x, y):
            data = {"x": (x[train_fold] - mean) / scale, "y": y[train_fold]}
            state, history = jn.fit(
                learner, key, data, batch_size=config.batch_size, num_epochs=config.num_epochs
            )
            params = jn.evaluation_params(state)
            outputs = network.apply(params, (x[test_fold] - mean) / scale)
            return state, history, evaluation.final_metrics(outputs, y[test_fold], weight)

        arguments = (keys, means, scales, trains, tests, weights.astype(np.float32))
        directory = RunDirectory.create("classification", config, dataset.sha256, config.out)
        print(f"training {len(trains)} networks in one program ...", flush=True)
        program = jax.jit(jax.vmap(fold, (0,) * len(arguments) + (None, None)))
        states, history, metrics = jax.device_get(program(*arguments, inputs, dataset.y))
    curves = {name: {"train": values.T} for name, values in history.items()}
    directory.save_figure("learning_curves", figures.learning_curves(curves))
    summary = {
        "unit": f"folds ({config.repeats} x {config.cross_validate}-fold cross-validation)",
        "metrics": {name: statistics(values) for name, values in metrics.items()},
        "params_sha256": stacked_sha256(states),
        "seconds": seconds,
    }
    captions = {"learning_curves": "Learning curves on the training folds: mean and range."}
    return finish(directory, config, summary, captions)


def build_network(config: Config, dataset: Dataset) -> jn.Network:
    """The network of a resolved config; two classes have one logistic output."""
    num_outputs = 1 if dataset.num_classes == 2 else dataset.num_classes
    hidden_dims, dropout = config.hidden_dims or (), config.dropout or 0.0
    if config.model == "cnn":
        return jn.cnn(
            dataset.x.shape[1:],
            config.channels or (),
            [*hidden_dims, num_outputs],
            dropout=dropout,
            convs_per_stage=config.convs_per_stage or 1,
        )
    in_dim = int(np.prod(dataset.x.shape[1:]))
    if config.model == "linear":
        return jn.mlp([in_dim, num_outputs])
    dims = [in_dim, *hidden_dims, num_outputs]
    return jn.mlp(dims, dropout=dropout, input_dropout=config.input_dropout or 0.0)


def build_learner(
    config: Config, dataset: Dataset, network: jn.Network, num_train: int
) -> jn.Learner:
    """The learner of a resolved config for a number of training examples."""
    require_batch(config, num_train)
    if dataset.num_classes == 2:
        objective = jn.binary_classification(network)
    else:
        objective = jn.classification(network, label_smoothing=config.label_smoothing or 0.0)
    if config.l2:
        objective = jn.l2_penalty(objective, config.l2)
    num_steps = num_train // (config.batch_size or 1) * (config.num_epochs or 1)
    return jn.gradient_learner(network.init, objective, make_optimizer(config, num_steps=num_steps))


def _inputs(config: Config, dataset: Dataset) -> np.ndarray:
    """Pictures stay pictures for a cnn and become vectors for the other models."""
    return dataset.x if config.model == "cnn" else dataset.x.reshape(len(dataset.x), -1)


def _check(config: Config, dataset: Dataset) -> None:
    """Refuse options that do not fit the data or each other."""
    if config.model == "cnn" and not dataset.is_image:
        raise ValueError(f"model cnn needs pictures, and {dataset.name} is a table; use mlp")
    if config.cross_validate < 0 or config.cross_validate == 1:
        raise ValueError(f"cross_validate must be 0 or at least 2, found {config.cross_validate}")
    if config.repeats < 1:
        raise ValueError(f"repeats must be at least 1, found {config.repeats}")
    if not 0 <= (config.label_smoothing or 0) < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), found {config.label_smoothing}")
    if (config.label_smoothing or 0) > 0 and dataset.num_classes == 2:
        raise ValueError(
            "label_smoothing needs more than two classes, one logistic output has none"
        )
    for name in ("false_positive_cost", "false_negative_cost"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be greater than 0, found {getattr(config, name)}")


if __name__ == "__main__":
    sys.exit(main(Config, run))
