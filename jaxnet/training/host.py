"""Batches from a host iterator, for data larger than memory."""

import dataclasses
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxnet._checks import require_integer, require_positive
from jaxnet._data import as_arrays
from jaxnet.training._reader import Reader
from jaxnet.typing import Batch


@dataclasses.dataclass
class HostData:
    """Batches that the host reads one by one, such as those of a Grain data set.

    It stands where `epochs` and `advance` take data, and goes through the same step function. The
    position is a function of the step: nothing but the state of the run is needed to resume.

    Attributes:
        iterate: `iterate(step)`, an iterator over the batches of step `step` and all later ones,
            dicts of arrays of fixed shapes, as in `fit`. With Grain, for example,
            `lambda step: iter(dataset[step:])` on a `grain.MapDataset` of batches.
        steps_per_epoch: steps between two evaluations.
        prefetch: items of `iterate` that a thread reads and sends to the device ahead of the
            training. 0: the caller's thread reads one ahead.
        steps_per_item: number of batches in an item of `iterate`, whose arrays then have them
            stacked on a new first axis: one compiled program takes all their steps, which saves
            time where steps are short. `iterate(step)` begins with the batch of that step. 0: an
            item is a batch.
        description: what decides the content of the batches, such as the order; a run is not
            resumed with another one.

    Raises:
        ValueError: a number of steps below 1, a negative number of items.

    >>> import itertools, numpy as np
    >>> def iterate(step):
    ...     return ({"x": np.full(2, step)} for step in itertools.count(step))
    >>> data = HostData(iterate, steps_per_epoch=10, prefetch=2)
    >>> data.batch(3)["x"].tolist(), data.batch(4)["x"].tolist()
    ([3, 3], [4, 4])
    >>> data.close()
    """

    iterate: Callable[[int], Iterator[Batch]]
    steps_per_epoch: int
    prefetch: int = 0
    steps_per_item: int = 0
    description: str = ""
    _position: int = dataclasses.field(default=-1, init=False, repr=False)
    _items: Any = dataclasses.field(default=None, init=False, repr=False)
    _item: Any = dataclasses.field(default=None, init=False, repr=False)
    _end: Any = dataclasses.field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        require_positive("HostData", steps_per_epoch=self.steps_per_epoch)
        require_integer("HostData", "prefetch", self.prefetch, 0)
        require_integer("HostData", "steps_per_item", self.steps_per_item, 0)

    def batch(self, step: int) -> Batch:
        """The batch of a step on the device; later ones are read and sent ahead.

        Args:
            step: the step. Steps in order read each batch once; any other step begins again there.

        Returns:
            The batch, as JAX arrays.

        Raises:
            ValueError: an iterator that ends.
        """
        item, offset = self.item(step)
        if not self.steps_per_item:
            return item
        return jax.tree.map(lambda leaf: leaf[offset], item)

    def item(self, step: int) -> tuple[Batch, int]:
        """The item of `iterate` with the batch of a step, and the place of the batch in it.

        Args:
            step: as in `batch`.

        Returns:
            The item on the device, and the place, 0 where an item is one batch.

        Raises:
            ValueError: an iterator that ends; arrays that are not `steps_per_item` batches.
        """
        length = self.steps_per_item or 1
        item = self._item
        if item is None or not self._position <= step <= self._position + length:
            item = self._begin(step)
        elif step == self._position + length:
            item = self._take(step)
        return item, step - self._position

    def peek(self, step: int) -> Batch:
        """The batch of a step, from an iterator of its own."""
        iterator = self.iterate(step)
        item = self._required(_read(iterator), step)
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
        return jax.tree.map(lambda leaf: leaf[0], item) if self.steps_per_item else item

    def close(self) -> None:
        """End the thread that reads ahead, and forget the position. The next batch begins again."""
        self._items, self._item, self._position = None, None, -1
        if self._end is not None:
            self._end()

    def _begin(self, step: int) -> Batch:
        self.close()
        iterate = self.iterate
        if self.prefetch:
            items = Reader(lambda: _sent(iterate(step)), operator.index(self.prefetch))
        else:
            items = _OneAhead(iterate(step))
        self._items = items
        # Where nobody closes it: when this object is freed, at the latest when Python ends.
        self._end = weakref.finalize(self, items.close)
        return self._take(step)

    def _take(self, step: int) -> Batch:
        item = self._required(self._items.next(), step)
        self._position, self._item = step, item
        return item

    def _required(self, item: Batch | None, step: int) -> Batch:
        if item is None:
            raise ValueError(
                f"HostData: the iterator ended at step {step}; it must go on for all epochs, such "
                "as a Grain data set after `.repeat()`"
            )
        number = self.steps_per_item
        shapes = jax.tree.map(lambda leaf: leaf.shape, item)
        if number and {leaf.shape[:1] for leaf in jax.tree.leaves(item)} != {(number,)}:
            raise ValueError(
                f"HostData: an item must have steps_per_item {number} batches on the first axis, "
                f"found shapes {shapes}"
            )
        return item


class _OneAhead:
    """The items of an iterator; the next one is read before one is returned."""

    def __init__(self, iterator: Iterator[Batch]) -> None:
        self._iterator = iterator
        self._next = _read(iterator)

    def next(self) -> Batch | None:
        """The next item; None at the end, and an error only if that item is asked for."""
        item = self._next
        self._next = None if item is None else _read(self._iterator)
        return item

    def close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


def _sent(iterator: Iterator[Batch]) -> Iterator[Batch]:
    """The items on the device; closing it closes the iterator."""
    try:
        for item in iterator:
            yield as_arrays("HostData", "batch", item)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def _read(iterator: Iterator[Batch]) -> Batch | None:
    """The next batch on the device, None at the end."""
    batch = next(iterator, None)
    return None if batch is None else as_arrays("HostData", "batch", batch)
