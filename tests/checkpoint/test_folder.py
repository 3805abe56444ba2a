"""One checkpoint: what was saved comes back bit for bit, and nothing else ever does."""

import asyncio
import warnings
from collections import namedtuple
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.checkpoint import CheckpointError, CorruptCheckpointError, restore, save

ROOT = Path(__file__).resolve().parent.parent.parent
Pair = namedtuple("Pair", "first second")
NUMPY = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
COMPLEX = ["complex64", "complex128"]
TAUGHT = (
    "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz "
    "float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn int4 uint4"
)


def bits(tree):
    """Type, dtype, shape and bytes of every leaf, without the code under test."""
    found = []
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            kind, leaf = str(leaf.dtype), jax.random.key_data(leaf)
        else:
            kind = "JAX" if isinstance(leaf, jax.Array) else type(leaf).__name__
        array = np.asarray(leaf)
        weak = getattr(leaf, "weak_type", False)
        found.append((kind, weak, str(array.dtype), array.shape, array.tobytes()))
    return found


def zeros_like(leaf):
    if isinstance(leaf, np.generic):
        return np.zeros((), leaf.dtype)[()]
    return (jnp if isinstance(leaf, jax.Array) else np).zeros(leaf.shape, leaf.dtype)


def train_state(optimizer=None, sizes=(3, 4, 2), key=0):
    network = jn.mlp(list(sizes))
    learner = jn.gradient_learner(network.init, jn.regression(network), optimizer or optax.adam(1))
    return learner.init(jax.random.key(key))


def random_bits(dtype, shape):
    """Every bit pattern is fair: NaNs with payloads, infinities, denormals, negative zeros."""
    dtype = np.dtype(dtype)
    generator = np.random.default_rng(7)
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    if dtype.name in ("int4", "uint4", "float4_e2m1fn"):
        return generator.integers(0, 7, shape).astype(np.int8).astype(dtype)
    content = generator.bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape).copy()


@pytest.mark.parametrize("dtype", [*NUMPY.split(), *COMPLEX, *TAUGHT.split()])
def test_every_dtype_comes_back_bit_for_bit(dtype, tmp_path):
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


def test_special_values_come_back(tmp_path):
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
def test_keys_come_back_with_their_implementation(impl, shape, tmp_path):
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
def test_structures_come_back(state, tmp_path):
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert bits(restored) == bits(state)


def test_a_train_state_continues_with_the_same_bits(key, tmp_path):
    network = jn.mlp([3, 4, 2])
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.adam(1e-2))
    batch = {"x": jax.random.normal(key, (8, 3)), "y": jnp.ones((8, 2))}
    step = jax.jit(learner.step)
    state, _ = step(learner.init(key), batch)
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=jax.eval_shape(learner.init, key))
    assert bits(restored) == bits(state)
    assert bits(step(restored, batch)[0]) == bits(step(state, batch)[0])


def test_a_placed_leaf_is_placed_again(tmp_path):
    device = jax.devices()[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    state = {"placed": jax.device_put(jnp.ones(2), device), "free": jnp.ones(2)}
    save(tmp_path / "one", state)
    restored = restore(tmp_path / "one", like=state)
    assert (restored["placed"].committed, restored["free"].committed) == (True, False)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)
    assert restore(tmp_path / "one", like=like)["free"].sharding == sharding


def test_nothing_is_printed_or_warned_and_running_loops_do_not_matter(tmp_path, capfd):
    async def inside_a_loop():
        save(tmp_path / "one", train_state())
        return restore(tmp_path / "one", like=train_state(key=1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restored = asyncio.run(inside_a_loop())
    assert bits(restored) == bits(train_state())
    assert capfd.readouterr() == ("", "")


def test_importing_jaxnet_does_not_import_it(python):
    done = python(
        "import sys, jaxnet; assert not {'orbax', 'jaxnet.checkpoint'} & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


def test_what_exists_is_not_overwritten(tmp_path):
    save(tmp_path / "one", {"a": np.ones(1)})
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("one", "link"):
        with pytest.raises(FileExistsError, match=f"{name} exists already"):
            save(tmp_path / name, {"a": np.zeros(1)})
    assert restore(tmp_path / "one", like={"a": np.zeros(1)})["a"] == 1


def test_no_checkpoint_and_no_array(tmp_path):
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
def test_another_state_is_refused_and_the_leaf_is_named(name, tmp_path):
    like, message = LIKES[name]
    save(tmp_path / "one", ADAM)
    with pytest.raises(CheckpointError, match=message) as refused:
        restore(tmp_path / "one", like=like)
    assert not isinstance(refused.value, CorruptCheckpointError)
    assert "restore with the network and the optimizer" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_float64_is_not_cast(tmp_path):
    with jax.enable_x64(True):
        state = {"x": jnp.full(2, 0.1, jnp.float64)}
        save(tmp_path / "one", state)
    with pytest.raises(CheckpointError, match=r"\['x'\]: float64, which JAX would make float32"):
        restore(tmp_path / "one", like=state)
    assert restore(tmp_path / "one", like={"x": np.zeros(2)})["x"].tolist() == [0.1, 0.1]
