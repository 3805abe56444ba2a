"""Several devices: the numbers of one device, and a program that communicates gradients alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jaxnet as jn
from jaxnet._compiled import compiled_for
from jaxnet.training._placement import shardings_of
from jaxnet.training._programs import take_steps_of_runs
from jaxnet.training.sharding import (
    data_parallel,
    device_mesh,
    replicate,
    shard_examples,
    shard_runs,
)
from tests.devices import needs_two_devices

ROOT = Path(__file__).resolve().parents[2]
NETWORK = jn.mlp([64, 32, 10], dropout=0.2)
LEARNER = jn.gradient_learner(
    NETWORK.init, jn.classification(NETWORK), optax.sgd(0.1, momentum=0.9)
)
DENSE = jn.dense(3, 2)
DENSE_LEARNER = jn.gradient_learner(jax.jit(DENSE.init), jn.regression(DENSE), optax.sgd(0.1))
COLLECTIVE = re.compile(r" = (.*?) (all-reduce|all-gather|all-to-all|reduce-scatter)(-start)?\(")


def program_text(learner, state, metrics, data, batches):
    """The compiled program of an epoch."""
    places = shardings_of((state, metrics))
    advance = compiled_for(learner.step, take_steps_of_runs, batches=batches, shardings=places)
    num_steps = metrics["loss"].shape[-1]
    return advance.lower(state, metrics, data, (0, num_steps, 0)).compile().as_text()


def train(num_devices, num_shards, data, key):
    """Kernels after an epoch, and the collective operations of the program."""
    mesh = device_mesh(data=num_devices)
    learner = data_parallel(LEARNER, mesh)
    data = replicate(data, mesh) if num_shards == 1 else shard_examples(data, mesh)
    batches = jn.training.shuffled(128, num_shards=num_shards)
    state = replicate(jax.jit(LEARNER.init)(key), mesh)
    metrics = jn.training.begin_epoch(learner, state, data, batches=batches)
    length = batches.num_steps(data)
    program = program_text(learner, state, metrics, data, batches)
    state, _ = jn.training.advance(learner, state, metrics, data, num_steps=length, batches=batches)
    return state, COLLECTIVE.findall(program)


def check_data_parallel(devices, data, key):
    data = jax.tree.map(lambda leaf: leaf[:1408], data)
    sizes = {leaf.size for leaf in jax.tree.leaves(jax.eval_shape(NETWORK.init, key))} | {1}
    for num_shards in (1, 8):
        expected, collectives = train(1, num_shards, data, key)
        assert not collectives
        for num_devices in devices:
            state, collectives = train(num_devices, num_shards, data, key)
            for kernel, other in zip(
                jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True
            ):
                np.testing.assert_allclose(kernel, other, atol=1e-5)
            # One sum of the gradients and the metrics, and nothing of the size of a batch.
            assert {kind for _, kind, _ in collectives} == {"all-reduce"}
            shapes = re.findall(r"\[([\d,]*)\]", " ".join(types for types, _, _ in collectives))
            reduced = {int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes}
            assert reduced <= sizes


@needs_two_devices
def test_two_devices_train_as_one(digits, key):
    check_data_parallel([2], digits["train"], key)


@pytest.mark.crash
def test_eight_devices_train_as_one(tmp_path):
    code = f"""
import jax, sys
sys.path.insert(0, {str(ROOT / "tests" / "training")!r})
from test_sharding import check_data_parallel
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
data = {{"x": x.astype("float32") / 16, "y": y.astype("int32")}}
check_data_parallel([8], data, jax.random.key(20))
print("equal on", jax.device_count(), "devices")
"""
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=1"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {
        "XLA_FLAGS": flags,
        "PYTHONPATH": path,
        # Each program is compiled twice: to be read, and to run.
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.stdout == "equal on 8 devices\n", done.stderr


@needs_two_devices
def test_runs_spread_over_devices_without_communication(digits, key):
    keys = jax.random.split(key, 4)
    states = jax.jit(jax.vmap(LEARNER.init))(keys)
    expected, _ = next(jn.epochs(LEARNER, states, digits["train"], batch_size=100))
    mesh = device_mesh(run=2)
    spread, data = shard_runs(states, mesh), replicate(digits["train"], mesh)
    batches = jn.training.shuffled(100)
    metrics = jn.training.begin_epoch(LEARNER, spread, data, batches=batches)
    assert not COLLECTIVE.findall(program_text(LEARNER, spread, metrics, data, batches))
    state, _ = next(jn.epochs(LEARNER, spread, data, batch_size=100))
    kernel = state.params["dense_0"]["kernel"]
    assert kernel.sharding.spec[0] == "run"
    np.testing.assert_allclose(kernel, expected.params["dense_0"]["kernel"], rtol=1e-3, atol=1e-5)


@needs_two_devices
@pytest.mark.parametrize(("spec", "num_shards"), [((), 1), (("data",), 1), (("data",), 2)])
def test_explicit_mesh_axes(spec, num_shards, key):
    """The default of `jax.make_mesh`, with and without a mesh in the context."""
    learner = DENSE_LEARNER
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    data, batches = {"x": x, "y": x[:, :2]}, jn.training.shuffled(4, num_shards=num_shards)
    expected, _ = jn.fit(learner, key, data, batches=batches, num_epochs=1)
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    sharded = jax.device_put(data, NamedSharding(mesh, PartitionSpec(*spec)))
    states = [
        jn.fit(learner, key, sharded, batches=batches, num_epochs=1)[0],
        next(jn.epochs(learner, learner.init(key), sharded, batches=batches))[0],
    ]
    with jax.set_mesh(mesh):
        states.append(jn.fit(learner, key, sharded, batches=batches, num_epochs=1)[0])
    for state in states:
        np.testing.assert_allclose(
            state.params["kernel"], expected.params["kernel"], rtol=1e-4, atol=1e-6
        )
    for batch_size in (8, 5):
        found = jn.predict(DENSE.apply, expected.params, sharded["x"], batch_size=batch_size)
        outputs = x @ np.asarray(expected.params["kernel"]) + np.asarray(expected.params["bias"])
        np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-5)


def test_errors_name_what_does_not_fit(key):
    with pytest.raises(ValueError, match=r"run=1000 times data=1 needs 1000 devices, found \d+"):
        device_mesh(run=1000)
    with pytest.raises(ValueError, match="data must be at least 1, found 0"):
        device_mesh(data=0)
    with pytest.raises(ValueError, match=r"batch_size 10 must be a multiple of num_shards 4"):
        jn.training.shuffled(10, num_shards=4)
    if jax.device_count() > 1:
        mesh = device_mesh(run=1, data=2)
        with pytest.raises(ValueError, match="3 examples cannot be spread evenly over the 2"):
            shard_examples({"x": jnp.zeros(3)}, mesh)
        batch = {"x": jnp.zeros((5, 64)), "y": jnp.zeros(5, int)}
        with pytest.raises(ValueError, match=r"batches of \[5\] examples cannot be cut"):
            data_parallel(LEARNER, mesh).step(jax.jit(LEARNER.init)(key), batch)
