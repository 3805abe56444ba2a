"""The score of the Numenta Anomaly Benchmark, on the host in float64."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxnet._checks import require_range

# No point beyond 5000 rows lengthens the probationary period.
_MAX_ROWS = 5000
# Positions, in lengths of a window, beyond which a false alarm costs its full weight.
_FAR = 3.0


class NabProfile(NamedTuple):
    """Weights of an application profile.

    Attributes:
        true_positive: reward of a window that is detected at its first row.
        false_positive: cost of a false alarm far behind any window.
        false_negative: cost of a window without an alarm.
    """

    true_positive: float = 1.0
    false_positive: float = 0.11
    false_negative: float = 1.0


NAB_PROFILES = {
    "standard": NabProfile(),
    "reward_low_fp": NabProfile(false_positive=0.22),
    "reward_low_fn": NabProfile(false_negative=2.0),
}
"""The profiles of the benchmark, by name."""


class NabScore(NamedTuple):
    """Result of `nab_score`.

    Attributes:
        score: `100 (raw - null) / (perfect - null)`: 0 without any alarm, 100 where each window is
            detected at its first row without a false alarm; NaN without windows.
        threshold: the threshold of all series, +inf where no alarm is best.
        raw: the sum of rewards and costs.
        num_windows: the number of windows that count.
    """

    score: float
    threshold: float
    raw: float
    num_windows: int


def nab_score(
    scores: Sequence[ArrayLike],
    windows: Sequence[Sequence[tuple[int, int]]],
    *,
    profile: str | NabProfile = "standard",
    threshold: float | None = None,
    probation: float = 0.15,
) -> NabScore:
    r"""Reward early alarms in labelled windows and charge false alarms, over a set of series.

    An alarm is a row with `score >= threshold`, one threshold for all series. With
    `sigma(y) = 2 / (1 + exp(5 y)) - 1`, a window of `W` rows that ends at row `e` gains
    `A_TP sigma(-(e - i + 1) / W) / sigma(-1)` for its first alarm `i`, or loses `A_FN` without one.
    An alarm outside of windows adds `A_FP sigma((i - e) / (W - 1))` with the last window before it,
    `-A_FP` without one and beyond 3 window lengths. Rows of the probationary period, the first
    `min(floor(p n), 5000 p)` of `n`, are not evaluated, and neither are windows that lie in it.

    Args:
        scores: anomaly scores of each series, `(n,)` each, of any length and finite.
        windows: for each series the first and the last row of each labelled window, from 0, last
            row included, in order and without overlap.
        profile: a name of `NAB_PROFILES`, or weights.
        threshold: None takes the threshold with the highest score, as the benchmark does; a number
            is used as it is, such as one that was chosen on other series.
        probation: fraction of each series that is not evaluated, in [0, 1).

    Returns:
        `NabScore`.

    Raises:
        ValueError: an unknown profile; scores that are not finite vectors, or not as many as lists
            of windows; windows outside of the series, overlapping or out of order.

    >>> scores = [0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.1]
    >>> nab_score([scores], [[(3, 5)]])
    NabScore(score=100.0, threshold=0.9, raw=1.0, num_windows=1)
    >>> round(nab_score([scores], [[(3, 5)]], threshold=0.1).score, 2)
    94.57

    Source: Lavin and Ahmad (2015), "Evaluating Real-Time Anomaly Detection Algorithms - The Numenta
    Anomaly Benchmark", section III. The position of an alarm in its window, the division by
    `sigma(-1)` and the limit of 5000 rows are those of the benchmark's results, which this function
    reproduces; the paper has a probationary period of 15 % alone.
    """
    weights = _weights(profile)
    require_range("nab_score", "probation", probation, 0.0, 1.0, include_high=False)
    if len(scores) != len(windows):
        raise ValueError(
            f"nab_score: scores holds {len(scores)} series and windows {len(windows)}; pass a "
            "list of windows for each series, empty where it has none"
        )
    events, num_windows = [], 0
    for index, (series, bounds) in enumerate(zip(scores, windows, strict=True)):
        rows = np.asarray(series, np.float64)
        if rows.ndim != 1 or not np.isfinite(rows).all():
            raise ValueError(
                f"nab_score: scores[{index}] must be a vector of finite numbers, found shape "
                f"{rows.shape}, finite: {bool(np.isfinite(rows).all())}"
            )
        _check_windows(index, bounds, len(rows))
        gains, counted = _series_events(rows, bounds, weights, probation)
        events.append(gains)
        num_windows += counted
    null = -weights.false_negative * num_windows
    perfect = weights.true_positive * num_windows
    merged = np.concatenate([np.zeros((0, 2)), *events])
    if threshold is None:
        raw, threshold = _best_threshold(merged, null)
    else:
        raw = null + float(merged[merged[:, 0] >= threshold, 1].sum())
    score = 100 * (raw - null) / (perfect - null) if num_windows else math.nan
    return NabScore(score, float(threshold), raw, num_windows)


def _weights(profile: str | NabProfile) -> NabProfile:
    if isinstance(profile, NabProfile):
        return profile
    if profile not in NAB_PROFILES:
        raise ValueError(
            f"nab_score: profile must be one of {', '.join(NAB_PROFILES)}, or a NabProfile, "
            f"found {profile!r}"
        )
    return NAB_PROFILES[profile]


def _check_windows(index: int, windows: Sequence[tuple[int, int]], length: int) -> None:
    previous = -1
    for first, last in windows:
        if not previous < first <= last < length:
            raise ValueError(
                f"nab_score: windows[{index}] must be rows (first, last) from 0 to {length - 1}, "
                f"in order and without overlap, found {(first, last)} after row {previous}"
            )
        previous = last


def _sigmoid(position: np.ndarray) -> np.ndarray:
    value = 2 / (1 + np.exp(5 * np.minimum(position, _FAR))) - 1
    return np.where(position > _FAR, -1.0, value)


def _series_events(
    scores: np.ndarray,
    windows: Sequence[tuple[int, int]],
    weights: NabProfile,
    probation: float,
) -> tuple[np.ndarray, int]:
    """Scores, and what the sum gains when the threshold falls to each; and the windows counted.

    As the threshold falls, the first alarm of a window moves to the front: its gain is the increase
    of the largest reward so far.
    """
    length = len(scores)
    start = math.ceil(min(math.floor(probation * length), probation * _MAX_ROWS))
    rows = np.arange(length)
    position = np.full(length, np.inf)
    outside = rows >= start
    events, counted = [], 0
    for first, last in windows:
        outside[first : last + 1] = False
        # A window of one row has no length in which to forgive: any later alarm is far.
        width = last - first
        position[last + 1 :] = (rows[last + 1 :] - last) / width if width else np.inf
        inside = rows[max(first, start) : last + 1]
        if not len(inside):
            continue
        counted += 1
        reward = _sigmoid(-(last - inside + 1) / (width + 1)) / _sigmoid(np.array(-1.0))
        order = np.argsort(-scores[inside], kind="stable")
        best = np.maximum.accumulate(weights.true_positive * reward[order])
        best = np.maximum(best, -weights.false_negative)
        gains = np.diff(best, prepend=-weights.false_negative)
        events.append(np.stack([scores[inside][order], gains], axis=1))
    costs = weights.false_positive * _sigmoid(position[outside])
    events.append(np.stack([scores[outside], costs], axis=1))
    return np.concatenate(events), counted


def _best_threshold(events: np.ndarray, null: float) -> tuple[float, float]:
    """The highest sum over all thresholds, and the highest threshold that reaches it."""
    order = np.argsort(-events[:, 0], kind="stable")
    thresholds = events[order, 0]
    sums = null + np.cumsum(events[order, 1])
    # Equal scores are alarms together.
    last = np.append(thresholds[1:] != thresholds[:-1], True)[: len(thresholds)]
    thresholds = np.append(np.inf, thresholds[last])
    sums = np.append(null, sums[last])
    best = int(np.argmax(sums))
    return float(sums[best]), float(thresholds[best])
