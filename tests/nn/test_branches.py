"""Networks with several outputs, and the objective that trains them together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen
from scipy import special

import jaxnet as jn

TRUNK = jn.chain(jn.dense(3, 6), jn.activation(jnp.tanh), jn.dropout(0.2))
NETWORK = jn.nn.heads(TRUNK, {"digit": jn.mlp([6, 5, 4], dropout=0.2), "angle": jn.dense(6, 1)})
TASKS = {"digit": jn.classification, "angle": jn.regression}


def drawn(network):
    """Parameters drawn by NumPy."""
    random, shapes = np.random.default_rng(1), jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype) / 2, shapes)


PARAMS = drawn(NETWORK)


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    targets = {"digit": random.integers(0, 4, 8), "angle": random.normal(size=8)}
    return jax.device_put({"x": random.normal(size=(8, 3)), "y": targets})


def test_outputs_are_those_of_chains_on_the_same_parameters(batch):
    @jax.jit
    def compute(params, x, keys):
        features = TRUNK.apply(params["trunk"], x)
        chains = {name: branch.apply(params[name], features) for name, branch in NETWORK.branches}
        random = [NETWORK.apply(params, x, key=key)["digit"] for key in keys]
        return NETWORK.apply(params, x), chains, random

    keys = jax.random.split(jax.random.key(0))
    outputs, chains, random = jax.device_get(
        compute(PARAMS, batch["x"], [keys[0], keys[0], keys[1]])
    )
    for name, expected in chains.items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(random[0], random[1])
    assert (random[0] != random[2]).any()
    predicted = jn.predict(NETWORK.apply, PARAMS, batch["x"], batch_size=3)
    np.testing.assert_allclose(predicted["angle"], outputs["angle"], rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_weighted_sum_of_the_losses(batch):
    tasks = TASKS | {"digit": functools.partial(jn.classification, label_smoothing=0.1)}
    objective = jn.objectives.multitask(NETWORK, tasks, strengths={"angle": 0.3})

    @jax.jit
    def compute(params, batch):
        return objective(params, batch, None), NETWORK.apply(params, batch["x"])

    (loss, metrics), outputs = jax.device_get(compute(PARAMS, batch))
    y = jax.device_get(batch["y"])
    smooth = 0.9 * np.eye(4)[y["digit"]] + 0.1 / 4
    digit = -(smooth * special.log_softmax(outputs["digit"], axis=1)).sum(axis=1).mean()
    angle = np.mean((outputs["angle"][:, 0] - y["angle"]) ** 2)
    np.testing.assert_allclose(loss, digit + 0.3 * angle, rtol=1e-5)
    np.testing.assert_allclose(metrics["digit_loss"], digit, rtol=1e-5)
    np.testing.assert_allclose(metrics["angle_mean_squared_error"], angle, rtol=1e-5)
    correct = outputs["digit"].argmax(-1) == y["digit"]
    np.testing.assert_allclose(metrics["digit_accuracy"], correct.mean(), rtol=1e-6)


def test_a_target_may_be_missing_for_some_examples(batch):
    """The loss of each task is the mean over the examples that have its target."""
    known = {
        "digit": np.array([1, 1, 1, 0, 0, 0, 1, 0]),
        "angle": np.array([0, 1, 1, 1, 0, 0, 1, 0]),
    }
    objective = jn.objectives.multitask(NETWORK, TASKS)
    batch = jax.device_get(batch)

    def expected(params, batch):
        outputs = NETWORK.apply(params, batch["x"])
        losses = optax.softmax_cross_entropy_with_integer_labels(
            outputs["digit"], batch["y"]["digit"]
        )
        squares = (outputs["angle"][:, 0] - batch["y"]["angle"]) ** 2
        means = [jnp.average(losses, weights=known["digit"])]
        means.append(jnp.average(squares, weights=known["angle"]))
        return sum(means)

    @jax.jit
    def both(params, part, batch):
        found = jax.value_and_grad(objective, has_aux=True)(params, part, None)
        return found, jax.value_and_grad(expected)(params, batch)

    for missing in (np.nan, 0.0):
        x = np.where((known["digit"] + known["angle"] > 0)[:, None], batch["x"], missing)
        angle = np.where(known["angle"] > 0, batch["y"]["angle"], missing)
        part = {"x": x, "y": batch["y"] | {"angle": angle}, "weight": known}
        ((loss, metrics), gradient), (value, slope) = both(PARAMS, part, batch)
        np.testing.assert_allclose(loss, value, rtol=1e-5)
        for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(slope), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert np.isfinite(metrics["angle_loss"])


def test_one_weight_for_all_tasks_and_evaluation_in_batches(batch):
    objective = jn.objectives.multitask(NETWORK, TASKS)
    weighted = batch | {"weight": np.array([1, 0, 2, 0, 1, 0, 0, 3], np.float32)}
    loss, metrics = jax.jit(objective)(PARAMS, weighted, None)
    found = jn.evaluate(objective, PARAMS, weighted, batch_size=3)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["digit_accuracy"], metrics["digit_accuracy"], rtol=1e-5)


class Normalized(linen.Module):
    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(4)(x))
        return {"digit": linen.Dense(4)(x), "angle": linen.Dense(1)(x)}


def test_a_network_with_state_gives_a_stateful_objective(key, batch):
    from jaxnet.nn.flax import from_linen

    network = from_linen(Normalized(), batch["x"])
    objective = jn.objectives.multitask(network, TASKS)
    assert isinstance(objective, jn.StatefulObjective)
    learner = jn.gradient_learner(network.init, objective, optax.sgd(0.05))

    @jax.jit
    def fit(batch):
        return jn.fit(learner, key, batch, batches=jn.training.in_order(8), num_epochs=30)

    state, history = jax.device_get(fit(batch))
    assert history["loss"][-1] < history["loss"][0]
    found = jn.evaluate(objective, (state.params, state.extra), batch)
    assert np.isfinite(found["angle_loss"])


def test_mistakes_are_named(batch):
    with pytest.raises(ValueError, match="none called 'trunk'"):
        jn.nn.heads(TRUNK, {"trunk": jn.dense(6, 1)})
    with pytest.raises(TypeError, match="branch 'a' is a function"):
        jn.nn.heads(TRUNK, {"a": jnp.tanh})  # pyright: ignore[reportArgumentType]
    multitask = jn.objectives.multitask
    with pytest.raises(ValueError, match=r"one for each of the strengths \['angel'\]"):
        multitask(NETWORK, TASKS, strengths={"angel": 1.0})
    with pytest.raises(ValueError, match="strengths\\['angle'\\] must not be negative"):
        multitask(NETWORK, TASKS, strengths={"angle": -1.0})
    with pytest.raises(ValueError, match=r"y must be a dict .* found .'digit'. without 'angle'"):
        wrong = batch | {"y": {"digit": batch["y"]["digit"]}}
        jax.eval_shape(multitask(NETWORK, TASKS), PARAMS, wrong, None)
    with pytest.raises(ValueError, match="outputs must be a dict"):
        dense = jn.dense(3, 2)
        jax.eval_shape(multitask(dense, TASKS), drawn(dense), batch, None)
