"""Dates and times of day as people write them, and the features that a network takes of them."""

import datetime
import re
from typing import Literal, NamedTuple

import numpy as np
import polars

from experiments.data.tables.cells import describe

Part = Literal["date", "datetime", "time"]

_MONTHS = r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_WEEKDAYS = r"(?i)^(mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+"
_YEAR_FIRST = r"^(\d{4})\s*[년年./-]\s*(\d{1,2})\s*[월月./-]\s*(\d{1,2})(?:\s*[일日]|\.)?"
_PATTERN = (
    r"^(?P<date>\d{4}-\d{1,2}-\d{1,2}|\d{4}[-/]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{4}"
    r"|\d{1,2}[ -]?[A-Z][a-z]{2}[ -]?\d{4}|[A-Z][a-z]{2} \d{1,2} \d{4}|[A-Z][a-z]{2}[ -]\d{4})?"
    r"(?:(?:^|[ T]+)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AP]M)?)"
    r"(?: ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2}))?)?$"
)
DAY_FIRST, MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
# That of the first format that fits.
_FORMATS = ("%Y-%m-%d", "%d %b %Y", "%b %d %Y")
_TIMES = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_DURATION = r"^\s*(?:2[4-9]|[3-9]\d|\d{3,}):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?\s*$"
_LIKE_A_DATE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"


class Dates(NamedTuple):
    """A column of dates.

    Attributes:
        values: Date, Datetime in UTC or Time; null where a cell is missing or not a date.
        format: how day and month are ordered, where the cells leave it open; "" elsewhere.
    """

    values: polars.Series
    format: str


def read_dates(
    column: polars.Series, *, given: str | None = None, saved: str | None = None
) -> Dates | None:
    """Read the dates, or times of day, of a column of text.

    Args:
        column: text; null is a missing cell.
        given: a format, of which all cells are if one of them is; None recognizes dates.
        saved: the format of the same column in another table.

    Returns:
        Dates; None where less than half of the cells are dates.

    Raises:
        ValueError: some cells are dates and others are not, or it is open what is the day.

    >>> read_dates(polars.Series("day", ["2024-01-31", "1 Feb 2024"])).values.to_list()
    [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)]
    """
    cells = column.drop_nulls().unique(maintain_order=True)
    for name in filter(None, (given, saved)):
        found = _of_format(cells, name)
        if len(found) and found.null_count() == 0:
            return Dates(_whole(_spread(column, cells, found)), name)
    text = _normalized(cells)
    parts = text.str.extract_groups(_PATTERN).struct.unnest()
    known = parts["date"].is_not_null() | parts["time"].is_not_null()
    if 2 * column.is_in(cells.filter(known).implode()).sum() < max(1, len(column.drop_nulls())):
        return None
    dates, name = _dates(column.name, cells, parts["date"], saved if given is None else given)
    times = _times(parts["time"])
    if parts["date"].null_count() == len(parts):
        values = times
    elif parts["time"].null_count() == len(parts):
        values = dates
    else:
        midnight = times.fill_null(datetime.time())
        frame = polars.DataFrame({"date": dates, "time": midnight})
        values = frame.select(polars.col("date").dt.combine(polars.col("time"))).to_series()
        values = values - _offsets(parts["zone"])
        values = values.set(parts["time"].is_not_null() & times.is_null(), None)
    values = values.set(~known, None)
    spread = _spread(column, cells, values)
    if (wrong := spread.is_null() & column.is_not_null()).any():
        if column.filter(wrong).str.contains(_DURATION).all():
            raise ValueError(
                f"column {column.name!r} holds times of 24 hours or more, which are durations and "
                f"not times of day: {describe(column, wrong)}; write them as numbers, such as "
                f"25.5 hours, or leave the column out (--ignore {column.name})"
            )
        raise ValueError(
            f"column {column.name!r} holds text in a column of dates: {describe(column, wrong)}; "
            f"correct the cells, say their format with --date-format, or leave the column out "
            f"(--ignore {column.name})"
        )
    return Dates(_whole(spread), name)


