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


@pytest.fixture
def batch(key):
    random = np.random.default_rng(0)
    targets = {"digit": random.integers(0, 4, 8), "angle": random.normal(size=8)}
    return jax.device_put({"x": random.normal(size=(8, 3)), "y": targets})


def test_outputs_are_those_of_chains_on_the_same_parameters(key, batch):
    params, apply = jax.jit(NETWORK.init)(key), jax.jit(NETWORK.apply)
    outputs = apply(params, batch["x"])

    @jax.jit
    def by_chains(params, x):
        features = TRUNK.apply(params["trunk"], x)
        return {name: branch.apply(params[name], features) for name, branch in NETWORK.branches}

    for name, expected in by_chains(params, batch["x"]).items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)
    random = [
        np.asarray(apply(params, batch["x"], key=jax.random.key(i))["digit"]) for i in (0, 0, 1)
    ]
    np.testing.assert_array_equal(random[0], random[1])
    assert (random[0] != random[2]).any()
    predicted = jn.predict(NETWORK.apply, params, batch["x"], batch_size=3)
    np.testing.assert_allclose(predicted["angle"], outputs["angle"], rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_weighted_sum_of_the_losses(key, batch):
    params = jax.jit(NETWORK.init)(key)
    tasks = TASKS | {"digit": functools.partial(jn.classification, label_smoothing=0.1)}
    objective = jn.objectives.multitask(NETWORK, tasks, strengths={"angle": 0.3})
    loss, metrics = jax.jit(objective)(params, batch, None)
    outputs, y = jax.device_get([jax.jit(NETWORK.apply)(params, batch["x"]), batch["y"]])
    smooth = 0.9 * np.eye(4)[y["digit"]] + 0.1 / 4
    digit = -(smooth * special.log_softmax(outputs["digit"], axis=1)).sum(axis=1).mean()
    angle = np.mean((outputs["angle"][:, 0] - y["angle"]) ** 2)
    np.testing.assert_allclose(loss, digit + 0.3 * angle, rtol=1e-5)
    np.testing.assert_allclose(metrics["digit_loss"], digit, rtol=1e-5)
    np.testing.assert_allclose(metrics["angle_mean_squared_error"], angle, rtol=1e-5)
    correct = outputs["digit"].argmax(-1) == y["digit"]
    np.testing.assert_allclose(metrics["digit_accuracy"], correct.mean(), rtol=1e-6)


@pytest.mark.parametrize("missing", [jnp.nan, 0.0])
def test_a_target_may_be_missing_for_some_examples(key, batch, missing):
    """The loss of each task is the mean over the examples that have its target."""
    params = jax.jit(NETWORK.init)(key)
    known = {
        "digit": jnp.array([1, 1, 1, 0, 0, 0, 1, 0]),
        "angle": jnp.array([0, 1, 1, 1, 0, 0, 1, 0]),
    }
    x = jnp.where((known["digit"] + known["angle"] > 0)[:, None], batch["x"], missing)
    targets = batch["y"] | {"angle": jnp.where(known["angle"] > 0, batch["y"]["angle"], missing)}
    objective = jn.objectives.multitask(NETWORK, TASKS)
    part = {"x": x, "y": targets, "weight": known}
    run = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (loss, metrics), gradient = run(params, part, None)

    def expected(params):
        outputs = NETWORK.apply(params, batch["x"])
        losses = optax.softmax_cross_entropy_with_integer_labels(
            outputs["digit"], batch["y"]["digit"]
        )
        squares = (outputs["angle"][:, 0] - batch["y"]["angle"]) ** 2
        means = [jnp.average(losses, weights=known["digit"])]
        means.append(jnp.average(squares, weights=known["angle"]))
        return sum(means)

    value, slope = jax.jit(jax.value_and_grad(expected))(params)
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.isfinite(metrics["angle_loss"])


def test_one_weight_for_all_tasks_and_evaluation_in_batches(key, batch):
    params = jax.jit(NETWORK.init)(key)
    objective = jn.objectives.multitask(NETWORK, TASKS)
    weighted = batch | {"weight": jnp.array([1.0, 0, 2, 0, 1, 0, 0, 3])}
    loss, metrics = jax.jit(objective)(params, weighted, None)
    found = jn.evaluate(objective, params, weighted, batch_size=3)
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
    learner = jn.gradient_learner(network.init, objective, optax.adam(0.05))
    state, history = jn.fit(learner, key, batch, batch_size=8, num_epochs=30)
    assert history["loss"][-1] < history["loss"][0]
    found = jn.evaluate(objective, (state.params, state.extra), batch)
    assert np.isfinite(found["angle_loss"])


def test_mistakes_are_named(key, batch):
    with pytest.raises(ValueError, match="none called 'trunk'"):
        jn.nn.heads(TRUNK, {"trunk": jn.dense(6, 1)})
    with pytest.raises(TypeError, match="branch 'a' is a function"):
        jn.nn.heads(TRUNK, {"a": jnp.tanh})  # pyright: ignore[reportArgumentType]
    multitask = jn.objectives.multitask
    with pytest.raises(ValueError, match=r"one for each of the strengths \['angel'\]"):
        multitask(NETWORK, TASKS, strengths={"angel": 1.0})
    with pytest.raises(ValueError, match="strengths\\['angle'\\] must not be negative"):
        multitask(NETWORK, TASKS, strengths={"angle": -1.0})
    params = NETWORK.init(key)
    with pytest.raises(ValueError, match=r"y must be a dict .* found .'digit'. without 'angle'"):
        wrong = batch | {"y": {"digit": batch["y"]["digit"]}}
        multitask(NETWORK, TASKS)(params, wrong, None)
    with pytest.raises(ValueError, match="outputs must be a dict"):
        multitask(jn.dense(3, 2), TASKS)(jn.dense(3, 2).init(key), batch, None)
