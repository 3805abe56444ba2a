"""State that is carried from window to window of long series."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import nn

IN, HIDDEN, ROWS, SPAN, LENGTH = 2, 3, 2, 12, 4
CHAIN = nn.chain(
    nn.recurrent(nn.gru(IN, HIDDEN)),
    nn.recurrent(nn.lstm(HIDDEN, HIDDEN)),
    nn.each_step(jn.dense(HIDDEN, 1)),
)
NETWORK = nn.carried(CHAIN, ROWS)


def drawn(network):
    """Parameters drawn by NumPy."""
    random, shapes = np.random.default_rng(1), jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)


@pytest.fixture(scope="module")
def params():
    return drawn(CHAIN)


@pytest.fixture(scope="module")
def data():
    """Three series one after the other, the second of which begins inside of a window."""
    generator = np.random.default_rng(0)
    series = [generator.normal(size=(length, IN)) for length in (5, 12, 7)]
    x = nn.concatenate_series([array.astype(np.float32) for array in series], num_rows=ROWS)
    y = x.values.sum(axis=-1, keepdims=True)
    return jax.device_put({"x": x, "y": y})


def test_windows_continue_each_other(data, params, key):
    batches = jn.training.in_order(ROWS, length=LENGTH)
    extra, outputs = jax.jit(NETWORK.init_extra)(params, key), []

    @jax.jit
    def apply(params, extra, data, index):
        return NETWORK.apply(params, extra, batches.take(data, (), index)["x"], key=key)

    for index in range(batches.num_steps(data)):
        y, extra = apply(params, extra, data, index)
        outputs.append(y)
    outputs = np.concatenate(outputs, axis=1).reshape(ROWS * SPAN, 1)
    starts = [*np.flatnonzero(data["x"].is_first), ROWS * SPAN]
    assert starts == [0, 5, 12, 17, 24]
    values = [np.asarray(data["x"].values)[a:b] for a, b in itertools.pairwise(starts)]
    expected = np.asarray(jax.jit(CHAIN.apply)(params, nn.pad_sequences(values)).values)
    for row, (begin, end) in zip(expected, itertools.pairwise(starts), strict=True):
        np.testing.assert_allclose(outputs[begin:end], row[: end - begin], rtol=1e-5, atol=1e-6)


def test_evaluation_starts_from_the_beginning_whatever_the_state(params, key):
    x, is_first = np.ones((5, 7, IN), np.float32), np.zeros((5, 7), bool)
    is_first[:, 3] = True

    @jax.jit
    def compute(params, x, is_first):
        extra = jax.tree.map(lambda leaf: leaf + 1, NETWORK.init_extra(params, key))
        outputs = NETWORK.evaluation.apply((params, extra), x)
        again = NETWORK.evaluation.apply((params, extra), nn.Series(x, is_first))
        return outputs, CHAIN.apply(params, x), again

    outputs, expected, again = jax.device_get(compute(params, x, is_first))
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    np.testing.assert_allclose(again[:, 3:], outputs[:, :4], rtol=1e-6)


def test_no_gradient_goes_back_beyond_a_window(params, key):
    x = np.random.default_rng(0).normal(size=(ROWS, 2 * LENGTH, IN)).astype(np.float32)

    def loss(x):
        _, extra = NETWORK.apply(params, NETWORK.init_extra(params, key), x[:, :LENGTH], key=key)
        return NETWORK.apply(params, extra, x[:, LENGTH:], key=key)[0].sum()

    gradient = np.asarray(jax.jit(jax.grad(loss))(x))
    assert not gradient[:, :LENGTH].any() and gradient[:, LENGTH:].any()


def test_an_interrupted_run_is_bitwise_that_without_the_interruption(data, key):
    network = nn.carried(nn.chain(nn.recurrent(nn.elman(IN, HIDDEN)), jn.dense(HIDDEN, 1)), ROWS)
    params = drawn(network)
    learner = jn.gradient_learner(
        lambda key: params, jn.regression(network), optax.sgd(0.01, momentum=0.9)
    )
    batches = jn.training.in_order(ROWS, length=LENGTH)
    state, history = jn.fit(learner, key, data, batches=batches, num_epochs=2)
    losses = np.asarray(history["loss"])
    assert losses[1] < losses[0]
    pieces = learner.init(key)
    for _ in range(2):
        # Each generator ends after an epoch; the next begins with the state that it left.
        pieces, _ = next(iter(jn.epochs(learner, pieces, data, batches=batches)))
    jax.tree.map(
        np.testing.assert_array_equal, (state.params, state.extra), (pieces.params, pieces.extra)
    )


def test_what_cannot_keep_a_state_is_rejected(key):
    backward = nn.recurrent(nn.gru(IN, HIDDEN), reverse=True)
    forward = nn.recurrent(nn.gru(IN, IN))
    for network, found in (
        (jn.dense(2, 3), "no recurrent layer"),
        (backward, "reversed"),
        (nn.bidirectional(forward, forward), "inside of bidirectional"),
        (nn.chain(nn.residual(forward)), "inside of residual"),
        (jn.compute_in(forward, jnp.bfloat16), "inside of recurrent"),
    ):
        with pytest.raises(ValueError, match=found):
            nn.carried(network, 2)
    params, extra = jax.eval_shape(NETWORK.evaluation.init, key)
    with pytest.raises(ValueError, match="in_order"):
        jax.eval_shape(NETWORK.apply, params, extra, jnp.ones((3, 4, IN)), key=key)
    with pytest.raises(ValueError, match="same dim"):
        nn.concatenate_series([np.ones((2, 3)), np.ones((2, 2))])
