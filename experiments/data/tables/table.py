"""A table from a CSV, Parquet or NPZ file: named columns of numbers, Booleans or text.

Messages count rows from 1 and do not count the header, in every format: row 1 of a CSV file is its
second line. Only where a line of text cannot be read at all is the number of the line given.
"""

import contextlib
import difflib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars

from experiments.data.tables.delimited import check_names, read_delimited
from experiments.data.tables.npz import read_npz

# What an NPZ or Parquet file may declare to hold; a CSV file is as large as it is.
MAX_BYTES = 4 << 30
DELIMITED, PARQUET, NPZ = (".csv", ".tsv", ".txt"), (".parquet", ".pq"), (".npz",)
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_NUM_SHOWN = 5


def read_table(
    path: Path, *, ignore: Sequence[str] = (), categories: Sequence[str] = ()
) -> polars.DataFrame:
    """Read a table and infer the types of its columns.

    Parquet and NPZ files declare them. In delimited text a column is one of numbers if every cell
    is a finite number. If at least half of the cells are numbers but not all, it is rejected, since
    that is probably a mistake; otherwise it is text. Missing cells do not count: `MISSING`, null
    and NaN, with or without white space around them.

    Args:
        path: a file with one of the suffixes `DELIMITED`, `PARQUET` or `NPZ`.
        ignore: columns that are left out.
        categories: columns that are read as text, whatever they contain.

    Returns:
        Columns of the types Float64, Int64, Boolean or String; null is a missing cell.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the path has another suffix, is not a file or cannot be read; a column of
            `ignore` or `categories` is unknown; a column of numbers contains text or a number that
            is infinite in float32; a column has another type.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("size,color\\n1.5,red\\nNA,blue\\n")
    ...     read_table(path).rows()
    [(1.5, 'red'), (None, 'blue')]
    """
    path = Path(path)
    with naming(path):
        frame, names = _read(path, ignore)
        for argument, columns in (("ignore", ignore), ("categories", categories)):
            for name in columns:
                require_column(argument, name, names)
        if both := [name for name in categories if name in ignore]:
            raise ValueError(f"column {both[0]!r} is in ignore and in categories; choose one")
        infer = path.suffix.lower() in DELIMITED
        return frame.with_columns(
            texts(column) if column.name in categories else _infer(column) if infer else column
            for column in frame.get_columns()
        )


def read_cells(path: Path, *, ignore: Collection[str] = ()) -> polars.DataFrame:
    """Read a table whose columns are known: the cells of delimited text stay text.

    Args:
        path: as for `read_table`.
        ignore: columns that are left out where they exist.

    Returns:
        As `read_table`, but every column of delimited text is a String.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the path has another suffix, is not a file or cannot be read, or a column has a
            type other than numbers, Booleans and text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("size,color\\n1.50,red\\nNA,blue\\n")
    ...     read_cells(path).rows()
    [('1.50', 'red'), (None, 'blue')]
    """
    path = Path(path)
    with naming(path):
        return _read(path, ignore)[0]


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
    nearest = [repr(near) for near in difflib.get_close_matches(name, known)]
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    raise ValueError(f"{argument}: there is no column {name!r}; {hint}columns: {shown}")


def numbers(column: polars.Series) -> polars.Series:
    """The cells of a column as numbers, also of a column of text whose cells are numbers.

    Args:
        column: of a table that `read_table` or `read_cells` returned.

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
        is_text = column.is_not_null() & ~_is_number(values)
        if is_text.any():
            raise ValueError(
                f"column {column.name!r} holds text in a column of numbers: "
                f"{_describe(column, is_text)}; correct the cells"
            )
    values = values.fill_nan(None)
    if (too_large := values.abs() > _FLOAT32_MAX).any():
        raise ValueError(
            f"column {column.name!r} holds numbers that are infinite in float32: "
            f"{_describe(column, too_large.fill_null(False))}; correct the cells or mark them as "
            "missing (NA)"
        )
    return values


def texts(column: polars.Series) -> polars.Series:
    """The cells of a column as text; a whole number is written without a point.

    Args:
        column: of a table that `read_table` or `read_cells` returned.

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


def _read(path: Path, ignore: Collection[str]) -> tuple[polars.DataFrame, list[str]]:
    """The columns that are not ignored, in plain types, and the names of all."""
    known = (*DELIMITED, *PARQUET, *NPZ)
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; check the path (--data)")
    if not path.is_file():
        kind = "folder" if path.is_dir() else "device"
        raise ValueError(f"this is a {kind}, expected a file ending in {', '.join(known)}")
    if suffix not in known:
        raise ValueError(
            f"the suffix {suffix!r} is unknown, expected one of {', '.join(known)}; rename the "
            "file or save it in one of these formats"
        )
    if suffix in DELIMITED:
        preferred = "\t" if suffix == ".tsv" else ","
        frame, names = read_delimited(path.read_bytes(), preferred=preferred, ignore=ignore)
    elif suffix in PARQUET:
        frame, names = _read_parquet(path, ignore)
    else:
        columns, names = read_npz(path, max_bytes=MAX_BYTES, ignore=ignore)
        frame = polars.DataFrame([_series(name, columns[name]) for name in columns])
    if frame.width and not frame.height:
        raise ValueError("there are no rows; at least one is needed")
    frame.columns = check_names(frame.columns) if frame.width else []
    return frame.select(_plain(column) for column in frame.get_columns()), names


