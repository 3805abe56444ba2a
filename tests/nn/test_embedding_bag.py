"""Pooled vectors of tokens: those of `embedding` and a pooling, by both algorithms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet import nn

# Unknown tokens, padding that holds tokens, a sequence without steps.
TOKENS = nn.Sequences(
    np.array([[3, 1, 9, 3], [2, -1, 5, 5], [10, 10, 8, 0], [4, 4, 4, 4]], np.int32),
    np.array([4, 2, 3, 0], np.int32),
)
POOLINGS = {"mean": nn.mean_over_time, "sum": nn.sum_over_time, "sqrtn": nn.sqrtn_over_time}


def in_double(network, key):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), jax.jit(network.init)(key))


@pytest.mark.parametrize("algorithm", ("auto", "gather", "loop"))
@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_is_an_embedding_and_a_pooling(pooling, algorithm, key):
    bag = nn.embedding_bag(10, 5, pooling=pooling, algorithm=algorithm)
    layers = nn.chain(nn.embedding(10, 5), POOLINGS[pooling]())
    with jax.enable_x64(True):
        params = in_double(bag, key)
        direction = in_double(bag, jax.random.key(1))

        @jax.jit
        def derivatives(apply, params, direction):
            def loss(params):
                return jnp.sum(jnp.sin(apply(params, TOKENS)))

            hessian = jax.jvp(jax.grad(loss), (params,), (direction,))
            return apply(params, TOKENS), *hessian, jax.jvp(loss, (params,), (direction,))

        mine = derivatives(jax.tree_util.Partial(bag.apply), params, direction)
        theirs = derivatives(
            jax.tree_util.Partial(lambda params, x: layers.apply({"embedding_0": params}, x)),
            params,
            direction,
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), mine, theirs)
    assert mine[0].dtype == jnp.float64 and not mine[0][3].any() and mine[0][:3].any(axis=1).all()


def test_an_array_of_tokens_is_a_sequence_of_full_length_and_networks_are_batched(key):
    bag = nn.embedding_bag(10, 5)
    params = jax.jit(jax.vmap(bag.init))(jax.random.split(key, 3))
    outputs = jax.jit(jax.vmap(bag.apply, (0, None)))(params, TOKENS.values[:1])
    expected = np.asarray(params["embedding"])[:, TOKENS.values[0]].mean(axis=1)
    np.testing.assert_allclose(outputs[:, 0], expected, rtol=1e-5)
    assert jax.eval_shape(bag.apply, {"embedding": params["embedding"][0]}, TOKENS).shape == (4, 5)


@pytest.mark.parametrize("algorithm", ("gather", "loop"))
def test_a_sum_of_many_rows_keeps_its_digits_in_half_precision(algorithm):
    bag = nn.embedding_bag(1, 1, pooling="sum", algorithm=algorithm)
    table = {"embedding": jnp.ones((1, 1), jnp.bfloat16)}
    total = jax.jit(bag.apply)(table, np.zeros((1, 1000), np.int32))
    assert total.dtype == jnp.bfloat16 and float(total[0, 0]) == 1000


def test_mistakes_are_named(key):
    with pytest.raises(ValueError, match='pooling must be one of "mean", "sum", "sqrtn", found'):
        nn.embedding_bag(10, 5, pooling="max")
    with pytest.raises(ValueError, match='algorithm must be one of "auto", "gather", "loop"'):
        nn.embedding_bag(10, 5, algorithm="scan")
    bag = nn.embedding_bag(10, 5)
    with pytest.raises(TypeError, match="embedding_bag: tokens are of dtype float32, expected int"):
        bag.apply(bag.init(key), nn.Sequences(jnp.ones((2, 3)), jnp.array([3, 1])))


def test_rows_of_tokens_that_are_not_read_have_no_gradient(key):
    x, y = np.asarray(TOKENS.values) % 10, np.array([0, 1, 0, 1], np.int32)
    data = {"x": nn.Sequences(x, TOKENS.length), "y": y}
    bag = nn.bag_of_embeddings(10, [5, 2], pooling="sqrtn")
    gradient = jax.jit(jax.grad(lambda params: jn.classification(bag)(params, data, None)[0]))
    gradients = gradient(jax.jit(bag.init)(key))
    used = {int(t) for row, n in zip(x, TOKENS.length, strict=True) for t in row[:n]}
    rows = np.flatnonzero(np.asarray(gradients["embedding_bag_0"]["embedding"]).any(axis=1))
    assert set(rows.tolist()) == used
