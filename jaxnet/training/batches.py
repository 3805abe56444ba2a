"""Where the batch of a step comes from: a pure function of the data, the key and the step.

Nothing else in jaxnet cuts data into batches. A source of batches is a value: two that say the
same are equal, so that a program compiled for one serves the other.
"""

import dataclasses
import operator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key, PyTree, Shaped

from jaxnet._checks import require_integer, require_positive
from jaxnet.training._explicit import explicit_sharding, gathered_sharding
from jaxnet.training.state import ORDER
from jaxnet.typing import Batch

Plan = PyTree[Any]


@runtime_checkable
class Batches(Protocol):
    """Where the batch of each step comes from.

    With `n = num_steps(data)`, the batch of step t is `take(data, plan(data, key, t // n), t % n)`.
    """

    @property
    def per_run(self) -> bool:
        """Whether each run of a batch of runs has its own data, stacked on a new first axis."""
        ...

    def num_steps(self, data: PyTree[Any]) -> int:
        """Number of batches of an epoch, from the shapes of the data alone."""
        ...

    def plan(self, data: PyTree[Any], key: Key[Array, ""], epoch: Array | int) -> Plan:
        """What the steps of an epoch share, such as the order of the examples."""
        ...

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        """The batch of step `index` of the epoch."""
        ...


