"""Random arrays of jaxnet are those of jax.random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import _draws

SHAPES = [(), (7,), (3, 5), (2, 3, 4, 5), (0, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_draws_are_those_of_jax_random(key, shape):
    probability = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)

    @jax.jit
    @jax.vmap
    def draw(key):
        ours = (
            _draws.normal(key, shape),
            _draws.normal(key, shape, jnp.bfloat16),
            _draws.uniform(key, shape),
            _draws.bernoulli(key, 0.3, shape),
            _draws.bernoulli(key, probability),
        )
        peers = (
            jax.random.normal(key, shape),
            jax.random.normal(key, shape, jnp.bfloat16),
            jax.random.uniform(key, shape),
            jax.random.bernoulli(key, 0.3, shape),
            jax.random.bernoulli(key, probability),
        )
        return ours, peers

    ours, peers = draw(jax.random.split(key, 3))
    for mine, peer in zip(ours, peers, strict=True):
        assert mine.shape == (3, *shape) and mine.dtype == peer.dtype
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(peer))


def test_a_probability_may_be_an_integer_or_of_another_precision(key):
    assert _draws.bernoulli(key, 1, (4,)).all()
    half = jnp.full(5, 0.5, jnp.bfloat16)
    np.testing.assert_array_equal(_draws.bernoulli(key, half), jax.random.bernoulli(key, half))


def test_sizes_may_be_scalars_of_arrays(key):
    shape = (np.int64(2), jnp.array(3))
    np.testing.assert_array_equal(_draws.normal(key, shape), jax.random.normal(key, (2, 3)))
    assert _draws.uniform(key, shape).shape == (2, 3)
