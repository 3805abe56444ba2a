"""Delimited text, such as CSV: every line with as many cells as the header.

Python's `csv` reads it in strict mode and knows the line of a mistake; Polars reads a line that is
too short as one with missing cells. Cells are kept in pieces of numbers, or of text in which each
value is stored once: as text alone, cells of one character would need eight times the file.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

import polars

from experiments.data.tables.cells import MISSING, texts
from experiments.data.tables.header import name_columns

_CELLS_AT_ONCE = 1_000_000
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# More values than this are stored as text.
_MAX_STORED_ONCE = 50_000
_LEADING_ZERO = r"^[+-]?0[0-9]"
# 1.234 is one thousand where the decimal mark is a comma.
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"


class Delimited(NamedTuple):
    """What a delimited file holds.

    Attributes:
        frame: the columns that were asked for: of numbers where every cell is a plain number or
            empty, else of text without white space around it, empty where the cell is.
        names: of all columns of the file.
        notes: what was dropped and named, a sentence each.
        thousands: columns of numbers whose points, if any, may separate thousands.
    """

    frame: polars.DataFrame
    names: list[str]
    notes: list[str]
    thousands: frozenset[str]


def read_delimited(
    path: Path,
    *,
    encoding: str = "utf-8-sig",
    header: Literal["first", "none"] | None = None,
    preferred: str = ",",
    ignore: Collection[str] = (),
    as_text: Collection[str] | None = (),
) -> Delimited:
    """Read delimited text.

    The delimiter is the comma, semicolon, tab or vertical bar that is most frequent in the first
    line, or the one of a line `sep=`. Cells may be quoted with `"`. Rows without any content are
    dropped, and so are columns without a name that count the rows or are empty.

    Args:
        path: the file.
        encoding: of the file.
        header: as for `name_columns`.
        preferred: the delimiter where others are as frequent.
        ignore: columns that are left out.
        as_text: columns whose cells stay text; None is all.

    Returns:
        Its columns.

    Raises:
        ValueError: there is no header or no row, the first row looks like data, two columns have
            one name, a line has more or fewer cells than the header, or a quotation mark is out of
            place; with the number of the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("size;color\\n1.5;red\\n2;blue\\n")
    ...     table = read_delimited(path)
    >>> table.frame.rows(), table.names
    ([(1.5, 'red'), (2.0, 'blue')], ['size', 'color'])
    """
    with path.open(encoding=encoding, newline="") as file:
        delimiter, skip = _find_delimiter(file.read(100_000), preferred)
        file.seek(0)
        lines = _Lines(file, delimiter, skip)
        rows = iter(lines)
        first = next(rows, (1, []))
        sample = list(itertools.islice(rows, 100))
        title = _with_row_names(first[1], [row for _, row in sample])
        names, nameless = name_columns(title, [row for _, row in sample], header)
        columns = _Columns(names, ignore, as_text)
        for line, row in itertools.chain([first] if header == "none" else [], sample, rows):
            columns.add(lines.fitted(line, row, len(names)))
    frame = columns.frame()
    if not columns.num_rows:
        raise ValueError("there is a header and no row; at least one is needed")
    notes = lines.notes()
    frame, dropped = _drop_nameless(frame, names, nameless)
    return Delimited(frame, names, notes + dropped, frozenset(columns.thousands))


def _find_delimiter(text: str, preferred: str) -> tuple[str, int]:
    """The delimiter, and the number of lines before the header."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if (mark := first.strip().removeprefix("sep=")) in _DELIMITERS and "sep=" in first:
        return mark, 1
    unquoted = re.sub(r'"[^"]*"', "", first)
    return max(_DELIMITERS, key=lambda mark: (unquoted.count(mark), mark == preferred)), 0


def _with_row_names(title: list[str], rows: list[list[str]]) -> list[str]:
    """The header with an empty name for a first column that has none, as R writes row names."""
    if not title or not rows or any(len(row) != len(title) + 1 for row in rows):
        return title
    # Where all last cells are empty, each line ends with a delimiter.
    return ["", *title] if any(row[-1].strip() for row in rows) else title


class _Lines:
    """The rows with content, each with the number of the line where it begins."""

    def __init__(self, file: IO[str], delimiter: str, skip: int) -> None:
        self._reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        self._delimiter, self._skip = delimiter, skip
        self._num_empty = self._num_long = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            for row in self._reader:
                if self._skip and row:
                    self._skip -= 1
                elif any(cell and not cell.isspace() for cell in row):
                    yield line, row
                else:
                    self._num_empty += bool(row)
                line = self._reader.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"line {line} cannot be read ({error}); look for a quotation mark that is not "
                "closed, and double those inside a quoted cell"
            ) from error

    def fitted(self, line: int, row: list[str], num_columns: int) -> list[str]:
        """A row of the length of the header: an empty cell behind its last one does not count."""
        if len(row) == num_columns + 1 and not row[-1].strip():
            self._num_long += 1
            return row[:-1]
        if len(row) == num_columns:
            return row
        raise ValueError(
            f"line {line} has {len(row)} cells and the header {num_columns}, delimited by "
            f"{_DELIMITERS[self._delimiter]}; correct the line, or remove lines that are not part "
            "of the table"
        )

    def notes(self) -> list[str]:
        """What was dropped."""
        notes = []
        if self._num_empty:
            rows = "row" if self._num_empty == 1 else "rows"
            notes.append(f"{self._num_empty} {rows} without content dropped")
        if self._num_long:
            rows = "row" if self._num_long == 1 else "rows"
            notes.append(f"the empty cell at the end of {self._num_long} {rows} dropped")
        return notes


