"""Metrics of scores of labelled series: the NAB score by halves, volumes, precision, hits."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from experiments.anomaly.window_scores import window_length
from experiments.data.labelled_series import Series
from jaxnet import metrics

# False alarms, one for each series, at which hits are counted.
_ALARMS_PER_SERIES = 1


def halves(series: Sequence[Series]) -> tuple[list[int], list[int]]:
    """Series at even and at odd places in the order of their names.

    Options were chosen on the first half; the second tests them.

    Args:
        series: the series, in the order of their names.

    >>> halves([Series(name, np.zeros(1), np.zeros(1)) for name in "abc"])
    ([0, 2], [1])
    """
    return list(range(0, len(series), 2)), list(range(1, len(series), 2))


def nab_metrics(
    series: Sequence[Series], scores: Sequence[Float[np.ndarray, " time"]]
) -> tuple[dict[str, float], float]:
    """NAB scores of all series and of both halves, and the threshold of the standard profile.

    The threshold of all series maximizes the score, as in the benchmark; that of the second half is
    the one of the first.

    Args:
        series: labelled series.
        scores: of each.

    Returns:
        Metrics and threshold.
    """
    result: dict[str, float] = {}
    windows = [each.windows for each in series]
    threshold = np.inf
    for profile in metrics.NAB_PROFILES:
        whole = metrics.nab_score(scores, windows, profile=profile)
        result[f"nab_{profile}"] = whole.score
        if profile == "standard":
            threshold = whole.threshold
    chosen, tested = halves(series)
    first = metrics.nab_score(
        [scores[index] for index in chosen], [windows[index] for index in chosen]
    )
    second = metrics.nab_score(
        [scores[index] for index in tested],
        [windows[index] for index in tested],
        threshold=first.threshold,
    )
    optimistic = metrics.nab_score(
        [scores[index] for index in tested], [windows[index] for index in tested]
    )
    result |= {
        "nab_standard_first_half": first.score,
        "nab_standard_second_half": second.score,
        "nab_standard_second_half_own_threshold": optimistic.score,
    }
    return result, threshold


def step_metrics(
    series: Sequence[Series], scores: Sequence[Float[np.ndarray, " time"]]
) -> dict[str, float]:
    """Means over the series that have windows, and hits over all series.

    The buffer of the volumes is `window_length` of the series, as in TSB-AD, and labels are the
    steps in windows.

    Args:
        series: labelled series.
        scores: of each.

    Returns:
        Metrics; those of the halves are called `..._first_half` and `..._second_half`.
    """
    names = ("vus_pr", "vus_roc", "average_precision")
    values: dict[int, tuple[float, float, float]] = {}
    for index, (each, rows) in enumerate(zip(series, scores, strict=True)):
        if each.windows:
            buffer, labels = window_length(each.values), each.labels
            values[index] = (
                metrics.vus_pr(rows, labels, max_buffer=buffer),
                metrics.vus_roc(rows, labels, max_buffer=buffer),
                _average_precision(rows, labels),
            )
    result = {}
    parts = {"": list(range(len(series)))}
    parts["_first_half"], parts["_second_half"] = halves(series)
    for part, indices in parts.items():
        rows = np.array([values[index] for index in indices if index in values])
        for name, mean in zip(names, rows.mean(axis=0).tolist(), strict=True):
            result[f"{name}{part}"] = mean
    budget = _ALARMS_PER_SERIES * len(series)
    hits = metrics.hits_at_false_alarms(scores, [each.labels for each in series], budget=budget)
    return result | {f"hits_at_{budget}_false_alarms": hits.hits}


def _average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """On the host: each series has another length, for which a program would be compiled."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))
