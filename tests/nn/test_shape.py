"""Upsampling and reshaping."""

import jax
import numpy as np
import pytest

import jaxnet as jn


@pytest.mark.parametrize("factors", [(2, 2), (3, 1)])
def test_upsampling_repeats_pixels(factors):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)

    @jax.jit
    def compute(x):
        larger = jn.nn.upsample(factors).apply({}, x)
        return larger, jn.mean_pool(factors).apply({}, larger)

    larger, means = compute(x)
    np.testing.assert_array_equal(larger, np.repeat(np.repeat(x, factors[0], 1), factors[1], 2))
    np.testing.assert_allclose(means, x, rtol=1e-6)
