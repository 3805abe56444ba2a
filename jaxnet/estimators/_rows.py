"""Rows of a table: padded to sizes that programs share, scaled, and cut into batches."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet.training import num_examples, take_examples
from jaxnet.training.state import ORDER
from jaxnet.typing import Batch

# Rows of one call of a compiled prediction, and of its inner batches: one size of matrix products
# makes the output for a row independent of the rows beside it.
PREDICTED_ROWS, PREDICTION_BATCH = 4096, 128


def size_class(num_rows: int) -> int:
    """The number of rows to which a table is padded: 32, 128, and then at most an eighth more.

    Tables of about the same size, such as the folds of a cross-validation, share their programs.

    >>> [size_class(rows) for rows in (3, 33, 120, 129, 1347, 1348)]
    [32, 128, 128, 144, 1408, 1408]
    """
    if num_rows <= 128:
        return 32 if num_rows <= 32 else 128
    step = 1 << (num_rows.bit_length() - 4)
    return -(-num_rows // step) * step


def pad_rows(array: np.ndarray, num_rows: int) -> np.ndarray:
    """The rows of an array, and zeros after them.

    >>> pad_rows(np.ones(2), 3).tolist()
    [1.0, 1.0, 0.0]
    """
    padding = [(0, num_rows - len(array))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, padding)


def blocks(x: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks of rows, padded to few sizes, and the number of rows of each.

    >>> [(block.shape, count) for block, count in blocks(np.zeros((4100, 2)))]
    [((4096, 2), 4096), ((128, 2), 4)]
    """
    for start in range(0, len(x), PREDICTED_ROWS):
        rows = x[start : start + PREDICTED_ROWS]
        size = PREDICTION_BATCH
        while size < len(rows):
            size *= 2
        yield pad_rows(rows, size), len(rows)


@dataclasses.dataclass(frozen=True)
class PresentRows:
    """Batches of the rows whose weight is not 0, in a new order in each epoch.

    An epoch has as many steps as all rows would make, and those that the rows that are present do
    not need have weight 0, so that they change nothing. Rows left over after the last whole batch
    are others in every epoch. Where there are fewer rows than a batch holds, it has all of them.

    Attributes:
        batch_size: rows in a batch.
        per_run: always False: the runs of a batch share the data.

    >>> data = {"x": jnp.arange(6), "weight": jnp.array([1.0, 1, 0, 1, 0, 0])}
    >>> batches = PresentRows(2)
    >>> plan = batches.plan(data, jax.random.key(0), 0)
    >>> batches.take(data, plan, 0)["weight"].tolist(), batches.take(data, plan, 1)["weight"].sum()
    ([1.0, 1.0], Array(0., dtype=float32))
    """

    batch_size: int
    per_run: bool = False

    def num_steps(self, data: Any) -> int:
        """Steps of an epoch, from the number of all rows."""
        return max(1, num_examples(data) // self.batch_size)

    def num_present_steps(self, data: Any) -> Array:
        """Steps of an epoch that change something."""
        if num_examples(data) <= self.batch_size:
            return jnp.int32(1)
        return jnp.maximum(1, _num_present(data) // self.batch_size)

    def plan(self, data: Any, key: Array, epoch: Array | int) -> tuple[Array, Array]:
        """The rows in random order, those of weight 0 last, and the steps that change something.

        One batch of all rows has them in their own order, and nothing is drawn.
        """
        if num_examples(data) <= self.batch_size:
            return jnp.arange(num_examples(data)), self.num_present_steps(data)
        epoch_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
        draws = jax.random.bits(epoch_key, (num_examples(data),)) >> 1
        last = jnp.full_like(draws, 2**31)
        order = jnp.argsort(jnp.where(data["weight"] > 0, draws, last))
        return order, self.num_present_steps(data)

    def take(self, data: Any, plan: tuple[Array, Array], index: Array | int) -> Batch:
        """The batch of a step."""
        order, num_steps = plan
        size = min(self.batch_size, num_examples(data))
        rows = jax.lax.dynamic_slice_in_dim(order, index * size, size)
        batch = dict(take_examples(data, rows))
        batch["weight"] = jnp.where(index < num_steps, batch["weight"], 0)
        return batch


def _num_present(data: Any) -> Array:
    return jnp.sum(data["weight"] > 0, dtype=jnp.int32)
