"""Laws that every network obeys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx
from tests.contracts.registry import OVER_TIME

NETWORKS = {
    "dense": (jn.dense(6, 3), (6,)),
    "dense_without_bias": (jn.dense(6, 3, use_bias=False), (6,)),
    "activation": (jn.activation(jax.nn.softmax), (6,)),
    "dropout": (jn.dropout(0.5), (6,)),
    "layer_norm": (jn.layer_norm(6), (6,)),
    "conv": (jn.conv(2, 3), (6, 5, 2)),
    "conv_strided": (jn.conv(2, 3, (3, 2), strides=(2, 1), padding="VALID"), (6, 5, 2)),
    "conv_of_series": (jn.conv(2, 3, (3,), dilation=2, padding="CAUSAL"), (6, 2)),
    "max_pool_of_series": (jn.max_pool((2,), padding="SAME"), (5, 2)),
    "mean_pool_of_series": (jn.mean_pool((2,)), (5, 2)),
    "max_pool": (jn.max_pool(), (6, 5, 2)),
    "mean_pool": (jn.mean_pool((2, 3), padding="SAME"), (6, 5, 2)),
    "flatten": (jn.flatten(), (6, 5, 2)),
    "mlp": (jn.mlp([6, 8, 3], dropout=0.3, input_dropout=0.1), (6,)),
    "cnn": (jn.cnn((8, 8, 2), [4, 4], [5, 3], dropout=0.3, convs_per_stage=2), (8, 8, 2)),
    "parallel": (jn.parallel(jn.dense(6, 3), jn.mlp([6, 4, 2])), (6,)),
    "slice": (jn.mlp([6, 8, 3])[:-1], (6,)),
    "reshape": (jn.nn.reshape((2, 3)), (6,)),
    "upsample": (jn.nn.upsample((2, 3)), (3, 2, 2)),
    "masking_noise": (jn.nn.masking_noise(0.3), (6,)),
    "gaussian_noise": (jn.nn.gaussian_noise(0.3), (6,)),
    "salt_and_pepper_noise": (jn.nn.salt_and_pepper_noise(0.3), (6,)),
    "mlp_autoencoder": (jn.autoencoders.mlp_autoencoder([6, 4, 2]), (6,)),
    "tied_autoencoder": (jn.autoencoders.mlp_autoencoder([6, 4, 2], tied=True), (6,)),
    "cnn_autoencoder": (jn.autoencoders.cnn_autoencoder((4, 4, 2), [3], [5, 2]), (4, 4, 2)),
    "variational_autoencoder": (jn.autoencoders.mlp_variational_autoencoder([6, 4, 2]), (6,)),
    # Sequences have laws of their own; these take arrays, whose steps all count.
    **{
        name: (OVER_TIME[name].network, (4, *OVER_TIME[name].step))
        for name in ("gru", "min_gru_reversed", "attention", "rnn")
    },
    "linen": (from_linen(linen.Dense(3), jnp.ones((1, 6))), (6,)),
    "nnx": (from_nnx(lambda rngs: nnx.Linear(6, 3, rngs=rngs)), (6,)),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


def test_leading_axes_are_batch(network, key):
    net, shape = network
    params, apply = jax.jit(net.init)(key), jax.jit(net.apply)
    x = jax.random.normal(key, (4, 3, *shape))
    together = apply(params, x)
    by_one = jax.jit(jax.vmap(net.apply, (None, 0)))(params, x)
    alone = np.stack([np.stack([apply(params, each) for each in row]) for row in x])
    np.testing.assert_allclose(by_one, together, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_nothing_looks_across_examples(network, key):
    net, shape = network
    params = jax.jit(net.init)(key)
    x = jax.random.normal(key, (4, *shape))
    gradient = jax.jit(jax.grad(lambda x: net.apply(params, x)[0].sum()))(x)
    assert not gradient[1:].any()


def test_init_is_a_function_of_its_key(network, key):
    init = jax.jit(network[0].init)
    first, again, other = jax.device_get([init(key), init(key), init(jax.random.key(99))])
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, again))
    kernels = [leaf for leaf in jax.tree.leaves(first) if leaf.ndim > 1 and leaf.any()]
    others = [leaf for leaf in jax.tree.leaves(other) if leaf.ndim > 1 and leaf.any()]
    assert all((a != b).any() for a, b in zip(kernels, others, strict=True))


def test_params_are_nested_dicts_of_arrays(network, key):
    net, _ = network

    def check(node):
        assert isinstance(node, (dict, jax.Array))
        for value in node.values() if isinstance(node, dict) else ():
            check(value)

    check(jax.jit(net.init)(key))


def test_init_and_apply_survive_jit_and_vmap_over_keys(network, key):
    net, shape = network
    keys = jax.random.split(key, 2)
    params = jax.jit(jax.vmap(net.init))(keys)
    x = jax.random.normal(key, (3, *shape))
    stacked = jax.jit(jax.vmap(lambda p, k: net.apply(p, x, key=k)))(params, keys)
    assert stacked.shape[:2] == (2, 3)
    assert jnp.isfinite(stacked).all()
