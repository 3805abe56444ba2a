"""Sources of examples: data sets of which any examples can be read by their numbers."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsIndex

import jax
import numpy as np
from jaxtyping import Int

Examples = dict[str, Any]


class StreamError(ValueError):
    """What a source cannot read: the message names the file and the record."""


class Source(abc.ABC):
    """A data set of which any examples can be read: a file, a folder of files, arrays.

    `source[i]` is one example, so that a source is also a data source of Grain:
    `grain.MapDataset.source(source)`.

    Attributes:
        blocks: sizes of the blocks of consecutive examples that are read together, for
            `index_shuffled(..., blocks=)`: one number, such as that of the examples of a record;
            one for each block, such as the row groups of a Parquet file; None where any examples
            can be read alone.
    """

    blocks: int | tuple[int, ...] | None = None

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abc.abstractmethod
    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        """The examples of these numbers, in this order.

        Args:
            indices: numbers of examples, from 0 to `len(source) - 1`.

        Returns:
            A dict of arrays `(n, ...)`.

        Raises:
            StreamError: a file or a record that cannot be read.
        """

    def read_range(self, start: int, stop: int) -> Examples:
        """The examples from `start` to `stop - 1`; faster than `read` where they lie together."""
        return self.read(np.arange(start, stop))

    def close(self) -> None:  # noqa: B027
        """Close the files; they are opened again when they are read."""

    def __getitem__(self, index: SupportsIndex) -> Examples:
        """One example: a dict of arrays without the axis of examples."""
        number = require_index(self, index)
        return jax.tree.map(lambda leaf: leaf[0], self.read_range(number, number + 1))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Examples]:
        """Several examples, read together."""
        numbers = np.array([require_index(self, index) for index in indices], np.int64)
        examples = self.read(numbers)
        return [jax.tree.map(lambda leaf, i=i: leaf[i], examples) for i in range(len(numbers))]


def require_index(source: Source, index: SupportsIndex) -> int:
    """The number of an example; negative ones count from the end.

    Args:
        source: the data set.
        index: a number.

    Returns:
        The number, from 0 to `len(source) - 1`.

    Raises:
        IndexError: there is no such example.

    >>> require_index(array_source({"x": np.zeros(3)}), -1)
    2
    """
    number = index.__index__()
    length = len(source)
    if not -length <= number < length:
        raise IndexError(f"index {number} is out of range for a source of {length} examples")
    return number % length


class _ArraySource(Source):
    def __init__(self, arrays: Examples, length: int) -> None:
        self._arrays, self._length = arrays, length

    def __len__(self) -> int:
        return self._length

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        return jax.tree.map(lambda leaf: np.take(leaf, indices, axis=0), self._arrays)

    def read_range(self, start: int, stop: int) -> Examples:
        return jax.tree.map(lambda leaf: np.asarray(leaf[start:stop]), self._arrays)


def array_source(arrays: Mapping[str, Any]) -> Source:
    """Examples in arrays: in memory, or NumPy arrays mapped from files (`numpy.memmap`).

    The pages of a mapped file count as memory of the process as long as the system keeps them;
    `npy_source` reads the same files and stays small.

    Args:
        arrays: `(n, ...)` each, NumPy arrays or what NumPy reads without a copy.

    Returns:
        The source.

    Raises:
        ValueError: no arrays, lengths that differ, no examples.

    >>> source = array_source({"x": np.arange(5.0)})
    >>> len(source), source.read(np.array([3, 1]))["x"].tolist(), source[2]["x"].item()
    (5, [3.0, 1.0], 2.0)
    """
    content = jax.tree.map(np.asanyarray, dict(arrays))
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(content)}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            "array_source: arrays must share a first axis that counts the examples, found shapes "
            f"{jax.tree.map(np.shape, content)}"
        )
    return _ArraySource(content, next(iter(lengths))[0])


class _Mapped(Source):
    def __init__(self, source: Source, function: Callable[[Examples], Examples]) -> None:
        self._source, self._function = source, function
        self.blocks = source.blocks

    def __len__(self) -> int:
        return len(self._source)

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        return self._function(self._source.read(indices))

    def read_range(self, start: int, stop: int) -> Examples:
        return self._function(self._source.read_range(start, stop))

    def close(self) -> None:
        self._source.close()


def mapped(source: Source, function: Callable[[Examples], Examples]) -> Source:
    """A source whose examples go through a function where they are read, on the host.

    Args:
        source: the source.
        function: from a dict of arrays `(n, ...)` of any examples to another one, example by
            example; NumPy, since it runs in the thread that reads ahead.

    Returns:
        The source.

    >>> source = mapped(array_source({"x": np.arange(3)}), lambda batch: {"x": batch["x"] / 2})
    >>> source.read_range(1, 3)["x"].tolist()
    [0.5, 1.0]
    """
    return _Mapped(source, function)


class _GrainSource(Source):
    def __init__(self, dataset: Any) -> None:
        self._dataset, self._length = dataset, len(dataset)

    def __len__(self) -> int:
        return self._length

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        numbers = [int(index) for index in indices]
        read_all = getattr(self._dataset, "__getitems__", None)
        examples = read_all(numbers) if read_all else [self._dataset[i] for i in numbers]
        return jax.tree.map(
            lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *examples
        )


def grain_source(dataset: Any) -> Source:
    """Examples of a Grain data set or data source, which reads or computes them one by one.

    Args:
        dataset: a finite `grain.MapDataset` of examples (not batched, shuffled or repeated, which
            `stream` does), a Grain data source, or anything with `len` and `[index]`. Its examples
            are dicts of arrays or numbers, each of a fixed shape.

    Returns:
        The source.

    >>> source = grain_source([{"x": 1.0}, {"x": 2.0}])
    >>> source.read(np.array([1, 0]))["x"].tolist()
    [2.0, 1.0]
    """
    return _GrainSource(dataset)