def num_examples(data: PyTree[Any]) -> int:
    """Number of examples of a data set, the common length of the first axis of its arrays.

    Args:
        data: a dict, or another pytree, of arrays.

    Returns:
        The length.

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
            f"found first axes {_first(lengths)}; use numpy.asarray for lists"
        )
    if len(set(lengths.values())) > 1:
        first = {name: length[0] for name, length in lengths.items()}
        raise ValueError(
            f"data: all arrays must have the same length, found lengths {_first(first)}"
        )
    (length,) = next(iter(lengths.values()))
    if length == 0:
        raise ValueError("data holds no examples; at least one is needed")
    return length


def _first(lengths: dict[str, Any]) -> str:
    """The first five of them, for a message."""
    shown = ", ".join(f"{name!r}: {value}" for name, value in list(lengths.items())[:5])
    more = len(lengths) - 5
    return f"{{{shown}{f', and {more} more' if more > 0 else ''}}}"


def take_examples(data: PyTree[Any], indices: Int[Array, " batch"]) -> Any:
    """The examples at some indices, which must be valid: a trace cannot check them.

    Args:
        data: a pytree of arrays that share their first axis.
        indices: indices of examples.

    Returns:
        The same structure with the chosen examples.

    >>> take_examples({"x": jnp.arange(5.0)}, jnp.array([3, 1]))["x"].tolist()
    [3.0, 1.0]
    """

    def rows(leaf: Any) -> Shaped[Array, "..."]:
        leaf = jnp.asarray(leaf)
        target = gathered_sharding(leaf, indices)
        return leaf.at[indices].get(mode="promise_in_bounds", out_sharding=target)

    return jax.tree.map(rows, data)


@dataclasses.dataclass(frozen=True)
class _Shuffled:
    batch_size: int
    num_shards: int = 1
    order_seed: int | None = None
    per_run: bool = False

    def num_steps(self, data: PyTree[Any]) -> int:
        length = num_examples(data)
        if not 1 <= self.batch_size <= length:
            raise ValueError(
                f"batch_size must lie between 1 and the number of examples, {length}, "
                f"found {self.batch_size}"
            )
        if length % self.num_shards:
            raise ValueError(
                f"shuffled: {length} examples are not a multiple of num_shards, {self.num_shards}; "
                "leave some out, or pad with examples of weight 0"
            )
        return length // self.num_shards // (self.batch_size // self.num_shards)

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
        if self.order_seed is not None:
            key = jax.random.key(self.order_seed)
        epoch_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
        length, size = num_examples(data) // self.num_shards, self.batch_size // self.num_shards
        num_batches = length // size

        def order(key: Array) -> Int[Array, "num_batches size"]:
            permutation = jax.random.permutation(key, length)[: num_batches * size]
            return permutation.reshape(num_batches, size)

        if self.num_shards == 1:
            return order(epoch_key)
        return jax.vmap(order)(jax.random.split(epoch_key, self.num_shards))

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        if self.num_shards == 1:
            return take_examples(data, plan[index])
        indices = plan[:, index]

        def rows(leaf: Array) -> Array:
            leaf = jnp.asarray(leaf)
            shards = leaf.reshape(self.num_shards, -1, *leaf.shape[1:])
            sharding, order = explicit_sharding(leaf), indices
            if sharding is not None:
                spec = PartitionSpec(*sharding.spec[:1])
                order = jax.sharding.reshard(indices, NamedSharding(sharding.mesh, spec))
            chosen = jax.vmap(lambda shard, rows: shard[rows])(shards, order)
            return chosen.reshape(self.batch_size, *leaf.shape[1:])

        return jax.tree.map(rows, data)


def shuffled(batch_size: int, *, num_shards: int = 1, order_seed: int | None = None) -> Batches:
    """All examples once in each epoch, in a new order: the default behind `batch_size=`.

    Examples left over after the last whole batch are others in every epoch.

    Args:
        batch_size: examples in a batch.
        num_shards: the data are cut into this number of equal parts, each is shuffled by itself,
            and each batch takes the same number of examples from each. With the data sharded over
            as many devices, or a divisor of them, no example leaves its device, and the batches
            are the same on any number of devices.
        order_seed: the order of the examples is a function of this number and the epoch, the same
            for all runs; of the key of the run where it is None. In a batch of runs one order is
            gathered once for all, and the product with the first kernels is one large product.

    Returns:
        A source of batches. Its methods raise `ValueError` for data without examples or of
        different lengths, and for a batch size larger than the data.

    Raises:
        ValueError: a number below 1, a batch size that is not a multiple of `num_shards`, an order
            seed below 0.

    >>> batches = shuffled(3)
    >>> order = batches.plan({"x": jnp.zeros(7)}, jax.random.key(0), 3)
    >>> order.shape, len(set(order.ravel().tolist()))
    ((2, 3), 6)
    """
    require_positive("shuffled", batch_size=batch_size, num_shards=num_shards)
    batch_size, num_shards = operator.index(batch_size), operator.index(num_shards)
    if batch_size % num_shards:
        raise ValueError(
            f"shuffled: batch_size {batch_size} must be a multiple of num_shards {num_shards}"
        )
    if order_seed is not None:
        require_integer("shuffled", "order_seed", order_seed, 0, 2**32 - 1)
        order_seed = operator.index(order_seed)
    return _Shuffled(batch_size, num_shards, order_seed)


def per_run(batches: Batches | int) -> Batches:
    """Batches for a batch of runs of which each has its own data.

    Args:
        batches: a source of batches, or the batch size of `shuffled`.

    Returns:
        The same source for data with a new first axis, one entry for each run.

    >>> per_run(64).per_run
    True
    """
    source: Any = batches if isinstance(batches, Batches) else shuffled(batches)
    return dataclasses.replace(source, per_run=True)


def resolve_batches(batch_size: int | None, batches: Batches | None) -> Batches:
    """The source of batches that a pair of arguments names.

    Args:
        batch_size: batch size of `shuffled`.
        batches: another source.

    Returns:
        The source.

    Raises:
        ValueError: both or none of the two.

    >>> resolve_batches(64, None) == shuffled(64)
    True
    """
    if (batch_size is None) == (batches is None):
        raise ValueError(
            f"expected one of batch_size and batches, found {'none' if batches is None else 'both'}"
        )
    return shuffled(batch_size) if batches is None else batches  # pyright: ignore[reportArgumentType]
