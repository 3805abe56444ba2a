"""Loss and metrics of an objective over a whole data set, in batches."""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Key, PyTree

from jaxnet._checks import require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.objectives.weighting import widen
from jaxnet.training._placement import DATA, data_mesh
from jaxnet.training.batches import num_examples
from jaxnet.typing import AnyObjective, Metrics, Params, StatefulObjective


def evaluate(
    objective: AnyObjective,
    params: Params,
    data: PyTree[Any],
    *,
    batch_size: int = 1024,
    key: Key[Array, ""] | None = None,
) -> Metrics:
    """Loss and metrics over all examples, computed in batches.

    `sum_b w_b m_b / sum_b w_b` over the batches b, where `m_b` is a metric of the batch and `w_b`
    its number of examples, or the sum of its weights. For means over examples that is the weighted
    mean over the data set, whatever the batch size; the last batch holds the examples that are
    left. It compiles once for an objective and shapes of data.

    With data on a mesh of devices, by `shard_examples` or `replicate`, each device computes batches
    of its part of the examples, and the sums are reduced.

    Args:
        objective: an objective, with or without state.
        params: parameters of the network; for a `StatefulObjective` the pair `(params, extra)`, as
            for `network.evaluation`. For those of a batch of runs, `jax.vmap` this function.
        data: dict of arrays that share their first axis, as in `fit`; `weight` among them or not.
        batch_size: examples in a batch; bounds the memory.
        key: for an objective that draws random numbers in evaluation too: batch b is given
            `fold_in(key, b)`. None, evaluation mode, is right for most.

    Returns:
        The metrics of the objective and `loss`, in float32 or wider; 0 where every weight is 0.

    Raises:
        TypeError: data that are not arrays of numbers.
        ValueError: a batch size below 1; no examples, or arrays of different lengths; weights that
            are not one array.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> params, data = network.init(jax.random.key(0)), {"x": jnp.zeros((5, 2)), "y": jnp.arange(5)}
    >>> float(evaluate(jn.regression(network), params, data, batch_size=2)["loss"])
    6.0
    """
    require_positive("evaluate", batch_size=batch_size)
    data = as_arrays("evaluate", "data", data)
    num_examples(data)
    weight = data.get("weight") if isinstance(data, Mapping) else None
    if weight is not None and not hasattr(weight, "shape"):
        raise ValueError(
            f"evaluate: weight is a {type(weight).__name__}, expected one array; evaluate each "
            "task by itself, with its own weights"
        )
    stateful = isinstance(objective, StatefulObjective)
    apply = objective.apply if stateful else objective
    run = compiled_for(apply, _evaluate, stateful, operator.index(batch_size), data_mesh(data))
    return run(params, data, key)


def _evaluate(
    apply: Callable[..., Any],
    stateful: bool,
    batch_size: int,
    mesh: Any,
    params: Params,
    data: PyTree[Any],
    key: Array | None,
) -> Metrics:
    length = num_examples(data)
    num_devices = 1 if mesh is None else mesh.shape[DATA]
    weighted_sums = functools.partial(_weighted_sums, apply, stateful, batch_size)
    num_spread, first = length - length % num_devices, 0
    parts = []
    if num_spread and mesh is not None:

        def on_device(params: Params, data: PyTree[Any], key: Any) -> tuple[Array, Metrics]:
            start = jax.lax.axis_index(DATA) * -(-num_spread // num_devices // batch_size)
            return jax.lax.psum(weighted_sums(params, data, key, start), DATA)

        spread_data = jax.tree.map(lambda leaf: leaf[:num_spread], data)
        run = jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(DATA), PartitionSpec()),
            out_specs=PartitionSpec(),
            axis_names={DATA},
            check_vma=False,
        )
        parts.append(run(params, spread_data, key))
        first = num_devices * -(-num_spread // num_devices // batch_size)
        # The examples that are left, fewer than devices, are computed on each.
        data = jax.tree.map(lambda leaf: leaf[num_spread:], data)
    if mesh is None or num_spread < length:
        parts.append(weighted_sums(params, data, key, first))
    total, sums = jax.tree.map(lambda *leaves: sum(leaves), *parts)
    total = jnp.where(total > 0, total, 1)
    return jax.tree.map(lambda leaf: leaf / total.astype(leaf.dtype), sums)


def _weighted_sums(
    apply: Callable[..., Any],
    stateful: bool,
    batch_size: int,
    params: Params,
    data: PyTree[Any],
    key: Array | None,
    first: Array | int,
) -> tuple[Array, Metrics]:
    """The weight of all batches, and the sums of their metrics times it.

    Args:
        first: the number of the first batch, for its key.
    """
    num_whole, num_left = divmod(num_examples(data), batch_size)

    def weighted(start: Array | int, size: int, index: Array | int) -> tuple[Array, Metrics]:
        """The weight of a batch, and its metrics times it."""
        batch = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size, axis=0), data
        )
        batch_key = None if key is None else jax.random.fold_in(key, first + index)
        if stateful:
            loss, (_, metrics) = apply(*params, batch, batch_key)
        else:
            loss, metrics = apply(params, batch, batch_key)
        weight = batch.get("weight") if isinstance(batch, Mapping) else None
        total = jnp.float32(size) if weight is None else jnp.sum(widen(weight))

        def scale(value: Any) -> Array:
            value = widen(value)
            factor = total.astype(value.dtype)
            return jnp.where(factor > 0, value * factor, 0)

        return total, jax.tree.map(scale, {**metrics, "loss": loss})

    parts = []
    if num_whole:
        indices = jnp.arange(num_whole)
        batches = jax.lax.map(lambda i: weighted(i * batch_size, batch_size, i), indices)
        parts.append(jax.tree.map(lambda leaf: leaf.sum(axis=0), batches))
    if num_left:
        parts.append(weighted(num_whole * batch_size, num_left, num_whole))
    return jax.tree.map(lambda *leaves: sum(leaves), *parts)
