"""Vectors of tokens against Flax, dropout of tokens, and bags of embeddings."""

import jax
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

TOKENS = np.array([[3, 1, 9, 0], [2, 4, 0, 0]], np.int32)
LENGTH = np.array([4, 2], np.int32)


def test_an_embedding_is_that_of_flax(key):
    network, theirs = nn.embedding(10, 5), linen.Embed(10, 5)

    @jax.jit
    def compute(key, tokens):
        params = theirs.init(key, tokens)
        drawn = nn.embedding(2000, 50).init(key)["embedding"]
        return network.apply(params["params"], tokens), theirs.apply(params, tokens), drawn

    found, expected, mine = jax.device_get(compute(key, TOKENS))
    np.testing.assert_array_equal(found, expected)
    assert abs(mine.std() * np.sqrt(50) - 1) < 0.02


def test_tokens_out_of_range_have_the_vector_zero_and_no_gradient(key):
    network = nn.embedding(10, 5)
    tokens = nn.Sequences(np.array([[-1, 10, 3]], np.int32), np.array([3], np.int32))

    @jax.jit
    def compute(key, tokens):
        def total(params):
            vectors = network.apply(params, tokens).values
            return vectors.sum(), vectors

        return jax.grad(total, has_aux=True)(network.init(key))

    gradient, vectors = jax.device_get(compute(key, tokens))
    assert not vectors[0, :2].any() and vectors[0, 2].all()
    np.testing.assert_array_equal(gradient["embedding"].sum(axis=1), np.eye(10)[3] * 5)


def test_tokens_that_are_not_integers_are_rejected(key):
    network = nn.embedding(10, 5)
    with pytest.raises(TypeError, match="expected integers"):
        tokens = nn.Sequences(np.ones((1, 2), np.float32), np.array([2]))
        jax.eval_shape(lambda key, tokens: network.apply(network.init(key), tokens), key, tokens)


def test_dropped_tokens_leave_no_gap(key):
    values = np.tile(np.arange(1, 41), (500, 1))
    tokens = nn.Sequences(values, np.full(500, 30))
    apply = nn.token_dropout(0.25).apply
    kept, evaluated = jax.device_get(
        jax.jit(lambda tokens: (apply({}, tokens, key=key), apply({}, tokens)))(tokens)
    )
    assert abs(kept.length.mean() / 30 - 0.75) < 0.02
    for row, length in zip(kept.values, kept.length, strict=True):
        assert (np.diff(row[:length]) > 0).all() and row[:length].max() <= 30
        assert not row[length:].any()
    np.testing.assert_array_equal(evaluated.values, np.where(values <= 30, values, 0))


@pytest.mark.parametrize("pooling", ("mean", "sum", "max"))
def test_a_bag_of_embeddings_is_an_mlp_of_pooled_vectors(pooling, key):
    network = nn.bag_of_embeddings(10, [5, 4, 3], pooling=pooling, dropout=0.2, token_dropout=0.3)
    random, shapes = np.random.default_rng(0), jax.eval_shape(network.init, key)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    name = "embedding_0" if pooling == "max" else "embedding_bag_0"
    table = params[name]["embedding"]
    pooled = np.stack(
        [getattr(table[row[:n]], pooling)(axis=0) for row, n in zip(TOKENS, LENGTH, strict=True)]
    )
    rest = {other: value for other, value in params.items() if other != name}
    apply = jax.jit(network.apply)
    outputs = np.asarray(apply(params, nn.Sequences(TOKENS, LENGTH)))
    expected = jax.jit(jn.mlp([5, 4, 3]).apply)(rest, pooled)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    shuffled = TOKENS.copy()
    shuffled[0] = TOKENS[0, [2, 0, 3, 1]]
    found = apply(params, nn.Sequences(shuffled, LENGTH))
    np.testing.assert_allclose(found, outputs, rtol=1e-5)


@pytest.mark.parametrize("network", (nn.rnn, lambda *a, **k: nn.bag_of_embeddings(9, *a, **k)))
def test_unknown_poolings_and_too_few_sizes_are_rejected(network):
    with pytest.raises(ValueError, match="pooling must be one of"):
        network([3, 4, 2], pooling="first")
    with pytest.raises(ValueError, match="dims must hold"):
        network([3])
