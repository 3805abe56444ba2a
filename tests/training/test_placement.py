"""Runs, examples and parameters spread over devices at once: the numbers of one device."""

import functools
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
    shard_state,
)
from tests.contracts.generator import quick_key
from tests.devices import needs_two_devices

ROOT = Path(__file__).resolve().parents[2]
NETWORK = jn.mlp([6, 16, 3], dropout=0.2)
OBJECTIVE = jn.classification(NETWORK)
LEARNER = jn.gradient_learner(jax.jit(NETWORK.init), OBJECTIVE, optax.adam(1e-2))
COLLECTIVE = re.compile(
    r" = (.*?) (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)(-start)?\("
)
BATCH_SIZE, NUM_RUNS = 8, 4


def examples(num_examples):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_examples, 6)).astype(np.float32)
    return {"x": x, "y": rng.integers(0, 3, num_examples).astype(np.int32)}


def collectives(text):
    """From the name of each collective operation of a program to the shapes that it moves."""
    found = {}
    for types, kind, _ in COLLECTIVE.findall(text):
        found.setdefault(kind, set()).update(re.findall(r"\[([\d,]*)\]", types))
    return found


def assert_close(found, expected, **tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, **({"rtol": 1e-5, "atol": 1e-5} | tolerance))


BATCHES = jn.training.shuffled(BATCH_SIZE)


def train_epoch(learner, states, data, pieces):
    """States and metrics after an epoch in pieces."""
    metrics = jn.training.begin_epoch(learner, states, data, batches=BATCHES)
    for num_steps in pieces:
        states, metrics = jn.training.advance(
            learner, states, metrics, data, num_steps=num_steps, batches=BATCHES
        )
    return states, metrics


def program_text(learner, states, metrics, data):
    """The text of the program that takes the steps of an epoch."""
    places = shardings_of((states, metrics))
    program = compiled_for(learner.step, take_steps_of_runs, batches=BATCHES, shardings=places)
    num_steps = metrics["loss"].shape[-1]
    return program.lower(states, metrics, data, (0, num_steps, 0)).compile().as_text()


@functools.cache
def trained_alone():
    """States and metrics of a batch of runs after an epoch on one device."""
    states = jax.jit(jax.vmap(LEARNER.init))(jax.random.split(jax.random.key(1), NUM_RUNS))
    return states, *train_epoch(LEARNER, states, jax.device_put(examples(48)), [6])


