"""The number of rows of each row group of a Parquet file, which its footer holds.

The footer is a structure of Thrift in its compact protocol; of `FileMetaData`, field 4 is the list
of row groups, and of a `RowGroup`, field 3 is the number of its rows. All other fields are skipped.
Sources: Apache Parquet, "File Format" and parquet.thrift; Apache Thrift, "Thrift Compact protocol
encoding".
"""

from pathlib import Path
from typing import Any

from jaxnet.streams.source import StreamError

_MAGIC = b"PAR1"
_MAX_FOOTER = 1 << 30
_MAX_DEPTH = 32
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)


def row_group_sizes(path: Path) -> tuple[int, ...]:
    """Rows of each row group.

    Args:
        path: the Parquet file.

    Returns:
        The numbers of rows, in the order of the file.

    Raises:
        StreamError: not a Parquet file, or one whose footer is damaged.

    >>> import tempfile, polars
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.parquet")
    ...     polars.DataFrame({"a": range(10)}).write_parquet(path, row_group_size=4)
    ...     row_group_sizes(path)
    (4, 4, 2)
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        if size < 12 or magic != _MAGIC or length > min(size - 12, _MAX_FOOTER):
            raise StreamError(f"{path} is not a Parquet file, or is cut off")
        file.seek(size - 8 - length)
        content = file.read(length)
    try:
        footer = _Compact(content).struct(0, {4: {3: None}})
        sizes = tuple(int(group[3]) for group in footer[4])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StreamError(f"{path} has a damaged footer: {error!r}") from error
    if min(sizes, default=0) < 0:
        raise StreamError(f"{path} has a damaged footer: a row group of {min(sizes)} rows")
    return tuple(size for size in sizes if size)


class _Compact:
    """Reads Thrift's compact protocol, and keeps the fields that are wanted."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def struct(self, depth: int, wanted: dict[int, Any]) -> dict[int, Any]:
        """The wanted fields of a structure; a value of `wanted` says what of a field is wanted."""
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        fields, number = {}, 0
        while kind := self._byte():
            delta, kind = kind >> 4, kind & 15
            number = number + delta if delta else self._zigzag()
            value = self._value(kind, depth + 1, wanted.get(number) or {})
            if number in wanted:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int, wanted: dict[int, Any]) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind in _INTEGERS:
            return self._zigzag()
        if kind == _DOUBLE:
            return self._skip(8)
        if kind == _BINARY:
            return self._skip(self._varint())
        if kind in (_LIST, _SET):
            header = self._byte()
            number, of = header >> 4, header & 15
            number = self._varint() if number == 15 else number
            # A Boolean in a list is a byte.
            of = _BYTE if of in (_TRUE, _FALSE) else of
            self._require(number)
            return [self._value(of, depth + 1, wanted) for _ in range(number)]
        if kind == _MAP:
            number = self._varint()
            kinds = self._byte() if number else 0
            self._require(number)
            for _ in range(number):
                self._value(kinds >> 4, depth + 1, {})
                self._value(kinds & 15, depth + 1, {})
            return None
        if kind == _STRUCT:
            return self.struct(depth, wanted)
        raise ValueError(f"unknown type {kind}")

    def _require(self, number: int) -> None:
        if number > len(self._content) - self._place:
            raise ValueError(f"{number} entries in {len(self._content) - self._place} bytes")

    def _skip(self, number: int) -> None:
        self._require(number)
        self._place += number

    def _byte(self) -> int:
        value = self._content[self._place]
        self._place += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
