"""Attention against Flax, and steps that it must not read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

DIM, HEADS, TIME = 6, 3, 5


@pytest.mark.parametrize("is_causal", (False, True))
def test_attention_is_that_of_flax(is_causal, key, x64):
    network = nn.attention(DIM, HEADS, causal=is_causal)
    theirs = linen.MultiHeadDotProductAttention(HEADS, param_dtype=jnp.float64)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, TIME, DIM))
    shapes = jax.eval_shape(theirs.init, key, x)["params"]
    ours = jax.eval_shape(network.init, key)
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, shapes)
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape), shapes)
    length = np.array([2, 5])
    mask = (np.arange(TIME) < length[:, None])[:, None, None]
    if is_causal:
        mask = mask & np.tri(TIME, dtype=bool)

    @jax.jit
    def compute(params, x, length, mask):
        outputs = network.apply(params, nn.Sequences(x, length)).values
        one = network.apply(params, x[1])
        return theirs.apply({"params": params}, x, mask=mask), outputs, one

    expected, outputs, one = jax.device_get(compute(params, x, length, mask))
    np.testing.assert_allclose(outputs[0, :2], expected[0, :2], rtol=1e-6)
    np.testing.assert_allclose(outputs[1], expected[1], rtol=1e-6)
    np.testing.assert_allclose(one, expected[1], rtol=1e-6)


def test_causal_attention_reads_nothing_later(key):
    network = nn.attention(DIM, HEADS, causal=True)
    x = np.random.default_rng(0).normal(size=(TIME, DIM)).astype(np.float32)
    gradient = jax.jit(
        lambda key, x: jax.grad(lambda x: network.apply(network.init(key), x)[2].sum())(x)
    )(key, x)
    gradient = np.asarray(gradient)
    assert not gradient[3:].any() and gradient[:3].all()


def test_positions_are_waves(key):
    encoded = jax.jit(nn.positional_encoding(5).apply)({}, np.zeros((7, 5), np.float32))
    position, index = np.arange(7)[:, None], np.arange(5)[None]
    angles = position / 10000 ** ((index - index % 2) / 5)
    np.testing.assert_allclose(
        encoded, np.where(index % 2, np.cos(angles), np.sin(angles)), atol=1e-5
    )


def test_wrong_sizes_are_rejected(key):
    with pytest.raises(ValueError, match="num_heads must divide dim = 6"):
        nn.attention(6, 4)
    with pytest.raises(ValueError, match="expected dim = 6"):
        network = nn.attention(6, 2)
        jax.eval_shape(lambda key: network.apply(network.init(key), jnp.ones((2, 5, 4))), key)


def test_a_block_of_a_transformer_learns_by_gradients(key):
    block = nn.chain(
        nn.positional_encoding(DIM),
        nn.residual(nn.chain(nn.each_step(jn.layer_norm(DIM)), nn.attention(DIM, HEADS))),
        nn.residual(nn.each_step(jn.chain(jn.layer_norm(DIM), jn.mlp([DIM, 8, DIM])))),
        nn.last(),
    )
    random, shapes = np.random.default_rng(0), jax.eval_shape(block.init, key)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    values = random.normal(size=(2, TIME, DIM)).astype(np.float32)
    sequences = nn.Sequences(values, np.array([0, 4], np.int32))
    loss = jax.grad(lambda params, sequences: (block.apply(params, sequences) ** 2).sum())
    gradient = jax.device_get(jax.jit(loss)(params, sequences))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert gradient["residual_0"]["attention_0"]["query"]["kernel"].any()
