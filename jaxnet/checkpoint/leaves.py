"""The leaves of a pytree as named NumPy arrays: descriptions, hashes, strict comparison."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jaxtyping import Key, PyTree, Shaped

from jaxnet._global_arrays import is_key, is_spread, place, place_values

_NUMPY = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "float16 float32 float64 complex64 complex128"
)
# Types of numbers by name: NumPy's, and those of ml_dtypes, such as bfloat16.
_DTYPES = {name: np.dtype(name) for name in _NUMPY.split()} | {
    np.dtype(kind).name: np.dtype(kind)
    for kind in vars(ml_dtypes).values()
    if isinstance(kind, type) and issubclass(kind, np.generic)
}


class Leaf(NamedTuple):
    """Path, shape and type of a leaf, in which a saved leaf and a restored one must agree.

    Attributes:
        path: its path in the pytree as JAX writes it, such as `.params['dense_0']['kernel']`.
        shape: its shape; of typed PRNG keys, the shape of the array of keys.
        dtype: name of its type, such as "float32", or "key<fry>", which names the implementation.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class Container(NamedTuple):
    """An inner node of a pytree: a dict, a list, a NamedTuple, None.

    Attributes:
        path: its path in the pytree.
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
        TypeError: a leaf is not an array of numbers; it is named.

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
        # The mask of a masked array would be lost silently.
        if isinstance(leaf, np.ma.MaskedArray) or not (is_key(leaf) or _is_number(leaf.dtype)):
            raise TypeError(
                f"leaf {name} is {type(leaf).__name__} of {leaf.dtype}, expected an array of "
                "numbers in the byte order of this machine"
            )
        dtype = str(leaf.dtype) if is_key(leaf) else np.dtype(leaf.dtype).name
        leaves.append(Leaf(name, tuple(leaf.shape), dtype))
    return leaves


def containers(tree: PyTree[Any]) -> list[Container]:
    """Path and type of every inner node of a pytree, including empty ones and None.

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
        nodes = [Container(path, type(node).__name__)]
        for entries, child in children:
            nodes += visit(child, path + jax.tree_util.keystr(entries))
        return nodes

    return visit(tree, "")


def first_repeated(paths: Sequence[str]) -> str | None:
    """The first path that occurs twice; None where all differ.

    >>> first_repeated(["a", "b", "a"])
    'a'
    """
    seen = set()
    return next((path for path in paths if path in seen or seen.add(path)), None)


def to_numpy(leaf: Any) -> Shaped[np.ndarray, "..."]:
    """The values of a leaf on the host, contiguous; the values of a key are its data.

    >>> to_numpy(jax.random.key(7)).tolist()
    [0, 7]
    """
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        # Replicated: the copy of one device of this process.
        leaf = leaf.addressable_data(0)
    array = np.asarray(jax.device_get(jax.random.key_data(leaf) if is_key(leaf) else leaf))
    return np.ascontiguousarray(array).reshape(array.shape)


