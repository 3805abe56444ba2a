"""A table from a CSV, Parquet or NPZ file: named columns of numbers, dates, Booleans or text."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import polars

from experiments.config import TableOptions
from experiments.data.tables.cells import clean_name, listed, naming, require_column
from experiments.data.tables.delimited import read_delimited, stored_once
from experiments.data.tables.encoding import find_encoding
from experiments.data.tables.header import check_names
from experiments.data.tables.inference import Reading, Role, infer
from experiments.data.tables.npz import read_npz

# What an NPZ or Parquet file may declare to hold; a CSV file is as large as it is.
MAX_BYTES = 4 << 30
# A cell of text needs 16 bytes, and an index into few texts one.
_MANY_ROWS = 10_000
DELIMITED, PARQUET, NPZ = (".csv", ".tsv", ".txt"), (".parquet", ".pq"), (".npz",)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        frame: the columns that are not left out; null is a missing cell of `read_table`, and cells
            of text are as they are in the file after `read_cells`.
        names: of all columns of the file.
        notes: what the user should know, a sentence each.
        readings: how the cells of each column were read, without its values.
        encoding: of a text file; None elsewhere.
    """

    frame: polars.DataFrame
    names: list[str]
    notes: tuple[str, ...] = ()
    readings: dict[str, Reading] = dataclasses.field(default_factory=dict)
    encoding: str | None = None


def read_table(
    path: Path,
    options: TableOptions | None = None,
    *,
    label: str | None = None,
    task: Literal["classification", "regression"] = "classification",
) -> Table:
    """Read a table and infer what its columns hold, as `infer` describes.

    Args:
        path: a file with one of the suffixes `DELIMITED`, `PARQUET` or `NPZ`.
        options: how it is read.
        label: the column that is predicted, whose classes may be any text.
        task: whether it holds classes or numbers.

    Returns:
        Columns of Float64, an integer type, Boolean, String, Date, Datetime or Time; of many rows,
        Enum instead of String.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the path has another suffix, is not a file or cannot be read; a column that an
            option names is unknown; `infer` rejects a column, or it has another type.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("size,color\\n1.5,red\\nNA,blue\\n")
    ...     read_table(path).frame.rows()
    [(1.5, 'red'), (None, 'blue')]
    """
    path, options = Path(path), TableOptions() if options is None else options
    with naming(path):
        table, is_open = _read(path, options)
        for argument in ("ignore", "categories"):
            for name in getattr(options, argument):
                require_column(argument, clean_name(name), table.names)
        if both := [name for name in options.categories if name in options.ignore]:
            raise ValueError(f"column {both[0]!r} is in ignore and in categories; choose one")
        declares = path.suffix.lower() not in DELIMITED
        columns, readings, notes = [], {}, list(table.notes)
        frame = table.frame
        for name in frame.columns:
            role: Role = "feature"
            if label is not None and name == clean_name(label):
                role = "class" if task == "classification" else "target"
            reading = infer(
                frame[name], options, role=role, is_declared=declares, is_open=name in is_open
            )
            # One column at a time, so that text and its values are not all in memory.
            frame = frame.drop(name)
            values = reading.values
            if values.dtype == polars.String and len(values) > _MANY_ROWS:
                values = stored_once(values)
            columns.append(values)
            readings[name] = reading._replace(values=reading.values[:0])
            notes += [f"column {name!r}: {note}" for note in reading.notes]
        _reject_open(readings, options)
        table = dataclasses.replace(
            table, frame=polars.DataFrame(columns), notes=tuple(notes), readings=readings
        )
        return table


def read_cells(
    path: Path, options: TableOptions | None = None, *, likely: str | None = None
) -> Table:
    """Read a table whose columns are known: the cells of delimited text stay text.

    Args:
        path: as for `read_table`.
        options: how it is read; columns to ignore need not exist.
        likely: the encoding of a text file that is not UTF-8 or UTF-16.

    Returns:
        As `read_table`, but every column of delimited text is a String, where an empty cell is "".

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the path has another suffix, is not a file or cannot be read, or a column has a
            type other than numbers, Booleans, text and dates.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("size,color\\n1.50,red\\nNA,blue\\n")
    ...     read_cells(path).frame.rows()
    [('1.50', 'red'), ('NA', 'blue')]
    """
    path, options = Path(path), TableOptions() if options is None else options
    with naming(path):
        table, _ = _read(path, options, as_text=True, likely=likely)
        is_enum = [name for name, dtype in table.frame.schema.items() if dtype == polars.Enum]
        return dataclasses.replace(
            table, frame=table.frame.with_columns(polars.col(is_enum).cast(polars.String))
        )


