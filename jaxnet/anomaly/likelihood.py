"""How unusual recent errors of a prediction are, compared with those of a longer time."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_above_zero, require_integer, require_positive

_SMALLEST_TAIL = 1e-10


def rolling_moments(
    values: Float[Array, "*batch time"],
    window: int,
    *,
    weight: Shaped[Array, "*batch time"] | None = None,
) -> tuple[Float[Array, "*batch time"], Float[Array, "*batch time"], Float[Array, "*batch time"]]:
    """Weighted number, mean and variance of the last values of each time step.

    Of the steps `t - W + 1 ... t`: `n = sum w`, `m = sum w x / n`, `v = sum w (x - m)^2 / n`. Means
    and sums of squares of spans of 1, 2, 4, ... steps are merged, without differences of cumulative
    sums, so that a short span far from the start is as exact as one at the start.

    Args:
        values: numbers in the order of time, `(..., time)`.
        window: number of steps, `W`; static.
        weight: one weight of at least 0 for each step; a step of weight 0 counts nowhere, whatever
            its value is. None for ones.

    Returns:
        Number, mean and variance, `(..., time)` each; mean and variance are 0 where the number is.

    Raises:
        ValueError: a window below 1.

    >>> number, mean, variance = rolling_moments(jnp.array([1.0, 3.0, 5.0, 5.0]), 2)
    >>> number.tolist(), mean.tolist(), variance.tolist()
    ([1.0, 2.0, 2.0, 2.0], [1.0, 2.0, 4.0, 5.0], [0.0, 1.0, 1.0, 0.0])

    Source: Chan, Golub, LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances", eq. 2.1.
    """
    require_positive("rolling_moments", window=window)
    number = jnp.ones_like(values) if weight is None else jnp.asarray(weight, values.dtype)
    values = jnp.where(number > 0, values, 0)
    span = (number, values, jnp.zeros_like(values))
    empty = jnp.zeros_like(values)
    result = (empty, empty, empty)
    covered, length = 0, 1
    while True:
        if window & length:
            result = _merge(result, _shift(span, covered))
            covered += length
        length *= 2
        if length > window:
            break
        span = _merge(span, _shift(span, length // 2))
    number, mean, squares = result
    return number, mean, squares / jnp.where(number > 0, number, 1)


_Moments = tuple[Array, Array, Array]


def _merge(first: _Moments, second: _Moments) -> _Moments:
    number = first[0] + second[0]
    fraction = second[0] / jnp.where(number > 0, number, 1)
    difference = second[1] - first[1]
    mean = first[1] + difference * fraction
    squares = first[2] + second[2] + jnp.square(difference) * first[0] * fraction
    return number, mean, squares


def _shift(moments: _Moments, steps: int) -> _Moments:
    """The moments `steps` earlier; of nothing before the start."""

    def shift(leaf: Array) -> Array:
        kept = leaf[..., : max(leaf.shape[-1] - steps, 0)]
        padding = [(0, 0)] * (leaf.ndim - 1) + [(leaf.shape[-1] - kept.shape[-1], 0)]
        return jnp.pad(kept, padding)

    return shift(moments[0]), shift(moments[1]), shift(moments[2])


def anomaly_likelihood(
    errors: Float[Array, "*batch time"],
    *,
    long_window: int,
    short_window: int,
    weight: Shaped[Array, "*batch time"] | None = None,
    min_deviation: float = 1e-6,
    log_scale: bool = False,
) -> Float[Array, "*batch time"]:
    r"""Probability that the mean of recent errors is lower than the one observed.

    `L_t = 1 - Q((m~_t - m_t) / s_t)` with the mean `m~` of the last `W'` errors, mean `m` and
    standard deviation `s` of the last `W` errors, and the tail `Q` of the normal distribution. It
    uses no later step.

    Args:
        errors: errors of a prediction, `(..., time)`.
        long_window: number of errors that are compared with, `W`; static.
        short_window: number of recent errors, `W'`, less than `long_window`; static.
        weight: one weight of at least 0 for each step; a step of weight 0 counts nowhere, whatever
            its error is. None for ones.
        min_deviation: the least standard deviation, in the unit of the errors.
        log_scale: return `log(1 - L) / log(1e-10)` instead, which tells numbers near 1 apart: 1
            where the tail is 1e-10, and larger beyond.

    Returns:
        The likelihood in [0, 1], or its logarithmic scale, `(..., time)`.

    Raises:
        ValueError: a window out of range, or a deviation that is not positive.

    >>> errors = jnp.array([1.0, 0.0] * 20 + [0.0] * 10 + [1.0] * 10)
    >>> windows = {"long_window": 40, "short_window": 4}
    >>> likelihood = jax.jit(lambda errors: anomaly_likelihood(errors, **windows))(errors)
    >>> [round(likelihood.tolist()[t], 2) for t in (39, 49, 59)]
    [0.5, 0.22, 0.84]

    Source: Ahmad et al. (2017), "Unsupervised real-time anomaly detection for streaming data", eq.
    3 to 6; the logarithmic scale is that of the authors' program.
    """
    require_positive("anomaly_likelihood", long_window=long_window, short_window=short_window)
    require_integer(
        "anomaly_likelihood",
        "short_window",
        short_window,
        1,
        long_window - 1,
        remedy="recent errors are compared with those of a longer time",
    )
    require_above_zero("anomaly_likelihood", min_deviation=min_deviation)
    _, mean, variance = rolling_moments(errors, long_window, weight=weight)
    _, recent, _ = rolling_moments(errors, short_window, weight=weight)
    position = (recent - mean) / jnp.maximum(jnp.sqrt(variance), min_deviation)
    if log_scale:
        return jax.scipy.stats.norm.logsf(position) / math.log(_SMALLEST_TAIL)
    return jax.scipy.stats.norm.cdf(position)
