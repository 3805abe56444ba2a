"""Data of watched training: never inside a compiled program, from the host, one set per run."""

import gc
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import clustering
from jaxnet.runs import Interrupted, RunDirectory, TrainOptions, train
from jaxnet.training import HostData, driver

MEGABYTE = 1 << 20


def open_directory(path):
    return RunDirectory.open(path, name="test", config={}, data_sha256="abc", resume=None)


def live_bytes():
    gc.collect()
    return sum(array.nbytes for array in jax.live_arrays())


def dec_run(path, x):
    """A watched run of DEC with soft resets, all of whose hooks see the whole data set."""
    network = jn.autoencoders.mlp_autoencoder([x.shape[1], 4])

    def init(key):
        return {"autoencoder": network.init(key), "centers": jax.random.normal(key, (3, 4))}

    objective = clustering.with_targets(
        clustering.deep_embedded_clustering(network), num_examples=len(x)
    )
    learner = jn.gradient_learner(init, objective, optax.sgd(0.01))
    hooks = ((3, clustering.refresh_targets(network)),)
    with open_directory(path) as directory:
        return train(
            directory,
            learner,
            jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), 2)),
            {"x": x, "index": np.arange(len(x))},
            batches=500,
            options=TrainOptions(num_epochs=2),
            hooks=hooks,
        )


def test_dec_compiles_no_data_and_frees_them(tmp_path, monkeypatch):
    x = np.random.default_rng(0).random((3000, 784), np.float32)
    assert x.nbytes > 8 * MEGABYTE
    programs = {}
    compiled_for = driver.compiled_for

    def recorded(owner, build, **options):
        function = compiled_for(owner, build, **options)

        def run(*arguments):
            if build.__name__ not in programs:
                programs[build.__name__] = function.lower(*arguments).as_text()
            return function(*arguments)

        return run

    monkeypatch.setattr(driver, "compiled_for", recorded)
    before = live_bytes()
    result = dec_run(tmp_path / "run", x)
    assert sorted(programs) == ["apply_hook_to_runs", "take_steps_of_runs"]
    # A constant is written with two characters for each byte.
    assert max(map(len, programs.values())) < MEGABYTE
    assert np.isfinite(result.history["loss"]["train"]).all()
    assert live_bytes() - before < MEGABYTE


NETWORK = jn.mlp([3, 4, 1])
LEARNER = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.sgd(0.1, momentum=0.5))
init_one, init_two = jax.jit(LEARNER.init), jax.jit(jax.vmap(LEARNER.init))


@pytest.fixture
def keys():
    return jax.random.split(jax.random.key(0), 2)


def host_batches(step):
    """The batch of each step is a function of the step."""
    for index in itertools.count(step):
        x = np.random.default_rng(index).normal(size=(20, 3)).astype(np.float32)
        yield {"x": x, "y": x.sum(axis=1)}


@pytest.mark.parametrize("num_runs", [None, 2])
def test_host_data_resume_at_their_step(num_runs, keys, tmp_path):
    options = TrainOptions(num_epochs=3, checkpoint_every=4)

    def run(path, iterate):
        states = init_one(keys[0]) if num_runs is None else init_two(keys)
        with open_directory(path) as directory:
            data = HostData(iterate, steps_per_epoch=5)
            return train(directory, LEARNER, states, data, batches=None, options=options)

    def broken(step):
        for index, batch in zip(itertools.count(step), host_batches(step), strict=False):
            if index == 10:
                raise Interrupted(2)
            yield batch

    whole = run(tmp_path / "whole", host_batches)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", broken)
    resumed = run(tmp_path / "run", host_batches)
    assert resumed.state_sha256 == whole.state_sha256
    assert resumed.history["loss"]["train"].shape[0] == 3


def test_each_run_trains_on_its_own_data(keys, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32)
    data, options = {"x": x, "y": x.sum(axis=2)}, TrainOptions(num_epochs=2)
    with open_directory(tmp_path / "both") as directory:
        states, batches = init_two(keys), jn.training.per_run(10)
        both = train(directory, LEARNER, states, data, batches=batches, options=options)
    with open_directory(tmp_path / "second") as directory:
        second_data = jax.tree.map(lambda leaf: leaf[1], data)
        second = train(
            directory, LEARNER, init_one(keys[1]), second_data, batches=10, options=options
        )
    for batch, single in zip(
        jax.tree.leaves(both.params), jax.tree.leaves(second.params), strict=True
    ):
        np.testing.assert_allclose(np.asarray(batch)[1], single, rtol=1e-4, atol=1e-6)


def test_extra_state_is_that_of_the_parameters(tmp_path):
    """With early stopping both are those of the best epoch."""

    def init_extra(params, key):
        return jnp.zeros((), jnp.int32)

    def objective(params, extra, batch, key):
        return params["bias"], (extra + 1, {})

    learner = jn.gradient_learner(
        lambda key: {"bias": jnp.zeros(())},
        jn.typing.StatefulObjective(init_extra, objective),
        optax.sgd(1.0),
    )

    @jax.jit
    def evaluate(params, extra):
        return {"loss": jnp.abs(extra - 6).astype(jnp.float32)}

    with open_directory(tmp_path / "run") as directory:
        result = train(
            directory,
            learner,
            jax.jit(learner.init)(jax.random.key(0)),
            {"x": np.zeros(9, np.float32)},
            batches=3,
            options=TrainOptions(num_epochs=9, patience=2),
            evaluate=evaluate,
        )
    assert (int(result.best_epochs), int(result.extra)) == (2, 6)
    assert float(result.params["bias"]) == -6
    assert result.history["loss"]["validation"].tolist() == [3, 0, 3, 6]
