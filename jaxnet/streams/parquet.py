"""Examples in Parquet files, read by row groups."""

import bisect
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxnet.streams._parquet_footer import row_group_sizes
from jaxnet.streams.source import Examples, Source, StreamError

_KEPT_GROUPS = 4


class _Group:
    """One row group: a file, and the place of its rows in the file."""

    def __init__(self, path: Path, first: int, size: int) -> None:
        self.path, self.first, self.size = path, first, size


class _ParquetSource(Source):
    def __init__(self, groups: list[_Group], columns: tuple[str, ...]) -> None:
        self._groups, self._columns = groups, columns
        self.blocks = tuple(group.size for group in groups)
        self._starts = np.cumsum((0, *self.blocks)).tolist()
        self._kept: OrderedDict[int, Examples] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        indices = np.asarray(indices)
        groups = np.searchsorted(self._starts, indices, side="right") - 1
        out: Examples = {}
        for number in np.unique(groups):
            content, rows = self._group(int(number)), np.flatnonzero(groups == number)
            for name, column in content.items():
                if name not in out:
                    out[name] = np.empty(len(indices), column.dtype)
                out[name][rows] = column[indices[rows] - self._starts[number]]
        return out

    def read_range(self, start: int, stop: int) -> Examples:
        number = bisect.bisect_right(self._starts, start) - 1
        if (start, stop) == tuple(self._starts[number : number + 2]):
            # A whole group, as `stream` asks for: it is not kept twice.
            return self._read_group(number)
        return self.read(np.arange(start, stop))

    def _group(self, number: int) -> Examples:
        with self._lock:
            if number not in self._kept:
                self._kept[number] = self._read_group(number)
            self._kept.move_to_end(number)
            if len(self._kept) > _KEPT_GROUPS:
                self._kept.popitem(last=False)
            return self._kept[number]

    def _read_group(self, number: int) -> Examples:
        import polars

        group = self._groups[number]
        where = f"{group.path}, rows {group.first} to {group.first + group.size - 1}"
        try:
            frame = (
                polars.scan_parquet(group.path)
                .select(self._columns)
                .slice(group.first, group.size)
                .collect()
            )
        except (polars.exceptions.PolarsError, OSError) as error:
            raise StreamError(f"{where}: cannot be read: {error}") from error
        if frame.height != group.size:
            raise StreamError(f"{where}: {frame.height} rows were read; the file has changed")
        return {name: _numbers(where, name, frame[name]) for name in self._columns}

    def close(self) -> None:
        with self._lock:
            self._kept.clear()


def _numbers(where: str, name: str, column: Any) -> np.ndarray:
    """A column as NumPy numbers."""
    if column.null_count():
        row = column.is_null().arg_max()
        raise StreamError(
            f"{where}: column {name!r} has no value in row {row} of these; fill or leave out such "
            "rows, or pack the file with python -m experiments.pack"
        )
    return column.to_numpy()


def parquet_source(path: str | Path, *, columns: Sequence[str] | None = None) -> Source:
    """Examples in a Parquet file, or in all Parquet files of a folder, read by row groups.

    A row group is read as a whole, so `blocks` are the row groups: read their examples in an order
    of `index_shuffled(batch_size, blocks=source.blocks, window=)`. Any other order works too, and
    reads a whole group for each example that is not in one of the last four.

    Args:
        path: the file, or a folder, whose files are read in the order of their names.
        columns: names of the columns that are read, numbers or Booleans; None is all.

    Returns:
        The source: an entry `(n,)` for each column.

    Raises:
        StreamError: no Parquet file, no rows, a column that is not there or holds no numbers.
        FileNotFoundError: there is no such file.

    >>> import tempfile, polars
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = polars.DataFrame({"a": range(10), "b": ["text"] * 10})
    ...     table.write_parquet(f"{folder}/some.parquet", row_group_size=4)
    ...     source = parquet_source(f"{folder}/some.parquet", columns=["a"])
    ...     source.blocks, source.read(np.array([9, 0]))["a"].tolist()
    ((4, 4, 2), [9, 0])
    """
    import polars

    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise StreamError(f"parquet_source: {path} holds no .parquet files")
    groups, schema = [], None
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"parquet_source: there is no file {file}")
        first, sizes = 0, row_group_sizes(file)
        for size in sizes:
            groups.append(_Group(file, first, size))
            first += size
        try:
            found = polars.read_parquet_schema(file)
        except (polars.exceptions.PolarsError, OSError) as error:
            raise StreamError(f"{file} is damaged: {error}") from error
        names = tuple(found) if columns is None else tuple(columns)
        wrong = [name for name in names if name not in found]
        if wrong:
            raise StreamError(f"{file} has no column {wrong[0]!r}, found {', '.join(found)}")
        for name in names:
            if not (found[name].is_numeric() or found[name] == polars.Boolean):
                raise StreamError(
                    f"{file}: column {name!r} holds {found[name]}, expected numbers; name the "
                    "columns that are read, or pack the file with python -m experiments.pack"
                )
        chosen = {name: found[name] for name in names}
        if schema is not None and schema != chosen:
            raise StreamError(f"{file} has other columns or types than {files[0]}")
        schema = chosen
    if not groups or not schema:
        raise StreamError(f"parquet_source: {path} holds no rows, or no columns")
    return _ParquetSource(groups, tuple(schema))
