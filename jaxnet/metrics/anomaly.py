"""Detected events at a budget of false alarms, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxnet._checks import require_integer


class HitsAtBudget(NamedTuple):
    """Result of `hits_at_false_alarms`.

    Attributes:
        hits: fraction of the events with an alarm, NaN without events.
        num_events: number of events.
        threshold: the lowest score that is an alarm; +inf where no threshold is in the budget.
        false_alarms: number of steps outside of events that are alarms.
    """

    hits: float
    num_events: int
    threshold: float
    false_alarms: int


def hits_at_false_alarms(
    scores: Sequence[ArrayLike], labels: Sequence[ArrayLike], *, budget: int
) -> HitsAtBudget:
    """Fraction of the events that are detected where only some false alarms are allowed.

    An event is a run of steps with label 1, and it is detected if the score of one of its steps is
    at least the threshold, the same for all series and the lowest with at most `budget` alarms
    among the steps with label 0. Each such step is a false alarm, and an event counts once however
    long it is: no point adjustment.

    Args:
        scores: anomaly scores of each series, `(n,)` each, finite.
        labels: 1 for the steps of events, 0 for others, `(n,)` each.
        budget: number of false alarms that are allowed over all series, at least 0.

    Returns:
        `HitsAtBudget`.

    Raises:
        ValueError: scores and labels that do not match, scores that are not finite, labels that are
            neither 0 nor 1, or a negative budget.

    >>> scores, labels = [0.1, 0.9, 0.5, 0.2, 0.7], [0, 0, 1, 1, 0]
    >>> hits_at_false_alarms([scores], [labels], budget=1).hits
    0.0
    >>> hits_at_false_alarms([scores], [labels], budget=2)
    HitsAtBudget(hits=1.0, num_events=1, threshold=0.2, false_alarms=2)

    Source: the operating point of free-response curves, Bunch et al. (1978), "A free-response
    approach to the measurement and characterization of radiographic-observer performance".
    """
    require_integer("hits_at_false_alarms", "budget", budget, 0)
    if len(scores) != len(labels):
        raise ValueError(
            f"hits_at_false_alarms: scores holds {len(scores)} series and labels {len(labels)}; "
            "pass one vector of labels for each series"
        )
    every, normal, events = [np.zeros(0)], [np.zeros(0)], []
    for index, (rows, marks) in enumerate(zip(scores, labels, strict=True)):
        values, marks = np.asarray(rows, np.float64), np.asarray(marks)
        if values.ndim != 1 or marks.shape != values.shape or not np.isfinite(values).all():
            raise ValueError(
                f"hits_at_false_alarms: scores[{index}] and labels[{index}] must be vectors of one "
                f"length, scores finite, found shapes {values.shape} and {marks.shape}"
            )
        if not np.isin(marks, (0, 1)).all():
            raise ValueError(
                f"hits_at_false_alarms: labels[{index}] must be 0 or 1, found "
                f"{np.unique(marks)[:5].tolist()}"
            )
        every.append(values)
        normal.append(values[marks == 0])
        edges = np.diff(np.concatenate([[0], marks.astype(np.int64), [0]]))
        bounds = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
        events += [values[first:end].max() for first, end in bounds]
    outside, highest = np.sort(np.concatenate(normal))[::-1], np.array(events)
    # An alarm is above the first score that the budget does not allow.
    limit = outside[budget] if budget < len(outside) else -np.inf
    alarms = np.concatenate(every)
    alarms = alarms[alarms > limit]
    return HitsAtBudget(
        hits=float((highest > limit).mean()) if events else float("nan"),
        num_events=len(events),
        threshold=float(alarms.min()) if len(alarms) else float("inf"),
        false_alarms=int((outside > limit).sum()),
    )
