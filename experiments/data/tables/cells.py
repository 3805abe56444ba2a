"""Cells of a column as numbers and as text, the marks of missing cells, and messages about both.

Messages count rows from 1 and do not count the header, in every format: row 1 of a CSV file is its
second line. Only where a line of text cannot be read at all is the number of the line given.
"""

import contextlib
import difflib
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars

# Whatever the column holds, but for NA among codes of two letters: `is_code`.
MISSING = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "<NA>", "null", "NULL", "(null)", "?", "\\N"),
    *("#N/A", "#NA", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"),
)
# In columns of numbers and dates also these, which are categories elsewhere.
MISSING_NUMBERS = ("-", "--", "---", ".", "..", "na", "n.a.", "N.A.", "None", "none", "Null", "nil")

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_NUM_SHOWN = 5


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file before the message of a ValueError, once.

    Args:
        path: the file.

    Returns:
        A context.

    Raises:
        ValueError: with the file, if the block raises one.

    >>> with naming(Path("some.csv")), naming(Path("some.csv")):
    ...     raise ValueError("no rows")
    Traceback (most recent call last):
        ...
    ValueError: some.csv: no rows
    """
    try:
        yield
    except ValueError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: {error}") from error


def name_key(name: str) -> str:
    """What the spellings of one name or category have in common.

    Compatible characters, capitals and white space do not matter, nor quotation marks around it.

    >>> name_key(" First  NAME "), name_key("'ｆｉｒｓｔ name'")
    ('first name', 'first name')
    """
    words = unicodedata.normalize("NFKC", name).casefold().split()
    key = " ".join(words)
    return key[1:-1] if len(key) > 2 and key[0] == key[-1] and key[0] in "'\"" else key


def clean_name(name: str) -> str:
    """The name of a column in Unicode's composed form, without white space and marks around it."""
    return unicodedata.normalize("NFC", name).strip().strip("\ufeff\u200b\u200e\u200f").strip()


def require_column(argument: str, name: str, known: Sequence[str]) -> None:
    """Reject the name of a column that does not exist, and suggest the nearest.

    Args:
        argument: the option that names the column.
        name: of the column.
        known: the names of the columns that exist.

    Raises:
        ValueError: there is no such column.

    >>> require_column("label", "colour", ["size", "color"])
    Traceback (most recent call last):
        ...
    ValueError: label: there is no column 'colour'; did you mean 'color'? columns: size, color
    """
    if name in known:
        return
    by_key = {name_key(other): other for other in known}
    nearest = [by_key[key] for key in difflib.get_close_matches(name_key(name), by_key)]
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    raise ValueError(f"{argument}: there is no column {name!r}; {hint}columns: {shown}")


def is_plain_number(values: polars.Series) -> polars.Series:
    """Which cells were cast to a number: infinity is one, and "NAN" is not."""
    return values.is_not_nan().fill_null(False)


def numbers(column: polars.Series) -> polars.Series:
    """The cells of a column as numbers, also of a column of text whose cells are numbers.

    Args:
        column: numbers, or text; null is a missing cell.

    Returns:
        Float64; null where the cell is missing.

    Raises:
        ValueError: a cell is a Boolean, text that is not a number, or infinite in float32.

    >>> numbers(polars.Series("size", ["1.5", None])).to_list()
    [1.5, None]
    """
    if column.dtype == polars.Boolean:
        raise ValueError(
            f"column {column.name!r} holds Booleans, expected numbers; write 0 and 1, or take the "
            f"column as categories when training (--categories {column.name})"
        )
    values = column.cast(polars.Float64, strict=False)
    if column.dtype == polars.String:
        is_text = column.is_not_null() & ~is_plain_number(values)
        if is_text.any():
            raise ValueError(
                f"column {column.name!r} holds text in a column of numbers: "
                f"{describe(column, is_text)}; correct the cells"
            )
    values = values.fill_nan(None)
    if (too_large := values.abs() > _FLOAT32_MAX).any():
        raise ValueError(
            f"column {column.name!r} holds numbers that are infinite in float32: "
            f"{describe(column, too_large.fill_null(False))}; correct the cells or mark them as "
            "missing (NA)"
        )
    return values


def texts(column: polars.Series) -> polars.Series:
    """The cells of a column as text; a whole number is written without a point.

    Args:
        column: numbers, Booleans, text or dates.

    Returns:
        String; null where the cell is missing.

    >>> texts(polars.Series("size", [1.0, 2.5, None])).to_list()
    ['1', '2.5', None]
    >>> texts(polars.Series("size", [True, False])).to_list()
    ['true', 'false']
    """
    text = column.cast(polars.String)
    if not column.dtype.is_float():
        return text
    whole = column.cast(polars.Int64, strict=False)
    return whole.cast(polars.String).zip_with((whole == column).fill_null(False), text)


def mark_missing(column: polars.Series, marks: Collection[str]) -> polars.Series:
    """Null where a cell is one of some marks: text as it is, numbers by their value.

    >>> mark_missing(polars.Series("size", [-999, 2]), ["-999.0"]).to_list()
    [None, 2]
    """
    if column.dtype == polars.String:
        return column.set(column.is_in(list(marks)), None)
    if not column.dtype.is_numeric():
        return column
    values = polars.Series(list(marks), dtype=polars.String).cast(polars.Float64, strict=False)
    values = values.drop_nulls().drop_nans()
    if not len(values):
        return column
    return column.set(column.cast(polars.Float64).is_in(values.implode()), None)


def is_code(column: polars.Series) -> bool:
    """Whether NA is a code like the others of a column, such as Namibia among countries.

    >>> is_code(polars.Series(["NA", "ZA", "KE"])), is_code(polars.Series(["NA", "red", "KE"]))
    (True, False)
    """
    others = column.filter(~column.is_in(list(MISSING))).unique()
    return len(others) >= 2 and bool(others.str.contains(r"^[A-Z]{2}$").all())


def describe(column: polars.Series, is_wrong: polars.Series) -> str:
    """The number of wrong cells, and the first of them."""
    rows = is_wrong.fill_null(False).arg_true()
    shown = ", ".join(f"row {row + 1}: {column[row]!r}" for row in rows.head(_NUM_SHOWN).to_list())
    more = ", ..." if len(rows) > _NUM_SHOWN else ""
    return (
        f"{len(rows)} {'cell' if len(rows) == 1 else 'cells'} of {len(column)} ({shown}{more}; "
        "rows are counted from 1 below the header)"
    )


def listed(values: Sequence[object], limit: int = _NUM_SHOWN) -> str:
    """The first of some values, for a message.

    >>> listed(["a", "b", "c"], 2)
    "'a', 'b', ..."
    """
    more = ", ..." if len(values) > limit else ""
    return ", ".join(repr(value) for value in values[:limit]) + more
