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
    nn.recurrent(nn.gru(IN, HIDDEN)), nn.recurrent(nn.lstm(HIDDEN, HIDDEN)), jn.dense(HIDDEN, 1)
)
NETWORK = nn.carried(CHAIN, ROWS)


@pytest.fixture(scope="module")
def data():
    """Three series one after the other, the second of which begins inside of a window."""
    generator = np.random.default_rng(0)
    series = [generator.normal(size=(length, IN)) for length in (5, 12, 7)]
    x = nn.concatenate_series([array.astype(np.float32) for array in series], num_rows=ROWS)
    return {"x": x, "y": x.values.sum(axis=-1, keepdims=True)}


@pytest.fixture(scope="module")
def learner():
    return jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.adam(0.01))


def test_windows_continue_each_other(data, key):
    params = NETWORK.init(key)
    extra, outputs = NETWORK.init_extra(params, key), []
    batches = jn.training.in_order(ROWS, length=LENGTH)
    for index in range(batches.num_steps(data)):
        window = batches.take(data, (), index)["x"]
        y, extra = NETWORK.apply(params, extra, window, key=key)
        outputs.append(y)
    outputs = np.concatenate(outputs, axis=1).reshape(ROWS * SPAN, 1)
    starts = [*np.flatnonzero(data["x"].is_first), ROWS * SPAN]
    assert starts == [0, 5, 12, 17, 24]
    for begin, end in itertools.pairwise(starts):
        expected = CHAIN.apply(params, jnp.asarray(data["x"].values[begin:end]))
        np.testing.assert_allclose(outputs[begin:end], expected, rtol=1e-5, atol=1e-6)


def test_evaluation_starts_from_the_beginning_whatever_the_state(data, key):
    params = NETWORK.init(key)
    extra = jax.tree.map(lambda leaf: leaf + 1, NETWORK.init_extra(params, key))
    x = jnp.ones((5, 7, IN))
    outputs = NETWORK.evaluation.apply((params, extra), x)
    np.testing.assert_array_equal(outputs, CHAIN.apply(params, x))
    series = nn.Series(x, jnp.zeros((5, 7), bool).at[:, 3].set(True))
    again = NETWORK.evaluation.apply((params, extra), series)
    np.testing.assert_allclose(again[:, 3:], outputs[:, :4], rtol=1e-6)


def test_no_gradient_goes_back_beyond_a_window(key):
    params = NETWORK.init(key)
    x = jax.random.normal(key, (ROWS, 2 * LENGTH, IN))

    def loss(x):
        _, extra = NETWORK.apply(params, NETWORK.init_extra(params, key), x[:, :LENGTH], key=key)
        return NETWORK.apply(params, extra, x[:, LENGTH:], key=key)[0].sum()

    gradient = jax.grad(loss)(x)
    assert not gradient[:, :LENGTH].any() and gradient[:, LENGTH:].any()


def test_an_interrupted_run_is_bitwise_that_without_the_interruption(data, learner, key):
    batches = jn.training.in_order(ROWS, length=LENGTH)
    state, history = jn.fit(learner, key, data, batches=batches, num_epochs=3)
    assert history["loss"][-1] < history["loss"][0]
    watched = learner.init(key)
    for _ in range(3):
        # The generator ends after an epoch, and another one begins with the state that was left.
        watched, _ = next(iter(jn.epochs(learner, watched, data, batches=batches)))
    jax.tree.map(
        np.testing.assert_array_equal, (state.params, state.extra), (watched.params, watched.extra)
    )
    metrics = jn.training.begin_epoch(learner, learner.init(key), data, batches=batches)
    pieces = learner.init(key)
    for start, stop in ((0, 1), (1, 3)):
        pieces, metrics = jn.training.run_steps(
            learner, pieces, metrics, data, batches=batches, start=start, stop=stop
        )
    whole, _ = jn.training.run_epoch(learner, learner.init(key), data, batches=batches)
    jax.tree.map(np.testing.assert_array_equal, pieces.extra, whole.extra)


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
    params = NETWORK.init(key)
    with pytest.raises(ValueError, match="in_order"):
        NETWORK.apply(params, NETWORK.init_extra(params, key), jnp.ones((3, 4, IN)), key=key)
    with pytest.raises(ValueError, match="same dim"):
        nn.concatenate_series([np.ones((2, 3)), np.ones((2, 2))])
