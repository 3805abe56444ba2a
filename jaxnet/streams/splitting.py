"""Parts of a source for training, validation and test, by the numbers of the examples."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, Key

from jaxnet.streams.source import Examples, Source
from jaxnet.training.permutation import mixed, permuted, round_keys

_GROUP = 1000


class SourceParts(NamedTuple):
    """The parts of `split_source`.

    Attributes:
        train: the training part.
        validation: the validation part, or None.
        test: the test part, or None.
    """

    train: Source
    validation: Source | None
    test: Source | None


class _Part(Source):
    """Some places of each group of consecutive examples, and what is left after the last group."""

    def __init__(
        self, source: Source, keys: np.ndarray, group: int, places: range, *, with_rest: bool
    ) -> None:
        self._source, self._keys, self._group, self._places = source, keys, group, places
        num_groups, rest = divmod(len(source), group)
        self._whole = num_groups * len(places)
        self._length = self._whole + rest * with_rest
        blocks = source.blocks
        if blocks is not None:
            size = blocks if isinstance(blocks, int) else max(blocks)
            # A block of a part needs the parts of files that begin before it and end after it.
            self.blocks = max(1, len(places) * -(-4 * size // group))

    def __len__(self) -> int:
        return self._length

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        return self._source.read(self._examples(np.asarray(indices)))

    def read_range(self, start: int, stop: int) -> Examples:
        examples = self._examples(np.arange(start, stop))
        if not len(examples):
            return self._source.read(examples)
        first = int(examples.min())
        content = self._source.read_range(first, int(examples.max()) + 1)
        return jax.tree.map(lambda leaf: leaf[examples - first], content)

    def _examples(self, indices: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        groups, places = np.divmod(np.minimum(indices, self._whole - 1), len(self._places))
        keys = mixed(self._keys[:, None] ^ mixed(groups.astype(np.uint32) + np.uint32(1))[None])
        chosen = (places + self._places.start).astype(np.int32)
        inside = permuted(np, chosen, np.uint32(self._group), keys)
        rest = len(self._source) - self._length + indices
        return np.where(indices < self._whole, groups * self._group + inside, rest)

    def close(self) -> None:
        self._source.close()


def split_source(
    source: Source, key: Key[Array, ""], *, validation: float = 0.0, test: float = 0.2
) -> SourceParts:
    """Split a source at random, without a list of its examples.

    Of each group of 1000 consecutive examples (100 where there are fewer than 100 000), as many
    are for validation and for test as the fractions say, rounded, at places that are drawn by a
    permutation of the group (`jaxnet.training.permute_indices`). Which part an example is in is a
    function of its number and the key, and a part is read in pieces where the source is.

    Args:
        source: the data set, of at least 100 examples.
        key: decides the split.
        validation: fraction of all examples for validation, in [0, 1).
        test: fraction of all examples for the test, in [0, 1).

    Returns:
        The parts; None where a fraction is 0.

    Raises:
        ValueError: fractions out of range or too small, fewer than 100 examples.

    >>> from jaxnet.streams import array_source
    >>> source = array_source({"x": np.arange(1000)})
    >>> parts = split_source(source, jax.random.key(0), validation=0.1)
    >>> [len(part) for part in parts]
    [700, 100, 200]
    >>> read = [part.read_range(0, len(part))["x"] for part in parts]
    >>> bool((np.sort(np.concatenate(read)) == np.arange(1000)).all())
    True
    """
    if len(source) < 100:
        raise ValueError(
            f"split_source: at least 100 examples are split, found {len(source)}; read so few into "
            "memory"
        )
    group = _GROUP if len(source) >= 100 * _GROUP else 100
    numbers = []
    for name, fraction in (("validation", validation), ("test", test)):
        number = round(group * fraction)
        if not 0 <= fraction < 1 or (number == 0 and fraction > 0):
            raise ValueError(
                f"split_source: {name} must be 0, or lie between {1 / group} and 1, found "
                f"{fraction}"
            )
        numbers.append(number)
    if sum(numbers) >= group:
        raise ValueError(
            f"split_source: validation {validation} and test {test} leave no example to train on"
        )
    keys = np.asarray(round_keys(key))
    ends = np.cumsum([*numbers, group - sum(numbers)]).tolist()
    ranges = [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    parts = [
        _Part(source, keys, group, places, with_rest=index == 2) if len(places) else None
        for index, places in enumerate(ranges)
    ]
    assert parts[2] is not None
    return SourceParts(parts[2], parts[0], parts[1])
