"""Laws that every network obeys."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx
from tests.contracts.generator import quick_key
from tests.contracts.registry import HEADS
from tests.contracts.registry_over_time import OVER_TIME

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
    "cnn": (jn.cnn((4, 4, 2), [4], [5, 3], dropout=0.3, convs_per_stage=2), (4, 4, 2)),
    "heads": (HEADS, (6,)),
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

# One key twice, and another one.
KEYS = jax.random.split(quick_key(20))[np.array([0, 0, 1])]


class Computed(NamedTuple):
    """What a network computes, in one program.

    Attributes:
        params: drawn from a key, from the same key again, and from another one.
        together: outputs of a batch of two axes.
        alone: the same, each example by itself.
        gradient: of the outputs of the first example, with respect to all examples.
        stacked: outputs of all parameters, each with a key.
    """

    params: Any
    together: Any
    alone: Any
    gradient: jax.Array
    stacked: Any


@pytest.fixture(scope="module", params=NETWORKS)
def computed(request):
    net, shape = NETWORKS[request.param]

    @jax.jit
    def compute(keys, x):
        params = jax.vmap(net.init)(keys)
        first = jax.tree.map(lambda leaf: leaf[0], params)
        together = net.apply(first, x)
        alone = jax.lax.map(functools.partial(net.apply, first), x.reshape(12, *shape))

        def first_outputs(x):
            return sum(leaf[0].sum() for leaf in jax.tree.leaves(net.apply(first, x)))

        gradient = jax.grad(first_outputs)(x[:, 0])
        apply = jax.vmap(lambda params, key: net.apply(params, x[0], key=key))
        stacked = apply(params, keys)
        return Computed(params, together, alone, gradient, stacked)

    x = np.random.default_rng(0).normal(size=(4, 3, *shape)).astype(np.float32)
    return compute(KEYS, x)


def test_leading_axes_are_batch(computed):
    jax.tree.map(
        lambda alone, together: np.testing.assert_allclose(
            np.asarray(alone).reshape(together.shape), together, rtol=1e-5, atol=1e-6
        ),
        computed.alone,
        computed.together,
    )


def test_nothing_looks_across_examples(computed):
    assert not np.asarray(computed.gradient)[1:].any()


def test_init_is_a_function_of_its_key(computed):
    for leaf in map(np.asarray, jax.tree.leaves(computed.params)):
        first, again, other = leaf
        np.testing.assert_array_equal(first, again)
        # Biases and scales are constants.
        assert first.ndim < 2 or not first.any() or (first != other).any()


def test_params_are_nested_dicts_of_arrays(computed):
    def check(node):
        assert isinstance(node, (dict, jax.Array))
        for value in node.values() if isinstance(node, dict) else ():
            check(value)

    check(computed.params)


def test_init_and_apply_survive_jit_and_vmap_over_keys(computed):
    for leaf in jax.tree.leaves(computed.stacked):
        assert leaf.shape[:2] == (3, 3)
        assert np.isfinite(leaf).all()
