"""Keys compose: two nested transformers draw independent numbers, each of its own key."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn

NOISE = jn.nn.masking_noise(0.5)
X = jnp.ones((2000, 8))


def kept_by_objective(transform):
    """Which inputs of an objective a number of nested transformations keep."""

    def kept(key, times):
        def spy(params, batch, key):
            return jnp.float32(0), {"x": batch["x"], "drawn": jax.random.uniform(key)}

        objective = spy
        for _ in range(times):
            objective = transform(objective)
        _, metrics = objective({}, {"x": X}, key)
        return metrics["x"], metrics["drawn"]

    return kept


def kept_by_learner(transform):
    def kept(key, times):
        def step(state, batch):
            metrics = {"x": batch["x"], "drawn": jax.random.uniform(state.key)}
            return state._replace(step=state.step + 1), metrics

        def init(key):
            return jn.TrainState({}, (), (), key, jnp.zeros((), jnp.int32))

        learner = jn.Learner(init, step)
        for _ in range(times):
            learner = transform(learner)
        state = learner.init(key)
        after, metrics = learner.step(state, {"x": X})
        assert (after.key == key).all() and after.step == 1
        return metrics["x"], metrics["drawn"]

    return kept


def kept_by_chain(key, times):
    spy = jn.nn.Network(lambda key: {}, lambda params, x, *, key=None: (x, jax.random.uniform(key)))
    return jn.chain(*[NOISE] * times, spy).apply({}, X, key=key)


TRANSFORMERS = {
    "with_noise": kept_by_objective(functools.partial(jn.with_noise, noise=NOISE)),
    "with_augmentation": kept_by_objective(
        functools.partial(jn.with_augmentation, augmentation=NOISE)
    ),
    "augmented_learner": kept_by_learner(
        functools.partial(jn.training.augmented_learner, augmentation=NOISE)
    ),
    "chain": kept_by_chain,
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_nested_transformers_draw_independent_numbers(name, key):
    once, _ = TRANSFORMERS[name](key, 1)
    twice, inner = TRANSFORMERS[name](key, 2)
    thrice, _ = TRANSFORMERS[name](key, 3)
    # Standard deviation of a mean of 16 000 bits: 0.004.
    for kept, expected in ((once, 0.5), (twice, 0.25), (thrice, 0.125)):
        assert abs(float(kept.mean()) - expected) < 0.02
    # What stands inside has a key of its own too.
    _, outer = TRANSFORMERS[name](key, 1)
    assert len({float(inner), float(outer), float(jax.random.uniform(key))}) == 3


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_numbers_are_a_function_of_the_key(name, key):
    first, again, other = (TRANSFORMERS[name](each, 2)[0] for each in (key, key, jax.random.key(9)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_an_augmented_learner_draws_new_numbers_at_each_step(key):
    def step(state, batch):
        return state._replace(step=state.step + 1), {"loss": jnp.float32(0), "x": batch["x"]}

    def init(key):
        return jn.TrainState({}, (), (), key, jnp.zeros((), jnp.int32))

    learner = jn.training.augmented_learner(jn.Learner(init, step), NOISE)
    state, first = learner.step(learner.init(key), {"x": X})
    _, second = learner.step(state, {"x": X})
    assert (first["x"] != second["x"]).any()
