"""What a column of a user's table holds: numbers, dates, Booleans or categories."""

from typing import Literal, NamedTuple

import polars

from experiments.config import TableOptions
from experiments.data.tables.cells import (
    MISSING,
    MISSING_NUMBERS,
    describe,
    is_code,
    is_plain_number,
    listed,
    mark_missing,
    numbers,
    texts,
)
from experiments.data.tables.dates import looks_like_dates, part_of, read_dates, to_numbers
from experiments.data.tables.notation import Notation, read_numbers

Role = Literal["feature", "class", "target"]

# Fewer different texts are categories, however often they repeat.
_MIN_TEXTS = 10
_SENTINELS = [sign * (10.0**k - 1) for k in range(1, 9) for sign in (1, -1)]
# 1.234 is one thousand where the decimal mark is a comma.
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"


_PLAIN = Notation()
_TEXT = (polars.String, polars.Enum)


class Reading(NamedTuple):
    """A column and how its cells were read.

    Attributes:
        values: Float64 or an integer type, Boolean, String, Date, Datetime or Time; null is a
            missing cell.
        notation: how its numbers are written.
        date_format: how day and month are ordered in its dates, where the cells leave it open.
        notes: what the user should know, without the name of the column.
        is_open: whether these are plain numbers all of whose points may separate thousands.
    """

    values: polars.Series
    notation: Notation = _PLAIN
    date_format: str = ""
    notes: tuple[str, ...] = ()
    is_open: bool = False


def infer(
    column: polars.Series,
    options: TableOptions,
    *,
    role: Role = "feature",
    is_declared: bool = False,
    is_open: bool = False,
) -> Reading:
    """Infer what a column holds.

    Text is a column of numbers, or of dates, if every cell is one. If at least half of the cells
    are but not all, it is rejected, since that is probably a mistake. Text that hardly repeats is
    rejected, since it is an identifier or free text.

    Args:
        column: text as it is in the file, or a type that the file declares.
        options: how the table is read.
        role: what the column is for; of classes, only plain numbers are numbers.
        is_declared: whether the file declares that the column is text: plain numbers stay text.
        is_open: whether the points of the numbers may separate thousands.

    Returns:
        The values, and how they were read.

    Raises:
        ValueError: the column is as described above, or its numbers can be read in two ways.

    >>> infer(polars.Series("price", ["$ 1.50", "$ 2", "NA"]), TableOptions()).values.to_list()
    [1.5, 2.0, None]
    """
    if column.name in options.categories and not isinstance(column.dtype, _TEXT):
        return Reading(texts(mark_missing(column, options.missing)))
    if column.dtype.is_numeric():
        numbers(column)
        return _of_numbers(_number_or_date(mark_missing(column, options.missing), options), is_open)
    if column.dtype == polars.Duration:
        notes = ("durations are numbers of hours",)
        return Reading(to_numbers(column), notes=notes)
    if column.dtype.is_temporal():
        return Reading(column, notes=(_dates_note(column),))
    if column.dtype == polars.Boolean:
        return Reading(column)
    text = _unquoted(written := column.cast(polars.String))
    na_is_code = "NA" not in options.missing and bool((text == "NA").any()) and is_code(text)
    marks = {*MISSING, *options.missing} - ({"NA"} if na_is_code else set())
    kept_note = (
        "NA is a category, since the others are codes of two letters, too; say --missing NA if it "
        "marks missing cells"
    )
    notes = (kept_note,) if na_is_code else ()
    if role == "feature" and not text.equals(written):
        notes += ("the single quotation marks around its cells are left out",)
    text = mark_missing(text, marks)
    if column.name in options.categories:
        return Reading(text, notes=notes)
    if text.null_count() == len(text):
        return Reading(text.cast(polars.Float64))
    reading = None if is_declared and _are_plain(text) else _not_text(text, options, role)
    if reading is not None:
        return reading._replace(notes=reading.notes + notes)
    if role == "feature":
        text = _booleans(text)
        _require_categories(text)
    return Reading(text, notes=notes)


def _not_text(text: polars.Series, options: TableOptions, role: Role) -> Reading | None:
    """Text that is numbers or dates; None where it is neither."""
    cells = mark_missing(text, MISSING_NUMBERS)
    if cells.null_count() == len(cells):
        return None
    num_cells = len(cells) - cells.null_count()
    values = cells.cast(polars.Float64, strict=False)
    is_number = is_plain_number(values)
    is_open = _may_be_thousands(cells)
    if is_number.sum() == num_cells and not (is_open and options.decimal == "comma"):
        if (dates := _dated(cells, options)) is not None:
            return dates
        numbers(cells)
        return _of_numbers(_smallest(cells, values), is_open)
    if role != "class":
        read, notation = read_numbers(cells, given=options.decimal)
        # Infinity and the like.
        read = read.fill_null(values)
        if is_plain_number(read).sum() == num_cells:
            return _of_numbers(read, False, notation, _first(cells, read, is_number))
        if (dates := read_dates(cells, given=options.date_format)) is not None:
            return Reading(
                dates.values, date_format=dates.format, notes=(_dates_note(dates.values),)
            )
        is_number = is_plain_number(read)
    if 2 * is_number.sum() >= num_cells:
        name = text.name
        raise ValueError(
            f"column {name!r} holds text in a column of numbers: "
            f"{describe(text, cells.is_not_null() & ~is_number)}; correct the cells, name marks of "
            f"missing cells with --missing, take the column as categories (--categories {name}), "
            f"or leave a feature out (--ignore {name})"
        )
    return None


