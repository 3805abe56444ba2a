"""Regression: a line through points, several inputs, and a real table.

    python -m experiments.regression                          # one input: slope and intercept
    python -m experiments.regression --dataset crop_yield     # fertilizer, rain and sun
    python -m experiments.regression --dataset diabetes --model mlp
    python -m experiments.regression --data table.csv --label price

A linear model is held against ordinary least squares on the same examples: docs/results.md.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.command import finish, print_table, stopwatch
from experiments.data import Dataset, Standardization, fit_standardization, split, standardize
from experiments.model import SavedModel, save_model
from experiments.options import TrainingConfig, load_dataset, resolve, seed_keys, training_optimizer
from experiments.recipes import own_recipe, regression_recipe
from experiments.report import figures
from experiments.summary import summarize_split
from jaxnet import metrics
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.training import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train networks to predict a number. Options left out take the values of a recipe."""

    experiment: ClassVar[str] = "regression"

    dataset: str = "line"
    """line, crop_yield or diabetes; or see --data."""
    model: Literal["linear", "mlp"] = "linear"
    """linear, or mlp with hidden layers."""
    hidden_dims: tuple[int, ...] | None = None
    """Sizes of the hidden layers of an mlp."""
    dropout: float | None = None
    """Rate of dropout after each hidden layer."""
    l2: float | None = None
    """Strength of the L2 penalty on the kernels."""


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: no such data set, or data that cannot be used.
    """
    return load_dataset(config, task="regression")


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
    jn.check_data(dataset.x, dataset.y)
    parts = split(dataset, seed=config.seed)
    recipe = regression_recipe(dataset.name if config.data is None else "", config.model)
    if config.data is not None and config.model != "linear":
        recipe = own_recipe(recipe, len(dataset.x))
    recipe["batch_size"] = recipe["batch_size"] or len(parts.train)
    config = resolve(dataclasses.replace(config, dataset=dataset.name), recipe)
    optimizer = training_optimizer(config, len(parts.train))
    inputs = fit_standardization(dataset.x[parts.train])
    targets = fit_standardization(dataset.y[parts.train])
    x, y = standardize(inputs, dataset.x), standardize(targets, dataset.y)
    network = build_network(config, x.shape[1:])
    objective = jn.regression(network)
    if config.l2:
        objective = jn.with_l2(objective, config.l2)
    learner = jn.gradient_learner(network.init, objective, optimizer)
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
            held_out, held_out_y = (
                jnp.asarray(x[parts.validation]),
                jnp.asarray(y[parts.validation]),
            )
            watched = jax.jit(jax.vmap(_learning_metrics, (0, None)))
            trained = train(
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": x[parts.train], "y": y[parts.train]},
                lambda params: watched(outputs(params, held_out), held_out_y),
                config,
                directory,
            )
            params = trained.params
            predicted = targets.mean + targets.scale * outputs(params, x[parts.test])[..., 0]
            tested = jax.vmap(_final_metrics, (0, None))(
                predicted, jnp.asarray(dataset.y[parts.test])
            )
        save_model(directory, SavedModel.of(dataset, inputs, params, targets=targets))
        summary = summarize_split(trained, tested, parts, seconds)
        if config.model == "linear":
            found = linear_coefficients(params, inputs, targets)
            rows = coefficient_table(dataset, parts.train, found)
            summary["tables"] = {"Coefficients": rows}
            print_table(rows)
        captions = _draw(directory, dataset, parts.test, np.asarray(predicted), trained.history)
        if dataset.x.shape[1] == 1:
            grid = np.linspace(dataset.x.min(), dataset.x.max(), 200, dtype=np.float32)[:, None]
            curves = outputs(params, standardize(inputs, grid))[..., 0]
            curves = targets.mean + targets.scale * np.asarray(curves)
            line = figures.fitted_line(dataset.x[:, 0], dataset.y, grid[:, 0], curves)
            directory.save_figure("fit", line)
            captions["fit"] = "All examples, and the function that each network fitted."
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def build_network(config: Config, in_shape: Sequence[int]) -> jn.Network:
    """The network of a resolved config."""
    hidden_dims = () if config.model == "linear" else config.hidden_dims or ()
    return jn.mlp([*in_shape, *hidden_dims, 1], dropout=config.dropout or 0.0)


def linear_coefficients(
    params: Any, inputs: Standardization, targets: Standardization
) -> Float[np.ndarray, "seeds features+1"]:
    """Slopes and, last, intercept of trained linear models in the units of the data.

    `y = my + sy (w (x - mx) / sx + b)` has slopes `sy w / sx` and intercept
    `my + sy b - slopes . mx`, computed in float64.

    Args:
        params: parameters of `mlp([features, 1])`, stacked over the seeds.
        inputs: standardization of the inputs.
        targets: standardization of the targets.
    """
    layer = jax.device_get(params["dense_0"])
    kernel, bias = layer["kernel"][..., 0].astype(np.float64), layer["bias"].astype(np.float64)
    slopes = kernel * float(targets.scale) / inputs.scale.astype(np.float64)
    intercept = float(targets.mean) + float(targets.scale) * bias
    intercept -= (slopes @ inputs.mean.astype(np.float64))[:, None]
    return np.concatenate([slopes, intercept], axis=1)


def least_squares(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " features+1"]:
    """Slopes and, last, intercept of ordinary least squares, in float64.

    >>> least_squares(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])).round(6).tolist()
    [2.0, 1.0]
    """
    # Centering first keeps the system well conditioned whatever the units of the inputs are.
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    slopes = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(), rcond=None)[0]
    return np.append(slopes, y.mean() - x.mean(axis=0) @ slopes)


def coefficient_table(
    dataset: Dataset, train_part: np.ndarray, found: np.ndarray
) -> list[tuple[str, ...]]:
    """Rows: name, true value where it is known, ordinary least squares, mean and spread of ours."""
    exact = least_squares(dataset.x[train_part], dataset.y[train_part])
    if dataset.coefficients is None:
        true = ["unknown"] * len(exact)
    else:
        true = [f"{value:g}" for value in (*dataset.coefficients, dataset.intercept)]
    spread = found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(len(exact))
    rows: list[tuple[str, ...]] = [
        ("coefficient", "true", "least squares", "network (mean)", "network (std)")
    ]
    names = (*dataset.feature_names, "intercept")
    for row in zip(names, true, exact, found.mean(axis=0), spread, strict=True):
        name, value, *numbers = row
        rows.append((name, value, *(f"{number:.6g}" for number in numbers)))
    return rows


def _learning_metrics(outputs: Float[Array, "n 1"], y: Float[Array, " n"]) -> dict[str, Array]:
    error = metrics.mean_squared_error(outputs[:, 0], y)
    return {"loss": error, "mean_squared_error": error}


def _final_metrics(predicted: Float[Array, " n"], y: Float[Array, " n"]) -> dict[str, Array]:
    return {
        "mean_squared_error": metrics.mean_squared_error(predicted, y),
        "r2": metrics.r2_score(predicted, y),
    }


def _draw(
    directory: RunDirectory,
    dataset: Dataset,
    test_part: np.ndarray,
    predicted: np.ndarray,
    history: dict[str, dict[str, np.ndarray]],
) -> dict[str, str]:
    directory.save_figure("learning_curves", figures.learning_curves(history))
    scatter = figures.predictions(dataset.y[test_part], predicted.mean(axis=0), dataset.unit)
    directory.save_figure("predictions", scatter)
    return {
        "learning_curves": "Learning curves, of the standardized target: mean and range.",
        "predictions": "Mean prediction of all networks on the test set.",
    }
