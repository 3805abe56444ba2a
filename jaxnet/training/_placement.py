"""Arrays on a mesh with automatic axes: where they are, and work that is spread over `data`.

A trace does not see where arrays are. So a function that is called with arrays on a mesh passes the
mesh to its program, and a driver puts it around the functions of its caller, such as hooks.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from jaxnet._global_arrays import place

RUN, DATA = "run", "data"

_mesh: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar("mesh", default=None)

# One sharding for each leaf, None where the compiler chooses; hashable, for compiled functions.
Shardings = tuple[NamedSharding | None, ...]


def sharding_of(array: Any) -> NamedSharding | None:
    """How an array on a mesh of several devices with automatic axes is sharded; None elsewhere.

    A trace does not know it.

    >>> import jax.numpy as jnp
    >>> sharding_of(jnp.zeros(2)) is None
    True
    """
    if not isinstance(array, jax.Array) or isinstance(array, Tracer):
        return None
    sharding = array.sharding
    if not isinstance(sharding, NamedSharding) or sharding.mesh.size == 1:
        return None
    return None if AxisType.Explicit in sharding.mesh.axis_types else sharding


def shardings_of(tree: PyTree[Any]) -> Shardings | None:
    """The sharding of each leaf; None where no leaf is on a mesh.

    >>> import jax.numpy as jnp
    >>> shardings_of({"x": jnp.zeros(2)}) is None
    True
    """
    shardings = tuple(sharding_of(leaf) for leaf in jax.tree.leaves(tree))
    return None if all(each is None for each in shardings) else shardings


def keep_shardings(tree: PyTree[Any], shardings: Shardings | None) -> Any:
    """Constrain the results of a program, so that its next call finds them where it left them.

    A program is compiled for the shardings of its arguments, and another one may sum in another
    order: without this, a run that is resumed would differ in the last bits.

    Args:
        tree: results inside of a program.
        shardings: of `shardings_of`, of a tree with the same leaves.

    Returns:
        The same structure.

    >>> keep_shardings({"x": 1.0}, None)
    {'x': 1.0}
    """
    if shardings is None:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    placed = [
        leaf if sharding is None else jax.lax.with_sharding_constraint(leaf, sharding)
        for leaf, sharding in zip(leaves, shardings, strict=True)
    ]
    return jax.tree.unflatten(structure, placed)


def placed_like(tree: PyTree[Any], like: PyTree[Any]) -> Any:
    """Arrays put where those of another tree with the same structure are.

    Args:
        tree: arrays, such as those of a checkpoint.
        like: arrays, some of them on a mesh.

    Returns:
        The arrays of `tree`.

    >>> placed_like({"x": 1.0}, {"x": 2.0})
    {'x': 1.0}
    """

    def put(leaf: Any, other: Any) -> Any:
        sharding = sharding_of(other)
        return leaf if sharding is None else place(leaf, sharding)

    return jax.tree.map(put, tree, like)


def data_mesh(*trees: PyTree[Any]) -> Mesh | AbstractMesh | None:
    """The mesh over whose axis `data` examples are spread.

    Args:
        trees: arrays, of which the first on a mesh decides; without one, the mesh of the context
            decides, of `on_mesh` or `jax.set_mesh`.

    Returns:
        The mesh; None where its axis `data` has one device, or there is none.

    >>> import jax.numpy as jnp
    >>> data_mesh({"x": jnp.zeros(2)}) is None
    True
    """
    for leaf in jax.tree.leaves(trees):
        sharding = sharding_of(leaf)
        if sharding is not None:
            return sharding.mesh if _has_data_axis(sharding.mesh) else None
    current, mesh = jax.sharding.get_abstract_mesh(), _mesh.get()
    if not _has_data_axis(current):
        return None
    # The one with devices, which a program without arguments on them needs.
    return mesh if mesh is not None and mesh.abstract_mesh == current else current


def _has_data_axis(mesh: Any) -> bool:
    types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    return types.get(DATA) == AxisType.Auto and mesh.shape[DATA] > 1


@contextlib.contextmanager
def on_mesh(mesh: Any) -> Iterator[None]:
    """Let functions that are called inside find a mesh by `data_mesh`; None changes nothing.

    >>> with on_mesh(None):
    ...     data_mesh() is None
    True
    """
    if not isinstance(mesh, Mesh):
        yield
        return
    token = _mesh.set(mesh)
    try:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            yield
    finally:
        _mesh.reset(token)


def spread(tree: PyTree[Any], mesh: Any) -> Any:
    """Inside of a program, spread the first axis of arrays over `data`, which need not divide it.

    >>> spread({"x": 1.0}, None)
    {'x': 1.0}
    """
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(DATA)))
