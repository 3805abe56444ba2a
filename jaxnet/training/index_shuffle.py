"""Shuffled batches whose order is computed index by index, on the device and on the host."""

import dataclasses
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from jaxnet._checks import require_positive
from jaxnet.training.batches import Batches, Plan, num_examples, take_examples
from jaxnet.training.permutation import MAX_LENGTH, mixed, permuted, round_keys
from jaxnet.training.state import ORDER
from jaxnet.typing import Batch


class EpochOrder(NamedTuple):
    """The order of the examples of one epoch.

    Attributes:
        keys: uint32 `(rounds,)`, which decide the permutations.
        starts: first example of each block, in the order of the epoch; none without blocks.
        ends: sum of the sizes of the blocks up to each, itself among them.
    """

    keys: Any
    starts: Any
    ends: Any


@dataclasses.dataclass(frozen=True)
class IndexShuffled:
    """A source of batches that `index_shuffled` makes.

    Attributes:
        batch_size: examples in a batch.
        blocks: sizes of the blocks of consecutive examples: one number, or one for each block.
        window: number of blocks whose examples are shuffled together; 0 without blocks.
        per_run: whether each run of a batch of runs has its own data.
    """

    batch_size: int
    blocks: int | tuple[int, ...] = 1
    window: int = 0
    per_run: bool = False

    def num_steps(self, data: PyTree[Any]) -> int:
        """Number of batches of an epoch."""
        return self.steps_for(num_examples(data))

    def steps_for(self, length: int) -> int:
        """Number of batches of an epoch of this number of examples."""
        if not 1 <= self.batch_size <= length:
            raise ValueError(
                f"batch_size must lie between 1 and the number of examples, {length}, "
                f"found {self.batch_size}"
            )
        if length > MAX_LENGTH:
            raise ValueError(f"index_shuffled: at most {MAX_LENGTH} examples, found {length}")
        if self.window:
            self.block_sizes(length)
        return length // self.batch_size

    def block_sizes(self, length: int) -> Int[np.ndarray, " blocks"]:
        """Sizes of the blocks of a data set of this number of examples."""
        if isinstance(self.blocks, int):
            sizes = np.full(-(-length // self.blocks), self.blocks, np.int32)
            sizes[-1] = length - self.blocks * (len(sizes) - 1)
            return sizes
        if sum(self.blocks) != length:
            raise ValueError(
                f"index_shuffled: the blocks hold {sum(self.blocks)} examples, and the data "
                f"{length}; give the sizes of all blocks of these data"
            )
        return np.asarray(self.blocks, np.int32)

    def plan(self, data: PyTree[Any], key: Key[Array, ""], epoch: Array | int) -> Plan:
        """The order of an epoch."""
        keys = round_keys(jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch))
        return self._order(jnp, num_examples(data), keys)

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        """The batch of step `index` of the epoch."""
        first = jnp.asarray(index, jnp.int32) * np.int32(self.batch_size)
        places = first + jnp.arange(self.batch_size, dtype=jnp.int32)
        return take_examples(data, self._indices(jnp, num_examples(data), plan, places))

    def host_order(self, length: int, key: Key[Array, ""], epoch: int) -> EpochOrder:
        """The order of an epoch as NumPy arrays, with the same integers as on the device."""
        epoch_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
        return self._order(np, length, np.asarray(round_keys(epoch_key)))

    def host_indices(
        self, length: int, order: EpochOrder, places: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """The examples at some places of an epoch, in NumPy."""
        return self._indices(np, length, order, places.astype(np.int32))

    def window_of(
        self, order: EpochOrder, places: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The window of each place of an epoch, and where its example lies in the window."""
        window, _, offset = self._windows(np, order, places.astype(np.int32))
        return window, offset

    def window_blocks(self, order: EpochOrder, window: int) -> list[tuple[int, int]]:
        """First example and number of examples of each block of a window, in order."""
        chosen = slice(window * self.window, (window + 1) * self.window)
        starts, ends = order.starts[chosen], order.ends[chosen]
        before = order.ends[window * self.window - 1] if window else 0
        sizes = np.diff(ends, prepend=np.int32(before))
        return [(int(start), int(size)) for start, size in zip(starts, sizes, strict=True)]

    def _order(self, xp: Any, length: int, keys: Any) -> EpochOrder:
        if not self.window:
            nothing = np.zeros(0, np.int32)
            return EpochOrder(keys, nothing, nothing)
        sizes = self.block_sizes(length)
        starts = xp.asarray(np.cumsum(sizes, dtype=np.int32) - sizes)
        places = xp.arange(len(sizes), dtype=np.int32)
        of_blocks = keys ^ np.uint32(0x9E3779B9)
        order = permuted(xp, places, np.uint32(len(sizes)), of_blocks)
        ends = xp.cumsum(xp.asarray(sizes)[order], dtype=np.int32)
        return EpochOrder(keys, starts[order], ends)

    def _indices(self, xp: Any, length: int, order: EpochOrder, places: Any) -> Any:
        if not self.window:
            return permuted(xp, places, np.uint32(length), order.keys)
        _, first, offset = self._windows(xp, order, places)
        place = first + offset
        block = xp.searchsorted(order.ends, place, side="right").astype(np.int32)
        before = _before(xp, order.ends, block)
        return order.starts[block] + place - before

    def _windows(self, xp: Any, order: EpochOrder, places: Any) -> tuple[Any, Any, Any]:
        """Of each place its window, the place where that begins, the permuted offset in it."""
        number = order.ends.shape[0]
        last = np.minimum(np.arange(self.window, number + self.window, self.window), number) - 1
        ends = order.ends[last]
        window = xp.searchsorted(ends, places, side="right").astype(np.int32)
        first = _before(xp, ends, window)
        size = ends[window] - first
        salt = mixed(window.astype(np.uint32) + np.uint32(1))
        keys = mixed(_outer(xp, order.keys, salt))
        return window, first, permuted(xp, places - first, size.astype(np.uint32), keys)


def _outer(xp: Any, keys: Any, salt: Any) -> Any:
    """The exclusive or of each key with each salt, `(keys, *salts)`."""
    shape = (keys.shape[0], *salt.shape)
    columns = keys.reshape(-1, *(1,) * salt.ndim)
    return xp.broadcast_to(columns, shape) ^ xp.broadcast_to(salt[None], shape)


def _before(xp: Any, ends: Any, index: Any) -> Any:
    """The end of the entry before each, 0 for the first."""
    previous = ends[xp.maximum(index - np.int32(1), np.int32(0))]
    return xp.where(index > 0, previous, xp.zeros_like(previous))


def index_shuffled(
    batch_size: int, *, blocks: int | tuple[int, ...] | None = None, window: int = 64
) -> Batches:
    """All examples once in each epoch, in a new order that is computed and not stored.

    Where `shuffled` draws the permutation of all examples at once, this order takes the same time
    and memory for a batch of 100 examples as for one of 100 million (`permute_indices`), and the
    host computes it without the data: `jaxnet.streams.stream` reads files in the same order, with
    bitwise identical batches.

    With blocks, the blocks of consecutive examples are permuted, and then the examples of each
    `window` of blocks that follow one another: files are read in long pieces, and a window is what
    has to fit into memory. Without, all orders of the examples are possible.

    Args:
        batch_size: examples in a batch.
        blocks: number of consecutive examples that are read together, where the last block may be
            smaller; or one number for each block, such as the sizes of the row groups of a Parquet
            file. None: single examples.
        window: number of blocks whose examples are shuffled together.

    Returns:
        A source of batches. Its methods raise `ValueError` for data without examples or of
        different lengths, a batch size larger than the data, and blocks of other data.

    Raises:
        ValueError: a number below 1.

    >>> batches = index_shuffled(3)
    >>> data = {"x": jnp.arange(7)}
    >>> plan = batches.plan(data, jax.random.key(0), 0)
    >>> [batches.take(data, plan, index)["x"].tolist() for index in range(2)]
    [[3, 4, 2], [6, 1, 5]]
    """
    require_positive("index_shuffled", batch_size=batch_size)
    batch_size = operator.index(batch_size)
    if blocks is None:
        return IndexShuffled(batch_size)
    require_positive("index_shuffled", window=window)
    if isinstance(blocks, tuple):
        if not blocks:
            raise ValueError("index_shuffled: blocks must hold at least one size, found none")
        for size in blocks:
            require_positive("index_shuffled", blocks=size)
        return IndexShuffled(batch_size, tuple(map(operator.index, blocks)), operator.index(window))
    require_positive("index_shuffled", blocks=blocks)
    return IndexShuffled(batch_size, operator.index(blocks), operator.index(window))
