"""Classification: softmax or logistic networks on labelled data.

    python -m experiments.classification                    # digits, 10 networks in one program
    python -m experiments.classification --dataset breast_cancer --cross-validate 10 --repeats 10
    python -m experiments.classification --dataset mnist    # finds or downloads the data set
    python -m experiments.classification --dataset emails --cross-validate 5 \\
        --max-false-positive-rate 0.003                     # spam or not
    python -m experiments.classification --data table.csv --label species

Published figures, the commands that are held against them and their times: docs/results.md.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.classification import cross_validation, evaluation
from experiments.command import finish, stopwatch
from experiments.data import (
    Dataset,
    Standardization,
    fit_idf,
    fit_standardization,
    split,
    standardize,
)
from experiments.model import SavedModel, save_model
from experiments.options import TrainingConfig, load_dataset, resolve, seed_keys, training_optimizer
from experiments.recipes import classification_recipe, own_recipe
from experiments.report import figures
from experiments.summary import summarize, summarize_split
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.training import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train networks to tell classes apart. Options left out take the values of a recipe."""

    experiment: ClassVar[str] = "classification"

    dataset: str = "digits"
    """digits, breast_cancer, wine, iris, mnist, fashion_mnist or emails; or see --data."""
    data_dir: Path | None = None
    """Folder that holds mnist/, fashion-mnist/ and spamassassin/; by default JAXNET_DATA, then a
    download."""
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
    max_false_positive_rate: float | None = None
    """With two classes: choose the threshold for this rate of false positives on new data, instead
    of for the costs. A cross-validation of K folds then trains K (K + 1) / 2 networks, of which
    K (K - 1) / 2, each without two folds, choose the thresholds without the fold that tests."""


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
    fitted = _fit_scale(dataset, inputs[parts.train])
    inputs = standardize(fitted, inputs)
    budget = _budget(config, dataset.y[parts.validation])
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
                if budget is None:
                    choose = functools.partial(evaluation.choose_threshold, costs=costs)
                else:
                    choose = functools.partial(evaluation.threshold_within, budget=budget)
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
        summary = summarize_split(trained, metrics, parts, seconds)
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def cross_validate(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Train one network for each fold of each repeat, all in one vmapped program.

    With a budget of false positives, one more for each pair of folds, which choose the thresholds.
    The metrics that are called pooled have one value for each repeat.
    """
    rate = config.max_false_positive_rate
    plan = cross_validation.plan(
        dataset.y,
        num_folds=config.cross_validate,
        num_repeats=config.repeats,
        seed=config.seed,
        nested=rate is not None,
    )
    num_folds = len(plan.tests)
    budgets = [_budget(config, np.delete(dataset.y, fold)) or 0.0 for fold in plan.tests]
    inputs = _inputs(config, dataset)
    fitted = [_fit_scale(dataset, inputs[fold]) for fold in plan.trains]
    rows = plan.rows(config.seed)
    network = build_network(config, inputs.shape[1:], dataset.num_classes)
    learner = build_learner(config, dataset.num_classes, network, rows.shape[1])
    config = dataclasses.replace(config, num_seeds=len(rows))
    predict = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            print(f"training {len(rows)} networks in one program ...", flush=True)
            trained = train(
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": cross_validation.scaled(fitted, inputs, rows), "y": dataset.y[rows]},
                lambda params: {},
                config,
                directory,
                data_axis=0,
            )
            outer, inner = (
                jax.tree.map(lambda leaf, part=part: leaf[part], trained.params)
                for part in (slice(num_folds), slice(num_folds, None))
            )
            tests, weights = cross_validation.padded(plan.tests)
            tested = predict(outer, cross_validation.scaled(fitted[:num_folds], inputs, tests))
            labels = jnp.asarray(dataset.y[tests])
            metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics))(tested, labels, weights))
            if rate is not None:
                judged, _ = cross_validation.padded(plan.judged)
                chosen = predict(inner, cross_validation.scaled(fitted[num_folds:], inputs, judged))
                pooled = cross_validation.out_of_fold(plan, np.asarray(chosen), len(dataset.y))
                test = cross_validation.HeldOut(tested, labels, weights)
                metrics |= cross_validation.decide(pooled, dataset.y, np.asarray(budgets), test)
                metrics |= cross_validation.pooled_metrics(test, config.repeats, rate)
        summary = summarize(
            trained.params,
            metrics,
            num_examples={"all": len(dataset.x)},
            state_sha256=trained.state_sha256,
            seconds=seconds,
        )
        summary["num_seeds"] = num_folds
        summary["unit"] = (
            f"folds ({config.repeats} x {config.cross_validate}-fold cross-validation)"
        )
        published = dataset.published.get(config.experiment)
        captions = _draw(directory, trained.history)
        return finish(directory, config, summary, captions, published)


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
        objective = jn.with_l2(objective, config.l2)
    return jn.gradient_learner(network.init, objective, optimizer)


def _draw(directory: RunDirectory, history: dict[str, dict[str, np.ndarray]]) -> dict[str, str]:
    directory.save_figure("learning_curves", figures.learning_curves(history))
    caption = (
        "Learning curves: mean and range over the networks. The training loss includes dropout, "
        "label smoothing and penalties."
    )
    return {"learning_curves": caption}


def _fit_scale(dataset: Dataset, inputs: np.ndarray) -> Standardization:
    """One mean and scale for each column, or for all pixels, or the weights of words."""
    if dataset.is_text:
        return fit_idf(inputs)
    return fit_standardization(inputs, per_feature=not dataset.is_image)


def _budget(config: Config, labels: np.ndarray) -> float | None:
    """What the option allows on the examples with these labels, on which a threshold is chosen."""
    rate = config.max_false_positive_rate
    return None if rate is None else evaluation.budget_on(rate, int(np.sum(labels == 0)))


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
    rate = config.max_false_positive_rate
    if rate is not None:
        if not 0 < rate < 1:
            raise ValueError(f"max_false_positive_rate must lie in (0, 1), found {rate}")
        if dataset.num_classes != 2:
            raise ValueError(
                f"max_false_positive_rate is for two classes, {dataset.name} has "
                f"{dataset.num_classes}; leave it out"
            )
        if config.cross_validate == 2:
            raise ValueError(
                "max_false_positive_rate with cross_validate needs at least 3 folds: one tests, "
                "one chooses the threshold, the others train"
            )
        if (config.false_positive_cost, config.false_negative_cost) != (1, 1):
            raise ValueError("max_false_positive_rate chooses the threshold, as costs do; use one")
    for name in ("false_positive_cost", "false_negative_cost"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be greater than 0, found {getattr(config, name)}")
