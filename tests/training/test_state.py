"""Copies of the arrays that a state owns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxnet._global_arrays import is_key
from jaxnet.training.sharding import device_mesh
from jaxnet.training.state import owned
from tests.devices import needs_two_devices


def numbers(leaf):
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def placed(leaf, place):
    if place == "uncommitted":
        return leaf
    if place == "second device":
        return jax.device_put(leaf, jax.devices()[1])
    axes = ("data",) if place == "sharded" else (None,)
    return jax.device_put(leaf, NamedSharding(device_mesh(data=2), PartitionSpec(*axes)))


@jax.jit
def twice(leaves):
    return [leaf if is_key(leaf) else leaf + leaf for leaf in leaves]


@needs_two_devices
@pytest.mark.parametrize("place", ["uncommitted", "second device", "sharded", "replicated"])
def test_donated_copies_leave_the_arrays_of_the_caller(place):
    values = (np.arange(4.0, dtype=np.float32), jax.random.split(jax.random.key(0), 4))
    leaves = [placed(jax.device_put(value), place) for value in values]
    # The first one occurs twice.
    copies = owned([*leaves, leaves[0]])
    for copy, leaf in zip(copies, [*leaves, leaves[0]], strict=True):
        assert copy.dtype == leaf.dtype and copy.committed == leaf.committed
        assert copy.sharding.is_equivalent_to(leaf.sharding, 1)
    jax.jit(twice, donate_argnums=0)(copies)
    assert all(copy.is_deleted() for copy in copies)
    for leaf, value in zip(leaves, values, strict=True):
        assert not leaf.is_deleted()
        np.testing.assert_array_equal(numbers(leaf), numbers(value))


def test_a_copy_of_a_numpy_array_has_memory_of_its_own():
    # XLA takes memory as it is where an address is a multiple of 64.
    memory = np.zeros(64, np.float32)
    start = -memory.ctypes.data % 64 // memory.itemsize
    array = memory[start : start + 32]
    copy = owned(array)
    array[:] = 1
    assert copy.dtype == np.float32 and not np.asarray(copy).any()


def test_numbers_become_arrays():
    copies = owned((1.0, True, np.int32(3)))
    assert [copy.dtype for copy in copies] == [jnp.float32, jnp.bool_, jnp.int32]


def test_nothing_is_copied_inside_a_program():
    outside = jnp.ones(3)
    traced = jax.jit(lambda inside: owned((inside, outside)))
    assert [copy.tolist() for copy in traced(jnp.zeros(3))] == [[0.0] * 3, [1.0] * 3]


def test_arrays_on_one_device_are_copied_without_compiling(caplog):
    # A shape that no other test has.
    leaves = [jax.device_put(np.ones((2, 3, 5, 7, shape))) for shape in (11, 13)]
    with jax.log_compiles(True):
        owned(leaves)
        assert not [record for record in caplog.messages if "Compiling" in record]
        jnp.array(leaves[0], copy=True)
    assert [record for record in caplog.messages if "Compiling" in record]