def require_whole(function: str, tree: PyTree[Any]) -> None:
    """Raise for leaves of which this process holds a part only.

    Args:
        function: the public function, for the message.
        tree: a pytree of arrays.

    Raises:
        ValueError: an array that is sharded over several processes; it is named.

    >>> require_whole("save", {"bias": jnp.zeros(2)})
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if is_spread(leaf):
            raise ValueError(
                f"{function}: leaf {jax.tree_util.keystr(path)} is sharded over several processes "
                f"({leaf.sharding}); gather it on all of them with "
                "jax.experimental.multihost_utils.process_allgather(leaf, tiled=True), or "
                "replicate it with jax.jit(lambda x: x, out_shardings=...)"
            )


def numpy_dtype(name: str) -> np.dtype:
    """The type of the values of a leaf, from the name that `Leaf.dtype` has for it.

    Raises:
        ValueError: no such type.

    >>> numpy_dtype("bfloat16"), numpy_dtype("key<fry>")
    (dtype(bfloat16), dtype('uint32'))
    """
    if name.startswith("key<"):
        return np.dtype(np.uint32)
    if name not in _DTYPES:
        raise ValueError(f"{name!r} is not a type of numbers")
    return _DTYPES[name]


def from_numpy(values: Any, like: Any, *, weak_type: bool = False) -> Any:
    """The values as an array of the kind of `like`: NumPy, JAX or keys, on the same devices.

    Args:
        values: as `to_numpy` gives them; or anything with `shape`, `dtype` and boxes of values by
            slices, of which the parts for the devices of this process are taken.
        like: an array, or a `jax.ShapeDtypeStruct`, of that shape and dtype.
        weak_type: whether a JAX array yields to others when types are promoted.

    >>> from_numpy(np.array([0, 7], np.uint32), jax.random.key(0)) == jax.random.key(7)
    Array(True, dtype=bool)
    """
    if not isinstance(values, np.ndarray):
        sharding = getattr(like, "sharding", None)
        if sharding is not None and not sharding.is_fully_addressable:
            impl = _key_impl(like) if is_key(like) else None
            return place_values(values, sharding, key_impl=impl)
        values = values[...]
    if isinstance(like, np.generic):
        return values[()]
    if isinstance(like, np.ndarray):
        return values
    array: Any = values
    if is_key(like):
        array = jax.random.wrap_key_data(jax.device_put(values), impl=_key_impl(like))
    elif weak_type:
        array = _weakly_typed(jax.device_put(values))
    # An array that JAX placed by default is not committed to a device.
    if like.sharding is not None and getattr(like, "committed", True):
        return place(array, like.sharding)
    return jax.device_put(array)


def unavailable(tree: PyTree[Any]) -> list[str]:
    """The leaves that JAX would cast silently, a line for each: those of 64 bits without x64.

    >>> unavailable({"x": jax.ShapeDtypeStruct((), np.float64), "y": np.float64(0)})
    ["leaf ['x']: float64, which JAX would cast to float32"]
    """
    lines = []
    for leaf, values in zip(describe(tree), jax.tree.leaves(tree), strict=True):
        if isinstance(values, np.ndarray | np.generic) or is_key(values):
            continue
        canonical = jax.dtypes.canonicalize_dtype(values.dtype).name
        if canonical != leaf.dtype:
            lines.append(f"leaf {leaf.path}: {leaf.dtype}, which JAX would cast to {canonical}")
    return lines


def leaf_sha256(leaf: Leaf, values: Shaped[np.ndarray, "..."]) -> str:
    """SHA-256 of path, type, shape and bytes of a leaf.

    >>> leaf_sha256(Leaf("x", (2,), "float32"), np.zeros(2, np.float32))[:16]
    '0d6dd811575b7953'
    """
    # As JSON, in which different descriptions have different texts.
    digest = hashlib.sha256(json.dumps([leaf.path, leaf.dtype, leaf.shape]).encode())
    digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def params_sha256(params: PyTree[Any]) -> str:
    """SHA-256 of path, type, shape and bytes of every leaf of a pytree.

    NumPy and JAX arrays with the same values have the same hash, on any device.

    Args:
        params: any pytree of arrays, such as parameters; typed PRNG keys are arrays.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: a leaf is not an array of numbers; it is named.
        ValueError: a leaf is sharded over several processes; it is named.

    >>> params_sha256({"bias": np.zeros(2, np.float32)})[:16]
    '4f03f67f30220575'
    """
    require_whole("params_sha256", params)
    digest = hashlib.sha256()
    for leaf, values in zip(describe(params), jax.tree.leaves(params), strict=True):
        digest.update(leaf_sha256(leaf, to_numpy(values)).encode())
    return digest.hexdigest()


def differences(
    expected: Sequence[Leaf | Container], found: Sequence[Leaf | Container]
) -> list[str]:
    """How two pytrees differ, a line for each path; an empty list where they agree.

    >>> differences([Leaf("x", (2,), "float32")], [Leaf("x", (3,), "float32")])
    ['leaf x: expected float32 (2,), found float32 (3,)']
    """
    if list(expected) == list(found):
        return []
    expected_parts, found_parts = (
        {part.path: part for part in parts} for parts in (expected, found)
    )
    lines = []
    for path in {**expected_parts, **found_parts}:
        part, other = expected_parts.get(path), found_parts.get(path)
        if part == other:
            continue
        # Differences at a common path say most, and missing containers least.
        order = (part is None or other is None, not isinstance(part or other, Leaf))
        name = f"leaf {path}" if path else "the whole"
        lines.append((order, f"{name}: expected {part or 'none'}, found {other or 'none'}"))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])] or [
        "the leaves are the same, in another order"
    ]


def summarize(lines: Sequence[str], *, limit: int = 3) -> str:
    """The first lines and the number of the others.

    >>> summarize(["a", "b", "c"], limit=2)
    'a; b; and 1 more'
    """
    more = len(lines) - limit
    return "; ".join([*lines[:limit], *([f"and {more} more"] if more > 0 else [])])


def _is_number(dtype: Any) -> bool:
    """Whether this is a type of numbers in the byte order of this machine."""
    dtype = np.dtype(dtype)
    return _DTYPES.get(dtype.name) == dtype


def _key_impl(like: Key[Any, "..."]) -> Any:
    impls = []
    # Traced, because `like` may be a `jax.ShapeDtypeStruct`, which `key_impl` does not accept.
    jax.eval_shape(lambda key: impls.append(jax.random.key_impl(key)), like)
    return impls[0]


def _weakly_typed(array: jax.Array) -> jax.Array:
    """The same values, weakly typed.

    JAX's public functions make weak types from Python's numbers only, and scatter keeps the weak
    type of its operand.
    """
    zeros = jax.lax.full(array.shape, array.dtype.type(0).item())
    axes = jax.lax.ScatterDimensionNumbers(tuple(range(array.ndim)), (), ())
    return jax.lax.scatter(zeros, jnp.zeros(0, jnp.int32), array, axes)
