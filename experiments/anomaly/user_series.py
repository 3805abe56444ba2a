"""Series of a user's table: a column of times, and columns of numbers."""

from pathlib import Path

import numpy as np
import polars

from experiments.config import TableOptions
from experiments.data.labelled_series import Series, SeriesCollection
from experiments.data.tables.table import read_table

# A step that is longer than this number of usual ones is a gap.
_GAP = 1.5
_MIN_ROWS = 20


def load_user_series(path: Path, *, time: str | None, ignore: tuple[str, ...]) -> SeriesCollection:
    """Read a table, of which each column of numbers is a series.

    Rows are put in the order of their times, those of equal times in the order of the file: each
    stays a step of its own. A gap is not filled: the row after it is the next step. A missing
    value is that of the row before it. Whatever of these occurs is a note. A column that never
    changes has no anomalies and is left out, with a note.

    Args:
        path: a CSV or Parquet file.
        time: the column of times: dates with or without a time of day, or numbers.
        ignore: columns that are not series.

    Returns:
        The series, without labels.

    Raises:
        ValueError: no such column; a column of times that is missing cells or holds text; a column
            that is not numbers; no column that changes; infinite numbers; too few rows.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "load.csv")
    ...     rows = [f"2024-01-01 {h:02d}:{m:02d},{h + m}.5" for h in range(8) for m in (0, 30)]
    ...     _ = path.write_text("\\n".join(["when,load", *rows * 2]))
    ...     data = load_user_series(path, time="when", ignore=())
    >>> data.series[0].name, len(data.series[0].values), len(data.notes)
    ('load', 32, 2)
    """
    if time is None:
        raise ValueError(f"data needs --time, the column of {path} with the times; name it")
    table = read_table(path, TableOptions(ignore=ignore))
    frame = table.frame
    # Times are used as they are, not as features.
    notes = [note for note in table.notes if not note.startswith(f"column {time!r}:")]
    if time not in frame.columns:
        raise ValueError(
            f"time: {path} has no column {time!r}, found {', '.join(map(repr, frame.columns))}"
        )
    if frame.height < _MIN_ROWS:
        raise ValueError(
            f"{path} has {frame.height} rows, expected at least {_MIN_ROWS}: scores compare a step "
            "with those before it"
        )
    times = _seconds(frame[time], path)
    order = np.argsort(times, kind="stable")
    if (order != np.arange(len(order))).any():
        row = int(np.argmax(np.diff(times) < 0)) + 2
        notes.append(f"rows are not in the order of time, first at row {row}; they are sorted")
    times = times[order]
    notes += _describe_steps(np.diff(times))
    series = []
    for name in frame.columns:
        if name == time:
            continue
        column = frame[name]
        if not column.dtype.is_numeric() and column.dtype != polars.Boolean:
            raise ValueError(
                f"column {name!r} of {path} holds {column.dtype}, expected numbers; leave it out "
                f"with --ignore {name!r}"
            )
        values = column.cast(polars.Float64).to_numpy()[order].astype(np.float64)
        if np.isinf(values).any():
            row = int(order[np.argmax(np.isinf(values))]) + 1
            raise ValueError(
                f"column {name!r} of {path} is infinite at row {row}; expected numbers, or an "
                "empty cell where the value is not known"
            )
        missing = np.isnan(values)
        if missing.all():
            notes.append(f"column {name!r} holds no values and is left out")
            continue
        if missing.any():
            values = _filled(values)
            notes.append(
                f"column {name!r}: {missing.sum()} missing values are those of the rows before"
            )
        if (values == values[0]).all():
            notes.append(f"column {name!r} never changes and is left out")
            continue
        series.append(Series(name, times, values, records=order + 1))
    if not series:
        raise ValueError(f"{path} has no column of numbers that change besides {time!r}")
    return SeriesCollection(path.stem, tuple(series), notes=tuple(notes))


def _seconds(column: polars.Series, path: Path) -> np.ndarray:
    """Times as seconds since 1970; numbers as they are."""
    if column.null_count():
        row = int(column.is_null().arg_max() or 0) + 1
        raise ValueError(
            f"time: column {column.name!r} of {path} is empty at row {row}; remove the row"
        )
    if column.dtype == polars.Date:
        column = column.cast(polars.Datetime("us"))
    if column.dtype.is_temporal() and column.dtype != polars.Time:
        return column.dt.epoch("us").to_numpy().astype(np.float64) / 1e6
    if not column.dtype.is_numeric():
        raise ValueError(
            f"time: column {column.name!r} of {path} holds {column.dtype}, expected dates or "
            "numbers; state the format with a standard one such as 2024-01-31 13:00:00"
        )
    values = column.cast(polars.Float64).to_numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"time: column {column.name!r} of {path} has times that are not finite")
    return values


def _describe_steps(steps: np.ndarray) -> list[str]:
    notes = []
    same = int((steps == 0).sum())
    if same:
        notes.append(f"{same} rows have the time of the row before; each is a step of its own")
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    gaps = steps > _GAP * usual
    if usual and gaps.any():
        notes.append(
            f"{gaps.sum()} gaps, the longest of {steps.max() / usual:.1f} usual steps; the row "
            "after a gap is the next step"
        )
    return notes


def _filled(values: np.ndarray) -> np.ndarray:
    """Each missing value as the last before it; those at the start as the first value."""
    known = np.where(np.isnan(values), 0, np.arange(len(values)))
    filled = values[np.maximum.accumulate(known)]
    return np.where(np.isnan(filled), values[np.argmin(np.isnan(values))], filled)
