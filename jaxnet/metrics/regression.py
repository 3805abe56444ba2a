"""Metrics of regressions."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet.metrics.weighting import as_float, example_weights, weighted_mean
from jaxnet.objectives.weighting import require_shape, weighted_sum


def _as_columns(values: Array) -> Float[Array, "n outputs"]:
    return as_float(values).reshape(len(values), math.prod(values.shape[1:]))


def mean_squared_error(
    predictions: Float[Array, "n *outputs"],
    targets: Float[Array, "n *outputs"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean squared difference over examples and outputs.

    `sum_i w_i ||prediction_i - target_i||^2 / (d sum_i w_i)`, with d outputs.

    Args:
        predictions: predictions, `(n,)` or `(n, d)`.
        targets: true values, of the same shape.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The error in the squared unit of the targets, a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> float(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0

    Source: `sklearn.metrics.mean_squared_error`.
    """
    require_shape("mean_squared_error", "targets", targets, predictions.shape)
    weight = example_weights("mean_squared_error", len(predictions), weight)
    errors = _as_columns(predictions) - _as_columns(targets)
    return weighted_mean(jnp.mean(errors**2, axis=-1), weight)


def r2_score(
    predictions: Float[Array, "n *outputs"],
    targets: Float[Array, "n *outputs"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Coefficient of determination: the fraction of the variance of the targets that is explained.

    `1 - sum_i w_i (prediction_i - target_i)^2 / sum_i w_i (target_i - mean)^2` for each output, and
    the mean over outputs, each with its weighted mean. 1 is perfect, 0 is as good as predicting the
    mean of the targets, and it may be negative.

    Args:
        predictions: predictions, `(n,)` or `(n, d)`.
        targets: true values, of the same shape.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The coefficient, at most 1, a scalar. NaN if the targets of an output are constant, as those
        of a single example are: they have no variance to explain (scikit-learn returns 1 for
        perfect predictions of a constant and 0 otherwise).

    Raises:
        ValueError: shapes do not match.

    >>> float(r2_score(jnp.array([1.0, 2.0, 2.0]), jnp.array([1.0, 2.0, 3.0])))
    0.5

    Source: `sklearn.metrics.r2_score` with `multioutput="uniform_average"`.
    """
    require_shape("r2_score", "targets", targets, predictions.shape)
    weight = example_weights("r2_score", len(predictions), weight)
    exists = weight[:, None] > 0
    predicted, true = _as_columns(predictions), _as_columns(targets)
    residual = weighted_sum((predicted - true) ** 2, weight)
    total = weighted_sum((true - weighted_mean(true, weight)[None]) ** 2, weight)
    # The rounded mean of a constant may differ from it, so the total need not be 0.
    highest = jnp.max(true, axis=0, initial=-jnp.inf, where=exists)
    lowest = jnp.min(true, axis=0, initial=jnp.inf, where=exists)
    return jnp.mean(jnp.where(highest > lowest, 1 - residual / total, jnp.nan))
