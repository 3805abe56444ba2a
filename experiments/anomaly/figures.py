"""Figures of scored series: values, scores, threshold, alarms and labelled windows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.anomaly.alarms import Alarm
from experiments.data.labelled_series import Series, SeriesCollection
from experiments.report.figures.style import BLUE, GREEN, RED

_MAX_SERIES = 6


def shown_series(collection: SeriesCollection, alarms: Sequence[Alarm]) -> list[int]:
    """The series with the highest alarms, at most six, in their order.

    Args:
        collection: the series.
        alarms: of `find_alarms`.
    """
    highest: dict[int, float] = {}
    for alarm in alarms:
        highest[alarm.series] = max(alarm.score, highest.get(alarm.series, -np.inf))
    ranked = sorted(range(len(collection.series)), key=lambda i: -highest.get(i, -np.inf))
    return sorted(ranked[:_MAX_SERIES])


def draw_series(
    series: Series,
    scores: Float[np.ndarray, " time"],
    threshold: float,
    alarms: Sequence[Alarm],
) -> Figure:
    """Values above scores; windows are shaded, alarms are marked, the threshold is dashed.

    Args:
        series: the series.
        scores: of its steps.
        threshold: the lowest score that is an alarm.
        alarms: of this series.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps = np.arange(len(series.values))
    above.plot(steps, series.values, color=BLUE, linewidth=0.6)
    above.set_title(series.name)
    above.set_ylabel("value")
    # Scores that a rest has removed are far below all others.
    shown = np.maximum(scores, min(np.median(scores), 0.0))
    below.plot(steps, shown, color=RED, linewidth=0.6)
    if np.isfinite(threshold):
        below.axhline(threshold, color="black", linestyle="dashed", linewidth=0.8)
    below.set_ylabel("score")
    below.set_xlabel("step")
    for axes in (above, below):
        for first, last in series.windows:
            axes.axvspan(first, last, color=GREEN, alpha=0.2, linewidth=0)
    for alarm in alarms:
        above.axvline(alarm.first, color=RED, linewidth=1.0, alpha=0.8)
    return figure
