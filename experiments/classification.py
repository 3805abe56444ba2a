"""Classification: softmax or logistic networks on labelled data.

    python -m experiments.classification                    # digits, 10 networks in one program
    python -m experiments.classification --dataset breast_cancer --cross-validate 10 --repeats 10
    python -m experiments.classification --dataset mnist    # finds or downloads the data set
    python -m experiments.classification --data table.csv --label species

Published figures, the commands that are held against them and their times: docs/results.md.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments import evaluation, figures
from experiments.datasets import Dataset, fit_standardization, folds, split, standardize
from experiments.model import SavedModel, save_model, stacked_sha256
from experiments.options import (
    TrainingConfig,
    load_dataset,
    resolve,
    seed_keys,
    training_optimizer,
)
from experiments.recipes import classification_recipe, own_recipe
from experiments.run import finish, main, statistics, stopwatch
from experiments.run_directory import RunDirectory
from experiments.training import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train networks to tell classes apart. Options left out take the values of a recipe."""

    experiment: ClassVar[str] = "classification"

    dataset: str = "digits"
    """digits, breast_cancer, wine, iris, mnist or fashion_mnist; or see --data."""
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


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: no such data set, or data that cannot be used.
    """
    return load_dataset(config, task="classification", data_dir=config.data_dir)


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
    RunDirectory.check(config)
    dataset = load_data(config)
    recipe = classification_recipe(dataset.name if config.data is None else "", config.model)
    if config.data is not None:
        recipe = own_recipe(recipe, len(dataset.x))
    config = resolve(dataclasses.replace(config, dataset=dataset.name), recipe)
    _check(config, dataset)
    jn.check_data(dataset.x, dataset.y, num_classes=dataset.num_classes)
    return (
        cross_validate(config, dataset) if config.cross_validate else train_split(config, dataset)
    )


def train_split(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Train `num_seeds` networks on one split and test them."""
    parts = split(dataset, seed=config.seed)
    inputs = _inputs(config, dataset)
    fitted = fit_standardization(inputs[parts.train], per_feature=not dataset.is_image)
    inputs = standardize(fitted, inputs)
    network = build_network(config, inputs.shape[1:], dataset.num_classes)
    learner = build_learner(config, dataset.num_classes, network, len(parts.train))
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            states = jax.jit(jax.vmap(learner.init))(seed_keys(config))
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
            tested = outputs(trained.params, jnp.asarray(inputs[parts.test]))
            labels = jnp.asarray(dataset.y[parts.test])
            metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, labels))
            threshold = None
            if dataset.num_classes == 2:
                costs = evaluation.Costs(config.false_positive_cost, config.false_negative_cost)
                choose = functools.partial(evaluation.choose_threshold, costs=costs)
                decide = functools.partial(evaluation.decision_metrics, costs=costs)
                validated = outputs(trained.params, held_out)
                thresholds = jax.vmap(choose, (0, None))(validated, held_out_labels)
                metrics |= jax.vmap(decide, (0, None, 0))(tested, labels, thresholds)
                threshold = float(thresholds.mean())
        save_model(directory, SavedModel.of(dataset, fitted, trained.params, threshold=threshold))
        captions = _draw(directory, trained.history)
        captions |= evaluation.draw(
            directory,
            np.asarray(tested),
            dataset.y[parts.test],
            dataset.class_names,
            images=dataset.x[parts.test] if dataset.is_image else None,
            threshold=threshold,
        )
        summary = {
            "num_parameters": sum(leaf[0].size for leaf in jax.tree.leaves(trained.params)),
            "num_examples": {name: len(part) for name, part in parts._asdict().items()},
            "metrics": {name: statistics(values) for name, values in metrics.items()},
            "params_sha256": stacked_sha256(trained.params),
            "state_sha256": trained.state_sha256,
            "best_epochs": trained.best_epochs,
            "seconds": seconds,
        }
        return finish(directory, config, summary, captions)