def _read(
    path: Path, options: TableOptions, *, as_text: bool = False, likely: str | None = None
) -> tuple[Table, frozenset[str]]:
    """The columns that are not ignored, and those whose points may separate thousands."""
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
    ignore = {clean_name(name) for name in options.ignore}
    if suffix in DELIMITED:
        encoding, note = find_encoding(path, given=options.encoding, likely=likely)
        # Decimal commas and categories are read from the cells as they are written.
        keep = None if as_text or options.decimal == "comma" else options.categories
        read = read_delimited(
            path,
            encoding=encoding,
            header=options.header,
            preferred="\t" if suffix == ".tsv" else ",",
            ignore=ignore,
            as_text=keep,
        )
        notes = tuple(filter(None, (note, *read.notes)))
        return Table(read.frame, read.names, notes, encoding=encoding), read.thousands
    if suffix in PARQUET:
        frame, names = _read_parquet(path, ignore)
    else:
        columns, names = read_npz(path, max_bytes=MAX_BYTES, ignore=ignore)
        frame = polars.DataFrame([_series(name, columns[name]) for name in columns])
    if frame.width and not frame.height:
        raise ValueError("there are no rows; at least one is needed")
    frame.columns = check_names(frame.columns) if frame.width else []
    frame = frame.select(_plain(column) for column in frame.get_columns())
    index = [name for name in ("__index_level_0__",) if name in frame.columns]
    notes = tuple(f"column {name!r} is the index of pandas; dropped" for name in index)
    return Table(frame.drop(index), names, notes), frozenset()


def _series(name: str, array: np.ndarray) -> polars.Series:
    """A column of an array: Polars does not support 128-bit floats and foreign byte orders."""
    plain = array.astype(np.float64) if array.dtype.kind == "f" else array
    return polars.Series(name, plain.astype(plain.dtype.newbyteorder("=")))


def _read_parquet(path: Path, ignore: Collection[str]) -> tuple[polars.DataFrame, list[str]]:
    """The columns that are not ignored, whose types and number of cells are checked first."""
    try:
        lazy = polars.scan_parquet(path.absolute(), glob=False, hive_partitioning=False)
        schema = lazy.collect_schema()
        kept = [name for name in schema if clean_name(name) not in ignore]
        for name in kept:
            _require_plain(name, schema[name])
        num_cells = lazy.select(polars.len()).collect().item() * len(kept)
        # Run-length encoding lets a small file declare any number of rows.
        if num_cells * 8 > MAX_BYTES:
            raise ValueError(
                f"it declares {num_cells} cells, at most {MAX_BYTES // 8} are read; split the file "
                "or leave columns out with --ignore"
            )
        return lazy.select(kept).collect(), [clean_name(name) for name in schema]
    # PanicException, which a damaged file may raise, is not an Exception.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise ValueError(
            f"the file is not an intact Parquet file ({str(error).splitlines()[0]}); write it again"
        ) from error


def _require_plain(name: str, dtype: polars.DataType) -> None:
    text_like = dtype in (polars.String, polars.Categorical, polars.Enum, polars.Boolean)
    if not (dtype.is_numeric() or dtype.is_temporal() or text_like or dtype == polars.Null):
        raise ValueError(
            f"column {name!r} is of the type {dtype}, expected numbers, dates, Booleans or text; "
            f"convert it (a list to columns), or leave it out with --ignore {name}"
        )


def _plain(column: polars.Series) -> polars.Series:
    """Numbers, dates, Booleans or text without white space around it; no NaN."""
    dtype = column.dtype
    _require_plain(column.name, dtype)
    if dtype == polars.Boolean or dtype.is_temporal():
        return column
    if dtype.is_integer():
        whole = column.cast(polars.Int64, strict=False)
        fits = whole.null_count() == column.null_count()
        return column if fits else column.cast(polars.Float64)
    if dtype.is_numeric() or dtype == polars.Null:
        return column.cast(polars.Float64).fill_nan(None)
    return column.cast(polars.String).str.strip_chars()


def _reject_open(readings: dict[str, Reading], options: TableOptions) -> None:
    """Raise where plain numbers may have points between thousands, as other columns have."""
    commas = [
        name
        for name, reading in readings.items()
        if reading.notation.certain and reading.notation.decimal == "comma"
    ]
    is_open = [name for name, reading in readings.items() if reading.is_open]
    if commas and is_open and options.decimal is None:
        raise ValueError(
            f"column {is_open[0]!r} holds numbers like 1.234, which may be thousands since column "
            f"{commas[0]!r} has decimal commas; say which is the decimal mark with --decimal point "
            f"or --decimal comma ({listed(is_open)})"
        )
