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
    resampled = jax.jit(nn.resample(num_steps).apply)({}, jn.Sequences(values, lengths))
    for row, length, found in zip(values, lengths, np.asarray(resampled), strict=True):
        times = (np.arange(num_steps) + 0.5) / num_steps * length - 0.5
        expected = [np.interp(times, np.arange(length), row[:length, dim]) for dim in range(2)]
        np.testing.assert_allclose(found.T, expected, rtol=1e-5, atol=1e-6)


def test_the_same_number_of_steps_changes_nothing():
    values = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        jax.jit(nn.resample(6).apply)({}, values), values, rtol=1e-5, atol=1e-6
    )


def test_padding_changes_no_output_and_no_gradient():
    values = np.random.default_rng(2).normal(size=(2, 5, 1)).astype(np.float32)
    length = np.array([3, 0])

    @jax.jit
    @jax.value_and_grad
    def total(values):
        return nn.resample(4).apply({}, jn.Sequences(values, jnp.asarray(length))).sum()

    dirty = np.where((np.arange(5) < length[:, None])[..., None], values, np.float32(np.nan))
    found, expected = jax.device_get((total(dirty), total(values)))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert not found[1][1].any()
