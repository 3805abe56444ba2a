"""The initializers are those of JAX."""

import jax
import numpy as np
import pytest

from jaxnet.nn import initializers


@pytest.mark.parametrize("name", ["lecun_normal", "he_normal"])
@pytest.mark.parametrize("shape", [(7, 10), (16, 32), (3, 2, 4, 5)])
def test_the_numbers_are_those_of_jax(name, shape, key):
    keys = jax.random.split(key, 2)
    ours = jax.jit(jax.vmap(lambda key: getattr(initializers, name)(key, shape)))(keys)
    expected = jax.jit(jax.vmap(lambda key: getattr(jax.nn.initializers, name)()(key, shape)))(keys)
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


def test_float64_where_it_is_on(x64, key):
    ours = initializers.he_normal(key, (7, 10))
    assert ours.dtype == np.float64
    np.testing.assert_array_equal(ours, jax.nn.initializers.he_normal()(key, (7, 10)))
