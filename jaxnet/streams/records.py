"""Examples packed into ArrayRecord files: records of consecutive examples, and a description."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxnet.streams._description import FILE, Description, hash_file, read_description
from jaxnet.streams.source import Examples, Source, StreamError

_KEPT_RECORDS = 16
# Records are read one by one, and nothing is read ahead of them.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


class ArrayRecordSource(Source):
    """A source that `array_record_source` opens.

    Attributes:
        blocks: number of examples in a record.
        description: what `dataset.json` says.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        self._folder, self.description = folder, description
        self.blocks = self._per_record = description.examples_per_record
        sizes = [-(-shard.num_examples // self._per_record) for shard in description.shards]
        self._starts = np.cumsum([0, *sizes])
        self._readers: dict[int, Any] = {}
        self._kept: OrderedDict[int, Examples] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.description.num_examples

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        indices = np.asarray(indices)
        numbers = indices // self._per_record
        out = self._empty(len(indices))
        for number in np.unique(numbers):
            rows, record = np.flatnonzero(numbers == number), self._record(int(number))
            for name, column in record.items():
                out[name][rows] = column[indices[rows] - number * self._per_record]
        return out

    def read_range(self, start: int, stop: int) -> Examples:
        out, first = self._empty(stop - start), start // self._per_record
        for number, record in enumerate(
            self._read_records(first, -(-stop // self._per_record)), first
        ):
            place = number * self._per_record
            low, high = max(start, place), min(stop, place + self._per_record)
            for name, column in self._decoded(number, record).items():
                out[name][low - start : high - start] = column[low - place : high - place]
        return out

    def _empty(self, length: int) -> Examples:
        return {
            name: np.empty((length, *column.shape), column.dtype)
            for name, column in self.description.columns.items()
        }

    def _record(self, number: int) -> Examples:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        (record,) = self._read_records(number, number + 1)
        examples = self._decoded(number, record)
        with self._lock:
            self._kept[number] = examples
            if len(self._kept) > _KEPT_RECORDS:
                self._kept.popitem(last=False)
        return examples

    def _read_records(self, first: int, last: int) -> list[bytes]:
        records: list[bytes] = []
        while first < last:
            shard = int(np.searchsorted(self._starts, first, side="right")) - 1
            stop = min(last, int(self._starts[shard + 1]))
            place = first - int(self._starts[shard])
            try:
                records += self._reader(shard).read(place, place + stop - first)
            except StreamError:
                raise
            except (RuntimeError, ValueError, IndexError, OSError) as error:
                file = self._folder / self.description.shards[shard].file
                raise StreamError(
                    f"{file}: records {place} to {place + stop - first - 1} cannot be read: {error}"
                ) from error
            first = stop
        return records

    def _reader(self, shard: int) -> Any:
        from array_record.python import array_record_module

        with self._lock:
            if shard not in self._readers:
                file = self._folder / self.description.shards[shard].file
                reader = array_record_module.ArrayRecordReader(str(file), _READER_OPTIONS)
                expected = int(self._starts[shard + 1] - self._starts[shard])
                if reader.num_records() != expected:
                    raise StreamError(
                        f"{file} holds {reader.num_records()} records, expected {expected}; pack "
                        "the data again"
                    )
                self._readers[shard] = reader
            return self._readers[shard]

    def _decoded(self, number: int, record: bytes) -> Examples:
        length = min(self._per_record, len(self) - number * self._per_record)
        columns = self.description.columns
        expected = length * sum(column.num_bytes() for column in columns.values())
        if len(record) != expected:
            shard = int(np.searchsorted(self._starts, number, side="right")) - 1
            raise StreamError(
                f"{self._folder / self.description.shards[shard].file}: record "
                f"{number - int(self._starts[shard])} has {len(record)} bytes, expected {expected}"
            )
        examples, place = {}, 0
        for name, column in columns.items():
            size = length * column.num_bytes()
            dtype = np.dtype(column.dtype).newbyteorder("<")
            values = np.frombuffer(record[place : place + size], dtype)
            examples[name] = values.reshape(length, *column.shape)
            place += size
        return examples

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            readers, self._readers = self._readers, {}
        for reader in readers.values():
            reader.close()

    def verify(self) -> None:
        """Compare each file with its SHA-256.

        Raises:
            StreamError: a file that has changed since it was packed.
        """
        for shard in self.description.shards:
            if hash_file(self._folder / shard.file) != shard.sha256:
                raise StreamError(
                    f"{self._folder / shard.file} has changed since it was packed; copy it again, "
                    "or pack the data again"
                )


def array_record_source(path: str | Path) -> ArrayRecordSource:
    """Examples that `write_array_records` or `python -m experiments.pack` packed.

    Args:
        path: the folder, or its `dataset.json`.

    Returns:
        The source, whose blocks are the records.

    Raises:
        StreamError: a description that is damaged, files that are missing or have another size.
        FileNotFoundError: there is no such folder.
        ModuleNotFoundError: `array_record` is not installed; it comes with the extra `streams`.

    >>> import tempfile
    >>> from jaxnet.streams import write_array_records
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     examples = [{"x": np.arange(10.0)}]
    ...     _ = write_array_records(f"{folder}/packed", examples, examples_per_record=4)
    ...     source = array_record_source(f"{folder}/packed")
    ...     len(source), source.blocks, source.read(np.array([9, 0]))["x"].tolist()
    (10, 4, [9.0, 0.0])
    """
    folder = Path(path)
    if folder.name == FILE or folder.suffix == ".array_record":
        folder = folder.parent
    return ArrayRecordSource(folder, read_description(folder))
