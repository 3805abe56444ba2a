"""Other sources of batches: in the order of time, balanced by class, side by side."""

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive
from jaxnet.objectives.weighting import require_entry
from jaxnet.training.batches import Batches, Plan, num_examples, shuffled, take_examples
from jaxnet.training.state import ORDER
from jaxnet.typing import Batch


@dataclasses.dataclass(frozen=True)
class _InOrder:
    batch_size: int
    length: int
    per_run: bool = False

    def num_steps(self, data: PyTree[Any]) -> int:
        num_steps = num_examples(data) // self.batch_size // self.length
        if num_steps < 1:
            raise ValueError(
                f"in_order: {num_examples(data)} time steps are too few for {self.batch_size} "
                f"sequences of {self.length}"
            )
        return num_steps

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
    return _InOrder(operator.index(batch_size), operator.index(length))


@dataclasses.dataclass(frozen=True)
class _Balanced:
    batch_size: int
    num_classes: int
    label: str
    per_run: bool = False

    def num_steps(self, data: PyTree[Any]) -> int:
        return shuffled(self.batch_size).num_steps(data)

    def plan(self, data: PyTree[Any], key: Array, epoch: Array | int) -> Plan:
        labels = jnp.asarray(require_entry("balanced", data, self.label))
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
    return _Balanced(operator.index(batch_size), operator.index(num_classes), label)


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
            current = jax.tree.map(lambda leaf, n=name: leaf[index // lengths[n]], plan[name])
            batch[name] = batches.take(data[name], current, index % lengths[name])
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
