"""The initializers are those of JAX."""

import jax
import numpy as np
import pytest

import jaxnet as jn
from jaxnet.nn import initializers
from tests.contracts.generator import quick_key


@pytest.fixture
def key():
    return quick_key(20)


@pytest.mark.parametrize("name", ["lecun_normal", "he_normal"])
@pytest.mark.parametrize("shape", [(7, 10), (16, 32), (3, 2, 4, 5)])
def test_the_numbers_are_those_of_jax(name, shape, key):
    keys = jax.random.split(key, 2)

    @jax.jit
    @jax.vmap
    def both(key):
        expected = getattr(jax.nn.initializers, name)()(key, shape)
        return getattr(initializers, name)(key, shape), expected

    ours, expected = both(keys)
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


def test_float64_where_it_is_on(x64, key):
    ours = initializers.he_normal(key, (7, 10))
    assert ours.dtype == np.float64
    np.testing.assert_array_equal(ours, jax.nn.initializers.he_normal()(key, (7, 10)))


@pytest.mark.parametrize("kernel_init", [initializers.he_normal, jax.nn.initializers.normal()])
def test_a_chain_draws_what_its_layers_draw(kernel_init, key):
    """Together, and to rounding as each would by itself from the key of its place."""
    layers = [
        jn.dense(3, 5, kernel_init=kernel_init),
        jn.activation(jax.numpy.tanh),
        jn.dense(5, 70, kernel_init=kernel_init, use_bias=False),
        jn.dense(70, 2),
        jn.dense(2, 2, bias_init=jax.nn.initializers.normal()),
        jn.chain(jn.dense(2, 3), jn.dense(3, 1)),
    ]

    @jax.jit
    def both(key):
        chain = jn.chain(*layers)
        alone = [layer.init(jax.random.fold_in(key, i)) for i, layer in enumerate(layers)]
        return chain.init(key), dict(zip(chain.names, alone, strict=True))

    together, alone = both(key)
    alone = {name: params for name, params in alone.items() if params}
    assert len(together) == len(alone) == 5
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), together, alone
    )
