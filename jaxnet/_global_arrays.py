"""Arrays on devices of several processes: placed without communication, fetched as a whole."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed PRNG keys.

    >>> is_key(jax.random.key(0)), is_key(np.zeros(2))
    (True, False)
    """
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def place(array: Any, sharding: Any) -> jax.Array:
    """An array with a sharding, also one over devices of other processes, which hold it too.

    Args:
        array: a NumPy array, or a JAX array on devices of this process; keys are arrays.
        sharding: where its parts are; of several processes a `NamedSharding`.

    Returns:
        The array. Each process has placed the parts of its own devices.

    >>> device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> place(np.ones(3), device).sharding == device
    True
    """
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        # Already of several processes: moved by a collective operation.
        return jax.jit(_same, out_shardings=sharding)(array)
    if is_key(array):
        values = np.asarray(jax.random.key_data(array))
        return place_values(values, sharding, key_impl=jax.random.key_impl(array))
    return place_values(np.asarray(array), sharding)


def place_all(tree: PyTree[Any], sharding: Any) -> Any:
    """As `place`, of each array of a pytree.

    >>> device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> place_all({"x": np.ones(3)}, device)["x"].shape
    (3,)
    """
    return jax.tree.map(lambda leaf: place(leaf, sharding), tree)


def local_part(array: Any) -> np.ndarray:
    """The values of an array, or those on the first device of this process.

    >>> local_part(jnp.ones(2)).tolist()
    [1.0, 1.0]
    """
    return np.asarray(array.addressable_data(0) if is_spread(array) else array)


def place_values(values: Any, sharding: Any, *, key_impl: Any = None) -> jax.Array:
    """As `place`, for values that each process has on its host.

    Args:
        values: an array, or anything with `shape` and boxes of values by slices.
        sharding: where its parts are.
        key_impl: of typed keys, whose data the values are.

    >>> device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> place_values(np.ones(3, np.float32), device).shape
    (3,)
    """
    array = jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
    if key_impl is None:
        return array
    wrap = functools.partial(jax.random.wrap_key_data, impl=key_impl)
    return jax.jit(wrap, out_shardings=sharding)(array)


def is_spread(leaf: Any) -> bool:
    """Whether this process holds only parts of an array.

    >>> is_spread(jnp.ones(3)), is_spread(np.ones(3))
    (False, False)
    """
    return isinstance(leaf, jax.Array) and not (
        leaf.is_fully_addressable or leaf.is_fully_replicated
    )


def gather(tree: PyTree[Any]) -> Any:
    """Arrays that are whole on each process; all processes call it, in the same order.

    Args:
        tree: a pytree; arrays of which a process holds parts only are replicated on their mesh.

    Returns:
        The same structure.

    >>> gather({"x": 3})
    {'x': 3}
    """

    def whole(leaf: Any) -> Any:
        if not is_spread(leaf):
            return leaf
        replicated = NamedSharding(leaf.sharding.mesh, PartitionSpec())
        return jax.jit(_same, out_shardings=replicated)(leaf)

    return jax.tree.map(whole, tree)


def fetch(tree: PyTree[Any]) -> Any:
    """The values on the host, whole on each process; all processes call it, as `gather`.

    Args:
        tree: a pytree of arrays; of keys, of which there is no value on the host, none.

    Returns:
        The same structure, of NumPy arrays.

    >>> fetch({"x": jnp.ones(2)})
    {'x': array([1., 1.], dtype=float32)}
    """
    return jax.tree.map(np.asarray, jax.device_get(gather(tree)))


def _same(array: jax.Array) -> jax.Array:
    return array
