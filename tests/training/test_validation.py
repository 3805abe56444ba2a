"""Validation and early stopping inside `fit` and `epochs`, against loops written by hand."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.training import EarlyStopped, evaluation_extra

# Validation losses of three runs after each epoch.
CURVES = np.array(
    [
        [5, 4, 3, 4, 5, 1, 0, 0],  # the best is epoch 3, and the later minimum comes too late
        [9, 8, 7, 6, 5, 4, 3, 2],
        [math.nan, 4, math.nan, 3, 9, 9, 9, 9],
    ],
    np.float32,
)
NUM_EPOCHS, PATIENCE = CURVES.shape[1], 2
DATA = {"x": np.zeros((6, 1), np.float32)}


def stop_by_hand(curve, patience):
    """The best epoch and the last epoch, counted from 1."""
    best, best_epoch = math.inf, 0
    for epoch, value in enumerate(curve, start=1):
        if value < best:
            best, best_epoch = value, epoch
        if epoch - best_epoch >= patience:
            return best_epoch, epoch
    return best_epoch, len(curve)


def counting_learner():
    """Parameters count steps; the key is the number of the run."""

    def init(key):
        run = jax.random.key_data(key)[-1]
        zero = jnp.zeros((), jnp.int32)
        params = {"run": run.astype(jnp.int32), "steps": zero}
        return jn.TrainState(params, jnp.float32(0), (), key, zero)

    def step(state, batch):
        params = state.params | {"steps": state.params["steps"] + 1}
        new = state._replace(params=params, extra=state.extra + 0.5, step=state.step + 1)
        return new, {"loss": params["steps"].astype(jnp.float32)}

    return jn.Learner(init, step)


def _lookup(params, extra, batch, key):
    """The curve of the run at the epoch, with two steps in each; state counts halves of steps."""
    epoch = params["steps"] // 2
    value = jnp.asarray(CURVES)[params["run"], epoch - 1]
    return value + 0 * batch["x"].sum(), (extra, {"epoch": extra})


LOOKUP = jn.StatefulObjective(lambda params, key: jnp.float32(0), _lookup)
VALIDATION = jn.Validation(LOOKUP, {"x": np.zeros((5, 1))}, batch_size=2, patience=PATIENCE)
OPTIONS = {"batch_size": 3, "validation": VALIDATION}


def run_key(run):
    return jax.random.wrap_key_data(jnp.array([0, run], jnp.uint32))


@pytest.fixture(scope="module")
def batch_of_runs():
    learner = counting_learner()
    keys = jax.vmap(run_key)(jnp.arange(3))
    return jax.vmap(lambda key: jn.fit(learner, key, DATA, num_epochs=NUM_EPOCHS, **OPTIONS))(keys)


@pytest.mark.parametrize("run", range(3))
def test_each_run_of_a_batch_stops_by_itself(run, batch_of_runs):
    best_epoch, last = stop_by_hand(CURVES[run], PATIENCE)
    states, histories = batch_of_runs
    state, history = jax.tree.map(
        lambda leaf: np.asarray(leaf)[run], (states._replace(key=()), histories)
    )
    assert isinstance(state.extra, EarlyStopped)
    assert int(state.extra.best.epoch) == best_epoch
    assert int(jn.evaluation_params(state)["steps"]) == 2 * best_epoch
    assert float(evaluation_extra(state)) == best_epoch
    assert int(state.step) == 2 * last
    np.testing.assert_array_equal(history["validation_loss"][:last], CURVES[run, :last])
    assert (
        np.isnan(history["validation_loss"][last:]).all() and np.isnan(history["loss"][last:]).all()
    )
    np.testing.assert_array_equal(history["validation_epoch"][:last], np.arange(1, last + 1))


def test_a_run_alone_equals_its_part_of_the_batch(batch_of_runs):
    alone = jn.fit(counting_learner(), run_key(0), DATA, num_epochs=NUM_EPOCHS, **OPTIONS)
    part = jax.tree.map(lambda leaf: leaf[0], batch_of_runs)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(part), strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(one, other)


def test_the_watched_run_ends_where_all_runs_are_out_of_patience(batch_of_runs):
    learner = counting_learner()
    results = list(jn.epochs(learner, learner.init(run_key(0)), DATA, **OPTIONS))
    best_epoch, last = stop_by_hand(CURVES[0], PATIENCE)
    assert len(results) == last
    assert int(jn.evaluation_params(results[-1][0])["steps"]) == 2 * best_epoch
    states = jax.jit(jax.vmap(learner.init))(jax.vmap(run_key)(jnp.array([0, 2])))
    results = list(jn.epochs(learner, states, DATA, **OPTIONS))
    assert len(results) == stop_by_hand(CURVES[2], PATIENCE)[1]
    found = jax.vmap(jn.evaluation_params)(results[-1][0])["steps"]
    expected = jax.vmap(jn.evaluation_params)(batch_of_runs[0])["steps"]
    np.testing.assert_array_equal(found, expected[jnp.array([0, 2])])


def test_a_watched_run_continues_from_any_of_its_states():
    learner = counting_learner()
    state = learner.init(run_key(0))
    whole = [state for state, _ in jn.epochs(learner, state, DATA, **OPTIONS)]
    first = list(itertools.islice(jn.epochs(learner, state, DATA, **OPTIONS), 2))
    rest = [state for state, _ in jn.epochs(learner, first[-1][0], DATA, **OPTIONS)]
    assert len(rest) == len(whole) - 2
    assert int(rest[-1].extra.best.epoch) == int(whole[-1].extra.best.epoch)
    plain = {"batch_size": 3}
    with pytest.raises(ValueError, match="state holds the best parameters of early stopping"):
        jn.epochs(learner, whole[-1], DATA, **plain)
    last = whole[-1]._replace(extra=whole[-1].extra.extra)
    assert int(next(jn.epochs(learner, last, DATA, **plain))[0].step) == int(last.step) + 2


def test_patience_counts_from_the_state_at_which_a_run_begins():
    learner = counting_learner()
    state = learner.init(run_key(1))
    for trained, _ in itertools.islice(jn.epochs(learner, state, DATA, batch_size=3), 4):
        state = trained
    results = list(itertools.islice(jn.epochs(learner, state, DATA, **OPTIONS), 3))
    assert [int(state.extra.best.epoch) for state, _ in results] == [5, 6, 7]


def test_hooks_and_averages_go_together_with_validation(key):
    """The best of averaged parameters, with a hook that falls inside epochs."""
    network = jn.mlp([1, 1])
    objective = jn.regression(network)
    inside = jn.gradient_learner(jax.jit(network.init), objective, optax.sgd(0.3))
    learner = jn.training.averaged_learner(inside, 0.5)
    # The best is neither the first nor the last.
    x = np.random.default_rng(1).normal(size=(8, 1)).astype(np.float32)
    data, held_out = {"x": x, "y": 2 * x[:, 0]}, {"x": x + 1, "y": x[:, 0] + 3}

    def hook(state, data):
        return state._replace(params=jax.tree.map(lambda leaf: 0.9 * leaf, state.params))

    options = {"batch_size": 2, "hooks": ((3, hook),)}
    validation = jn.Validation(objective, held_out, patience=50)
    state, history = jn.fit(learner, key, data, num_epochs=6, validation=validation, **options)
    losses, params, evaluate = [], [], jax.jit(objective)
    for current, _ in itertools.islice(jn.epochs(learner, learner.init(key), data, **options), 6):
        params.append(jn.evaluation_params(current))
        losses.append(float(evaluate(params[-1], held_out, None)[0]))
    np.testing.assert_allclose(history["validation_loss"], losses, rtol=1e-4)
    best = int(np.argmin(losses))
    assert 0 < best < 5
    assert int(state.extra.best.epoch) == best + 1
    for one, other in zip(
        jax.tree.leaves(jn.evaluation_params(state)), jax.tree.leaves(params[best]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_wrong_validations_are_rejected(key):
    learner = counting_learner()
    for validation, error, message in (
        (VALIDATION._replace(patience=0), ValueError, "patience must be at least 1, found 0"),
        (VALIDATION._replace(batch_size=0), ValueError, "batch_size must be at least 1, found 0"),
        (VALIDATION._replace(data={"x": ["a"]}), TypeError, "validation.data"),
        (VALIDATION._replace(data={"x": np.zeros((0, 1))}), ValueError, "data holds no examples"),
    ):
        with pytest.raises(error, match=message):
            jn.fit(learner, key, DATA, batch_size=3, num_epochs=2, validation=validation)
