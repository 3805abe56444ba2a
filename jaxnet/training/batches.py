"""Where the batch of a step comes from: a pure function of the data, the key and the step.

Nothing else in jaxnet cuts data into batches. A source of batches is a value: two that say the
same are equal, so that a program compiled for one serves the other.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key, PyTree, Shaped

from jaxnet._checks import require_positive
from jaxnet.training.state import ORDER
from jaxnet.typing import Batch

Plan = PyTree[Any]


@runtime_checkable
class Batches(Protocol):
    """Where the batch of each step comes from.

    With `n = num_steps(data)`, the batch of step t is `take(data, plan(data, key, t // n), t % n)`.

    Attributes:
        per_run: whether each run of a batch of runs has its own data, stacked on a new first axis.
    """

    @property
    def per_run(self) -> bool: ...

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
            f"found first axes {lengths}"
        )
    if len(set(lengths.values())) > 1:
        first = {name: length[0] for name, length in lengths.items()}
        raise ValueError(f"data: all arrays must have the same length, found lengths {first}")
    (length,) = next(iter(lengths.values()))
    if length == 0:
        raise ValueError("data holds no examples; at least one is needed")
    return length


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
        target = _explicit_sharding(indices, leaf.ndim)
        return leaf.at[indices].get(mode="promise_in_bounds", out_sharding=target)

    return jax.tree.map(rows, data)


def _explicit_sharding(array: Array, ndim: int) -> NamedSharding | None:
    """How the first axis of an array is sharded, for an array of `ndim` axes.

    Under explicit mesh axes a gather asks for the sharding of its result; elsewhere it is None.
    """
    sharding = jax.typeof(array).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:1], *[None] * (ndim - 1)))


@dataclasses.dataclass(frozen=True)
class _Shuffled:
    batch_size: int
    num_shards: int = 1
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
                f"shuffled: {length} examples are no multiple of num_shards, {self.num_shards}; "
                "leave some out, or pad with examples of weight 0"
            )
        return length // self.num_shards // (self.batch_size // self.num_shards)

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
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
            target = _explicit_sharding(leaf, 2)
            order = indices if target is None else jax.sharding.reshard(indices, target)
            chosen = jax.vmap(lambda shard, rows: shard[rows])(shards, order)
            return chosen.reshape(self.batch_size, *leaf.shape[1:])

        return jax.tree.map(rows, data)


def shuffled(batch_size: int, *, num_shards: int = 1) -> Batches:
    """All examples once in each epoch, in a new order: the default behind `batch_size=`.

    Examples left over after the last whole batch are others in every epoch.

    Args:
        batch_size: examples in a batch.
        num_shards: the data are cut into this number of equal parts, each is shuffled by itself,
            and each batch takes the same number of examples from each. With the data sharded over
            as many devices, or a divisor of them, no example leaves its device, and the batches
            are the same on any number of devices.

    Returns:
        A source of batches. Its methods raise `ValueError` for data without examples or of
        different lengths, and for a batch size larger than the data.

    Raises:
        ValueError: a number below 1, a batch size that is no multiple of `num_shards`.

    >>> batches = shuffled(3)
    >>> order = batches.plan({"x": jnp.zeros(7)}, jax.random.key(0), 3)
    >>> order.shape, len(set(order.ravel().tolist()))
    ((2, 3), 6)
    """
    require_positive("shuffled", batch_size=batch_size, num_shards=num_shards)
    if batch_size % num_shards:
        raise ValueError(
            f"shuffled: batch_size {batch_size} must be a multiple of num_shards {num_shards}"
        )
    return _Shuffled(batch_size, num_shards)


@dataclasses.dataclass(frozen=True)
class _InOrder:
    batch_size: int
    length: int
    per_run: bool = False

    def _window(self, data: PyTree[Any]) -> int:
        return num_examples(data) // self.batch_size // self.length

    def num_steps(self, data: PyTree[Any]) -> int:
        if (steps := self._window(data)) < 1:
            raise ValueError(
                f"in_order: {num_examples(data)} time steps are too few for {self.batch_size} "
                f"sequences of {self.length}"
            )
        return steps

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
        return ()

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        span = num_examples(data) // self.batch_size

        def window(leaf: Array) -> Array:
            leaf = jnp.asarray(leaf)
            rows = leaf[: span * self.batch_size].reshape(self.batch_size, span, *leaf.shape[1:])
            cut = jax.lax.dynamic_slice_in_dim(rows, index * self.length, self.length, axis=1)
            return cut if self.length > 1 else cut[:, 0]

        return jax.tree.map(window, data)


def in_order(batch_size: int, *, length: int = 1) -> Batches:
    """Windows of a long series in the order of time, for state that is carried from step to step.

    The series is cut into `batch_size` parts of equal length that are read side by side, so that
    row i of a batch continues row i of the batch before (truncated backpropagation through time).

    Args:
        batch_size: parts of the series, rows of a batch.
        length: time steps of a window; with 1 a batch has no axis of time.

    Returns:
        A source of batches `(batch_size, length, ...)` from data `(time, ...)`.

    Raises:
        ValueError: a number below 1.

    >>> batches = in_order(2, length=3)
    >>> data = {"x": jnp.arange(12)}
    >>> batches.num_steps(data), batches.take(data, (), 1)["x"].tolist()
    (2, [[3, 4, 5], [9, 10, 11]])
    """
    require_positive("in_order", batch_size=batch_size, length=length)
    return _InOrder(batch_size, length)


@dataclasses.dataclass(frozen=True)
class _Balanced:
    batch_size: int
    num_classes: int
    label: str
    per_run: bool = False

    def num_steps(self, data: PyTree[Any]) -> int:
        return _Shuffled(self.batch_size).num_steps(data)

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
        labels = jnp.asarray(data[self.label])
        counts = jnp.sum(
            labels[:, None] == jnp.arange(self.num_classes, dtype=labels.dtype)[None, :], axis=0
        )
        shape = (self.num_steps(data), self.batch_size)
        epoch_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
        class_key, example_key = jax.random.split(epoch_key)
        # A class without examples is never drawn.
        logits = jnp.where(counts > 0, 0.0, -jnp.inf)
        classes = jax.random.categorical(class_key, logits, shape=shape)
        drawn = jax.random.randint(example_key, shape, 0, counts[classes])
        first = jnp.cumsum(counts) - counts
        return jnp.argsort(labels, stable=True)[first[classes] + drawn]

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        return take_examples(data, plan[index])


def balanced(batch_size: int, *, num_classes: int, label: str = "y") -> Batches:
    """Examples drawn with replacement, each class with the same probability.

    Args:
        batch_size: examples in a batch.
        num_classes: number of classes; one without examples is left out.
        label: the entry of the data that holds integer labels `(n,)` in [0, num_classes).

    Returns:
        A source of batches with `n // batch_size` steps in an epoch.

    Raises:
        ValueError: a number below 1.

    >>> data = {"y": jnp.array([0] * 98 + [1] * 2)}
    >>> batches = balanced(50, num_classes=2)
    >>> plan = batches.plan(data, jax.random.key(0), 0)
    >>> bool(0.3 < batches.take(data, plan, 0)["y"].mean() < 0.7)
    True
    """
    require_positive("balanced", batch_size=batch_size, num_classes=num_classes)
    return _Balanced(batch_size, num_classes, label)


@dataclasses.dataclass(frozen=True)
class _SideBySide:
    sources: tuple[tuple[str, Batches], ...]
    per_run: bool = False

    def _lengths(self, data: PyTree[Any]) -> dict[str, int]:
        if set(data) != {name for name, _ in self.sources}:
            raise ValueError(
                f"side_by_side: the data hold {sorted(data)}, expected one data set for each "
                f"source: {[name for name, _ in self.sources]}"
            )
        return {name: batches.num_steps(data[name]) for name, batches in self.sources}

    def num_steps(self, data: PyTree[Any]) -> int:
        return max(self._lengths(data).values())

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
        lengths = self._lengths(data)
        num_steps, plans = max(lengths.values()), {}
        for index, (name, batches) in enumerate(self.sources):
            # A shorter source goes through several epochs of its own.
            passes = -(-num_steps // lengths[name])
            epochs = epoch * passes + jnp.arange(passes)
            source_key = jax.random.fold_in(key, index)
            plans[name] = jax.vmap(batches.plan, (None, None, 0))(data[name], source_key, epochs)
        return plans

    def take(self, data: PyTree[Any], plan: Plan, index: Array | int) -> Batch:
        lengths = self._lengths(data)
        batch = {}
        for name, batches in self.sources:
            own = jax.tree.map(lambda leaf, n=name: leaf[index // lengths[n]], plan[name])
            batch[name] = batches.take(data[name], own, index % lengths[name])
        return batch


def side_by_side(sources: Mapping[str, Batches]) -> Batches:
    """One batch of each of several data sets of different lengths in every step.

    An epoch is one of the source with the most batches; the others start again, in a new order,
    where they end.

    Args:
        sources: name -> source, such as `{"labeled": shuffled(64), "unlabeled": shuffled(256)}`.

    Returns:
        A source of batches `{name: batch}` from data `{name: data set}`.

    Raises:
        ValueError: no source.

    >>> batches = side_by_side({"labeled": shuffled(2), "unlabeled": shuffled(3)})
    >>> data = {"labeled": {"x": jnp.arange(4)}, "unlabeled": {"x": jnp.arange(15)}}
    >>> plan = batches.plan(data, jax.random.key(0), 0)
    >>> batch = batches.take(data, plan, 4)
    >>> batches.num_steps(data), batch["labeled"]["x"].shape, batch["unlabeled"]["x"].shape
    (5, (2,), (3,))
    """
    if not sources:
        raise ValueError("side_by_side: sources must hold at least one, found none")
    return _SideBySide(tuple(sources.items()))


def per_run(batches: Batches | int) -> Batches:
    """Batches for a batch of runs of which each has its own data.

    Args:
        batches: a source of batches, or the batch size of `shuffled`.

    Returns:
        The same source for data with a new first axis, one entry for each run.

    >>> per_run(64).per_run
    True
    """
    source: Any = shuffled(batches) if isinstance(batches, int) else batches
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