def looks_like_dates(column: polars.Series) -> bool:
    """Whether most cells look like dates of a format that is not recognized."""
    cells = column.drop_nulls()
    return bool(2 * cells.str.contains(_LIKE_A_DATE).sum() > len(cells))


def part_of(values: polars.Series) -> Part:
    """Whether a column holds dates, dates with times, or times of day."""
    if values.dtype == polars.Time:
        return "time"
    return "date" if values.dtype == polars.Date else "datetime"


def to_numbers(values: polars.Series) -> polars.Series:
    """Days since 1970-01-01, or for times of day and durations hours; Float64.

    >>> to_numbers(polars.Series([datetime.date(1970, 1, 3)])).to_list()
    [2.0]
    """
    if values.dtype == polars.Date:
        return values.to_physical().cast(polars.Float64)
    if values.dtype == polars.Time:
        return values.to_physical().cast(polars.Float64) / 3.6e12
    if values.dtype == polars.Duration:
        return values.dt.total_microseconds().cast(polars.Float64) / 3.6e9
    if getattr(values.dtype, "time_zone", None):
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return values.dt.epoch("us").cast(polars.Float64) / 86_400e6


def cyclic_names(name: str, part: Part) -> tuple[str, ...]:
    """The names of the features of `cyclic_features`."""
    cycles = {"date": ("year", "week"), "datetime": ("year", "week", "day"), "time": ("day",)}[part]
    return tuple(f"{name} ({wave} of {cycle})" for cycle in cycles for wave in ("sine", "cosine"))


def cyclic_features(numbers: np.ndarray, part: Part) -> np.ndarray:
    """Sine and cosine of the place in the year, in the week and in the day.

    Args:
        numbers: of `to_numbers`, `(n,)`.
        part: of `part_of`.

    Returns:
        `(n, features)`, two for each cycle: year and week of a date, also the day of a date with a
        time, the day alone of a time.

    >>> cyclic_features(np.array([6.0]), "time").round(6).tolist()
    [[1.0, 0.0]]
    """
    if part == "time":
        phases = [numbers / 24]
    else:
        days = np.floor(numbers)
        dates = days.astype("datetime64[D]")
        starts = dates.astype("datetime64[Y]")
        first, last = (d.astype("datetime64[D]").astype(np.float64) for d in (starts, starts + 1))
        # 1970-01-01 was a Thursday.
        phases = [(numbers - first) / (last - first), (days + 3) % 7 / 7]
        phases += [numbers - days] if part == "datetime" else []
    waves = [wave(2 * np.pi * phase) for phase in phases for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1)


def _normalized(cells: polars.Series) -> polars.Series:
    text = cells.str.normalize("NFKC").str.strip_chars().str.replace(_WEEKDAYS, "")
    text = text.str.replace(r"^'(.*)'$", "$1").str.replace(_YEAR_FIRST, "$1-$2-$3")
    # Full names of months as short ones.
    month = text.str.extract(_MONTHS).str.to_titlecase()
    text = polars.select(
        polars.when(month.is_null()).then(text).otherwise(text.str.replace(_MONTHS, "\x00"))
    ).to_series()
    text = (
        polars.DataFrame({"text": text, "month": month.fill_null("")})
        .select(polars.col("text").str.replace("\x00", polars.col("month"), literal=True))
        .to_series()
    )
    text = text.str.replace(r"(?i)(?:\s*)([ap])\.?m\.?$", " ${1}M").str.replace(r" aM$", " AM")
    text = text.str.replace(r" pM$", " PM").str.replace(r"(:\d{2}),(\d)", "$1.$2")
    return text.str.replace_all(r"[,\s]+", " ").str.replace(r"(\d)(?:st|nd|rd|th)\b", "$1")


