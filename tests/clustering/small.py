"""A small autoencoder, and formulas in NumPy, for the tests of deep clustering."""

import jax
import numpy as np
import optax

import jaxnet as jn
from jaxnet.clustering.deep.embedded import deep_embedded_clustering, refresh_targets, with_targets

N, K, CODE, BATCH = 24, 3, 2, 6
NETWORK = jn.autoencoders.mlp_autoencoder([5, 4, CODE])
RECONSTRUCTION = jn.autoencoders.reconstruction(NETWORK)
HOOKS = ((3, refresh_targets(NETWORK, batch_size=7)),)


def trained_params():
    """Parameters that stand for those of a trained autoencoder."""
    rng = np.random.default_rng(5)
    shapes = jax.eval_shape(NETWORK.init, jax.random.key(0))
    return jax.device_put(
        jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    )


TRAINED = trained_params()


@jax.jit
def init(key):
    return {"autoencoder": TRAINED, "centers": jax.random.normal(key, (K, CODE))}


def numpy_q(codes, centers, a=1.0):
    squared = ((np.asarray(codes)[:, None] - np.asarray(centers)) ** 2).sum(axis=-1)
    kernel = (1 + squared / a) ** (-(a + 1) / 2)
    return kernel / kernel.sum(axis=1, keepdims=True)


def numpy_p(q):
    weights = q**2 / q.sum(axis=0)
    return weights / weights.sum(axis=1, keepdims=True)


def embedded():
    objective = with_targets(deep_embedded_clustering(NETWORK), num_examples=N)
    return jn.gradient_learner(init, objective, optax.adam(0.05))


def assert_identical(a, b):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(a, b)
