"""Batches from a host iterator, for data larger than memory."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from jaxnet._checks import require_positive
from jaxnet._data import as_arrays
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

    Raises:
        ValueError: a number of steps below 1.

    >>> import itertools, numpy as np
    >>> def iterate(step):
    ...     return ({"x": np.full(2, step)} for step in itertools.count(step))
    >>> data = HostData(iterate, steps_per_epoch=10)
    >>> data.batch(3)["x"].tolist(), data.batch(4)["x"].tolist()
    ([3, 3], [4, 4])
    """

    iterate: Callable[[int], Iterator[Batch]]
    steps_per_epoch: int
    _position: int = dataclasses.field(default=-1, init=False, repr=False)
    _iterator: Any = dataclasses.field(default=None, init=False, repr=False)
    _next: Any = dataclasses.field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        require_positive("HostData", steps_per_epoch=self.steps_per_epoch)

    def batch(self, step: int) -> Batch:
        """The batch of a step on the device; the next one is read and sent ahead.

        Args:
            step: the step. Steps in order read each batch once; any other step begins again there.

        Returns:
            The batch, as JAX arrays.

        Raises:
            ValueError: an iterator that ends.
        """
        if step != self._position:
            self._iterator = self.iterate(step)
            self._position, self._next = step, _read(self._iterator)
        batch = _required(self._next, step)
        self._position, self._next = step + 1, _read(self._iterator)
        return batch

    def peek(self, step: int) -> Batch:
        """The batch of a step, from an iterator of its own."""
        return _required(_read(self.iterate(step)), step)


def _read(iterator: Iterator[Batch]) -> Batch | None:
    """The next batch on the device; None at the end, an error only if that batch is asked for."""
    batch = next(iterator, None)
    return None if batch is None else as_arrays("HostData", "batch", batch)


def _required(batch: Batch | None, step: int) -> Batch:
    if batch is None:
        raise ValueError(
            f"HostData: the iterator ended at step {step}; it must go on for all epochs, such as a "
            "Grain data set after `.repeat()`"
        )
    return batch