def check_runs_and_data(run, data, *, shard_params=False):
    """A batch of runs over `run`, and its batches over `data`."""
    start, expected, expected_metrics = trained_alone()
    mesh = device_mesh(run=run, data=data)
    learner = data_parallel(LEARNER, mesh, shard_params=shard_params, min_size=16)
    states = shard_runs(start, mesh)
    if shard_params:
        states = shard_state(start, mesh, shard_params=True, min_size=16)
        kernel = states.optimizer_state[0].mu["dense_0"]["kernel"]
        # The 16 units, and not the 6 inputs, are split.
        assert kernel.addressable_shards[0].data.shape == (NUM_RUNS // run, 6, 16 // data)
    on_mesh = replicate(jax.device_put(examples(48)), mesh)
    whole, metrics = train_epoch(learner, states, on_mesh, [6])
    for leaf, before in zip(jax.tree.leaves(whole), jax.tree.leaves(states), strict=True):
        assert leaf.sharding.is_equivalent_to(before.sharding, leaf.ndim)
    pieces, _ = train_epoch(learner, states, on_mesh, [1, 3, 2])
    assert_close(whole.params, expected.params)
    assert_close(metrics, expected_metrics)
    jax.tree.map(np.testing.assert_array_equal, pieces.params, whole.params)
    found = collectives(program_text(learner, whole, metrics, on_mesh))
    # Gradients and metrics of the runs of a device, and nothing of the batch or of other runs.
    gradients = {leaf.size // run for leaf in jax.tree.leaves(start.params)} | {NUM_RUNS // run}
    assert {size(shape) for shapes in found.values() for shape in shapes} <= gradients
    if data == 1:
        assert not found
    else:
        assert set(found) - {"reduce-scatter"} == (
            {"all-reduce", "all-gather"} if shard_params else {"all-reduce"}
        )


def size(shape):
    return int(np.prod([int(n) for n in shape.split(",") if n]))


def check_predictions(run, data, num_examples, place):
    """`predict` and `evaluate` of one network and of a batch, with examples over `data`."""
    mesh, params = device_mesh(run=run, data=data), trained_alone()[1].params
    alone, on_mesh = examples(num_examples), place(examples(num_examples), mesh)
    one = jax.tree.map(lambda leaf: leaf[0], jax.device_get(params))
    predict = functools.partial(jn.predict, NETWORK.apply, batch_size=16)
    evaluate = functools.partial(jn.evaluate, OBJECTIVE, batch_size=16)
    # Batches of the same size have the same bits, on whichever device.
    np.testing.assert_array_equal(predict(one, on_mesh["x"]), predict(one, alone["x"]))
    assert_close(evaluate(one, on_mesh), evaluate(one, alone), rtol=1e-6, atol=1e-6)
    spread = shard_runs(params, mesh)
    outputs = jax.vmap(predict, (0, None))(spread, on_mesh["x"])
    assert_close(outputs, jax.vmap(predict, (0, None))(params, alone["x"]), rtol=1e-6, atol=1e-6)
    if num_examples % data == 0:
        spec = outputs.sharding.spec
        assert spec[:2] == ("run" if run > 1 else None, "data" if data > 1 else None)[: len(spec)]
    results = jax.vmap(evaluate, (0, None))(spread, on_mesh)
    assert_close(results, jax.vmap(evaluate, (0, None))(params, alone), rtol=1e-6, atol=1e-6)
    # Inside of a program of the caller the mesh is that of the context.
    with jax.set_mesh(mesh):
        program = jax.jit(predict).lower(one, on_mesh["x"]).compile()
    np.testing.assert_array_equal(program(one, on_mesh["x"]), predict(one, alone["x"]))
    assert num_examples % data or not collectives(program.as_text())


@needs_two_devices
@pytest.mark.parametrize(("run", "data"), [(2, 1), (1, 2)])
def test_two_devices_train_a_batch_of_runs_as_one(run, data):
    check_runs_and_data(run, data)


@needs_two_devices
def test_parameters_split_over_two_devices_are_those_of_one():
    check_runs_and_data(1, 2, shard_params=True)


@needs_two_devices
@pytest.mark.parametrize(
    ("num_examples", "place"),
    [(64, shard_examples), (64, replicate), (37, replicate), (1, replicate)],
)
def test_two_devices_predict_and_evaluate_as_one(num_examples, place):
    check_predictions(1, 2, num_examples, place)


@needs_two_devices
def test_fit_with_validation_and_hooks_on_two_devices_is_that_of_one():
    def shrink(state, data):
        # A hook that predicts all examples of its data.
        outputs = jn.predict(NETWORK.apply, state.params, data["x"], batch_size=16)
        factor = 1 - 0.1 * jnp.tanh(jnp.mean(outputs**2))
        return state._replace(params=jax.tree.map(lambda leaf: factor * leaf, state.params))

    data, held_out, key = examples(48), examples(37), quick_key(3)

    def options(data):
        validation = jn.Validation(OBJECTIVE, data, batch_size=16, patience=5)
        return {"batch_size": BATCH_SIZE, "hooks": ((4, shrink),), "validation": validation}

    expected, history = jn.fit(LEARNER, key, data, num_epochs=2, **options(held_out))
    mesh = device_mesh(data=2)
    learner = data_parallel(LEARNER, mesh)
    on_mesh, others = replicate((data, held_out), mesh)
    state, found = jn.fit(learner, key, on_mesh, num_epochs=2, **options(others))
    assert_close((state.params, found), (expected.params, history))
    run = jn.epochs(learner, learner.init(key), on_mesh, **options(others))
    (_, first), (state, second) = next(run), next(run)
    assert_close(state.params, expected.params)
    for index, metrics in enumerate((first, second)):
        assert_close(metrics, {name: values[index] for name, values in history.items()})


@pytest.mark.crash
def test_eight_devices_compute_as_one(tmp_path):
    code = f"""
import jax
jax.config.update("jax_num_cpu_devices", 8)
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.training.test_placement import *
from tests.clustering.test_on_devices import check_clusters
for shape in ((2, 4), (4, 2), (1, 8), (4, 1)):
    check_runs_and_data(*shape)
check_runs_and_data(2, 4, shard_params=True)
for num_examples, place in ((64, shard_examples), (64, replicate), (37, replicate)):
    check_predictions(2, 4, num_examples, place)
for num_devices in (4, 8):
    check_clusters(num_devices)
print("equal on", jax.device_count(), "devices")
"""
    environment = {
        "XLA_FLAGS": "--xla_backend_optimization_level=1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.stdout == "equal on 8 devices\n", done.stderr
