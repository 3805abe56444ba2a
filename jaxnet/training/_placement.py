"""Arrays on a mesh with automatic axes: programs whose results lie where their arguments did."""

from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding
from jaxtyping import PyTree

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

    def place(leaf: Any, other: Any) -> Any:
        sharding = sharding_of(other)
        return leaf if sharding is None else jax.device_put(leaf, sharding)

    return jax.tree.map(place, tree, like)
