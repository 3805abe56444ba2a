"""Delimited text, such as CSV: every cell as text, every line with as many cells as the header.

Python's `csv` reads it in strict mode and knows the line of a mistake; Polars reads a line that is
too short as one with missing cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars

_ROWS_AT_ONCE = 20_000
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_delimited(
    content: bytes, *, preferred: str = ",", ignore: Collection[str] = ()
) -> tuple[polars.DataFrame, list[str]]:
    """Read delimited text with a header.

    The delimiter is the comma, semicolon or tab that is most frequent in the header. Cells may
    be quoted with `"`; blank lines are skipped.

    Args:
        content: the file, UTF-8, with or without a byte order mark.
        preferred: the delimiter where others are as frequent.
        ignore: columns that are left out.

    Returns:
        The other columns, all text as it is in the file, and the names of all columns.

    Raises:
        ValueError: the content is binary or has another encoding, there is no header or no row, a
            column has no name or the name of another, a line has more or fewer cells than the
            header, or a quotation mark is out of place; with the number of the line.

    >>> frame, names = read_delimited(b"size;color\\n1.5;red\\n2;blue\\n")
    >>> frame.rows(), names
    ([('1.5', 'red'), ('2', 'blue')], ['size', 'color'])
    """
    import polars

    text = _decode(content)
    delimiter = _find_delimiter(text, preferred)
    lines = _numbered(text, delimiter)
    names = check_names(next(lines, (0, []))[1])
    kept = [i for i, name in enumerate(names) if name not in ignore]
    schema = {names[i]: polars.String for i in kept}
    frames, rows = [], []
    for line, row in lines:
        if len(row) != len(names):
            raise ValueError(
                f"line {line} has {len(row)} cells and the header {len(names)}, delimited by "
                f"{_DELIMITERS[delimiter]}; correct the line"
            )
        rows.append(row)
        if len(rows) == _ROWS_AT_ONCE:
            frames.append(_frame(rows, kept, schema))
            rows = []
    if rows:
        frames.append(_frame(rows, kept, schema))
    if not frames:
        raise ValueError("there is a header and no row; at least one is needed")
    return polars.concat(frames), names


def check_names(names: Sequence[str]) -> list[str]:
    """The names of columns without the white space around them.

    Args:
        names: as the file has them.

    Returns:
        The names, all different.

    Raises:
        ValueError: there are no columns, or one has no name or the name of another.

    >>> check_names([" size", "color"])
    ['size', 'color']
    """
    names = [name.strip() for name in names]
    if not names:
        raise ValueError("the file is empty; a header with the names of the columns is needed")
    seen: dict[str, int] = {}
    for i, name in enumerate(names, 1):
        if not name:
            raise ValueError(f"column {i} of {len(names)} has no name; name it in the header")
        if name in seen:
            raise ValueError(f"columns {seen[name]} and {i} are both called {name!r}; rename one")
        seen[name] = i
    return names


def _decode(content: bytes) -> str:
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise ValueError(
            f"line {line} holds a zero byte, so this is a binary file or UTF-16, expected text in "
            "UTF-8; export it as CSV (UTF-8)"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not text in UTF-8 (byte 0x{content[error.start]:02x}); "
            "export the file as CSV (UTF-8)"
        ) from None


def _find_delimiter(text: str, preferred: str) -> str:
    header = text.lstrip("\r\n")[:100_000].splitlines()[:1]
    unquoted = re.sub(r'"[^"]*"', "", header[0]) if header else ""
    return max(_DELIMITERS, key=lambda mark: (unquoted.count(mark), mark == preferred))


def _numbered(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of the line where it begins."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"line {line} cannot be read ({error}); look for a quotation mark that is not closed, "
            "and double those inside a quoted cell"
        ) from error


def _frame(rows: list[list[str]], kept: list[int], schema: dict) -> polars.DataFrame:
    import polars

    columns = list(zip(*rows, strict=True))
    return polars.DataFrame([columns[i] for i in kept], schema=schema, orient="col")
