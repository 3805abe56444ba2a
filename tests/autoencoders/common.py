"""Small autoencoders, and what the tests of them share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn


def identity(x):
    return x


def small(**options):
    return jn.autoencoders.mlp_autoencoder([6, 5, 3], activation=jnp.tanh, **options)


SIGMOID = small(code_activation=jax.nn.sigmoid)
TIED = small(tied=True)


def initial(network, key):
    """Parameters, compiled at once, of the precision that holds in the test."""
    params = jax.jit(network.init)(key)
    return jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf, float), params))


def uniform(*shape):
    """NumPy draws the data: nothing is compiled for it."""
    return jax.device_put(np.random.default_rng(0).uniform(size=shape))


def bits(*shape):
    return jax.device_put(np.random.default_rng(0).integers(0, 2, shape).astype(float))


def check_gradient(objective, params, batch, key):
    """Compare the gradient with a finite difference along a random direction, in float64.

    Returns the compiled `(params, batch, key) -> ((loss, metrics), gradient)`.
    """
    run = jax.jit(jax.value_and_grad(objective, has_aux=True))
    random = np.random.default_rng(1)
    direction = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), params)

    def loss_at(step):
        moved = jax.tree.map(lambda leaf, d: np.asarray(leaf) + step * d, params, direction)
        return float(run(moved, batch, key)[0][0])

    gradient = jax.tree.leaves(run(params, batch, key)[1])
    slope = sum(
        np.vdot(leaf, d) for leaf, d in zip(gradient, jax.tree.leaves(direction), strict=True)
    )
    difference = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
    assert difference == pytest.approx(float(slope), rel=1e-6, abs=1e-6)
    return run


def check_mask(run, params, batch, key):
    """What examples of weight 0 hold changes neither the loss nor a metric nor the gradient."""
    masked = np.asarray(batch["weight"]) == 0
    assert masked.any()
    expected = run(params, batch, key)
    for garbage in (0.9, np.nan):
        other = np.where(masked[:, None], garbage, batch["x"])
        outcome = run(params, batch | {"x": other}, key)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), outcome, expected)
    return expected
