"""Anomaly scores of a series: one number for each time step, higher where it is more unusual."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_integer, require_positive
from jaxnet.anomaly.sliding import Reduce, overlap_mean, step_scores, windows
from jaxnet.metrics.pairwise import map_blocks, squared_distances

# On CPU, `top_k` of a long row takes longer than this number of passes over it.
_MAX_PASSES = 16


def reconstruction_scores(
    values: Float[Array, "windows length *dim"],
    reconstructions: Float[Array, "windows length *dim"],
    num_steps: int,
    *,
    stride: int = 1,
) -> Float[Array, " time"]:
    """Mean squared error of the reconstructions of a time step, over all windows that contain it.

    `s_t = mean_i mean_d (w_(i, t - i s, d) - r_(i, t - i s, d))^2`.

    Args:
        values: windows of the series, of `windows`, `(windows, length, ...)`.
        reconstructions: what an autoencoder or PCA makes of them, of the same shape.
        num_steps: steps of the series; static.
        stride: the stride of the windows; static. Steps in no window have the score of the last
            step before them that is in one.

    Returns:
        Scores, `(time,)`, in the squared unit of the series.

    Raises:
        ValueError: shapes differ, or the windows are not those of such a series.

    >>> series = jnp.array([0.0, 0.0, 3.0, 0.0])
    >>> cut = windows(series, 2)
    >>> reconstruction_scores(cut, jnp.zeros_like(cut), len(series)).tolist()
    [0.0, 0.0, 9.0, 0.0]

    Source: Malhotra et al. (2016), "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection",
    section 2, whose score is that of the last window alone.
    """
    if values.shape != reconstructions.shape:
        raise ValueError(
            f"reconstruction_scores: reconstructions have shape {reconstructions.shape}, expected "
            f"{values.shape}, that of values"
        )
    errors = jnp.square(values - reconstructions)
    errors = errors.reshape(*values.shape[:2], -1).mean(axis=2)
    return overlap_mean(errors, num_steps, stride)


def forecast_scores(
    forecasts: Float[Array, "*batch time horizons"], series: Float[Array, "*batch time"]
) -> Float[Array, "*batch time"]:
    """Mean absolute error of the forecasts of a time step, over the horizons.

    `s_t = mean {|x_t - f_(t - h, h)| : h = 1 ... H, h <= t}`: each forecast of `x_t` was made from
    what was known at `t - h`, so the score is known when `x_t` is. The first step has score 0.

    Args:
        forecasts: at each step `t`, forecasts of the next `H` steps, `(..., time, horizons)`.
        series: the values, `(..., time)`.

    Returns:
        Scores, `(..., time)`, in the unit of the series.

    Raises:
        ValueError: shapes do not match.

    >>> series = jnp.array([0.0, 1.0, 5.0])
    >>> forecasts = jnp.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    >>> jax.jit(forecast_scores)(forecasts, series).tolist()
    [0.0, 0.0, 3.0]

    Source: Malhotra et al. (2015), "Long Short Term Memory Networks for Anomaly Detection in Time
    Series", section 2.1, with the mean in place of a Gaussian density of the errors.
    """
    if forecasts.shape[:-1] != series.shape or series.ndim < 1:
        raise ValueError(
            f"forecast_scores: forecasts have shape {forecasts.shape}, expected "
            f"{(*series.shape, 'horizons')}"
        )
    num_steps, num_horizons = series.shape[-1], forecasts.shape[-1]
    horizons = jnp.arange(1, num_horizons + 1)
    made = jnp.arange(num_steps)[:, None] - horizons
    exists = made >= 0
    known = forecasts[..., jnp.maximum(made, 0), horizons - 1]
    errors = jnp.where(exists, jnp.abs(series[..., None] - known), 0)
    return errors.sum(axis=-1) / jnp.maximum(exists.sum(axis=-1), 1).astype(series.dtype)


def distance_scores(
    series: Float[Array, "time *dim"],
    length: int,
    *,
    k: int = 1,
    normalize: bool = True,
    causal: bool = False,
    block_size: int = 256,
) -> Float[Array, " time"]:
    """Distance of the windows of a step to the most similar windows elsewhere in the series.

    The score of a window is its Euclidean distance to its k-th nearest window that shares no step
    with it, divided by `sqrt(L)`: for `k = 1` the matrix profile, whose largest number is the
    discord. A step has the mean score of the windows that contain it; with `causal`, windows are
    compared with earlier ones alone, and a step has the score of the window that ends at it.

    Args:
        series: numbers in the order of time, `(time, ...)`.
        length: steps in a window, `L`; static.
        k: the rank of the neighbor, from 1; static. Where there are fewer windows that do not
            overlap, as at the start with `causal`, the score is 0.
        normalize: subtract the mean of each window and divide by its standard deviation, for each
            dimension, so that shapes are compared; a constant window becomes 0. Static.
        causal: use no later step for the score of a step; static.
        block_size: windows that are compared with all others at once; memory grows with
            `block_size * time`. Static.

    Returns:
        Scores, `(time,)`, at most 2 for normalized windows.

    Raises:
        ValueError: a number below 1, or a series shorter than `2 length`, in which no two windows
            are apart.

    >>> series = jnp.sin(jnp.arange(120) * 2 * jnp.pi / 20).at[66].add(2.0)
    >>> int(distance_scores(series, 10, normalize=False).argmax())
    66

    Source: Yeh et al. (2016), "Matrix Profile I: All Pairs Similarity Joins for Time Series",
    definitions 4 and 5; the mean over windows is this library's. `causal` is the left matrix
    profile of Lu et al. (2022), "Matrix Profile XXIV".
    """
    require_positive("distance_scores", length=length, k=k, block_size=block_size)
    require_integer(
        "distance_scores", "length", length, 1, len(series) // 2, remedy="use shorter windows"
    )
    return _distance_scores(series, length, k, normalize, causal, block_size)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _distance_scores(
    series: Array, length: int, k: int, normalize: bool, causal: bool, block_size: int
) -> Array:
    series = series - series.mean(axis=0)
    cut = windows(series, length)
    if normalize:
        # The variance of a constant window is rounding error.
        noise = 1e-6 * jnp.std(series, axis=0) + jnp.finfo(series.dtype).tiny
        deviation = cut.std(axis=1, keepdims=True)
        centered = cut - cut.mean(axis=1, keepdims=True)
        cut = jnp.where(deviation > noise, centered / jnp.maximum(deviation, noise), 0)
    cut = cut.reshape(len(cut), -1)
    index = jnp.arange(len(cut))

    def nearest(block: Array, position: Array) -> Array:
        squares = squared_distances(block, cut)
        gap = position[:, None] - index[None, :]
        apart = gap >= length if causal else jnp.abs(gap) >= length
        squares = jnp.where(apart, squares, jnp.inf)
        smallest = _kth_smallest(squares, k)
        return jnp.where(jnp.isfinite(smallest), jnp.sqrt(smallest / cut.shape[1]), 0)

    scores = map_blocks(nearest, cut, index, block_size=block_size)
    reduce: Reduce = "last" if causal else "mean"
    return step_scores(scores, len(series), length=length, reduce=reduce)


def _kth_smallest(rows: Array, k: int) -> Array:
    """The k-th smallest number of each row; of equal numbers each counts."""
    if k > _MAX_PASSES:
        return -jax.lax.top_k(-rows, k)[0][:, -1]
    for _ in range(k - 1):
        lowest = jnp.argmin(rows, axis=1)
        rows = jnp.where(jnp.arange(rows.shape[1]) == lowest[:, None], jnp.inf, rows)
    return rows.min(axis=1)
