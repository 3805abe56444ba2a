"""Coefficients of linear models, beside those of least squares."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from experiments.data import Dataset, Standardization

MAX_COEFFICIENTS = 30


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
    dataset: Dataset, train_part: np.ndarray, coefficients: np.ndarray, scale: np.ndarray
) -> list[tuple[str, ...]]:
    """Rows: name, true value where known, least squares, mean and deviation over the networks.

    Of more than `MAX_COEFFICIENTS` features those with the largest effect are listed, that of a
    change by one standard deviation; the last row is the intercept.

    Args:
        dataset: the data.
        train_part: indices of the training examples.
        coefficients: of `linear_coefficients`.
        scale: standard deviation of each feature.
    """
    exact = least_squares(dataset.x[train_part], dataset.y[train_part])
    if dataset.coefficients is None:
        true = ["unknown"] * len(exact)
    else:
        true = [f"{value:g}" for value in (*dataset.coefficients, dataset.intercept)]
    columns = {"least squares": exact, "network": coefficients.mean(axis=0)}
    if len(coefficients) > 1:
        columns["standard deviation"] = coefficients.std(axis=0, ddof=1)
    effects = np.abs(columns["network"][:-1] * scale)
    shown = np.sort(np.argsort(-effects, kind="stable")[:MAX_COEFFICIENTS])
    first = "coefficient"
    if len(shown) < len(effects):
        first += f" (the {len(shown)} of {len(effects)} with the largest effect)"
    rows: list[tuple[str, ...]] = [(first, "true", *columns)]
    names = (*dataset.feature_names, "intercept")
    for index in (*shown, len(effects)):
        numbers = (f"{values[index]:.6g}" for values in columns.values())
        rows.append((names[index], true[index], *numbers))
    return rows
