"""Laws that every learner obeys, and every source of batches."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from tests.contracts.generator import quick_key
from tests.contracts.registry import BATCHES, LEARNERS, N, example_data

# A program without a permutation compiles in half the time. An epoch has two steps.
IN_ORDER = {"batches": jn.training.in_order(4)}
KEYS = jax.random.split(quick_key(20))


def numbers(leaf):
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def identical(first, second):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(numbers(a), numbers(b)), first, second)


def close(first, second):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(numbers(a), numbers(b), rtol=1e-4, atol=1e-5),
        first,
        second,
    )


def zero(params, batch, key):
    return 0.0 * sum(leaf.sum() for leaf in jax.tree.leaves(params)), {}


def optimizer_for(name):
    """The optimizer, which draws random numbers from a key of each run if at all."""
    if jn.optim.needs_key(name):
        return lambda key: jn.optimizer(name, key=key)
    return jn.optimizer(name)


def buffers(tree):
    """Addresses of the memory of all arrays."""
    return {
        (jax.random.key_data(leaf) if is_key(leaf) else leaf).unsafe_buffer_pointer()
        for leaf in jax.tree.leaves(tree)
    }


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def types(tree):
    return jax.tree.map(lambda leaf: (jnp.shape(leaf), leaf.dtype), tree)


def watched(learner):
    """The learner with the number of its steps among its metrics, which `advance` would count."""

    def step(state, batch):
        new, metrics = learner.step(state, batch)
        return new, metrics | {"steps": new.step}

    return jn.Learner(learner.init, step)


class Started(NamedTuple):
    """A learner and its data, and where a run starts: one program serves all tests."""

    learner: jn.Learner
    data: Any
    hooks: Any
    state: jn.TrainState
    metrics: Any


@pytest.fixture(scope="module", params=LEARNERS)
def started(request):
    learner, shapes, hooks = LEARNERS[request.param]
    learner, data = watched(learner), example_data(shapes)
    state = learner.init(KEYS[1])
    metrics = jn.training.begin_epoch(learner, state, data, **IN_ORDER)
    return Started(learner, data, hooks, state, metrics)


def test_steps_keep_the_key_and_the_types_of_the_state(started):
    learner, data, _, state, none = started
    # A state may be donated: it has none of the caller's buffers, and none twice.
    assert buffers(state).isdisjoint(buffers(KEYS[1]))
    assert len(buffers(state)) == len(jax.tree.leaves(state))
    identical(state.key, KEYS[1])
    assert int(state.step) == 0

    def take(state, data, num_steps=2):
        options = {"num_steps": num_steps} | IN_ORDER
        return jn.training.advance(learner, state, none, data, **options)

    new, metrics = take(state, data)
    assert types(new) == types(state)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    identical(new.key, KEYS[1])
    assert int(new.step) == 2 and metrics["steps"].tolist() == [1, 2]
    assert "loss" in metrics
    assert all(value.shape == (2,) and np.isfinite(value).all() for value in metrics.values())
    # What an example of weight 0 holds changes nothing, and a batch of them nothing but the step.
    weight, x = data["weight"].copy(), data["x"].copy()
    weight[5:], x[5:] = 0.0, np.nan
    masked, metrics = take(new, data | {"weight": weight, "x": x})
    close((masked, metrics), take(new, data | {"weight": weight}))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((masked.params, metrics)))
    same, metrics = take(new, data | {"weight": np.zeros(N, np.float32)}, 1)
    identical(same, new._replace(step=np.int32(3)))
    assert all(np.isfinite(value[0]) for value in metrics.values())


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_a_state_of_every_optimizer_may_be_donated(key):
    # Of one shape, for which an operation is compiled once.
    params = {"first": jnp.ones((4, 3)), "second": jnp.zeros((4, 3))}
    for name in jn.optimizer_names():
        optimizer = optimizer_for(name)
        learner = jn.gradient_learner(lambda key: params, zero, optimizer)
        state = learner.init(key)
        assert buffers(state).isdisjoint(buffers((key, params))), name
        assert len(buffers(state)) == len(jax.tree.leaves(state)), name


def test_donation_leaves_the_key_and_the_parameters_of_the_caller(key):
    pretrained = {"dense": jnp.ones(3)}
    learner = jn.gradient_learner(
        lambda key: pretrained, zero, optax.lookahead(optax.sgd(0.1), 2, 0.5)
    )
    state = learner.init(key)
    best = jn.training.init_best(state.params)

    def both(state, best):
        state, metrics = learner.step(state, {})
        return state, jn.training.keep_best(best, state.params, metrics["loss"], 1, patience=1)

    jax.jit(both, donate_argnums=(0, 1))(state, best)
    jax.random.split(key)
    assert float(pretrained["dense"].sum()) == 3


def test_pieces_are_the_whole_and_runs_of_a_batch_are_single_runs(started):
    learner, data, hooks, state, none = started

    def run(state, none, pieces):
        """Two epochs, each in pieces."""
        options = {"data": data, "hooks": hooks} | IN_ORDER
        for _ in range(2):
            metrics = none
            for num_steps in pieces:
                state, metrics = jn.training.advance(
                    learner, state, metrics, num_steps=num_steps, **options
                )
        return state, metrics

    whole = run(state, none, [2])
    identical(whole, run(state, none, [1, 1]))
    states = jax.jit(jax.vmap(learner.init))(KEYS)
    both = run(states, jn.training.begin_epoch(learner, states, data, **IN_ORDER), [2])
    close(jax.tree.map(lambda leaf: numbers(leaf)[1], both), whole)


@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_a_function_of_data_key_and_step(name):
    (batches, shapes), key = BATCHES[name], KEYS[0]
    data = example_data(shapes)
    num_steps = batches.num_steps(data)
    assert num_steps == batches.num_steps(shapes)
    traced = jax.jit(
        lambda data, key, epoch, index: batches.take(data, batches.plan(data, key, epoch), index)
    )
    first = traced(data, key, 0, 0)
    identical(traced(data, key, 0, 0), first)
    # Numbers of examples are numbers of the data.
    known = {float(value) for leaf in jax.tree.leaves(data) for value in np.ravel(leaf)}
    for epoch, index in ((0, 0), (0, num_steps - 1), (1, 0)):
        for leaf in jax.tree.leaves(traced(data, key, epoch, index)):
            assert known.issuperset(np.ravel(leaf).tolist())
    others = [traced(data, KEYS[1], 0, 0), traced(data, key, 1, 0)]
    x = jax.tree.leaves(first)[0]
    changed = [bool((jax.tree.leaves(other)[0] != x).any()) for other in others]
    assert changed == [name != "in_order"] * 2
    # Programs are compiled once for equal sources.
    assert hash(batches) == hash(dataclasses.replace(batches)) and batches == dataclasses.replace(
        batches
    )
