import functools
from collections import Counter

import jax
import numpy as np
import pytest

import jaxnet as jn

NETWORK = jn.mlp([5, 8, 3])
init, apply = jax.jit(NETWORK.init), jax.jit(NETWORK.apply)


def inputs(num_rows):
    """NumPy draws the data: nothing is compiled for it."""
    return jax.device_put(np.random.default_rng(0).normal(size=(num_rows, 5)).astype(np.float32))


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8])
def test_equals_one_large_batch(n, key):
    params, x = init(key), inputs(8)
    found = jn.predict(NETWORK.apply, params, jax.device_put(np.asarray(x)[:n]), batch_size=4)
    np.testing.assert_allclose(found, np.asarray(apply(params, x))[:n], rtol=1e-5, atol=1e-6)


def test_no_examples_have_no_outputs(key):
    found = jn.predict(NETWORK.apply, init(key), inputs(0))
    assert found.shape == (0, 3)


def test_bits_do_not_depend_on_company(key):
    params, x = init(key), inputs(50)
    together = np.asarray(jn.predict(NETWORK.apply, params, x, batch_size=16))
    for count in (1, 5, 16, 37):
        rows = jax.device_put(np.asarray(x)[:count])
        alone = jn.predict(NETWORK.apply, params, rows, batch_size=16)
        np.testing.assert_array_equal(alone, together[:count])


def test_a_stack_of_parameters(key):
    keys = jax.random.split(key, 3)
    stack = jax.jit(jax.vmap(NETWORK.init))(keys)
    x = inputs(8)
    predict = jax.jit(jax.vmap(functools.partial(jn.predict, NETWORK.apply), (0, None)))
    found = np.asarray(predict(stack, x))
    for index, each in enumerate(keys):
        expected = apply(init(each), x)
        np.testing.assert_allclose(found[index], expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_traced_twice():
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
    init_network, init_pair = jax.jit(network.init), jax.jit(pair.init)
    code = jax.device_put(np.asarray(inputs(7))[:, :3])
    for seed in range(3):
        params, x = init_network(jax.random.key(seed)), inputs(7)
        for apply in (network.apply, network[:-1].apply, network[:2].apply):
            jn.predict(apply, params, x, batch_size=4)
        params = init_pair(jax.random.key(seed))
        jn.predict(pair.encode, params, x, batch_size=4)
        jn.predict(pair.decode, params, code, batch_size=4)
    assert traces == {"first": 3, "last": 1, "decoder": 1}


def test_a_batch_holds_at_least_one_example(key):
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        jn.predict(NETWORK.apply, init(key), inputs(2), batch_size=0)