def _series(name: str, array: np.ndarray) -> polars.Series:
    """A column of an array: Polars does not support 128-bit floats and foreign byte orders."""
    plain = array.astype(np.float64) if array.dtype.kind == "f" else array
    return polars.Series(name, plain.astype(plain.dtype.newbyteorder("=")))


def _read_parquet(path: Path, ignore: Collection[str]) -> tuple[polars.DataFrame, list[str]]:
    """The columns that are not ignored, whose types and number of cells are checked first."""
    try:
        lazy = polars.scan_parquet(path.absolute(), glob=False, hive_partitioning=False)
        schema = lazy.collect_schema()
        kept = [name for name in schema if name.strip() not in ignore]
        for name in kept:
            _require_plain(name, schema[name])
        num_cells = lazy.select(polars.len()).collect().item() * len(kept)
        # Run-length encoding lets a small file declare any number of rows.
        if num_cells * 8 > MAX_BYTES:
            raise ValueError(
                f"it declares {num_cells} cells, at most {MAX_BYTES // 8} are read; split the file "
                "or leave columns out with --ignore"
            )
        return lazy.select(kept).collect(), [name.strip() for name in schema]
    # PanicException, which a damaged file may raise, is not an Exception.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise ValueError(
            f"the file is not an intact Parquet file ({str(error).splitlines()[0]}); write it again"
        ) from error


def _require_plain(name: str, dtype: polars.DataType) -> None:
    text_like = dtype in (polars.String, polars.Categorical, polars.Enum, polars.Boolean)
    if not (dtype.is_numeric() or text_like or dtype == polars.Null):
        raise ValueError(
            f"column {name!r} is of the type {dtype}, expected numbers, Booleans or text; convert "
            f"it (a date to a number of days, a list to columns), or leave it out with "
            f"--ignore {name}"
        )


def _plain(column: polars.Series) -> polars.Series:
    """Float64, Int64, Boolean or String; missing cells are null, text has no white space around."""
    dtype = column.dtype
    _require_plain(column.name, dtype)
    if dtype == polars.Boolean:
        return column
    if dtype.is_integer():
        whole = column.cast(polars.Int64, strict=False)
        fits = whole.null_count() == column.null_count()
        return whole if fits else column.cast(polars.Float64)
    if dtype.is_numeric() or dtype == polars.Null:
        return column.cast(polars.Float64).fill_nan(None)
    text = column.cast(polars.String).str.strip_chars()
    return text.set(text.is_in(MISSING), None)


def _infer(column: polars.Series) -> polars.Series:
    """A column of text as numbers, if all of its cells are numbers."""
    values = column.cast(polars.Float64, strict=False)
    num_cells, num_numbers = len(column) - column.null_count(), int(_is_number(values).sum())
    if num_numbers == num_cells:
        numbers(column)
        whole = column.cast(polars.Int64, strict=False)
        return whole if 0 < num_cells == len(whole) - whole.null_count() else values
    remedies = (
        f"correct the cells, or take the column as categories (--categories {column.name}), or "
        f"leave a feature out (--ignore {column.name})"
    )
    if 2 * num_numbers >= num_cells:
        is_text = column.is_not_null() & ~_is_number(values)
        raise ValueError(
            f"column {column.name!r} holds text in a column of numbers: "
            f"{_describe(column, is_text)}; {remedies}"
        )
    has_comma = column.str.contains(r"^[+-]?[0-9.]*[0-9],[0-9]+$").fill_null(False)
    if 2 * has_comma.sum() >= num_cells:
        raise ValueError(
            f"column {column.name!r} holds numbers written with a comma: "
            f"{_describe(column, has_comma)}; write 1.5 and 1000; {remedies}"
        )
    return column


def _is_number(values: polars.Series) -> polars.Series:
    """Which cells were read as a number; "NAN" is not a number."""
    return values.is_not_nan().fill_null(False)


def _describe(column: polars.Series, is_wrong: polars.Series) -> str:
    """The number of wrong cells, and the first of them."""
    rows = is_wrong.arg_true()
    shown = ", ".join(f"row {row + 1}: {column[row]!r}" for row in rows.head(_NUM_SHOWN).to_list())
    more = ", ..." if len(rows) > _NUM_SHOWN else ""
    return (
        f"{len(rows)} {'cell' if len(rows) == 1 else 'cells'} of {len(column)} ({shown}{more}; "
        "rows are counted from 1 below the header)"
    )
