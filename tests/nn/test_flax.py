"""Flax modules are networks like any other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx

ONES = np.ones((2, 3), np.float32)


class Told(linen.Module):
    """Is told by `train` what Linen's own layers are told by `deterministic`."""

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.relu(linen.Dense(16)(x))
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(10)(x)


class Untold(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic: bool = True):
        x = linen.relu(linen.Dense(16)(x))
        return linen.Dense(10)(linen.Dropout(0.5)(x, deterministic=deterministic))


class Module(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 16, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(16, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.hidden(x))))


EXAMPLE = np.zeros((1, 64), np.float32)
NETWORKS = {
    "train": lambda: from_linen(Told(), EXAMPLE),
    "deterministic": lambda: from_linen(Untold(), EXAMPLE),
    "nnx": lambda: from_nnx(Module),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return NETWORKS[request.param]()


@pytest.fixture(scope="module")
def params(network):
    return jax.jit(network.init)(jax.random.key(20))


def test_dropout_is_off_without_a_key_and_follows_it(network, params):
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)

    @jax.jit
    def outputs(params, x, keys):
        random = [network.apply(params, x, key=key) for key in keys]
        return network.apply(params, x), network.apply(params, x), random

    keys = jax.random.split(jax.random.key(1))
    plain, same, (first, second, again) = jax.device_get(
        outputs(params, x, [keys[0], keys[1], keys[0]])
    )
    np.testing.assert_array_equal(plain, same)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != plain).any()


def test_evaluation_is_the_same_mathematics(network, params):
    first, second = (jax.device_get(params[layer]) for layer in sorted(params)[:2])
    x = np.random.default_rng(0).normal(size=(2, 3, 64)).astype(np.float32)
    hidden = np.maximum(x @ first["kernel"] + first["bias"], 0)
    expected = hidden @ second["kernel"] + second["bias"]

    @jax.jit
    def outputs(params, x):
        return network.apply(params, x), jax.vmap(network.apply, (None, 0))(params, x)

    for found in outputs(params, x):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_trains_through_the_one_loop(network, key, digits):
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))
    batches = jn.training.in_order(64)

    @jax.jit
    def train(data, x):
        state, _ = jn.fit(learner, key, data, batches=batches, num_epochs=10)
        return network.apply(state.params, x)

    outputs = np.asarray(train(digits["train"], digits["test"]["x"]))
    assert (outputs.argmax(-1) == np.asarray(digits["test"]["y"])).mean() > 0.85


def test_linen_outputs_are_the_modules(key):
    module = linen.Conv(4, (3, 3))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    network = from_linen(module, x)

    @jax.jit
    def both(key, x):
        params = network.init(key)
        outputs = network.apply(params, x), module.apply({"params": params}, x)
        return params["kernel"], module.init(key, x)["params"]["kernel"], outputs

    kernel, expected, outputs = both(key, x)
    np.testing.assert_array_equal(kernel, expected)
    np.testing.assert_array_equal(*outputs)


class Two(linen.Module):
    @linen.compact
    def __call__(self, images, table):
        return linen.Dense(1)(images) + 2 * linen.Dense(1)(table)


class TwoNnx(nnx.Module):
    def __init__(self, rngs):
        self.Dense_0, self.Dense_1 = nnx.Linear(3, 1, rngs=rngs), nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, images, table):
        return self.Dense_0(images) + 2 * self.Dense_1(table)


@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_several_inputs_are_a_tuple(name, key):
    random = np.random.default_rng(0)
    x = tuple(random.normal(size=(6, size)).astype(np.float32) for size in (3, 2))
    network = from_linen(Two(), x) if name == "linen" else from_nnx(TwoNnx)
    params = jax.device_get(jax.jit(network.init)(key))
    first, second = (inputs @ params[f"Dense_{i}"]["kernel"] for i, inputs in enumerate(x))
    expected = first + 2 * second
    np.testing.assert_allclose(jax.jit(network.apply)(params, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        jn.predict(network.apply, params, x, batch_size=4), expected, rtol=1e-5, atol=1e-6
    )
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.05))
    data = {"x": x, "y": x[0].sum(axis=1)}
    batches = jn.training.in_order(3)
    _, history = jax.jit(lambda data: jn.fit(learner, key, data, batches=batches, num_epochs=20))(
        data
    )
    losses = np.asarray(history["loss"])
    assert losses[-1] < losses[0]


def test_apply_of_an_nnx_module_runs_no_initializer(key):
    calls = []

    def kernel_init(key, shape, dtype=jnp.float32):
        calls.append(shape)
        return jnp.ones(shape, dtype)

    network = from_nnx(lambda rngs: nnx.Linear(3, 2, kernel_init=kernel_init, rngs=rngs))
    params, apply = jax.jit(network.init)(key), jax.jit(network.apply)
    num_calls = len(calls)
    np.testing.assert_array_equal(apply(params, ONES), np.full((2, 2), 3.0))
    jax.eval_shape(lambda params: network.apply(params, ONES, key=key), params)
    assert len(calls) == num_calls
    # Nothing of a trace is left in the module.
    ones = jax.device_put(ONES)
    np.testing.assert_array_equal(network.apply(params, ones), np.full((2, 2), 3.0))


class Sowing(linen.Module):
    @linen.compact
    def __call__(self, x):
        self.sow("losses", "size", jnp.sum(x))
        return linen.Dense(1)(x)


def test_variables_keep_their_structure():
    with pytest.raises(ValueError, match="the state of Sowing changes in training"):
        from_linen(Sowing(), ONES)
