"""Sequences of different lengths as vectors of one length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet import nn


@pytest.mark.parametrize("num_steps", [1, 3, 8])
def test_it_interpolates_as_numpy_does(num_steps):
    generator = np.random.default_rng(0)
    lengths = np.array([1, 2, 5, 7])
    values = generator.normal(size=(4, 7, 2)).astype(np.float32)
    resampled = nn.resample(num_steps).apply({}, jn.Sequences(values, lengths))
    for row, length, found in zip(values, lengths, resampled, strict=True):
        times = (np.arange(num_steps) + 0.5) / num_steps * length - 0.5
        expected = [np.interp(times, np.arange(length), row[:length, dim]) for dim in range(2)]
        np.testing.assert_allclose(found.T, expected, rtol=1e-5, atol=1e-6)


def test_the_same_number_of_steps_changes_nothing():
    values = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        nn.resample(6).apply({}, jnp.asarray(values)), values, rtol=1e-5, atol=1e-6
    )


def test_padding_changes_no_output_and_no_gradient():
    values = jnp.asarray(np.random.default_rng(2).normal(size=(2, 5, 1)), jnp.float32)
    length = jnp.array([3, 0])

    def total(values):
        return nn.resample(4).apply({}, jn.Sequences(values, length)).sum()

    dirty = jnp.where(nn.time_mask(jn.Sequences(values, length))[..., None], values, jnp.nan)
    np.testing.assert_array_equal(total(dirty), total(values))
    np.testing.assert_array_equal(jax.grad(total)(dirty), jax.grad(total)(values))
    assert not jax.grad(total)(dirty)[1].any()
