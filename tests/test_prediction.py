import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn

NETWORK = jn.mlp([5, 8, 3])


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8])
def test_equals_one_large_batch(n, key):
    params = NETWORK.init(key)
    x = jax.random.normal(key, (n, 5))
    found = jn.predict(NETWORK.apply, params, x, batch_size=4)
    np.testing.assert_allclose(found, NETWORK.apply(params, x), rtol=1e-5, atol=1e-6)


def test_no_examples_have_no_outputs(key):
    found = jn.predict(NETWORK.apply, NETWORK.init(key), jnp.zeros((0, 5)))
    assert found.shape == (0, 3)


def test_bits_do_not_depend_on_company(key):
    params = NETWORK.init(key)
    x = jax.random.normal(key, (50, 5))
    together = jn.predict(NETWORK.apply, params, x, batch_size=16)
    for count in (1, 5, 16, 37):
        alone = jn.predict(NETWORK.apply, params, x[:count], batch_size=16)
        np.testing.assert_array_equal(alone, together[:count])


def test_a_stack_of_parameters(key):
    keys = jax.random.split(key, 3)
    stack = jax.jit(jax.vmap(NETWORK.init))(keys)
    x = jax.random.normal(key, (6, 5))
    found = jax.vmap(functools.partial(jn.predict, NETWORK.apply), (0, None))(stack, x)
    for index, each in enumerate(keys):
        expected = NETWORK.apply(NETWORK.init(each), x)
        np.testing.assert_allclose(found[index], expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_traced_twice(key):
    """A slice of a chain is the same network at each use, and so are methods of a network."""
    traces = Counter()

    def counting(name):
        def identity(x):
            traces[name] += 1
            return x

        return jn.activation(identity)

    network = jn.chain(counting("first"), jn.dense(5, 3), counting("last"))
    pair = jn.autoencoders.autoencoder(network[:-1], jn.chain(jn.dense(3, 5), counting("decoder")))
    assert network[:-1] == network[:-1] and hash(network[:-1]) == hash(network[:-1])
    assert network[:-1] != network[1:]
    for seed in range(3):
        params = network.init(jax.random.key(seed))
        x = jax.random.normal(key, (7, 5))
        for apply in (network.apply, network[:-1].apply, network[:2].apply):
            jn.predict(apply, params, x, batch_size=4)
        params = pair.init(jax.random.key(seed))
        jn.predict(pair.encode, params, x, batch_size=4)
        jn.predict(pair.decode, params, x[:, :3], batch_size=4)
    assert traces == {"first": 3, "last": 1, "decoder": 1}


def test_a_batch_holds_at_least_one_example(key):
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        jn.predict(NETWORK.apply, NETWORK.init(key), jnp.zeros((2, 5)), batch_size=0)