def _of_numbers(
    values: polars.Series, is_open: bool, notation: Notation = _PLAIN, note: str = ""
) -> Reading:
    if values.dtype.is_temporal():
        return Reading(values, notes=(_dates_note(values),))
    notes = tuple(filter(None, (note, _sentinel_note(values))))
    return Reading(values, notation, notes=notes, is_open=is_open and values.dtype.is_float())


def _first(cells: polars.Series, read: polars.Series, is_plain: polars.Series) -> str:
    """A note that names the first number that is not plain."""
    others = (cells.is_not_null() & ~is_plain).arg_true()
    row = int(others[0]) if len(others) else 0
    return f"read as numbers: {cells[row]!r} is {read[row]:.15g}"


def _number_or_date(column: polars.Series, options: TableOptions) -> polars.Series:
    if not column.dtype.is_integer():
        return column
    dates = _dated(column.cast(polars.String), options)
    return column if dates is None else dates.values


def _dated(cells: polars.Series, options: TableOptions) -> Reading | None:
    """Digits alone that are dates of the format that is given, such as 20240131."""
    form = options.date_format
    if form is None or any(mark in form for mark in " /-.:") or "%" not in form:
        return None
    if not cells.drop_nulls().str.contains(r"^\d{6,14}$").all():
        return None
    dates = read_dates(cells, given=form)
    if dates is None or dates.values.null_count() > cells.null_count():
        return None
    return Reading(dates.values, date_format=form, notes=(_dates_note(dates.values),))


def _dates_note(values: polars.Series) -> str:
    part = part_of(values)
    if part == "time":
        return "read as times of day: hours, and the place in the day"
    places = "year and week" if part == "date" else "year, week and day"
    return f"read as dates: days since 1970-01-01, and the place in the {places}"


def _sentinel_note(values: polars.Series) -> str:
    """A note where the smallest or largest number repeats, is far from all others, and is all 9."""
    present = values.drop_nulls().drop_nans() if values.dtype.is_float() else values.drop_nulls()
    if not len(present):
        return ""
    for extreme in (present.min(), present.max()):
        number = float(extreme)  # pyright: ignore[reportArgumentType]
        others = present.filter(present != extreme)
        count = len(present) - len(others)
        if number not in _SENTINELS or count < 2 or len(others) < count:
            continue
        low, high = float(others.min()), float(others.max())  # pyright: ignore[reportArgumentType]
        gap = low - number if number < low else number - high
        if gap > high - low:
            return (
                f"{number:g} in {count} rows is far from all other values; if it marks a missing "
                f"cell, say --missing={number:g} and --impute"
            )
    return ""


def _may_be_thousands(cells: polars.Series) -> bool:
    present = cells.drop_nulls()
    pointed = present.filter(present.str.contains_any([".", "e", "E"]))
    return len(pointed) > 0 and bool(pointed.str.contains(_THOUSANDS).all())


def _smallest(cells: polars.Series, values: polars.Series) -> polars.Series:
    """Plain numbers as integers where all are."""
    whole = cells.cast(polars.Int64, strict=False)
    return whole.shrink_dtype() if whole.null_count() == cells.null_count() else values


def _are_plain(text: polars.Series) -> bool:
    present = text.drop_nulls()
    return bool(is_plain_number(present.cast(polars.Float64, strict=False)).all())


def _unquoted(text: polars.Series) -> polars.Series:
    """Without the single quotation marks around every cell, as some tools write them."""
    present = text.filter(text.is_not_null() & ~text.is_in(list(MISSING)))
    if len(present) and present.str.contains(r"(?s)^'.*'$").all():
        return text.str.replace(r"(?s)^'(.*)'$", "$1").str.strip_chars()
    return text


def _booleans(text: polars.Series) -> polars.Series:
    """True and false in any spelling as Booleans; yes and no in one spelling."""
    words = text.str.to_lowercase()
    kinds = set(words.drop_nulls().unique().to_list())
    if kinds <= {"true", "false"}:
        return words.replace_strict(
            ["true", "false"], [True, False], default=None, return_dtype=polars.Boolean
        )
    if kinds <= {"yes", "no", "y", "n"} and text.drop_nulls().n_unique() > 2:
        return words.replace(["y", "n"], ["yes", "no"])
    return text


def _require_categories(text: polars.Series) -> None:
    if text.dtype != polars.String:
        return
    num_cells, different = (
        len(text) - text.null_count(),
        text.drop_nulls().unique(maintain_order=True),
    )
    if len(different) < _MIN_TEXTS or 2 * len(different) <= num_cells:
        return
    dates = ", say the format of dates with --date-format" if looks_like_dates(text) else ""
    raise ValueError(
        f"column {text.name!r} holds {len(different)} different texts in {num_cells} cells "
        f"({listed(different.to_list(), 3)}), so it is an identifier or free text and not a "
        f"category; leave it out with --ignore {text.name}{dates}, or take it as categories "
        f"nevertheless with --categories {text.name}"
    )
