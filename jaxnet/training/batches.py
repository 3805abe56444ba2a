"""The order of the examples: a pure function of the key of the run and the epoch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped

from jaxnet.training.state import Stream
from jaxnet.typing import Batch


def num_examples(data: Batch) -> int:
    """Number of examples of a data set, the common length of the first axis of its arrays.

    Raises:
        ValueError: no arrays, lengths that differ, or no examples.

    >>> num_examples({"x": jnp.zeros((5, 2)), "y": jnp.zeros(5)})
    5
    """
    lengths = {
        jax.tree_util.keystr(path, simple=True, separator="/"): jnp.shape(leaf)[:1]
        for path, leaf in jax.tree_util.tree_leaves_with_path(data)
    }
    if not lengths or () in lengths.values():
        raise ValueError(
            "data must be a dict of arrays whose first axis counts the examples, "
            f"found first axes {lengths}"
        )
    if len(set(lengths.values())) > 1:
        found = {name: length[0] for name, length in lengths.items()}
        raise ValueError(f"data: all arrays must have the same length, found lengths {found}")
    (length,) = next(iter(lengths.values()))
    if length == 0:
        raise ValueError("data holds no examples; at least one is needed")
    return length


def steps_per_epoch(data: Batch, *, batch_size: int) -> int:
    """Number of batches of one epoch, `num_examples // batch_size`.

    Raises:
        ValueError: a batch size below 1 or above the number of examples.

    >>> steps_per_epoch({"x": jnp.zeros((10, 2))}, batch_size=4)
    2
    """
    length = num_examples(data)
    if not 1 <= batch_size <= length:
        raise ValueError(
            f"batch_size must lie between 1 and the number of examples, {length}, "
            f"found {batch_size}"
        )
    return length // batch_size


def epoch_order(
    key: Array, epoch: int | Int[Array, ""], *, num_examples: int, batch_size: int
) -> Int[Array, "num_batches batch_size"]:
    """Which examples make each batch of an epoch: a permutation, cut into batches.

    What is left over after the last whole batch is another part of the data in every epoch.

    Args:
        key: the key of the run.
        epoch: number of the epoch; may be traced.
        num_examples: length of the data.
        batch_size: examples in a batch.

    >>> order = epoch_order(jax.random.key(0), 3, num_examples=7, batch_size=3)
    >>> order.shape, len(set(order.ravel().tolist()))
    ((2, 3), 6)
    """
    epoch_key = jax.random.fold_in(jax.random.fold_in(key, Stream.ORDER), epoch)
    num_batches = num_examples // batch_size
    order = jax.random.permutation(epoch_key, num_examples)[: num_batches * batch_size]
    return order.reshape(num_batches, batch_size)


def take(data: Batch, indices: Int[Array, " batch"]) -> Batch:
    """The examples at some indices, which must be valid: inside a trace nobody can check.

    >>> take({"x": jnp.arange(5.0)}, jnp.array([3, 1]))["x"].tolist()
    [3.0, 1.0]
    """

    def rows(leaf: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        return jnp.asarray(leaf).at[indices].get(mode="promise_in_bounds")

    return jax.tree.map(rows, data)