class _Columns:
    """Columns that grow by rows and are stored in pieces."""

    def __init__(
        self, names: list[str], ignore: Collection[str], as_text: Collection[str] | None
    ) -> None:
        self._kept = [i for i, name in enumerate(names) if name not in ignore]
        self._names = names
        self._as_text = names if as_text is None else as_text
        self._pieces: dict[str, list[polars.Series]] = {names[i]: [] for i in self._kept}
        self._rows: list[list[str]] = []
        self._at_once = max(1, _CELLS_AT_ONCE // len(names))
        self.num_rows = 0
        self.thousands = set(self._pieces)

    def add(self, row: list[str]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) == self._at_once:
            self._store()

    def frame(self) -> polars.DataFrame:
        """All rows. The pieces are given up."""
        self._store()
        return polars.DataFrame(
            [self._join(name, self._pieces.pop(name)) for name in [*self._pieces]]
        )

    def _store(self) -> None:
        self.num_rows += len(self._rows)
        for i in self._kept if self._rows else []:
            name = self._names[i]
            cells = polars.Series(name, [row[i] for row in self._rows], dtype=polars.String)
            cells = cells.str.strip_chars()
            piece = None if name in self._as_text else _plain_numbers(cells)
            # Only points can separate thousands, and integers have none.
            if piece is None or (piece.dtype.is_float() and not _may_be_thousands(cells)):
                self.thousands.discard(name)
            self._pieces[name].append(stored_once(cells) if piece is None else piece)
        self._rows = []

    def _join(self, name: str, pieces: list[polars.Series]) -> polars.Series:
        if pieces and all(piece.dtype.is_numeric() for piece in pieces):
            frames = [piece.to_frame() for piece in pieces]
            return polars.concat(frames, how="vertical_relaxed").to_series()
        # Text in a later piece: all cells are text.
        joined = [texts(piece).fill_null("") for piece in pieces]
        return (
            stored_once(polars.concat(joined)) if joined else polars.Series(name, [], polars.String)
        )


def _plain_numbers(cells: polars.Series) -> polars.Series | None:
    """Numbers, null where a cell is empty, in the smallest type; None where some cell is text."""
    # A mark of a missing cell is one in a column of numbers, whatever it is elsewhere.
    is_empty = cells.is_in(list(MISSING))
    num_empty = int(is_empty.sum())
    # Text, since NA alone may be a code.
    if num_empty == len(cells) or cells.str.contains(_LEADING_ZERO).any():
        return None
    whole = cells.cast(polars.Int64, strict=False)
    if whole.null_count() == num_empty:
        return whole.shrink_dtype()
    values = cells.cast(polars.Float64, strict=False)
    is_number = values.is_finite().fill_null(False)
    return values if (is_number | is_empty).all() else None


def _may_be_thousands(cells: polars.Series) -> bool:
    has_point = cells.str.contains_any([".", "e", "E"])
    return bool((cells.str.contains(_THOUSANDS) | ~has_point).all())


def stored_once(cells: polars.Series) -> polars.Series:
    """Text as indices into its values, where these are few; null stays null.

    >>> stored_once(polars.Series(["u", "v", "u", "u"] * 3)).dtype
    Enum(categories=['u', 'v'])
    """
    values = cells.drop_nulls().unique()
    few = len(values) <= min(_MAX_STORED_ONCE, len(cells) // 4)
    return cells.cast(polars.Enum(values.sort())) if few else cells


def _drop_nameless(
    frame: polars.DataFrame, names: list[str], nameless: list[bool]
) -> tuple[polars.DataFrame, list[str]]:
    """Without columns that have no name and are empty or count the rows, and notes of these."""
    notes = []
    for i, name in enumerate(names):
        if name not in frame.columns or not (nameless[i] or name == "Unnamed: 0"):
            continue
        column = frame[name]
        if not column.dtype.is_numeric() and (column.cast(polars.String) == "").all():
            notes.append(f"column {i + 1} is empty and has no name; dropped")
        elif counts_rows(column):
            notes.append(f"column {i + 1} counts the rows and has no name; dropped")
        else:
            if nameless[i]:
                notes.append(f"column {i + 1} has no name and is called {name}")
            continue
        frame = frame.drop(name)
    return frame, notes


def counts_rows(column: polars.Series) -> bool:
    """Whether a column holds 0, 1, 2, ... or 1, 2, 3, ...

    >>> counts_rows(polars.Series([1, 2, 3])), counts_rows(polars.Series([1, 3, 2]))
    (True, False)
    """
    if not column.dtype.is_integer() or column.null_count() or not len(column):
        return False
    first = column[0]
    counting = polars.int_range(first, first + len(column), eager=True)
    return first in (0, 1) and bool((column.cast(polars.Int64) == counting).all())
