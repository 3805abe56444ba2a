"""The leaves of a pytree as named NumPy arrays: descriptions, hashes, strict comparison."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key, PyTree, Shaped


class Leaf(NamedTuple):
    """What an array must be to stand in for another.

    Attributes:
        path: where it is, as JAX writes it, such as `.params['dense_0']['kernel']`.
        shape: its shape; for typed PRNG keys, that of the keys.
        dtype: name of its type, such as "float32", or "key<fry>", which tells the implementation.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class Container(NamedTuple):
    """What holds leaves, or nothing: a dict, a list, a NamedTuple, None.

    Attributes:
        path: where it is.
        kind: name of its type.
    """

    path: str
    kind: str

    def __str__(self) -> str:
        return self.kind


def describe(tree: PyTree[Any]) -> list[Leaf]:
    """Path, shape and type of every leaf, in JAX's order.

    Args:
        tree: a pytree of arrays, or of anything with `shape` and `dtype`.

    Raises:
        TypeError: a leaf that is no array of numbers; it is named.

    >>> describe({"bias": np.zeros(3, np.float32)})
    [Leaf(path="['bias']", shape=(3,), dtype='float32')]
    """
    leaves = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"leaf {name} is {type(leaf).__name__}, expected an array of numbers; "
                "use jax.numpy.asarray"
            )
        # The mask would be lost silently.
        if isinstance(leaf, np.ma.MaskedArray) or not (is_key(leaf) or _is_number(leaf.dtype)):
            raise TypeError(
                f"leaf {name} is {type(leaf).__name__} of {leaf.dtype}, expected an array of "
                "numbers in the byte order of this machine"
            )
        dtype = str(leaf.dtype) if is_key(leaf) else np.dtype(leaf.dtype).name
        leaves.append(Leaf(name, tuple(leaf.shape), dtype))
    return leaves


