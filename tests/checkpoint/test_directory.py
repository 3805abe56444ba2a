"""One checkpoint: what is restored is bitwise identical to what was saved, or it is rejected."""

import asyncio
import warnings
from collections import namedtuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from safetensors import numpy as library

import jaxnet as jn
from jaxnet.checkpoint import CheckpointError, CorruptCheckpointError, read, restore, save

Pair = namedtuple("Pair", "first second")
NUMPY = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
COMPLEX = ["complex64", "complex128"]
ML_DTYPES = (
    "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz "
    "float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn "
    "int4 uint4 int2 uint2"
)


def bits(tree):
    """Type, dtype, shape and bytes of every leaf, without the code under test."""
    described = []
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            kind, leaf = str(leaf.dtype), jax.random.key_data(leaf)
        else:
            kind = "JAX" if isinstance(leaf, jax.Array) else type(leaf).__name__
        array = np.asarray(leaf)
        weak = getattr(leaf, "weak_type", False)
        described.append((kind, weak, str(array.dtype), array.shape, array.tobytes()))
    return described


def zeros_like(leaf):
    if isinstance(leaf, np.generic):
        return np.zeros((), leaf.dtype)[()]
    return (jnp if isinstance(leaf, jax.Array) else np).zeros(leaf.shape, leaf.dtype)


def train_state(optimizer=None, sizes=(3, 4, 2), key=0):
    network = jn.mlp(list(sizes))
    learner = jn.gradient_learner(network.init, jn.regression(network), optimizer or optax.adam(1))
    return learner.init(jax.random.key(key))


def random_bits(dtype, shape):
    """All bit patterns: NaNs with payloads, infinities, denormal numbers, negative zeros."""
    dtype = np.dtype(dtype)
    generator = np.random.default_rng(7)
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    if dtype.name in ("int4", "uint4", "float4_e2m1fn"):
        return generator.integers(0, 7, shape).astype(np.int8).astype(dtype)
    if dtype.name in ("int2", "uint2"):
        return generator.integers(0, 2, shape).astype(np.int8).astype(dtype)
    content = generator.bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape).copy()


@pytest.mark.parametrize("dtype", [*NUMPY.split(), *COMPLEX, *ML_DTYPES.split()])
def test_every_dtype_is_restored_bitwise(dtype, tmp_path):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    state = {
        "matrix": random_bits(dtype, (5, 31)),
        "number": random_bits(dtype, ()),
        "scalar": random_bits(dtype, (1,))[0],
        "nothing": np.zeros((0, 3), dtype),
    }
    with jax.enable_x64(True):
        state |= {f"{name}_jax": jnp.asarray(values) for name, values in state.items()}
        save(tmp_path / "one", state)
        restored = restore(tmp_path / "one", like=jax.tree.map(zeros_like, state))
        assert bits(restored) == bits(state)
    assert restored["matrix"].flags.writeable


def test_special_values_are_restored(tmp_path):
    state = {
        "zeros": jnp.array([0.0, -0.0]),
        "nan": np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 1], np.uint32).view(np.float32),
        "weak": jnp.asarray(0.5),
        "strong": jnp.float32(0.5),
    }
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=state | {"weak": state["strong"]})
    assert bits(restored) == bits(state)
    assert restored["weak"].weak_type


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (0,)])
def test_keys_are_restored_with_their_implementation(impl, shape, tmp_path):
    keys = jax.random.split(jax.random.key(3, impl=impl), shape) if shape else jax.random.key(3)
    keys = keys if shape else jax.random.key(3, impl=impl)
    save(tmp_path / "one", keys)
    restored = restore(tmp_path / "one", like=jax.ShapeDtypeStruct(keys.shape, keys.dtype))
    assert bits(restored) == bits(keys)
    assert jax.random.key_impl(restored) == impl
    other = "rbg" if impl == "unsafe_rbg" else "unsafe_rbg"
    like = jax.random.split(jax.random.key(3, impl=other), shape or (1,)).reshape(shape)
    with pytest.raises(CheckpointError, match="the whole: expected key<"):
        restore(tmp_path / "one", like=like)


