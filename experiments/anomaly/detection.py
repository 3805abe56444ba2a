"""From errors of forecasts to alarms: how rare an error is among those before it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

# Steps between two estimates of the tail, and errors at the start that are not part of it.
_PIECE, _BURN_IN = 100, 50
# A tail of few errors is taken for one of this many more, of this index.
_PRIOR_SIZE, _PRIOR_INDEX = 8, 0.3
# Added to errors, so that rounding errors of an exact forecast have no tail.
NO_ERROR = 0.02
# Where nothing is known yet: no alarm.
NO_ALARM = -1e3


def recent_mean(values: Float[np.ndarray, " time"], num_steps: int) -> Float[np.ndarray, " time"]:
    """Mean of the last values of each step.

    Args:
        values: numbers in the order of time.
        num_steps: number of values, fewer at the start.

    >>> recent_mean(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [1.0, 2.0, 4.0]
    """
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - num_steps, 0)
    return (sums[end] - sums[start]) / (end - start)


def tail_score(
    errors: Float[np.ndarray, " time"], *, fraction: float = 0.02, min_index: float = 0.1
) -> Float[np.ndarray, " time"]:
    r"""Negative logarithm of the probability of an error that is as large, by the earlier ones.

    With the threshold `u` that a fraction of the errors exceed, and the Hill estimator
    `xi = mean log(e / u)` over these: `-log P(E >= e) = -log fraction + log(e / u) / xi`. Both are
    estimated every 100 steps from all errors before; `xi` as if there were 8 errors more, of 0.3.

    Args:
        errors: positive numbers in the order of time.
        fraction: of the errors that are the tail.
        min_index: the least `xi`.

    Returns:
        Scores; 0 for the first 100 steps.

    >>> errors = np.random.default_rng(0).pareto(2.0, 4000) + 1
    >>> scores = tail_score(errors)
    >>> bool(abs(np.mean(scores[2000:] > 7) - np.exp(-7)) < 2e-3)
    True

    Source: Hill (1975), "A simple general approach to inference about the tail of a distribution";
    peaks over a threshold as in Siffer et al. (2017), "Anomaly detection in streams with extreme
    value theory".
    """
    scores = np.zeros(len(errors))
    tiny = np.finfo(np.float64).tiny
    for start in range(_PIECE, len(errors), _PIECE):
        before = errors[_BURN_IN if start > 2 * _BURN_IN else 0 : start]
        size = min(max(int(len(before) * fraction), 8), len(before) - 1)
        tail = np.partition(before, len(before) - size)[len(before) - size :]
        threshold = max(tail.min(), tiny)
        excess = np.log(np.maximum(tail, threshold) / threshold).sum()
        index = max((excess + _PRIOR_SIZE * _PRIOR_INDEX) / (size + _PRIOR_SIZE), min_index)
        piece = np.maximum(errors[start : start + _PIECE], tiny)
        scores[start : start + _PIECE] = (
            np.log(len(before) / size) + np.log(piece / threshold) / index
        )
    return scores


def rested(scores: Float[np.ndarray, " time"], num_steps: int) -> Float[np.ndarray, " time"]:
    """Scores that exceed those of a number of steps before; all others become `NO_ALARM`.

    So an anomaly that lasts is one alarm, and more only where its score still rises.

    Args:
        scores: numbers in the order of time.
        num_steps: number of steps before; 0 keeps every score.

    >>> rested(np.array([1.0, 3.0, 2.0, 2.5]), 1).tolist()
    [1.0, 3.0, -1000.0, 2.5]
    """
    if not num_steps:
        return scores
    padded = np.concatenate([np.full(num_steps, -np.inf), scores])
    before = np.lib.stride_tricks.sliding_window_view(padded, num_steps)[:-1].max(axis=1)
    return np.where(scores > before, scores, NO_ALARM)


def online_scores(
    errors: Float[np.ndarray, " time"], *, short_windows: Sequence[int], rest_steps: int
) -> Float[np.ndarray, " time"]:
    """The sum of the tail scores of means of recent errors, of each of several numbers of steps.

    Args:
        errors: absolute errors of forecasts, in the order of time.
        short_windows: numbers of recent errors.
        rest_steps: of `rested`.

    Returns:
        Scores; none depends on a later step.
    """
    total = sum(tail_score(recent_mean(errors, window) + NO_ERROR) for window in short_windows)
    return rested(np.asarray(total), rest_steps)
