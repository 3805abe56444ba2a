"""Volumes under surfaces: range-based areas over all widths of a buffer around anomalies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxnet._checks import require_integer


class _Surface(NamedTuple):
    """Means over the buffers of the areas under the ROC and the precision-recall curve."""

    roc: float
    precision_recall: float


def vus_roc(
    scores: ArrayLike, labels: ArrayLike, *, max_buffer: int, num_thresholds: int = 250
) -> float:
    """Volume under the surface of the receiver operating characteristic.

    The mean over the buffers `b = 0 ... max_buffer` of the area under recall over false positive
    rate, for labels that fall off beside each anomaly: a step `d <= b // 2` before its first or
    after its last step has the label `min(1, sum sqrt(1 - d / b))`. With soft labels `y`, the
    labels `y*` that are 0 where a buffer raises no alarm, the decisions `p`, and
    `P = (sum labels + sum y*) / 2`: true positives `TP = sum y p`, recall `min(TP / P, 1)` times
    the fraction of buffered anomalies with an alarm, false positive rate `(sum p - TP) / (n - P)`.

    Args:
        scores: anomaly scores, finite, `(n,)`; higher is more anomalous.
        labels: 1 for steps of an anomaly, 0 for others, `(n,)`.
        max_buffer: the widest buffer, in steps, at least 0; as a rule the period of the series.
        num_thresholds: number of thresholds, at quantiles of the scores.

    Returns:
        The volume; NaN without an anomaly. No point adjustment takes place.

    Raises:
        ValueError: shapes do not match, scores are not finite, labels are neither 0 nor 1, or a
            number is out of range.

    >>> scores, labels = [0.1, 0.2, 0.9, 0.3, 0.8, 0.0], [0, 0, 1, 1, 0, 0]
    >>> round(vus_roc(scores, labels, max_buffer=2), 4)
    0.9063

    Source: Paparrizos et al. (2022), "Volume Under the Surface: A New Accuracy Evaluation Measure
    for Time-Series Anomaly Detection", section 4; discretized as in the authors' package `vus`,
    whose numbers this function reproduces.
    """
    return _surface("vus_roc", scores, labels, max_buffer, num_thresholds).roc


def vus_pr(
    scores: ArrayLike, labels: ArrayLike, *, max_buffer: int, num_thresholds: int = 250
) -> float:
    """Volume under the surface of precision and recall.

    As `vus_roc`, with the average precision in place of the area: `sum_k (R_k - R_(k-1)) P_k` with
    the recall `R` and the precision `TP / sum p` at falling thresholds.

    Args:
        scores: anomaly scores, finite, `(n,)`; higher is more anomalous.
        labels: 1 for steps of an anomaly, 0 for others, `(n,)`.
        max_buffer: the widest buffer, in steps, at least 0; as a rule the period of the series.
        num_thresholds: number of thresholds, at quantiles of the scores.

    Returns:
        The volume; NaN without an anomaly. No point adjustment takes place.

    Raises:
        ValueError: as `vus_roc`.

    >>> scores, labels = [0.1, 0.2, 0.9, 0.3, 0.8, 0.0], [0, 0, 1, 1, 0, 0]
    >>> round(vus_pr(scores, labels, max_buffer=2), 4)
    0.869

    Source: as `vus_roc`.
    """
    return _surface("vus_pr", scores, labels, max_buffer, num_thresholds).precision_recall


def _surface(
    function: str, scores: ArrayLike, labels: ArrayLike, max_buffer: int, num_thresholds: int
) -> _Surface:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 1 or labels.shape != scores.shape or not len(scores):
        raise ValueError(
            f"{function}: scores and labels must be vectors of one length, found shapes "
            f"{scores.shape} and {labels.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{function}: scores must be finite, found NaN or infinity")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{function}: labels must be 0 or 1, found {np.unique(labels)[:5]}")
    require_integer(function, "max_buffer", max_buffer, 0)
    require_integer(function, "num_thresholds", num_thresholds, 2)
    if not labels.any():
        return _Surface(np.nan, np.nan)
    edges = np.diff(np.concatenate([[0], labels.astype(np.int64), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1

    falling = -np.sort(-scores)
    thresholds = falling[np.linspace(0, len(scores) - 1, num_thresholds).astype(int)]
    # The first threshold at which each step is an alarm.
    rank = np.searchsorted(-thresholds, -scores, side="left")
    num_alarms = np.cumsum(np.bincount(rank, minlength=num_thresholds))
    hits = _cumulative(rank[labels == 1], None, num_thresholds)
    areas = [
        _areas(rank, labels, (first, last), buffer, (num_alarms, hits))
        for buffer in range(max_buffer + 1)
    ]
    roc, precision_recall = np.mean(areas, axis=0)
    return _Surface(float(roc), float(precision_recall))


def _cumulative(rank: np.ndarray, weights: np.ndarray | None, size: int) -> np.ndarray:
    return np.cumsum(np.bincount(rank, weights, minlength=size))


def _areas(
    rank: np.ndarray,
    labels: np.ndarray,
    anomalies: tuple[np.ndarray, np.ndarray],
    buffer: int,
    counts: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float]:
    """Areas under both curves for the labels of one buffer."""
    first, last = anomalies
    num_alarms, hits = counts
    half, length, size = buffer // 2, len(rank), len(num_alarms)
    soft = np.zeros(length)
    for start, end in zip(first, last, strict=True):
        after = np.arange(end + 1, min(end + half + 1, length))
        soft[after] += np.sqrt(1 - (after - end) / buffer)
        before = np.arange(max(start - half, 0), start)
        soft[before] += np.sqrt(1 - (start - before) / buffer)
    beside = np.flatnonzero((soft > 0) & (labels == 0))
    soft_hits = _cumulative(rank[beside], np.minimum(soft[beside], 1), size)

    # Anomalies whose buffers meet are one.
    starts = np.append(0, 1 + np.flatnonzero(last[:-1] + half < first[1:] - half))
    lows = np.maximum(first[starts] - half, 0)
    highs = np.minimum(last[np.append(starts[1:], len(last)) - 1] + half, length - 1)
    earliest = [rank[low : high + 1].min() for low, high in zip(lows, highs, strict=True)]
    existence = _cumulative(np.array(earliest), None, size) / len(lows)

    true_positives = hits + soft_hits
    num_labels = labels.sum()
    positives = (num_labels + num_labels + soft_hits) / 2
    recall = np.minimum(true_positives / positives, 1) * existence
    false_positive_rate = (num_alarms - true_positives) / (length - positives)
    precision = true_positives / num_alarms
    recall = np.concatenate([[0], recall, [1]])
    false_positive_rate = np.concatenate([[0], false_positive_rate, [1]])
    return (
        float(np.trapezoid(recall, false_positive_rate)),
        float(np.dot(np.diff(recall[:-1]), precision)),
    )