@pytest.mark.parametrize(
    "state",
    [
        {},
        None,
        (),
        [np.zeros(0)],
        np.float32(3),
        {
            "a": [1 * np.ones(2), (np.ones(1), None)],
            "b": Pair({}, jnp.ones(1)),
            "c": {3: jnp.zeros(1)},
        },
        {"a/b": np.ones(1), "": np.ones(2), "../x": np.ones(3), "\n한글 '\"]": np.ones(4)},
    ],
    ids=str,
)
def test_structures_are_restored(state, tmp_path):
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert bits(restored) == bits(state)


def test_training_continues_bitwise_from_a_restored_state(key, tmp_path):
    network = jn.mlp([3, 4, 2])
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.adam(1e-2))
    batch = {"x": jax.random.normal(key, (8, 3)), "y": jnp.ones((8, 2))}
    step = jax.jit(learner.step)
    state, _ = step(learner.init(key), batch)
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=jax.eval_shape(learner.init, key))
    assert bits(restored) == bits(state)
    assert bits(step(restored, batch)[0]) == bits(step(state, batch)[0])


def test_a_committed_leaf_is_restored_on_its_device(tmp_path):
    device = jax.devices()[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    state = {"committed": jax.device_put(jnp.ones(2), device), "free": jnp.ones(2)}
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=state)
    assert (restored["committed"].committed, restored["free"].committed) == (True, False)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)
    assert restore(tmp_path / "one", like=like)["free"].sharding == sharding


