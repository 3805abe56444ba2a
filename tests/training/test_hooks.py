"""Hooks: when they are applied, what they cost, and that no cut of the run changes a bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.training.hooks import ScheduledHook, apply_hook, common_period, schedule_hooks

NETWORK = jn.dense(2, 1)
LEARNER = jn.gradient_learner(jax.jit(NETWORK.init), jn.regression(NETWORK), optax.sgd(0.1))


@pytest.fixture
def data():
    x = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    return {"x": x, "y": x[:, 0] + 1}


def shrink(state, data):
    """Depends on the parameters and on the data."""
    factor = jnp.mean(data["y"] ** 2) / 4
    return state._replace(params=jax.tree.map(lambda leaf: leaf * factor, state.params))


def forget(state, data):
    return state._replace(params=jax.tree.map(jnp.zeros_like, state.params))


def by_hand(key, data, hooks, num_steps, batch_size):
    """The run as its definition says: one step after the other."""
    source = jn.training.shuffled(batch_size)
    steps, state, losses = source.num_steps(data), jax.jit(LEARNER.init)(key), []
    hooks = [(every, jax.jit(hook), first) for every, hook, first in hooks]

    @jax.jit
    def take_step(state, epoch, index):
        plan = source.plan(data, key, epoch)
        return LEARNER.step(state, source.take(data, plan, index))

    for step in range(num_steps):
        for every, hook, first in hooks:
            if step >= first and (step - first) % every == 0:
                state = hook(state, data)
        state, metrics = take_step(state, step // steps, step % steps)
        losses.append(float(metrics["loss"]))
    return state, np.array(losses)


SCHEDULES = {
    "one": [(3, shrink, 0)],
    "at_epochs": [(5, shrink, 5)],
    "two": [(4, shrink, 2), (6, forget, 6)],
    "rare": [(100, forget, 1)],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_hooks_are_applied_before_their_steps(name, data, key):
    hooks = SCHEDULES[name]
    expected, losses = by_hand(key, data, hooks, 15, 2)
    run = functools.partial(jn.fit, LEARNER, batch_size=2, num_epochs=3, hooks=hooks)
    keys = jnp.stack([key, jax.random.key(5)])
    states, history = jax.jit(jax.vmap(run, (0, None)))(keys, data)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(states.params["kernel"][0], expected.params["kernel"])
    close(history["loss"][0], losses.reshape(3, 5).mean(axis=1))
    # The watched run, in pieces.
    state = jax.jit(LEARNER.init)(key)
    metrics = jn.training.begin_epoch(LEARNER, state, data, batch_size=2)
    for pieces in ([5], [1, 4], [4, 1]):
        for num_steps in pieces:
            options = {"num_steps": num_steps, "batch_size": 2, "hooks": hooks}
            state, metrics = jn.training.advance(LEARNER, state, metrics, data, **options)
    close(state.params["kernel"], expected.params["kernel"])
    close(metrics["loss"], losses[10:])


def test_any_pieces_give_the_same_bits(data, key):
    hooks = SCHEDULES["two"]
    states = jax.jit(jax.vmap(LEARNER.init))(jax.random.split(key, 2))
    start = jn.training.begin_epoch(LEARNER, states, data, batch_size=1)
    kernels = []
    for pieces in ([10], [1] * 10, [1, 8, 1]):
        state, metrics = states, start
        for num_steps in pieces:
            options = {"num_steps": num_steps, "batch_size": 1, "hooks": hooks}
            state, metrics = jn.training.advance(LEARNER, state, metrics, data, **options)
        kernels.append((np.asarray(state.params["kernel"]), np.asarray(metrics["loss"])))
    for kernel, losses in kernels[1:]:
        np.testing.assert_array_equal(kernel, kernels[0][0])
        np.testing.assert_array_equal(losses, kernels[0][1])


def test_hooks_cost_nothing_between_their_steps(data, key):
    """In a batch of runs neither, where a batched branch would be computed at every step."""
    calls = []

    def note(state, data):
        jax.debug.callback(lambda step: calls.append(int(step)), state.step)
        return state

    run = functools.partial(
        jn.fit, LEARNER, batch_size=2, num_epochs=2, hooks=((3, note, 1), (4, note, 6))
    )
    jax.block_until_ready(jax.jit(jax.vmap(run, (0, None)))(jax.random.split(key, 2), data))
    jax.effects_barrier()
    # The step is one number for all runs of the batch.
    assert sorted(calls) == [1, 4, 6, 7]


def test_each_run_of_a_batch_may_have_its_own_data(data, key):
    keys = jax.random.split(key, 2)
    states = jax.jit(jax.vmap(LEARNER.init))(keys)
    both = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), data)
    run = jn.epochs(LEARNER, states, both, batches=jn.training.per_run(5), hooks=((1, shrink),))
    state, _ = next(run)
    for index, own in enumerate((data, jax.tree.map(lambda leaf: 2 * leaf, data))):
        alone = jn.epochs(
            LEARNER, jax.jit(LEARNER.init)(keys[index]), own, batch_size=5, hooks=((1, shrink),)
        )
        expected, _ = next(alone)
        kernel = expected.params["kernel"]
        np.testing.assert_allclose(state.params["kernel"][index], kernel, rtol=1e-4, atol=1e-6)


def test_a_hook_keeps_key_step_and_dtypes(key):
    def careless(state, data):
        params = jax.tree.map(lambda leaf: leaf * np.float32(2), state.params)
        return state._replace(params=params, key=jax.random.key(9), step=state.step + 7)

    start = LEARNER.init(key)
    state = apply_hook(careless, start, {})
    assert state.step == start.step and (state.key == start.key).all()
    assert state.params["kernel"].dtype == start.params["kernel"].dtype


def test_errors_name_the_argument(data, key):
    with pytest.raises(ValueError, match="every must be at least 1, found 0"):
        jn.fit(LEARNER, key, data, batch_size=2, num_epochs=1, hooks=((0, forget),))
    with pytest.raises(ValueError, match=r"first must .*, found -1"):
        schedule_hooks([(1, forget, -1)])
    with pytest.raises(ValueError, match="a hook returned a state of shapes"):
        apply_hook(lambda state, data: state._replace(params={}), LEARNER.init(key), data)
    assert common_period([ScheduledHook(12, forget, 4)], 20) == 4
