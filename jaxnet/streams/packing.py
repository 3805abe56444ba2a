"""Write examples into ArrayRecord files."""

import contextlib
import hashlib
import importlib
import operator
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxnet._checks import require_integer
from jaxnet._files import atomic_directory
from jaxnet.streams._description import (
    Column,
    Description,
    Shard,
    hash_file,
    read_description,
    write_description,
)
from jaxnet.streams.source import StreamError

_BYTES_OF_A_RECORD = 1 << 18
_BYTES_OF_A_SHARD = 1 << 28


def write_array_records(
    path: str | Path,
    batches: Iterable[Mapping[str, Any]],
    *,
    metadata: Mapping[str, Any] | None = None,
    examples_per_record: int | None = None,
    bytes_per_shard: int = _BYTES_OF_A_SHARD,
    compression: int = 1,
) -> Description:
    """Pack examples into a folder of ArrayRecord files and a `dataset.json`.

    The folder has its name once it is complete; a process that dies leaves nothing under it. In
    memory are one batch and one record.

    A record holds consecutive examples (the last of all fewer) as the bytes of each column, one
    after the other, in little-endian order. Each record is compressed by itself and can be read
    alone, by Grain too: `grain.sources.ArrayRecordDataSource(files)`.

    Args:
        path: the folder, which must not exist.
        batches: the examples in order, in pieces of any size: dicts of arrays of numbers
            `(n, ...)`, all with the same names, dtypes and shapes of an example.
        metadata: what else is known of the data, which JSON can hold.
        examples_per_record: None makes records of about 256 KB before compression; 1 lets single
            examples be read in any order.
        bytes_per_shard: size of a file before compression, about.
        compression: level of Zstandard, from 1 to 22; 0 compresses nothing.

    Returns:
        What `dataset.json` says.

    Raises:
        StreamError: no examples; values that are no numbers, or of another dtype or shape than
            those before.
        FileExistsError: the folder exists.
        OSError: a file that cannot be written, such as on a full disk.
        ModuleNotFoundError: `array_record` is not installed; it comes with the extra `streams`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     batches = [{"x": np.ones((3, 2))}, {"x": np.zeros((4, 2))}]
    ...     description = write_array_records(f"{folder}/packed", batches)
    ...     sorted(path.name for path in Path(folder, "packed").iterdir())
    ['data-00000.array_record', 'dataset.json']
    >>> description.num_examples, description.columns["x"]
    (7, Column(dtype='float64', shape=(2,)))
    """
    path = Path(path)
    if examples_per_record is not None:
        require_integer("write_array_records", "examples_per_record", examples_per_record, 1)
    require_integer("write_array_records", "bytes_per_shard", bytes_per_shard, 1)
    require_integer("write_array_records", "compression", compression, 0, 22)
    if path.exists():
        raise FileExistsError(f"{path} exists already; name another folder, or remove it")
    compressed = f"zstd:{operator.index(compression)}" if compression else "uncompressed"
    with atomic_directory(path) as folder:
        columns, pieces = _checked(batches)
        size = max(1, sum(column.num_bytes() for column in columns.values()))
        length = operator.index(examples_per_record or max(1, _BYTES_OF_A_RECORD // size))
        per_shard = max(1, bytes_per_shard // (size * length))
        writer = _Writer(folder, columns, per_shard, f"group_size:1,{compressed}")
        for record in _cut(pieces, length):
            writer.write(record)
        shards = writer.finish()
        content = writer.content_sha256()
        write_description(
            folder, Description(columns, length, shards, content, dict(metadata or {}))
        )
    return read_description(path)


class _Writer:
    """Writes records into one file after the other."""

    def __init__(
        self, folder: Path, columns: dict[str, Column], records_per_shard: int, options: str
    ) -> None:
        self._folder, self._columns, self._options = folder, columns, options
        self._records_per_shard, self._num_records, self._num_examples = records_per_shard, 0, 0
        self._shards: list[Shard] = []
        self._writer: Any = None
        self._hashes = {name: hashlib.sha256() for name in columns}

    def write(self, record: dict[str, np.ndarray]) -> None:
        # A compiled module without types.
        module = importlib.import_module("array_record.python.array_record_module")
        if self._writer is None:
            path = str(self._folder / self._name())
            self._writer = module.ArrayRecordWriter(path, self._options)
        parts = {name: record[name].tobytes() for name in self._columns}
        for name, part in parts.items():
            self._hashes[name].update(part)
        with self._naming_errors():
            self._writer.write(b"".join(parts.values()))
        self._num_records += 1
        self._num_examples += len(next(iter(record.values())))
        if self._num_records == self._records_per_shard:
            self._end_shard()

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Raise OSError for what ArrayRecord raises, such as of a full disk."""
        try:
            yield
        except RuntimeError as error:
            # The file has a temporary name, which says nothing to a user.
            reason = str(error).partition(";")[0]
            raise OSError(f"{self._name()} could not be written: {reason}") from error

    def _name(self) -> str:
        return f"data-{len(self._shards):05d}.array_record"

    def _end_shard(self) -> None:
        file = self._folder / self._name()
        with self._naming_errors():
            self._writer.close()
        size = file.stat().st_size
        self._shards.append(Shard(file.name, self._num_examples, size, hash_file(file)))
        self._writer, self._num_records, self._num_examples = None, 0, 0

    def finish(self) -> tuple[Shard, ...]:
        if self._writer is not None:
            self._end_shard()
        return tuple(self._shards)

    def content_sha256(self) -> str:
        content = hashlib.sha256()
        for name, column in self._columns.items():
            content.update(repr((name, *column)).encode())
            content.update(self._hashes[name].digest())
        return content.hexdigest()


def _checked(
    batches: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Column], Iterator[dict[str, np.ndarray]]]:
    """The columns of the first batch, and all batches, which are compared with them."""
    iterator = iter(batches)
    columns: dict[str, Column] = {}

    def arrays(number: int, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
        content = {str(name): np.asarray(values) for name, values in batch.items()}
        for name, values in content.items():
            if values.dtype.kind not in "biuf" or values.ndim == 0:
                raise StreamError(
                    f"batch {number}: {name!r} has dtype {values.dtype} and shape {values.shape}, "
                    "expected numbers (n, ...)"
                )
        lengths = {name: len(values) for name, values in content.items()}
        if len(set(lengths.values())) != 1:
            raise StreamError(f"batch {number}: columns must have one length, found {lengths}")
        return content

    def described(content: dict[str, np.ndarray]) -> dict[str, Column]:
        return {name: Column(v.dtype.name, v.shape[1:]) for name, v in content.items()}

    first = next(iterator, None)
    if first is None:
        raise StreamError("write_array_records: there are no examples; at least one is needed")
    start = arrays(0, first)
    columns = described(start)

    def rest() -> Iterator[dict[str, np.ndarray]]:
        yield start
        for number, batch in enumerate(iterator, 1):
            content = arrays(number, batch)
            if described(content) != columns:
                raise StreamError(
                    f"batch {number} has other columns, dtypes or shapes than the first: "
                    f"{described(content)}, expected {columns}"
                )
            yield content

    return columns, rest()


def _cut(pieces: Iterator[dict[str, np.ndarray]], length: int) -> Iterator[dict[str, np.ndarray]]:
    """Records of `length` examples, and the rest."""
    left: dict[str, np.ndarray] | None = None
    for piece in pieces:
        if left is not None:
            piece = {name: np.concatenate([left[name], values]) for name, values in piece.items()}
        number = len(next(iter(piece.values())))
        whole = number - number % length
        for start in range(0, whole, length):
            yield {name: _little(values[start : start + length]) for name, values in piece.items()}
        left = {name: values[whole:] for name, values in piece.items()}
    if left is not None and len(next(iter(left.values()))):
        yield {name: _little(values) for name, values in left.items()}


def _little(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
