"""Next-event models of logs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxnet as jn
from jaxnet import anomaly

NUM_TOKENS = 5


def bigrams() -> jn.Network:
    """Logits that depend on the event before alone: a table of parameters."""

    def init(key):
        return jax.random.normal(key, (NUM_TOKENS, NUM_TOKENS))

    def apply(params, x, /, *, key=None):
        if isinstance(x, jn.Sequences):
            return jn.Sequences(params[x.values], x.length)
        return params[x]

    return jn.Network(init, apply, "bigrams")


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(1).normal(size=(NUM_TOKENS, NUM_TOKENS)).astype(np.float32)


def expected_surprise(table, log):
    """The definition, one event after another."""
    before = [0, *log[:-1]]
    log_probabilities = scipy.special.log_softmax(np.asarray(table, np.float64), axis=1)
    return np.array([-log_probabilities[b, e] for b, e in zip(before, log, strict=True)])


def test_surprise_is_the_negative_log_probability_of_each_event(table):
    logs = np.array([[1, 2, 3, 4, 0, 1], [4, 4, 4, 4, 4, 4]], np.int32)
    surprise = jax.jit(lambda table, x: anomaly.event_surprise(bigrams(), table, x))(table, logs)
    np.testing.assert_allclose(surprise, [expected_surprise(table, log) for log in logs], rtol=1e-5)


def test_the_loss_is_the_mean_over_all_events_that_count(table):
    logs = jn.Sequences(np.array([[1, 2, 3, 9, 9], [4, 0, 1, 2, 3]]), np.array([3, 5]))
    surprise = [expected_surprise(table, [1, 2, 3]), expected_surprise(table, [4, 0, 1, 2, 3])]
    objective = jax.jit(anomaly.next_event(bigrams()))

    def loss(**weight):
        return objective(table, {"x": logs, **weight}, None)[0]

    np.testing.assert_allclose(loss(), np.concatenate(surprise).mean(), rtol=1e-5)
    weighted = np.average(np.concatenate(surprise), weights=[1, 1, 1, 3, 3, 3, 3, 3])
    np.testing.assert_allclose(loss(weight=np.array([1, 3])), weighted, rtol=1e-5)
    steps = np.array([[0, 0, 1, 7, 7], [0, 0, 0, 0, 2]])
    chosen = (surprise[0][2] + 2 * surprise[1][4]) / 3
    np.testing.assert_allclose(loss(weight=steps), chosen, rtol=1e-5)


def test_events_beyond_the_length_change_nothing(table):
    values, dirty = np.array([[1, 2, 3, 4]] * 2), np.array([[1, 2, -7, -7], [1, 2, 3, 4]])

    @jax.jit
    def run(table, values, length):
        x = jn.Sequences(values, length)
        objective = jax.value_and_grad(anomaly.next_event(bigrams()), has_aux=True)
        return objective(table, {"x": x}, None), anomaly.event_surprise(bigrams(), table, x)

    clean, dirty = (jax.device_get(run(table, each, np.array([2, 4]))) for each in (values, dirty))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    assert not clean[1].values[0, 2:].any()


def test_training_learns_the_probabilities_of_a_markov_chain(key):
    """Where every event but one has one successor, the loss goes to the entropy of the chain."""
    generator = np.random.default_rng(0)
    logs = np.zeros((50, 40), np.int32)
    for log in logs:
        for step in range(1, 40):
            log[step] = log[step - 1] % 3 + 1 if generator.uniform() < 0.9 else 4
    learner = jn.gradient_learner(
        bigrams().init, anomaly.next_event(bigrams()), jn.optimizer("adam", 0.3)
    )
    batches = jn.training.in_order(50)

    @jax.jit
    def run(logs, pair):
        state, history = jn.fit(learner, key, {"x": logs}, batches=batches, num_epochs=40)
        return history, anomaly.event_surprise(bigrams(), state.params, pair)

    history, (usual, odd) = jax.device_get(
        run(logs[:, 1:], np.array([[1, 2, 3], [1, 3, 2]], np.int32))
    )
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert abs(float(history["loss"][-1]) - entropy) < 0.06
    assert odd[1] > usual[1] + 2 and odd[2] > usual[2] + 2


def test_tokens_number_the_events_of_training_and_0_is_every_other():
    vocabulary = anomaly.event_vocabulary(["ls", "vi", "ls", "cd"])
    assert vocabulary == ("cd", "ls", "vi")
    tokens = anomaly.event_tokens(["vi", "make", "", "cd", "LS"], vocabulary)
    assert tokens.dtype == np.int32 and tokens.tolist() == [3, 0, 0, 1, 0]
    assert anomaly.event_tokens([], vocabulary).shape == (0,)


def test_block_scores_are_means_of_the_events_there_are():
    surprise = np.arange(14.0, dtype=np.float32).reshape(2, 7)
    score = jax.jit(lambda surprise: anomaly.block_scores(surprise, 3))
    expected = [[1, 4, 6], [8, 11, 13]]
    np.testing.assert_allclose(score(surprise), expected)
    surprise[0, 4:] = np.nan
    logs = jn.Sequences(surprise, np.array([4, 7]))
    np.testing.assert_allclose(score(logs), [[1, 3, 0], expected[1]])
    half = jax.ShapeDtypeStruct((7,), jnp.bfloat16)
    assert jax.eval_shape(lambda x: anomaly.block_scores(x, 100), half).dtype == jnp.float32


def test_counts_are_those_of_the_events_there_are():
    logs = np.random.default_rng(0).integers(NUM_TOKENS, size=(2, 3, 9))
    length = np.array([[9, 0, 4], [1, 9, 2]])
    expected = [
        [np.bincount(log[:end], minlength=NUM_TOKENS) for log, end in zip(*rows, strict=True)]
        for rows in zip(logs, length, strict=True)
    ]
    count = jax.jit(lambda x: anomaly.event_counts(NUM_TOKENS).apply({}, x))
    counts = np.asarray(count(jn.Sequences(logs, length)))
    np.testing.assert_allclose(counts**2, expected, atol=1e-5)
    beyond = np.where(np.arange(9) < length[..., None], logs, -3)
    np.testing.assert_array_equal(counts, count(jn.Sequences(beyond, length)))


def test_wrong_arguments_are_rejected(table, as_users_run):
    tokens, numbers = np.zeros((2, 3), np.int32), np.ones((2, 3), np.float32)

    def loss(batch):
        jax.eval_shape(anomaly.next_event(bigrams()), table, batch, None)

    flat = jn.Network(lambda key: {}, lambda params, x, *, key=None: jnp.ones((2, 5)), "flat")
    with pytest.raises(TypeError, match="tokens must be integers, found dtype float32; encode"):
        loss({"x": numbers})
    with pytest.raises(TypeError, match="event_surprise: tokens must be integers"):
        jax.eval_shape(lambda x: anomaly.event_surprise(bigrams(), table, x), numbers)
    with pytest.raises(ValueError, match=r"\(2, 5\), expected the logits of each event, \(2, 3,"):
        jax.eval_shape(anomaly.next_event(flat), {}, {"x": tokens}, None)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(2,\), .* or \(2, 3\)"):
        loss({"x": tokens, "weight": numbers[:, :2]})
    with pytest.raises(ValueError, match="no entry 'x'"):
        loss({"y": tokens})
    with pytest.raises(TypeError, match="next_event"):
        anomaly.next_event(bigrams().apply)  # pyright: ignore[reportArgumentType]
    for function in (anomaly.event_vocabulary, lambda text: anomaly.event_tokens(text, ("ls",))):
        with pytest.raises(TypeError, match="is one text, 'ls cd', expected a list"):
            function("ls cd")
    with pytest.raises(ValueError, match="holds none"):
        anomaly.event_vocabulary([])
    with pytest.raises(ValueError, match="block_size must be at least 1, found 0"):
        anomaly.block_scores(numbers[0], 0)
    with pytest.raises(ValueError, match="num_tokens must be at least 1, found 0"):
        anomaly.event_counts(0)
    with pytest.raises(TypeError, match="event_counts: tokens must be integers"):
        jax.eval_shape(anomaly.event_counts(4).apply, {}, numbers)
