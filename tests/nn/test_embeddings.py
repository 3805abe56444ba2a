"""Vectors of tokens against Flax, dropout of tokens, and bags of embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

TOKENS = jnp.array([[3, 1, 9, 0], [2, 4, 0, 0]])
LENGTH = jnp.array([4, 2])


def test_an_embedding_is_that_of_flax(key):
    network, theirs = nn.embedding(10, 5), linen.Embed(10, 5)
    params = theirs.init(key, TOKENS)["params"]
    np.testing.assert_array_equal(
        network.apply(params, TOKENS), theirs.apply({"params": params}, TOKENS)
    )
    mine = nn.embedding(2000, 50).init(key)["embedding"]
    assert abs(mine.std() * np.sqrt(50) - 1) < 0.02


def test_tokens_out_of_range_have_the_vector_zero_and_no_gradient(key):
    network = nn.embedding(10, 5)
    params = network.init(key)
    tokens = nn.Sequences(jnp.array([[-1, 10, 3]]), jnp.array([3]))
    vectors = network.apply(params, tokens).values
    assert not vectors[0, :2].any() and vectors[0, 2].all()
    gradient = jax.grad(lambda params: network.apply(params, tokens).values.sum())(params)
    np.testing.assert_array_equal(gradient["embedding"].sum(axis=1), np.eye(10)[3] * 5)


def test_tokens_that_are_not_integers_are_rejected(key):
    network = nn.embedding(10, 5)
    with pytest.raises(TypeError, match="expected integers"):
        network.apply(network.init(key), nn.Sequences(jnp.ones((1, 2)), jnp.array([2])))


def test_dropped_tokens_leave_no_gap(key):
    values = np.tile(np.arange(1, 41), (500, 1))
    tokens = nn.Sequences(jnp.asarray(values), jnp.full(500, 30))
    kept = jax.device_get(jax.jit(nn.token_dropout(0.25).apply)({}, tokens, key=key))
    assert abs(kept.length.mean() / 30 - 0.75) < 0.02
    for row, length in zip(kept.values, kept.length, strict=True):
        assert (np.diff(row[:length]) > 0).all() and row[:length].max() <= 30
        assert not row[length:].any()
    evaluated = nn.token_dropout(0.25).apply({}, tokens)
    np.testing.assert_array_equal(evaluated.values, np.where(values <= 30, values, 0))


@pytest.mark.parametrize("pooling", ("mean", "sum", "max"))
def test_a_bag_of_embeddings_is_an_mlp_of_pooled_vectors(pooling, key):
    network = nn.bag_of_embeddings(10, [5, 4, 3], pooling=pooling, dropout=0.2, token_dropout=0.3)
    params = network.init(key)
    name = "embedding_0" if pooling == "max" else "embedding_bag_0"
    table = params.pop(name)["embedding"]
    pooled = jnp.stack(
        [getattr(table[row[:n]], pooling)(axis=0) for row, n in zip(TOKENS, LENGTH, strict=True)]
    )
    expected = jn.mlp([5, 4, 3]).apply(params, pooled)
    params |= {name: {"embedding": table}}
    outputs = network.apply(params, nn.Sequences(TOKENS, LENGTH))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    order = jnp.array([2, 0, 3, 1])
    shuffled = network.apply(params, nn.Sequences(TOKENS[:1, order], LENGTH[:1]))
    np.testing.assert_allclose(shuffled, outputs[:1], rtol=1e-5)


@pytest.mark.parametrize("network", (nn.rnn, lambda *a, **k: nn.bag_of_embeddings(9, *a, **k)))
def test_unknown_poolings_and_too_few_sizes_are_rejected(network):
    with pytest.raises(ValueError, match="pooling must be one of"):
        network([3, 4, 2], pooling="first")
    with pytest.raises(ValueError, match="dims must hold"):
        network([3])
