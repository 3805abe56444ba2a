"""Upsampling and reshaping."""

import jax
import numpy as np
import pytest

import jaxnet as jn


@pytest.mark.parametrize("factors", [(2, 2), (3, 1)])
def test_upsampling_repeats_pixels(key, factors):
    x = jax.random.normal(key, (2, 3, 4, 2))
    larger = jn.nn.upsample(factors).apply({}, x)
    np.testing.assert_array_equal(larger, np.repeat(np.repeat(x, factors[0], 1), factors[1], 2))
    np.testing.assert_allclose(jn.mean_pool(factors).apply({}, larger), x, rtol=1e-6)
