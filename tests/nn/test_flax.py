"""Flax modules are networks like any other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx

ONES = jnp.ones((2, 3))


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


EXAMPLE = jnp.zeros((1, 64))
NETWORKS = {
    "train": lambda: from_linen(Told(), EXAMPLE),
    "deterministic": lambda: from_linen(Untold(), EXAMPLE),
    "nnx": lambda: from_nnx(Module),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_is_off_without_a_key_and_follows_it(name, key):
    network = NETWORKS[name]()
    params, apply = jax.jit(network.init)(key), jax.jit(network.apply)
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    plain = np.asarray(apply(params, x))
    np.testing.assert_array_equal(plain, apply(params, x))
    first, second, again = (
        np.asarray(apply(params, x, key=jax.random.key(seed))) for seed in (1, 2, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != plain).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_the_same_mathematics(name, key):
    network = NETWORKS[name]()
    params, apply = jax.jit(network.init)(key), jax.jit(network.apply)
    first, second = (jax.device_get(params[layer]) for layer in sorted(params)[:2])
    x = np.random.default_rng(0).normal(size=(2, 3, 64)).astype(np.float32)
    hidden = np.maximum(x @ first["kernel"] + first["bias"], 0)
    expected = hidden @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(apply(params, x), expected, rtol=1e-4, atol=1e-5)
    mapped = jax.jit(jax.vmap(network.apply, (None, 0)))(params, x)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_through_the_one_loop(name, key, digits):
    network = NETWORKS[name]()
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))

    @jax.jit
    def train(data):
        return jn.fit(learner, key, data, batch_size=64, num_epochs=10)[0].params

    outputs = np.asarray(jax.jit(network.apply)(train(digits["train"]), digits["test"]["x"]))
    assert (outputs.argmax(-1) == np.asarray(digits["test"]["y"])).mean() > 0.85


def test_linen_outputs_are_the_modules(key):
    module = linen.Conv(4, (3, 3))
    x = jax.random.normal(key, (2, 8, 8, 1))
    network = from_linen(module, x)
    params = network.init(key)
    np.testing.assert_array_equal(params["kernel"], module.init(key, x)["params"]["kernel"])
    np.testing.assert_array_equal(network.apply(params, x), module.apply({"params": params}, x))


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
    x = (jax.random.normal(key, (6, 3)), jax.random.normal(key, (6, 2)))
    network = from_linen(Two(), x) if name == "linen" else from_nnx(TwoNnx)
    params = network.init(key)
    first, second = (inputs @ params[f"Dense_{i}"]["kernel"] for i, inputs in enumerate(x))
    expected = first + 2 * second
    np.testing.assert_allclose(network.apply(params, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        jn.predict(network.apply, params, x, batch_size=4), expected, rtol=1e-5, atol=1e-6
    )
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.05))
    data = {"x": x, "y": x[0].sum(axis=1)}
    _, history = jn.fit(learner, key, data, batch_size=3, num_epochs=20)
    assert history["loss"][-1] < history["loss"][0]


def test_apply_of_an_nnx_module_runs_no_initializer(key):
    calls = []

    def kernel_init(key, shape, dtype=jnp.float32):
        calls.append(shape)
        return jnp.ones(shape, dtype)

    network = from_nnx(lambda rngs: nnx.Linear(3, 2, kernel_init=kernel_init, rngs=rngs))
    params = network.init(key)
    num_calls = len(calls)
    np.testing.assert_array_equal(network.apply(params, ONES), jnp.full((2, 2), 3.0))
    jax.eval_shape(lambda params: network.apply(params, ONES, key=key), params)
    assert len(calls) == num_calls
    # Nothing of a trace is left in the module.
    np.testing.assert_array_equal(network.apply(params, ONES), jnp.full((2, 2), 3.0))


class Sowing(linen.Module):
    @linen.compact
    def __call__(self, x):
        self.sow("losses", "size", jnp.sum(x))
        return linen.Dense(1)(x)


def test_variables_keep_their_structure():
    with pytest.raises(ValueError, match="the state of Sowing changes in training"):
        from_linen(Sowing(), ONES)
