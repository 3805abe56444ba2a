"""Alarms of scored series: the steps at or above a threshold, and the records behind each."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.data.labelled_series import SeriesCollection
from jaxnet.runs import RunDirectory

# Dates are shown for numbers that are seconds since 1970; smaller ones are other numbers.
_FIRST_DATE = 1e8


class Alarm(NamedTuple):
    """A run of steps whose scores reach the threshold.

    Attributes:
        series: index of the series.
        first: the first step.
        last: the last step, included.
        score: the highest score.
        records: first and last row of the file that the score was computed from, from 1.
        is_hit: whether it touches a labelled window; None without labels.
    """

    series: int
    first: int
    last: int
    score: float
    records: tuple[int, int]
    is_hit: bool | None


def find_alarms(
    collection: SeriesCollection,
    scores: Sequence[Float[np.ndarray, " time"]],
    threshold: float,
    *,
    reach: tuple[int, int],
) -> list[Alarm]:
    """Alarms in the order of series and time.

    Args:
        collection: the series.
        scores: of each series.
        threshold: the lowest score that is an alarm.
        reach: number of steps before and after a step that its score was computed from.

    Returns:
        Alarms.

    >>> from experiments.data.labelled_series import Series
    >>> series = Series("a", np.arange(9.0), np.zeros(9), records=np.arange(1, 10))
    >>> scores = np.array([0, 0, 0, 0, 5, 6, 0, 0, 7.0])
    >>> for alarm in find_alarms(SeriesCollection("a", (series,)), [scores], 5, reach=(2, 0)):
    ...     print(alarm.first, alarm.last, alarm.score, alarm.records)
    4 5 6.0 (3, 6)
    8 8 7.0 (7, 9)
    """
    alarms = []
    for index, (series, rows) in enumerate(zip(collection.series, scores, strict=True)):
        edges = np.diff(np.concatenate([[0], (rows >= threshold).astype(int), [0]]))
        bounds = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
        for first, last in bounds:
            behind = slice(max(first - reach[0], 0), last + reach[1] + 1)
            records = np.arange(1, len(rows) + 1) if series.records is None else series.records
            is_hit = None
            if collection.is_labelled:
                is_hit = any(first <= end and last >= start for start, end in series.windows)
            alarms.append(
                Alarm(
                    index,
                    int(first),
                    int(last),
                    float(rows[first : last + 1].max()),
                    (int(records[behind].min()), int(records[behind].max())),
                    is_hit,
                )
            )
    return alarms


def threshold_of(scores: Sequence[Float[np.ndarray, " time"]], num_alarms: int) -> float:
    """The lowest threshold that at most a number of steps reach.

    Args:
        scores: of each series.
        num_alarms: the number of steps, at least 1.

    >>> threshold_of([np.array([1.0, 5.0, 4.0]), np.array([3.0])], 2)
    4.0
    """
    every = np.sort(np.concatenate(scores))[::-1]
    above = every[: num_alarms + 1]
    if len(above) <= num_alarms:
        return float(above[-1])
    higher = above[above > above[-1]]
    return float(higher[-1]) if len(higher) else np.inf


def alarm_rows(collection: SeriesCollection, alarms: Sequence[Alarm]) -> list[tuple[str, ...]]:
    """A table of alarms, with a header.

    Args:
        collection: the series.
        alarms: of `find_alarms`.
    """
    header = ("series", "from", "to", "score", "records behind it")
    labelled = ("in a labelled window",) if collection.is_labelled else ()
    rows: list[tuple[str, ...]] = [(*header, *labelled)]
    for alarm in alarms:
        series = collection.series[alarm.series]
        first, last = alarm.records
        cells = (
            series.name,
            show_time(series.times[alarm.first]),
            show_time(series.times[alarm.last]),
            f"{alarm.score:.4g}",
            f"{first} to {last}",
        )
        rows.append((*cells, *(["yes" if alarm.is_hit else "no"] if labelled else [])))
    return rows


def write_alarms(
    directory: RunDirectory, collection: SeriesCollection, alarms: Sequence[Alarm]
) -> None:
    """Write `alarms.csv`: all alarms, a row each.

    Args:
        directory: the run directory.
        collection: the series.
        alarms: of `find_alarms`.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(alarm_rows(collection, alarms))
    directory.write_text("alarms.csv", text.getvalue())


def show_time(seconds: float) -> str:
    """A time as a date, or as the number that it is.

    Args:
        seconds: since 1970, or a number of another kind.

    >>> show_time(1704114000.0), show_time(12.0)
    ('2024-01-01 13:00:00', '12')
    """
    if abs(seconds) < _FIRST_DATE:
        return f"{seconds:g}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
