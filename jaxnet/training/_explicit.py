"""Meshes with explicit axes, the default of `jax.make_mesh`: arrays that say how they are sharded.

There an operation raises where the sharding of its result is ambiguous. Parameters and metrics go
to the mesh of the data, replicated, so that gradients are; and a gathered batch is sharded as the
data are.
"""

import math
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree


def explicit_sharding(array: Any) -> NamedSharding | None:
    """How an array on a mesh with explicit axes is sharded; None elsewhere.

    >>> import jax.numpy as jnp
    >>> explicit_sharding(jnp.zeros(2)) is None
    True
    """
    if not isinstance(array, jax.Array):
        return None
    # Outside of a trace a sharding names devices.
    sharding = jax.typeof(array).sharding if isinstance(array, Tracer) else array.sharding
    if not isinstance(sharding, NamedSharding):
        return None
    return sharding if AxisType.Explicit in sharding.mesh.axis_types else None


def on_mesh_of(data: PyTree[Any], tree: PyTree[Any]) -> Any:
    """Replicate arrays on the mesh of the data where that has explicit axes.

    Args:
        data: arrays.
        tree: arrays, such as a state; those on a mesh already stay as they are.

    Returns:
        The same structure as `tree`.

    >>> import jax.numpy as jnp
    >>> on_mesh_of({"x": jnp.zeros(2)}, 3)
    3
    """
    shardings = [explicit_sharding(leaf) for leaf in jax.tree.leaves(data)]
    mesh = next((sharding.mesh for sharding in shardings if sharding is not None), None)
    if mesh is None:
        return tree
    replicated = NamedSharding(mesh, PartitionSpec())

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or explicit_sharding(leaf) is not None:
            return leaf
        if isinstance(leaf, Tracer) or isinstance(mesh, AbstractMesh):
            return jax.sharding.reshard(leaf, replicated)
        return jax.device_put(leaf, replicated)

    return jax.tree.map(place, tree)


def gathered_sharding(array: Array, indices: Array) -> NamedSharding | None:
    """How rows that are gathered from an array are sharded: as the array, or as the indices.

    Args:
        array: the array, `(n, ...)`.
        indices: indices of rows, `(batch,)`.

    Returns:
        The sharding of the rows, replicated where the devices do not divide their number; None
        without explicit axes, where the compiler chooses.

    >>> import jax.numpy as jnp
    >>> gathered_sharding(jnp.zeros((4, 2)), jnp.arange(2)) is None
    True
    """
    rows, leaf = explicit_sharding(indices), explicit_sharding(array)
    source = leaf if leaf is not None else rows
    if source is None:
        return None
    first = rows.spec[0] if rows is not None and rows.spec else None
    if first is None and leaf is not None and leaf.spec:
        first = leaf.spec[0]
    if len(indices) % _num_devices(source, first):
        first = None
    rest = tuple(leaf.spec[1:]) if leaf is not None else ()
    rest += (None,) * (array.ndim - 1 - len(rest))
    return NamedSharding(source.mesh, PartitionSpec(first, *rest))


def joined(batches: Array, length: int) -> Array:
    """The first rows of batches that are stacked, `(num_batches, batch, ...)`, as one array.

    Args:
        batches: the batches.
        length: number of rows.

    Returns:
        The rows, `(length, ...)`; sharded as the batches are where the devices divide them.

    >>> import jax.numpy as jnp
    >>> joined(jnp.arange(6).reshape(2, 3), 5).tolist()
    [0, 1, 2, 3, 4]
    """
    shape = (batches.shape[0] * batches.shape[1], *batches.shape[2:])
    sharding = explicit_sharding(batches)
    if sharding is None:
        return batches.reshape(shape)[:length]
    rows = sharding.spec[1] if len(sharding.spec) > 1 else None
    if length % _num_devices(sharding, rows):
        batches = jax.sharding.reshard(batches, NamedSharding(sharding.mesh, PartitionSpec()))
        return batches.reshape(shape)[:length]
    spec = PartitionSpec(rows, *sharding.spec[2:])
    target = NamedSharding(sharding.mesh, spec)
    return jax.lax.reshape(batches, shape, out_sharding=target)[:length]


def _num_devices(sharding: NamedSharding, names: Any) -> int:
    """Devices along the mesh axes over which one axis of an array is sharded."""
    names = names if isinstance(names, tuple) else () if names is None else (names,)
    return math.prod(sharding.mesh.shape[name] for name in names)
