"""Batches of a source in a shuffled order, read ahead by threads of the host."""

import operator
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jaxtyping import Array, Int, Key

from jaxnet._checks import require_integer
from jaxnet.streams.source import Examples, Source
from jaxnet.training import Batches, HostData, IndexShuffled
from jaxnet.training.index_shuffle import EpochOrder

_BYTES_OF_AN_ITEM = 1 << 22
_MAX_STEPS = 64


def stream(
    source: Source,
    batches: Batches,
    key: Key[Array, ""],
    *,
    function: Callable[[Examples], Examples] | None = None,
    prefetch: int = 2,
    steps_per_item: int | None = None,
) -> HostData:
    """Batches of a source, bitwise identical to those of the same data in memory.

    The batch of step t is `batches.take(data, batches.plan(data, key, t // n), t % n)` with
    `n = batches.num_steps(data)`, as where `data` are arrays in memory and `key` is the key of the
    run. So the position is the step: a checkpoint needs nothing more, and a run that is killed
    and resumed reads on with the batch that comes next.

    Several batches are read, sent to the device and trained on together. In memory are
    `prefetch + 2` such items and, with blocks, two windows of blocks: the one that is read from
    and the next one.

    Args:
        source: the data set.
        batches: `jaxnet.training.index_shuffled(...)`, whose order needs no memory; with
            `blocks=source.blocks` where the source has them.
        key: decides the order. The runs of a batch of runs see the same batches; in memory, each
            shuffles by its own key.
        function: from examples `(..., *shape)` of any leading axes to what the learner takes, on
            the host; it runs in the thread that reads ahead, after the examples were shuffled.
        prefetch: items that are read ahead.
        steps_per_item: batches in an item; None is at most 64, in about 4 MB.

    Returns:
        Data for `jaxnet.epochs` and `jaxnet.runs.train`. Close it, or let it be freed, to end the
        threads.

    Raises:
        TypeError: another source of batches.
        ValueError: a batch size larger than the source, blocks of other data, numbers below 1.

    >>> from jaxnet.streams import array_source
    >>> from jaxnet.training import index_shuffled
    >>> data = {"x": np.arange(7)}
    >>> read = stream(array_source(data), index_shuffled(3), jax.random.key(0))
    >>> read.steps_per_epoch, read.batch(0)["x"].tolist(), read.batch(1)["x"].tolist()
    (2, [3, 4, 2], [6, 1, 5])
    >>> read.close()
    """
    if not isinstance(batches, IndexShuffled):
        raise TypeError(
            f"stream: batches are {batches}, expected jaxnet.training.index_shuffled(batch_size), "
            "whose order is computed without the data"
        )
    num_steps = batches.steps_for(len(source))
    require_integer("stream", "prefetch", prefetch, 1)
    if steps_per_item is None:
        example = source.read_range(0, 1)
        size = batches.batch_size * sum(leaf.nbytes for leaf in jax.tree.leaves(example))
        steps_per_item = max(1, min(_MAX_STEPS, num_steps, _BYTES_OF_AN_ITEM // max(1, size)))
    require_integer("stream", "steps_per_item", steps_per_item, 1)
    steps_per_item = operator.index(steps_per_item)

    def iterate(step: int) -> Iterator[Examples]:
        with _OrderedReader(source, batches, key) as reader:
            while True:
                item = reader.read_steps(step, steps_per_item)
                yield item if function is None else function(item)
                step += steps_per_item

    return HostData(
        iterate,
        steps_per_epoch=num_steps,
        prefetch=operator.index(prefetch),
        steps_per_item=steps_per_item,
        description=f"{len(source)} examples, {_described(batches)}, key={_shown(key)}",
    )


def _described(batches: IndexShuffled) -> str:
    """The order as text; of many blocks their number."""
    blocks = batches.blocks
    if isinstance(blocks, tuple):
        blocks = f"{len(blocks)} blocks of up to {max(blocks)}"
    shuffled = f", blocks={blocks}, window={batches.window}" if batches.window else ""
    return f"index_shuffled(batch_size={batches.batch_size}{shuffled})"


def _shown(key: Array) -> str:
    """The numbers of a key."""
    return "-".join(f"{number:x}" for number in np.ravel(jax.random.key_data(key)).tolist())


class _OrderedReader:
    """Reads the batches of consecutive steps."""

    def __init__(self, source: Source, batches: IndexShuffled, key: Array) -> None:
        self._source, self._batches, self._key = source, batches, key
        self._num_steps = batches.steps_for(len(source))
        self._orders: dict[int, EpochOrder] = {}
        self._windows: dict[tuple[int, int], Future[Examples]] = {}
        self._spare: Examples | None = None
        self._example = source.read_range(0, 1) if batches.window else {}
        self._executor = ThreadPoolExecutor(1, "jaxnet-window") if batches.window else None

    def __enter__(self) -> "_OrderedReader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def read_steps(self, step: int, num_steps: int) -> Examples:
        """The batches of some steps, stacked on a new first axis."""
        parts, size, end = [], self._batches.batch_size, step + num_steps
        while step < end:
            epoch, index = divmod(step, self._num_steps)
            stop = min(self._num_steps, index + end - step)
            places = np.arange(index * size, stop * size)
            parts += (
                self._read_windows(epoch, places)
                if self._executor
                else [self._read_examples(epoch, places)]
            )
            step += stop - index

        def joined(*leaves: np.ndarray) -> np.ndarray:
            rows = leaves[0] if len(leaves) == 1 else np.concatenate(leaves)
            return rows.reshape(num_steps, size, *rows.shape[1:])

        return jax.tree.map(joined, *parts)

    def _order(self, epoch: int) -> EpochOrder:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            length = len(self._source)
            self._orders[epoch] = self._batches.host_order(length, self._key, epoch)
        return self._orders[epoch]

    def _read_examples(self, epoch: int, places: Int[np.ndarray, " n"]) -> Examples:
        order = self._order(epoch)
        return self._source.read(self._batches.host_indices(len(self._source), order, places))

    def _read_windows(self, epoch: int, places: Int[np.ndarray, " n"]) -> list[Examples]:
        windows, offsets = self._batches.window_of(self._order(epoch), places)
        parts = []
        for window in np.unique(windows):
            content, rows = self._window(epoch, int(window)), offsets[windows == window]
            parts.append(jax.tree.map(lambda leaf, rows=rows: np.take(leaf, rows, axis=0), content))
        return parts

    def _window(self, epoch: int, window: int) -> Examples:
        """The examples of a window; the one that is read next is read ahead."""
        order, last_place = self._order(epoch), self._num_steps * self._batches.batch_size - 1
        ((last,), _) = self._batches.window_of(order, np.array([last_place]))
        following = (epoch, window + 1) if window < last else (epoch + 1, 0)
        wanted = ((epoch, window), following)
        for place in [place for place in self._windows if place not in wanted]:
            # What it held has been copied, and its memory takes the next one.
            self._spare = self._windows.pop(place).result()
        for place in wanted:
            if place not in self._windows:
                self._windows[place] = self._load(*place)
        return self._windows[wanted[0]].result()

    def _load(self, epoch: int, window: int) -> Future[Examples]:
        blocks = self._batches.window_blocks(self._order(epoch), window)
        length, spare, self._spare = sum(size for _, size in blocks), self._spare, None
        if spare is None or len(jax.tree.leaves(spare)[0]) < length:
            spare = jax.tree.map(
                lambda leaf: np.empty((length, *leaf.shape[1:]), leaf.dtype), self._example
            )
        assert self._executor is not None
        return self._executor.submit(_read_blocks, self._source, blocks, spare)


def _read_blocks(source: Source, blocks: list[tuple[int, int]], out: Examples) -> Examples:
    """The examples of some blocks, one after the other."""
    place = 0
    for start, size in blocks:
        source.read_into(start, start + size, out, place)
        place += size
    return out
