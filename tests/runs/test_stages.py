"""Stages: the pure fold, and the watched one that restores what is finished."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.runs import RunDirectory, TrainOptions, train_stages
from jaxnet.training import Stage, fit_stages

NETWORKS = [jn.autoencoders.mlp_autoencoder([8, 6]), jn.autoencoders.mlp_autoencoder([6, 3])]


def stage_of(index):
    """The autoencoder of this index, on the codes of those before."""
    network = NETWORKS[index]
    learner = jn.gradient_learner(
        network.init,
        jn.with_noise(jn.autoencoders.reconstruction(network), jn.nn.gaussian_noise(0.1)),
        optax.sgd(0.05),
    )

    def codes(previous, data):
        x = data["x"]
        for below, params in zip(NETWORKS, previous, strict=False):
            x = below.encode(params, x)
        return {"x": x}

    return Stage(f"layer_{index}", lambda previous: learner, codes if index else None)


STAGES = [stage_of(0), stage_of(1)]
# A program without a permutation compiles in half the time.
BATCHES = jn.training.in_order(10)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).random((40, 8)) < 0.3
    return {"x": x.astype(np.float32)}


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(0), 2)


def open_directory(path):
    return RunDirectory.open(path, name="test", config={}, data_sha256="abc", resume=None)


def watched(path, keys, data, stages=STAGES):
    """The results of both stages in a directory."""
    options = TrainOptions(num_epochs=3)
    with open_directory(path) as directory:
        return train_stages(directory, stages, keys, data, batches=BATCHES, options=options)


@pytest.fixture(scope="module")
def pure(keys, data):
    """Parameters and histories of two pure trainings."""

    def fit(key, data):
        return fit_stages(STAGES, key, data, num_epochs=3, batches=BATCHES)

    return jax.device_get(jax.jit(jax.vmap(fit, (0, None)))(keys, data))


@pytest.fixture(scope="module")
def both(keys, data, tmp_path_factory):
    """The watched training of two runs."""
    return watched(tmp_path_factory.mktemp("stages") / "run", keys, data)


def require_equal(results, params, histories):
    for stage, history, result in zip(params, histories, results, strict=True):
        for expected, leaf in zip(
            jax.tree.leaves(stage), jax.tree.leaves(result.params), strict=True
        ):
            np.testing.assert_allclose(leaf, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            result.history["loss"]["train"],
            history["loss"].T,
            rtol=1e-4,
        )


def test_watched_stages_of_two_runs_equal_the_pure_ones(both, pure):
    require_equal(both, *pure)


def test_watched_stages_of_one_run_equal_the_pure_ones(pure, keys, data, tmp_path):
    results = watched(tmp_path / "run", keys[0], data)
    require_equal(results, *jax.tree.map(lambda leaf: leaf[0], pure))


def test_interrupted_stages_continue_and_finished_ones_are_restored(
    both, keys, data, tmp_path, capsys
):
    def stop(previous, data):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(tmp_path / "run", keys, data, [STAGES[0], STAGES[1]._replace(data=stop)])
    capsys.readouterr()
    results = watched(tmp_path / "run", keys, data)
    # Only the last stage takes steps.
    assert capsys.readouterr().out.count("epoch 3/3") == 1
    assert [result.state_sha256 for result in results] == [each.state_sha256 for each in both]


def test_a_step_that_depends_on_the_stages_before_is_rejected(keys, data, tmp_path):
    """It would be the step of one run for all runs of a batch."""
    network = jn.dense(8, 8)

    def first(previous):
        return jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))

    def second(previous):
        def objective(params, batch, key):
            target = network.apply(previous[0], batch["x"])
            return jnp.mean((network.apply(params, batch["x"]) - target) ** 2), {}

        return jn.gradient_learner(network.init, objective, optax.sgd(0.1))

    stages = [Stage("first", first), Stage("second", second)]
    with pytest.raises(ValueError, match="stage 'second': only init of the learner may depend"):
        watched(tmp_path / "run", keys, data | {"y": data["x"]}, stages)


def test_mistakes_are_named(data):
    with pytest.raises(ValueError, match="two are named 'layer_0'"):
        fit_stages([STAGES[0]] * 2, jax.random.key(0), data, num_epochs=1, batch_size=10)
    with pytest.raises(ValueError, match="one for each of the 2 stages, found 3"):
        fit_stages(STAGES, jax.random.key(0), data, num_epochs=(1, 2, 3), batch_size=10)