def containers(tree: PyTree[Any]) -> list[Container]:
    """Path and type of everything in a pytree that is no leaf, empty ones and None too.

    >>> containers({"a": None, "b": [1, ()]})  # doctest: +NORMALIZE_WHITESPACE
    [Container(path='', kind='dict'), Container(path="['a']", kind='NoneType'),
     Container(path="['b']", kind='list'), Container(path="['b'][1]", kind='tuple')]
    """

    def visit(node: Any, path: str) -> list[Container]:
        if jax.tree_util.all_leaves([node]):
            return []
        children = jax.tree_util.tree_leaves_with_path(
            node, is_leaf=lambda inner: inner is not node
        )
        found = [Container(path, type(node).__name__)]
        for entries, child in children:
            found += visit(child, path + jax.tree_util.keystr(entries))
        return found

    return visit(tree, "")


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed PRNG keys.

    >>> is_key(jax.random.key(0)), is_key(np.zeros(2))
    (True, False)
    """
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_numpy(leaf: Any) -> Shaped[np.ndarray, "..."]:
    """The values of a leaf on the host, contiguous; those of a key are its data.

    >>> to_numpy(jax.random.key(7)).tolist()
    [0, 7]
    """
    array = np.asarray(jax.device_get(jax.random.key_data(leaf) if is_key(leaf) else leaf))
    return np.ascontiguousarray(array).reshape(array.shape)


def from_numpy(values: Shaped[np.ndarray, "..."], like: Any, *, weak_type: bool = False) -> Any:
    """The values as what `like` is: a NumPy or a JAX array, or keys, on the same devices.

    Args:
        values: as `to_numpy` gives them.
        like: an array, or a `jax.ShapeDtypeStruct`, of that shape and dtype.
        weak_type: whether a JAX array is to give way to others when types are promoted.

    >>> from_numpy(np.array([0, 7], np.uint32), jax.random.key(0)) == jax.random.key(7)
    Array(True, dtype=bool)
    """
    if isinstance(like, np.generic):
        return values[()]
    if isinstance(like, np.ndarray):
        return values
    array = jnp.asarray(values)
    if is_key(like):
        array = jax.random.wrap_key_data(array, impl=_key_impl(like))
    elif weak_type:
        array = _weakly_typed(array)
    # What was left to JAX to place is left to it again.
    if like.sharding is not None and getattr(like, "committed", True):
        array = jax.device_put(array, like.sharding)
    return array


def unavailable(tree: PyTree[Any]) -> list[str]:
    """The leaves that JAX would silently cast, a line for each: those of 64 bits without x64.

    >>> unavailable({"x": jax.ShapeDtypeStruct((), np.float64), "y": np.float64(0)})
    ["leaf ['x']: float64, which JAX would make float32"]
    """
    lines = []
    for leaf, values in zip(describe(tree), jax.tree.leaves(tree), strict=True):
        if isinstance(values, np.ndarray | np.generic) or is_key(values):
            continue
        canonical = jax.dtypes.canonicalize_dtype(values.dtype).name
        if canonical != leaf.dtype:
            lines.append(f"leaf {leaf.path}: {leaf.dtype}, which JAX would make {canonical}")
    return lines


def leaf_sha256(leaf: Leaf, values: Shaped[np.ndarray, "..."]) -> str:
    """SHA-256 over path, type, shape and bytes of a leaf.

    >>> leaf_sha256(Leaf("x", (2,), "float32"), np.zeros(2, np.float32))[:16]
    '0d6dd811575b7953'
    """
    # JSON, because no two descriptions have the same text in it.
    digest = hashlib.sha256(json.dumps([leaf.path, leaf.dtype, leaf.shape]).encode())
    digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def params_sha256(params: PyTree[Any]) -> str:
    """SHA-256 over path, type, shape and bytes of every leaf of a pytree.

    It does not depend on whether an array is NumPy's or JAX's, nor on where it lies.

    Args:
        params: any pytree of arrays, such as parameters; typed PRNG keys are arrays.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: a leaf that is no array of numbers; it is named.

    >>> params_sha256({"bias": np.zeros(2, np.float32)})[:16]
    '4f03f67f30220575'
    """
    digest = hashlib.sha256()
    for leaf, values in zip(describe(params), jax.tree.leaves(params), strict=True):
        digest.update(leaf_sha256(leaf, to_numpy(values)).encode())
    return digest.hexdigest()


def differences(
    expected: Sequence[Leaf | Container], found: Sequence[Leaf | Container]
) -> list[str]:
    """What keeps one pytree from standing in for another, a line for each place; none if nothing.

    >>> differences([Leaf("x", (2,), "float32")], [Leaf("x", (3,), "float32")])
    ['leaf x: expected float32 (2,), found float32 (3,)']
    """
    if list(expected) == list(found):
        return []
    wanted, others = ({part.path: part for part in parts} for parts in (expected, found))
    lines = []
    for path in {**wanted, **others}:
        here, there = wanted.get(path), others.get(path)
        if here == there:
            continue
        # Those that stand against each other say most, and an empty container least.
        order = (here is None or there is None, not isinstance(here or there, Leaf))
        name = f"leaf {path}" if path else "the whole"
        lines.append((order, f"{name}: expected {here or 'none'}, found {there or 'none'}"))
    return [line for _, line in sorted(lines, key=lambda each: each[0])] or [
        "the leaves are the same, in another order"
    ]


def summarize(lines: Sequence[str], *, limit: int = 3) -> str:
    """The first lines, and how many more there are.

    >>> summarize(["a", "b", "c"], limit=2)
    'a; b; and 1 more'
    """
    more = len(lines) - limit
    return "; ".join([*lines[:limit], *([f"and {more} more"] if more > 0 else [])])


def _is_number(dtype: Any) -> bool:
    """NumPy's own numbers and those that are registered with it, such as bfloat16."""
    dtype = np.dtype(dtype)
    if dtype.isbuiltin == 1:
        return dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8)
    return dtype.isbuiltin == 2


def _key_impl(like: Key[Any, "..."]) -> Any:
    found = []
    # Traced, because `like` may be a description, of which `key_impl` knows nothing.
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), like)
    return found[0]


def _weakly_typed(array: jax.Array) -> jax.Array:
    """The same values, weakly typed.

    JAX's public functions make no weak type but from Python's numbers, and scatter keeps that of
    its operand.
    """
    zeros = jax.lax.full(array.shape, array.dtype.type(0).item())
    axes = jax.lax.ScatterDimensionNumbers(tuple(range(array.ndim)), (), ())
    return jax.lax.scatter(zeros, jnp.zeros(0, jnp.int32), array, axes)