def _dates(
    name: str, cells: polars.Series, dates: polars.Series, known: str | None
) -> tuple[polars.Series, str]:
    """The dates, and how day and month are ordered where the cells leave it open."""
    text = dates.str.replace(r"^(\d{4})[-/](\d{1,2})$", "$1-$2-1")
    text = text.str.replace(r"^([A-Z][a-z]{2})[ -](\d{4})$", "$1 1 $2")
    text = text.str.replace(r"^(\d{1,2})[ -]?([A-Z][a-z]{2})[ -]?(\d{4})$", "$1 $2 $3")
    found = polars.Series(name, [None] * len(text), polars.Date)
    for each in _FORMATS:
        found = found.zip_with(found.is_not_null(), text.str.to_date(each, strict=False))
    numeric = text.str.contains(r"^\d{1,2}[./-]\d{1,2}[./-]\d{4}$").fill_null(False)
    if not numeric.any():
        return found, ""
    dotted = text.filter(numeric).str.contains(".", literal=True).any()
    slashed = text.set(~numeric, None).str.replace_all("[.-]", "/")
    orders = {order: slashed.str.to_date(order, strict=False) for order in (DAY_FIRST, MONTH_FIRST)}
    # Day and month in this order wherever they are separated by points.
    fits = [
        order
        for order, values in orders.items()
        if (values.is_not_null() | ~numeric).all() and not (dotted and order == MONTH_FIRST)
    ]
    if len(fits) == 2 and not (orders[DAY_FIRST] == orders[MONTH_FIRST]).all():
        if known not in fits:
            raise ValueError(
                f"column {name!r} holds {cells.filter(numeric)[0]!r}, where it is open which "
                "number is the day; say it with --date-format %d/%m/%Y or --date-format %m/%d/%Y"
            )
        fits = [known]
    order = fits[0] if fits else DAY_FIRST
    return found.zip_with(~numeric, orders[order]), order


def _times(times: polars.Series) -> polars.Series:
    found = polars.Series([None] * len(times), dtype=polars.Time)
    for each in _TIMES:
        found = found.zip_with(found.is_not_null(), times.str.to_time(each, strict=False))
    return found


def _offsets(zones: polars.Series) -> polars.Series:
    """How far each zone is ahead of UTC."""
    parts = zones.str.extract_groups(r"(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})")
    parts = parts.struct.unnest()
    minutes = parts["hours"].cast(polars.Int64) * 60 + parts["minutes"].cast(polars.Int64)
    signs = (parts["sign"] == "-").fill_null(False).cast(polars.Int64)
    microseconds = (minutes * (1 - 2 * signs)).fill_null(0) * 60_000_000
    return microseconds.cast(polars.Duration("us"))


def _of_format(cells: polars.Series, name: str) -> polars.Series:
    has_time = any(mark in name for mark in ("%H", "%I", "%T"))
    has_date = any(mark in name for mark in ("%d", "%j", "%Y", "%y", "%b", "%B", "%m", "%F", "%D"))
    kind = (
        polars.Datetime("us") if has_date and has_time else polars.Date if has_date else polars.Time
    )
    marks = re.findall(r"%[-_0]?\.?[0-9]?(.?)", name)
    if not marks or not set(marks) <= set("YymdebBhjaAHIMSpPfzTRFD%"):
        raise ValueError(
            f"date_format {name!r} is not a format of dates; write it as %d/%m/%Y or %Y%m%d"
        )
    return cells.str.strip_chars().str.strptime(kind, name, strict=False)


def _whole(values: polars.Series) -> polars.Series:
    """Dates where all times are midnight."""
    if values.dtype != polars.Datetime:
        return values
    is_midnight = (values.dt.truncate("1d") == values).fill_null(True)
    return values.cast(polars.Date) if is_midnight.all() else values


def _spread(column: polars.Series, cells: polars.Series, values: polars.Series) -> polars.Series:
    """The values of the different cells, for all cells."""
    index = column.replace_strict(
        cells, polars.int_range(len(cells), eager=True), default=None, return_dtype=polars.Int64
    )
    return values.rename(column.name).gather(index)
