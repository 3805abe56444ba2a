"""Flax modules are networks like any other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx


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
    params = network.init(key)
    x = jax.random.normal(key, (4, 64))
    np.testing.assert_array_equal(network.apply(params, x), network.apply(params, x))
    first, second = (network.apply(params, x, key=jax.random.key(seed)) for seed in (1, 2))
    again = network.apply(params, x, key=jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != network.apply(params, x)).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_the_same_mathematics(name, key):
    network = NETWORKS[name]()
    params = network.init(key)
    first, second = (params[layer] for layer in sorted(params)[:2])
    x = jax.random.normal(key, (2, 3, 64))
    hidden = jnp.maximum(x @ first["kernel"] + first["bias"], 0)
    expected = hidden @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(network.apply(params, x), expected, rtol=1e-4, atol=1e-5)
    mapped = jax.vmap(lambda each: network.apply(params, each))(x)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_through_the_one_loop(name, key, digits):
    network = NETWORKS[name]()
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))

    @jax.jit
    def train(data):
        return jn.fit(learner, key, data, batch_size=64, num_epochs=10)[0].params

    outputs = network.apply(train(digits["train"]), digits["test"]["x"])
    assert (outputs.argmax(-1) == digits["test"]["y"]).mean() > 0.85


def test_linen_outputs_are_the_modules(key):
    module = linen.Conv(4, (3, 3))
    x = jax.random.normal(key, (2, 8, 8, 1))
    network = from_linen(module, x)
    params = network.init(key)
    np.testing.assert_array_equal(params["kernel"], module.init(key, x)["params"]["kernel"])
    np.testing.assert_array_equal(network.apply(params, x), module.apply({"params": params}, x))


def test_state_besides_parameters_is_refused(key):
    network = from_linen(linen.BatchNorm(use_running_average=False), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"from_linen: BatchNorm keeps .*'batch_stats'.*LayerNorm"):
        network.init(key)
    network = from_nnx(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
    with pytest.raises(ValueError, match=r"from_nnx: .*'mean', 'var'.*LayerNorm"):
        network.init(key)
