"""One step by hand, and what some optimizers need besides a gradient."""

import jax
import numpy as np
import optax
import pytest

import jaxnet as jn

NETWORK = jn.mlp([3, 1])


@pytest.fixture
def batch():
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    return {"x": x, "y": x[:, 0] - 2}


def close(first, second, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), first, second)


def one_step(optimizer, key, batch, network=NETWORK):
    learner = jn.gradient_learner(network.init, jn.regression(network), optimizer)

    @jax.jit
    def run(key, batch):
        start = learner.init(key)
        return start, *learner.step(start, batch)

    return run(key, batch)


def slopes(params, batch):
    """Gradient of each example's squared error, by the formula for a linear model."""
    layer = jax.device_get(params["dense_0"])
    error = (batch["x"] @ layer["kernel"])[:, 0] + layer["bias"] - batch["y"]
    return {
        "dense_0": {
            "bias": 2 * error[:, None],
            "kernel": 2 * (error[:, None] * batch["x"])[..., None],
        }
    }


def test_a_step_of_gradient_descent(key, batch):
    start, state, metrics = one_step(optax.sgd(0.1), key, batch)
    gradient = jax.tree.map(lambda leaf: leaf.mean(axis=0), slopes(start.params, batch))
    close(
        state.params, jax.tree.map(lambda p, g: p - 0.1 * g, jax.device_get(start.params), gradient)
    )
    residual = jax.jit(NETWORK.apply)(start.params, batch["x"])[:, 0] - batch["y"]
    np.testing.assert_allclose(metrics["loss"], (residual**2).mean(), rtol=1e-5)
    assert int(state.step) == 1
    assert (jax.random.key_data(state.key) == jax.random.key_data(key)).all()


@pytest.mark.parametrize("bound", [1e9, 0.5])
def test_private_gradients_are_clipped_one_example_at_a_time(bound, key, batch):
    private = optax.contrib.differentially_private_aggregate(bound, 0.0, jax.random.key(1))
    start, state, _ = one_step(optax.chain(private, optax.sgd(0.1)), key, batch)
    each = slopes(start.params, batch)
    norms = np.sqrt(sum((leaf.reshape(6, -1) ** 2).sum(axis=1) for leaf in jax.tree.leaves(each)))
    factor = np.minimum(1.0, bound / norms)
    assert bound > 1 or (factor < 1).all()
    clipped = jax.tree.map(
        lambda leaf: (leaf * factor.reshape(6, *(1,) * (leaf.ndim - 1))).mean(axis=0), each
    )
    close(
        state.params, jax.tree.map(lambda p, g: p - 0.1 * g, jax.device_get(start.params), clipped)
    )


def test_noise_is_new_in_each_step_and_one_within_it(key, batch):
    network = jn.chain(jn.dropout(0.5), jn.dense(3, 1))
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.0))
    state, step = jax.jit(learner.init)(key), jax.jit(learner.step)
    state, first = step(state, batch)
    _, second = step(state, batch)
    assert first["loss"] != second["loss"]

    def check(updates, state, params, *, value, grad, value_fn, **extra):
        # The value at the same parameters is the value of the step: the same units are dropped.
        jax.debug.callback(lambda a, b: seen.append((float(a), float(b))), value, value_fn(params))
        return updates, state

    seen = []
    spy = optax.GradientTransformationExtraArgs(lambda params: (), check)
    one_step(spy, key, batch, network)
    jax.effects_barrier()
    assert seen and seen[0][0] == pytest.approx(seen[0][1], rel=1e-6)


def test_evaluation_params(key, batch):
    def trained(optimizer, num_steps):
        learner = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optimizer)
        state, step = jax.jit(learner.init)(key), jax.jit(learner.step)
        for _ in range(num_steps):
            state, _ = step(state, batch)
        return state

    state = trained(optax.adam(0.1), 3)
    close(jn.evaluation_params(state), state.params)

    state = trained(optax.contrib.schedule_free_sgd(0.1), 5)
    expected = optax.contrib.schedule_free_eval_params(state.optimizer_state, state.params)
    close(jn.evaluation_params(state), expected)
    assert (expected["dense_0"]["kernel"] != state.params["dense_0"]["kernel"]).any()

    state = trained(optax.lookahead(optax.sgd(0.1), 5, 0.5), 3)
    close(jn.evaluation_params(state), trained(optax.sgd(0.1), 0).params)
    close(state.params.fast, trained(optax.sgd(0.1), 3).params)

    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    sam = optax.contrib.sam(optax.sgd(0.1), ascent, sync_period=2)
    between, after = trained(sam, 1), trained(sam, 2)
    close(jn.evaluation_params(between), trained(optax.sgd(0.1), 0).params)
    assert (
        between.params["dense_0"]["kernel"] != jn.evaluation_params(between)["dense_0"]["kernel"]
    ).any()
    close(jn.evaluation_params(after), after.params)


def test_an_optimizer_made_from_a_key_gets_that_of_the_run(batch):
    def noisy(key):
        return optax.chain(optax.add_noise(1.0, 0.0, key=key), optax.sgd(0.1))

    def moved(seed):
        start, state, _ = one_step(noisy, jax.random.key(seed), batch)
        return state.params["dense_0"]["bias"] - start.params["dense_0"]["bias"]

    assert moved(0) == moved(0)
    assert moved(0) != moved(1)
