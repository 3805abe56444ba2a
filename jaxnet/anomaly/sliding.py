"""Windows of a series, and numbers of windows as numbers of time steps."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive

Reduce = Literal["mean", "last"]


def windows(
    series: Shaped[Array, "time *dim"], length: int, stride: int = 1
) -> Shaped[Array, "windows length *dim"]:
    """Cut a series into windows, `w_i = (x_(i s), ..., x_(i s + L - 1))`.

    There are `floor((T - L) / s) + 1` of them. Steps behind the last whole window are in none.

    Args:
        series: numbers in the order of time, `(time, ...)`.
        length: steps in a window, `L`; static.
        stride: steps from the start of a window to that of the next, `s`; static.

    Returns:
        The windows, `(windows, length, ...)`.

    Raises:
        ValueError: a length or stride below 1, or a series shorter than a window.

    >>> windows(jnp.arange(6), 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    starts = _window_starts("windows", len(series), length, stride)
    return series[starts[:, None] + np.arange(length)]


def overlap_mean(
    values: Float[Array, "windows length *dim"], num_steps: int, stride: int = 1
) -> Float[Array, "time *dim"]:
    """Mean of the numbers that overlapping windows have for each time step.

    `y_t = mean {v_(i, t - i s) : window i contains t}`. A step in no window, between two windows or
    behind the last, has the number of the last step before it that is in one.

    Args:
        values: a number for each step of each window of `windows`, `(windows, length, ...)`.
        num_steps: steps of the series; static.
        stride: the stride of the windows; static.

    Returns:
        A number for each step of the series, `(time, ...)`.

    Raises:
        ValueError: another number of windows than such a series has.

    >>> overlap_mean(jnp.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]), 6, 2).tolist()
    [1.0, 2.0, 4.0, 6.0, 7.0, 7.0]
    """
    num_windows, length = values.shape[:2]
    starts = _window_starts("overlap_mean", num_steps, length, stride)
    _require_windows("overlap_mean", num_windows, starts)
    rows = starts[:, None] + np.arange(length)
    sums = jnp.zeros((num_steps, *values.shape[2:]), values.dtype).at[rows].add(values)
    counts = np.bincount(rows.ravel(), minlength=num_steps)
    covered = np.maximum.accumulate(np.where(counts > 0, np.arange(num_steps), 0))
    scale = (1 / np.maximum(counts, 1)).astype(values.dtype)
    return (sums * scale.reshape(-1, *(1,) * (values.ndim - 2)))[covered]


def step_scores(
    scores: Float[Array, " windows"],
    num_steps: int,
    *,
    length: int,
    stride: int = 1,
    reduce: Reduce = "mean",
) -> Float[Array, " time"]:
    """Scores of windows as scores of time steps.

    With `mean`, a step has the mean score of the windows that contain it, which uses up to `L - 1`
    later steps. With `last`, it has the score of the last window that ends at it or before, as a
    detector that runs along with the series does; the steps before the end of the first window
    have its score.

    Args:
        scores: a number for each window of `windows`, `(windows,)`.
        num_steps: steps of the series; static.
        length: steps in a window; static.
        stride: the stride of the windows; static.
        reduce: `mean` or `last`; static.

    Returns:
        A number for each step, `(time,)`.

    Raises:
        ValueError: another number of windows than such a series has, or an unknown `reduce`.

    >>> step_scores(jnp.array([1.0, 3.0]), 4, length=3).tolist()
    [1.0, 2.0, 2.0, 3.0]
    >>> step_scores(jnp.array([1.0, 3.0]), 4, length=3, reduce="last").tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    if reduce not in ("mean", "last"):
        raise ValueError(f"step_scores: reduce must be mean or last, found {reduce!r}")
    starts = _window_starts("step_scores", num_steps, length, stride)
    _require_windows("step_scores", len(scores), starts)
    if reduce == "mean":
        values = jnp.broadcast_to(scores[:, None], (len(scores), length))
        return overlap_mean(values, num_steps, stride)
    ends = starts + length - 1
    return scores[np.maximum(np.searchsorted(ends, np.arange(num_steps), side="right") - 1, 0)]


def _window_starts(function: str, num_steps: int, length: int, stride: int) -> np.ndarray:
    require_positive(function, length=length, stride=stride)
    if num_steps < length:
        raise ValueError(
            f"{function}: length {length} exceeds the {num_steps} steps of the series; use "
            "shorter windows"
        )
    return np.arange(0, num_steps - length + 1, stride)


def _require_windows(function: str, num_windows: int, starts: np.ndarray) -> None:
    if num_windows != len(starts):
        raise ValueError(
            f"{function}: found numbers of {num_windows} windows, expected {len(starts)} for "
            "this length, stride and number of steps"
        )
