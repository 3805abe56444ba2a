"""Metrics of prediction intervals, quantiles and sets of classes."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer, Shaped

from jaxnet._checks import require_range
from jaxnet.metrics.weighting import as_float, example_weights, require_vectors, weighted_mean
from jaxnet.objectives.weighting import require_shape


def pinball_loss(
    predictions: Float[Array, " n"],
    targets: Float[Array, " n"],
    *,
    level: ArrayLike,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Loss that the quantile of a level minimizes, averaged over examples.

    `max(level (y - q), (level - 1) (y - q))`.

    Args:
        predictions: predicted quantiles, `(n,)`.
        targets: true values, `(n,)`.
        level: the level of the quantile, in (0, 1); may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The loss in the unit of the targets, a scalar; NaN without examples.

    Raises:
        ValueError: a level out of range; shapes do not match.

    >>> float(pinball_loss(jnp.array([0.0, 0.0]), jnp.array([1.0, -1.0]), level=0.75))
    0.5

    Source: Koenker and Bassett (1978), "Regression Quantiles", section 3.
    """
    require_range("pinball_loss", "level", level, 0, 1, include_low=False, include_high=False)
    require_vectors("pinball_loss", predictions=predictions)
    require_shape("pinball_loss", "targets", targets, predictions.shape)
    weight = example_weights("pinball_loss", len(predictions), weight)
    level, error = as_float(level), as_float(targets) - as_float(predictions)
    return weighted_mean(jnp.maximum(level * error, (level - 1) * error), weight)


def interval_coverage(
    lower: Float[Array, " n"],
    upper: Float[Array, " n"],
    targets: Float[Array, " n"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Fraction of the targets that lie in their intervals, ends included.

    Args:
        lower: lower ends, `(n,)`.
        upper: upper ends, `(n,)`.
        targets: true values, `(n,)`.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The coverage in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> lower, upper = jnp.zeros(4), jnp.ones(4)
    >>> float(interval_coverage(lower, upper, jnp.array([0.0, 0.5, 1.0, 2.0])))
    0.75

    Source: Romano, Patterson and Candès (2019), "Conformalized Quantile Regression", section 6.
    """
    weight = _checked("interval_coverage", lower, upper, targets, weight)
    covered = as_float((lower <= targets) & (targets <= upper))
    is_nan = jnp.isnan(lower) | jnp.isnan(upper) | jnp.isnan(targets)
    return weighted_mean(jnp.where(is_nan, jnp.nan, covered), weight)


def interval_score(
    lower: Float[Array, " n"],
    upper: Float[Array, " n"],
    targets: Float[Array, " n"],
    *,
    coverage: ArrayLike,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Width of intervals and a penalty for targets outside, a proper score of both ends.

    `(u - l) + 2 / a (l - y) [y < l] + 2 / a (y - u) [y > u]` with `a = 1 - coverage`, averaged.

    Args:
        lower: lower ends, `(n,)`, quantiles of the level a / 2.
        upper: upper ends, `(n,)`, quantiles of the level 1 - a / 2.
        targets: true values, `(n,)`.
        coverage: nominal coverage of the intervals, in (0, 1); may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The score in the unit of the targets, a scalar; NaN without examples.

    Raises:
        ValueError: a coverage out of range; shapes do not match.

    >>> zero, one = jnp.zeros(2), jnp.ones(2)
    >>> float(interval_score(zero, one, jnp.array([0.5, 1.5]), coverage=0.5))
    2.0

    Source: Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and
    Estimation", equation 43.
    """
    require_range(
        "interval_score", "coverage", coverage, 0, 1, include_low=False, include_high=False
    )
    weight = _checked("interval_score", lower, upper, targets, weight)
    lower, upper, targets = as_float(lower), as_float(upper), as_float(targets)
    outside = jnp.maximum(lower - targets, 0) + jnp.maximum(targets - upper, 0)
    return weighted_mean(upper - lower + 2 / (1 - as_float(coverage)) * outside, weight)


def set_coverage(
    sets: Bool[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Fraction of the examples whose true class is in their set.

    Args:
        sets: whether a class is in the set of an example, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The coverage in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> sets = jnp.array([[True, True, False], [False, False, True]])
    >>> float(set_coverage(sets, jnp.array([0, 1])))
    0.5

    Source: Romano, Sesia and Candès (2020), "Classification with Valid and Adaptive Coverage",
    equation 1.
    """
    require_shape("set_coverage", "labels", labels, sets.shape[:1])
    weight = example_weights("set_coverage", len(sets), weight)
    members = jax.nn.one_hot(labels, sets.shape[-1], dtype=weight.dtype)
    return weighted_mean(jnp.sum(members * as_float(sets), axis=-1), weight)


def _checked(
    function: str, lower: Array, upper: Array, targets: Array, weight: Array | None
) -> Float[Array, " n"]:
    require_vectors(function, lower=lower)
    require_shape(function, "upper", upper, lower.shape)
    require_shape(function, "targets", targets, lower.shape)
    return example_weights(function, len(lower), weight)
