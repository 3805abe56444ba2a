"""Scores of regressions, and the intervals that they give; `conformal` has their width."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.metrics.weighting import as_float, require_vectors
from jaxnet.objectives.weighting import require_shape


class Intervals(NamedTuple):
    """An interval for each example.

    Attributes:
        lower: the lower ends.
        upper: the upper ends.
    """

    lower: Float[Array, "*n"]
    upper: Float[Array, "*n"]


def absolute_residuals(
    predictions: Float[Array, " n"], targets: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Scores `|y - prediction|` of a regression, for `residual_intervals`.

    Args:
        predictions: predictions, `(n,)`.
        targets: true values, `(n,)`.

    Returns:
        The scores, `(n,)`.

    Raises:
        ValueError: shapes do not match.

    >>> absolute_residuals(jnp.array([1.0, 2.0]), jnp.array([3.0, 1.5])).tolist()
    [2.0, 0.5]

    Source: Lei et al. (2018), "Distribution-Free Predictive Inference for Regression", algorithm 2.
    """
    require_vectors("absolute_residuals", predictions=predictions)
    require_shape("absolute_residuals", "targets", targets, predictions.shape)
    return jnp.abs(as_float(targets) - as_float(predictions))


def residual_intervals(predictions: Float[Array, " n"], quantile: Float[Array, ""]) -> Intervals:
    """Intervals `prediction +- quantile`, all of one width.

    Args:
        predictions: predictions for new examples, `(n,)`.
        quantile: of `conformal_quantile` for `absolute_residuals`.

    Returns:
        The intervals.

    >>> residual_intervals(jnp.array([1.0]), jnp.array(0.5)).upper.tolist()
    [1.5]

    Source: Lei et al. (2018), algorithm 2.
    """
    return Intervals(predictions - quantile, predictions + quantile)


def quantile_scores(
    lower: Float[Array, " n"], upper: Float[Array, " n"], targets: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Scores `max(lower - y, y - upper)` of predicted quantiles, for `quantile_intervals`.

    Args:
        lower: predicted lower quantiles, `(n,)`.
        upper: predicted upper quantiles, `(n,)`.
        targets: true values, `(n,)`.

    Returns:
        The scores, `(n,)`, negative inside.

    Raises:
        ValueError: shapes do not match.

    >>> quantile_scores(jnp.zeros(2), jnp.ones(2), jnp.array([0.25, 2.0])).tolist()
    [-0.25, 1.0]

    Source: Romano, Patterson and Candès (2019), "Conformalized Quantile Regression", equation 6.
    """
    require_vectors("quantile_scores", lower=lower)
    require_shape("quantile_scores", "upper", upper, lower.shape)
    require_shape("quantile_scores", "targets", targets, lower.shape)
    targets = as_float(targets)
    return jnp.maximum(as_float(lower) - targets, targets - as_float(upper))


def quantile_intervals(
    lower: Float[Array, " n"], upper: Float[Array, " n"], quantile: Float[Array, ""]
) -> Intervals:
    """Intervals `[lower - quantile, upper + quantile]`, whose widths follow the quantiles (CQR).

    Args:
        lower: predicted lower quantiles of new examples, `(n,)`.
        upper: predicted upper quantiles of new examples, `(n,)`.
        quantile: of `conformal_quantile` for `quantile_scores`; negative where the predicted
            quantiles are too far apart.

    Returns:
        The intervals. One whose ends would cross is the point between them: it covers no less than
        the empty interval of the source.

    Raises:
        ValueError: shapes do not match.

    >>> quantile_intervals(jnp.zeros(1), jnp.ones(1), jnp.array(-0.25)).upper.tolist()
    [0.75]

    Source: Romano, Patterson and Candès (2019), equation 7.
    """
    require_vectors("quantile_intervals", lower=lower)
    require_shape("quantile_intervals", "upper", upper, lower.shape)
    low, high = lower - quantile, upper + quantile
    middle = (low + high) / 2
    # Infinite ends have no middle.
    crossed = low > high
    return Intervals(jnp.where(crossed, middle, low), jnp.where(crossed, middle, high))