def cross_validate(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Train one network for each fold of each repeat, all in one vmapped program."""
    trains, tests = folds(
        dataset.y, num_folds=config.cross_validate, num_repeats=config.repeats, seed=config.seed
    )
    # One shape for all folds: training folds are cut to the smallest, test folds are padded with
    # examples of weight 0.
    num_train, num_test = min(map(len, trains)), max(map(len, tests))
    trains = np.stack([fold[:num_train] for fold in trains])
    weights = np.stack([np.arange(num_test) < len(fold) for fold in tests])
    tests = np.stack([np.pad(fold, (0, num_test - len(fold))) for fold in tests])
    inputs = _inputs(config, dataset)
    fitted = [
        fit_standardization(inputs[fold], per_feature=not dataset.is_image) for fold in trains
    ]
    network = build_network(config, inputs.shape[1:], dataset.num_classes)
    learner = build_learner(config, dataset.num_classes, network, num_train)
    config = dataclasses.replace(config, num_seeds=len(trains))
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            print(f"training {len(trains)} networks in one program ...", flush=True)
            x = [standardize(each, inputs[fold]) for each, fold in zip(fitted, trains, strict=True)]
            trained = train(
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": np.stack(x), "y": dataset.y[trains]},
                lambda params: {},
                config,
                directory,
                data_axis=0,
            )
            x = [standardize(each, inputs[fold]) for each, fold in zip(fitted, tests, strict=True)]
            outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))
            metrics = jax.jit(jax.vmap(evaluation.final_metrics))(
                outputs(trained.params, np.stack(x)), dataset.y[tests], weights.astype(np.float32)
            )
        summary = {
            "unit": f"folds ({config.repeats} x {config.cross_validate}-fold cross-validation)",
            "metrics": {name: statistics(values) for name, values in metrics.items()},
            "params_sha256": stacked_sha256(trained.params),
            "state_sha256": trained.state_sha256,
            "seconds": seconds,
        }
        return finish(directory, config, summary, _draw(directory, trained.history))


def build_network(config: Config, in_shape: Sequence[int], num_classes: int) -> jn.Network:
    """The network of a resolved config; two classes have one logistic output."""
    num_outputs = 1 if num_classes == 2 else num_classes
    hidden_dims, dropout = config.hidden_dims or (), config.dropout or 0.0
    if config.model == "cnn":
        return jn.cnn(
            in_shape,
            config.channels or (),
            [*hidden_dims, num_outputs],
            dropout=dropout,
            convs_per_stage=config.convs_per_stage or 1,
        )
    in_dim = math.prod(in_shape)
    if config.model == "linear":
        return jn.mlp([in_dim, num_outputs])
    dims = [in_dim, *hidden_dims, num_outputs]
    return jn.mlp(dims, dropout=dropout, input_dropout=config.input_dropout or 0.0)


def build_learner(
    config: Config, num_classes: int, network: jn.Network, num_train: int
) -> jn.Learner:
    """The learner of a resolved config for a number of training examples."""
    optimizer = training_optimizer(config, num_train)
    if num_classes == 2:
        objective = jn.binary_classification(network)
    else:
        objective = jn.classification(network, label_smoothing=config.label_smoothing or 0.0)
    if config.l2:
        objective = jn.l2_penalty(objective, config.l2)
    return jn.gradient_learner(network.init, objective, optimizer)


def _draw(directory: RunDirectory, history: dict[str, dict[str, np.ndarray]]) -> dict[str, str]:
    directory.save_figure("learning_curves", figures.learning_curves(history))
    caption = (
        "Learning curves: mean and range over the networks. The training loss includes dropout, "
        "label smoothing and penalties."
    )
    return {"learning_curves": caption}


def _inputs(config: Config, dataset: Dataset) -> np.ndarray:
    """Pictures stay pictures for a cnn and become vectors for the other models."""
    return dataset.x if config.model == "cnn" else dataset.x.reshape(len(dataset.x), -1)


def _check(config: Config, dataset: Dataset) -> None:
    """Refuse options that do not fit the data or each other."""
    if config.model == "cnn" and not dataset.is_image:
        raise ValueError(f"model cnn needs pictures, and {dataset.name} is a table; use mlp")
    if config.cross_validate < 0 or config.cross_validate == 1:
        raise ValueError(f"cross_validate must be 0 or at least 2, found {config.cross_validate}")
    if config.cross_validate and config.patience is not None:
        raise ValueError("patience needs validation data, and cross_validate leaves none; use one")
    if config.cross_validate and config.impute is not None:
        raise ValueError(
            "impute takes medians from the training rows of one split, which are others in each "
            "fold of cross_validate; use one of the two, or fill the cells before"
        )
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
