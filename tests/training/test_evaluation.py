"""`evaluate` is the weighted mean over the examples of a whole data set, whatever the batches."""

import gc
import weakref

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest

import jaxnet as jn

NETWORK = jn.mlp([3, 5, 4])
OBJECTIVE = jn.classification(NETWORK)
INIT = jax.jit(NETWORK.init)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    return {
        "x": generator.normal(size=(11, 3)),
        "y": generator.integers(4, size=11),
        "weight": np.array([0, 2, 1, 0, 0, 0, 3, 1, 0.5, 0, 1]),
    }


def by_hand(params, data, weight):
    """The weighted means over examples, in NumPy."""
    params = jax.device_get(params)
    hidden = np.maximum(data["x"] @ params["dense_0"]["kernel"] + params["dense_0"]["bias"], 0)
    logits = hidden @ params["dense_1"]["kernel"] + params["dense_1"]["bias"]
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(logits))
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[rows, data["y"]]
    correct = logits.argmax(axis=1) == data["y"]
    return {
        "loss": np.average(losses, weights=weight),
        "accuracy": np.average(correct, weights=weight),
    }


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_mean_over_examples(batch_size, weighted, data, key, x64):
    params = INIT(key)
    weight = data["weight"] if weighted else None
    inputs = data if weighted else {"x": data["x"], "y": data["y"]}
    found = jn.evaluate(OBJECTIVE, params, inputs, batch_size=batch_size)
    expected = by_hand(params, data, weight)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


def test_a_masked_example_may_be_nan_and_no_weight_gives_zero(data, key):
    params = INIT(key)
    hidden = np.where(data["weight"][:, None] > 0, data["x"], np.nan)
    expected = jn.evaluate(OBJECTIVE, params, data, batch_size=3)
    found = jn.evaluate(OBJECTIVE, params, data | {"x": hidden}, batch_size=3)
    np.testing.assert_array_equal(found["loss"], expected["loss"])

    def careless(params, batch, key):
        """Divides by the sum of the weights, as users write it."""
        return jnp.sum(batch["weight"] * batch["y"]) / jnp.sum(batch["weight"]), {}

    found = jn.evaluate(careless, params, data, batch_size=2)
    np.testing.assert_allclose(
        found["loss"], np.average(data["y"], weights=data["weight"]), rtol=1e-6
    )
    nothing = data | {"weight": np.zeros(11)}
    assert float(jn.evaluate(careless, params, nothing, batch_size=4)["loss"]) == 0


def test_stateful_objectives_take_the_pair_of_parameters_and_state(key):
    def apply(params, extra, batch, key):
        assert key is None
        loss = jnp.mean((batch["x"] - extra) ** 2) * params
        return loss, (extra + 100, {"extra": extra})

    objective = jn.StatefulObjective(lambda params, key: jnp.float32(1), apply)
    found = jn.evaluate(objective, (2.0, jnp.float32(1)), {"x": jnp.arange(5.0)}, batch_size=2)
    assert float(found["loss"]) == 2 * np.mean((np.arange(5) - 1) ** 2)
    assert float(found["extra"]) == 1


def test_nested_inputs_tables_and_metrics_of_any_shape(key):
    def objective(params, batch, key):
        total = batch["x"]["a"].sum(axis=1) + batch["x"]["b"][:, 0]
        return total.mean(), {"each": batch["x"]["a"].mean(axis=0)}

    a = np.arange(10, dtype="float32").reshape(5, 2)
    x = {"a": a, "b": pl.DataFrame({"column": np.ones(5)})}
    found = jn.evaluate(objective, {}, {"x": x}, batch_size=2)
    np.testing.assert_allclose(found["loss"], a.sum(axis=1).mean() + 1, rtol=1e-6)
    np.testing.assert_allclose(found["each"], a.mean(axis=0), rtol=1e-6)


def test_a_batch_of_runs_under_jit(data, key):
    keys = jax.random.split(key, 3)
    params = jax.jit(jax.vmap(NETWORK.init))(keys)
    arrays = jax.tree.map(jnp.asarray, data)

    @jax.jit
    def evaluate(params, data):
        return jax.vmap(lambda one: jn.evaluate(OBJECTIVE, one, data, batch_size=4))(params)

    found = evaluate(params, arrays)
    for index, each in enumerate(keys):
        expected = jn.evaluate(OBJECTIVE, INIT(each), data, batch_size=4)
        np.testing.assert_allclose(found["loss"][index], expected["loss"], rtol=1e-5)


def test_random_objectives_have_a_key_for_each_batch(key):
    def objective(params, batch, key):
        return jax.random.normal(key), {}

    found = jn.evaluate(objective, {}, {"x": jnp.zeros(3)}, batch_size=2, key=key)
    draw = jax.jit(lambda key, index: jax.random.normal(jax.random.fold_in(key, index)))
    draws = [draw(key, index) for index in range(2)]
    np.testing.assert_allclose(found["loss"], (2 * draws[0] + draws[1]) / 3, rtol=1e-6)


def test_compiles_once_and_is_freed_with_the_objective(key):
    chex.clear_trace_counter()
    big = jnp.ones(1000)
    reference = weakref.ref(big)
    objective = chex.assert_max_traces(
        lambda params, batch, key: (batch["x"].sum() + big[0], {}), 2
    )
    for _ in range(3):
        jn.evaluate(objective, {}, {"x": jnp.ones(5)}, batch_size=2)
    del objective, big
    chex.clear_trace_counter()
    gc.collect()
    assert reference() is None


def test_what_cannot_be_evaluated_is_rejected(data, key):
    params = INIT(key)
    for inputs, message in (
        (data | {"y": data["y"][:5]}, "all arrays must have the same length"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "data holds no examples"),
        (data | {"weight": {"a": data["weight"]}}, "weight is a dict, expected one array"),
    ):
        with pytest.raises(ValueError, match=message):
            jn.evaluate(OBJECTIVE, params, inputs)
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        jn.evaluate(OBJECTIVE, params, data, batch_size=0)


def test_penalties_are_counted_once(key):
    penalized = jn.with_l2(lambda params, batch, key: (batch["x"].mean(), {}), 1.0)
    found = jn.evaluate(
        penalized, {"kernel": jnp.array([2.0])}, {"x": jnp.arange(5.0)}, batch_size=2
    )
    assert float(found["loss"]) == 4.0


def test_validation_after_each_epoch_is_evaluate(data, key):
    """`fit` and `epochs` evaluate the same parameters as a hand-written loop."""
    learner = jn.gradient_learner(INIT, OBJECTIVE, optax.adam(0.05))
    train = {"x": data["x"], "y": data["y"]}
    validation = jn.Validation(OBJECTIVE, data, batch_size=4)
    _, history = jn.fit(learner, key, train, batch_size=5, num_epochs=3, validation=validation)
    watched = jn.epochs(learner, learner.init(key), train, batch_size=5, validation=validation)
    plain = jn.epochs(learner, learner.init(key), train, batch_size=5)
    for epoch in range(3):
        state, metrics = next(plain)
        expected = jn.evaluate(OBJECTIVE, state.params, data, batch_size=4)
        _, found = next(watched)
        for name, value in expected.items():
            np.testing.assert_allclose(history[f"validation_{name}"][epoch], value, rtol=1e-5)
            np.testing.assert_array_equal(found[f"validation_{name}"], value)
        np.testing.assert_allclose(history["loss"][epoch], metrics["loss"], rtol=1e-5)