def test_nothing_is_printed_or_warned_inside_a_running_event_loop(tmp_path, capfd):
    async def inside_a_loop():
        save(tmp_path / "one", train_state())
        return restore(tmp_path / "one", like=train_state(key=1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restored = asyncio.run(inside_a_loop())
    assert bits(restored) == bits(train_state())
    assert capfd.readouterr() == ("", "")


def test_it_is_imported_lazily_and_needs_no_storage_library(python):
    code = """
import sys, jaxnet
assert "jaxnet.checkpoint" not in sys.modules
import jaxnet.checkpoint
assert not {"orbax", "tensorstore", "flax", "psutil"} & set(sys.modules)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    save(tmp_path / "one", {"a": np.ones(1)})
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("one", "link"):
        with pytest.raises(FileExistsError, match=f"{name} exists already"):
            save(tmp_path / name, {"a": np.zeros(1)})
    assert restore(tmp_path / "one", like={"a": np.zeros(1)})["a"] == 1


def test_a_missing_checkpoint_and_a_leaf_that_is_not_an_array_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        restore(tmp_path / "none", like={})
    with pytest.raises(TypeError, match=r"leaf \['a'\] is float"):
        save(tmp_path / "one", {"a": 1.0})
    with pytest.raises(OSError, match="could not be written"):
        save(tmp_path / "none" / "one", {"a": np.ones(1)})
    assert not list(tmp_path.iterdir())


ADAM, LIKES = train_state(), {}
LIKES["shape"] = (
    train_state(sizes=(3, 5, 2)),
    r"kernel'\]: expected float32 \(3, 5\), found .*4\)",
)
LIKES["missing"] = (train_state(sizes=(3, 4)), r"dense_1.*: expected none, found float32 \(2,\)")
LIKES["extra"] = (
    train_state(sizes=(3, 4, 2, 2)),
    r"dense_2.*: expected float32 \(2,\), found none",
)
LIKES["optimizer"] = (
    train_state(optax.sgd(1, momentum=0.5)),
    r"leaf .optimizer_state\[0\]: expected TraceState, found ScaleByAdamState",
)
LIKES["dtype"] = (
    ADAM._replace(step=jnp.zeros((), jnp.int16)),
    r"leaf .step: expected int16 \(\), found int32 \(\)",
)
LIKES["bfloat16"] = (
    ADAM._replace(params=jax.tree.map(lambda x: x.astype(jnp.bfloat16), ADAM.params)),
    r"\['bias'\]: expected bfloat16 \(4,\), found float32 \(4,\)",
)
LIKES["key"] = (
    ADAM._replace(key=jax.random.PRNGKey(0)),
    r".key: expected uint32 \(2,\), found key<",
)
LIKES["none"] = (ADAM._replace(step=None), r".step: expected NoneType, found int32 \(\)")
LIKES["tuple"] = (tuple(ADAM), r"the whole: expected tuple, found TrainState")


@pytest.mark.parametrize("name", LIKES)
def test_another_state_is_rejected_and_the_leaf_is_named(name, tmp_path):
    like, message = LIKES[name]
    save(tmp_path / "one", ADAM)
    with pytest.raises(CheckpointError, match=message) as error:
        restore(tmp_path / "one", like=like)
    assert not isinstance(error.value, CorruptCheckpointError)
    assert "restore with the network and the optimizer" in str(error.value)
    assert "\n" not in str(error.value)


def test_float64_is_not_cast(tmp_path):
    with jax.enable_x64(True):
        state = {"x": jnp.full(2, 0.1, jnp.float64)}
        save(tmp_path / "one", state)
    with pytest.raises(CheckpointError, match=r"\['x'\]: float64, which JAX would cast to float32"):
        restore(tmp_path / "one", like=state)
    assert restore(tmp_path / "one", like={"x": np.zeros(2)})["x"].tolist() == [0.1, 0.1]


def test_arrays_are_read_by_name_without_their_structure(tmp_path):
    state = train_state()
    history = ADAM._replace(step=jnp.arange(7.0), key=jax.random.split(state.key, 3))
    save(tmp_path / "one", history)
    arrays = read(tmp_path / "one")
    leaves = jax.tree_util.tree_leaves_with_path(history)
    assert list(arrays) == [jax.tree_util.keystr(path) for path, _ in leaves]
    assert arrays[".step"].tolist() == list(range(7))
    np.testing.assert_array_equal(arrays[".key"], jax.random.key_data(history.key))
    data = [jax.random.key_data(x) if path[0].name == "key" else x for path, x in leaves]
    assert bits(list(arrays.values())) == bits([np.asarray(x) for x in data])
    # A state whose length is known from its arrays only.
    like = ADAM._replace(step=arrays[".step"], key=history.key)
    assert bits(restore(tmp_path / "one", like=like).step) == bits(arrays[".step"])
    save(tmp_path / "two", np.ones(3))
    assert read(tmp_path / "two")[""].tolist() == [1, 1, 1]
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        read(tmp_path / "none")


def test_the_safetensors_library_reads_the_arrays(tmp_path):
    state = {"a": np.arange(3, dtype=np.int8), "b": jnp.ones((2, 5)), "c": np.zeros((0, 2))}
    save(tmp_path / "one", state | {"한글": np.float64(0.1), "z": np.array([1 + 2j])})
    arrays = library.load_file(tmp_path / "one" / "arrays.safetensors")
    assert set(arrays) == {"['a']", "['b']", "['c']", "['한글']", "['z']"}
    for name, values in state.items():
        found = arrays[f"['{name}']"]
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(found, values)
    # The format lacks complex128.
    assert arrays["['z']"].tolist() == [[1.0, 2.0]]


def test_two_leaves_of_one_path_are_rejected(tmp_path):
    class Twins:
        pass

    names = (jax.tree_util.GetAttrKey("x"), jax.tree_util.GetAttrKey("x"))
    jax.tree_util.register_pytree_with_keys(
        Twins,
        lambda twins: ([(name, np.ones(1)) for name in names], None),
        lambda _, children: Twins(),
    )
    with pytest.raises(ValueError, match=r"state: two leaves have the path \['twins'\]\.x"):
        save(tmp_path / "one", {"twins": Twins()})
    assert not list(tmp_path.iterdir())
