"""The pure run, the watched run, and what they share."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn


def order_of(key, epoch, num_examples, batch_size):
    """The examples of each batch of an epoch."""
    data = {"x": jnp.zeros(num_examples)}
    return jn.training.shuffled(batch_size).plan(data, key, epoch)


NETWORK = jn.mlp([64, 16, 10], dropout=0.1)
INIT = jax.jit(NETWORK.init)
OPTIONS = {"batch_size": 100, "num_epochs": 3}


@functools.cache
def learner_of(rate):
    """The same learner for the same rate, so that its programs are compiled once."""
    return jn.gradient_learner(INIT, jn.classification(NETWORK), optax.adam(rate))


def run(key, rate, data):
    learner = learner_of.__wrapped__(rate)  # A traced rate belongs to one trace.
    return jn.fit(learner, key, data, **OPTIONS)


SINGLE_RUN = jax.jit(run)


def equal(first, second):
    same = jax.tree.map(lambda a, b: np.array_equal(_numbers(a), _numbers(b)), first, second)
    return jax.tree.all(same)


def _numbers(leaf):
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def close(first, second, **tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(_numbers(a), _numbers(b), **tolerance),
        first,
        second,
    )


def test_epochs_give_the_bits_of_fit(digits, key):
    state, history = SINGLE_RUN(key, np.float32(1e-3), digits["train"])
    learner = learner_of(1e-3)
    watched = jn.epochs(learner, jax.jit(learner.init)(key), digits["train"], batch_size=100)
    states, metrics = zip(*itertools.islice(watched, 3), strict=True)
    last = states[-1]
    assert equal(state.params, last.params)
    assert equal(state.key, last.key)
    assert int(last.step) == int(state.step) == 3 * 14
    close(history, jax.tree.map(lambda *leaves: np.stack(leaves), *metrics), rtol=1e-6)


@pytest.fixture(scope="module")
def epoch(digits):
    """A state, the state after an epoch, and its metrics."""
    learner, data = learner_of(1e-3), digits["train"]
    state = jax.jit(learner.init)(jax.random.key(20))
    run_epoch = jax.jit(lambda state: jn.training.run_epoch(learner, state, data, batch_size=100))
    return state, *run_epoch(state)


@pytest.mark.parametrize("pieces", [[14], [1] * 14, [1, 13]])
def test_an_epoch_in_pieces_has_the_same_bits(pieces, digits, epoch):
    learner, data = learner_of(1e-3), digits["train"]
    state, whole, expected = epoch
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=100)
    for num_steps in pieces:
        state, metrics = jn.training.advance(
            learner, state, metrics, data, batch_size=100, num_steps=num_steps
        )
        assert int((metrics["loss"] > 0).sum()) == state.step
    assert equal(whole, state)
    close(expected, jn.training.mean_metrics(metrics), rtol=1e-6)


@pytest.fixture(scope="module")
def watched_for_32_epochs(digits):
    """Two states at the beginning, and after 32 epochs."""
    learner = learner_of(1e-3)
    states = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(20), 2))
    watched = jn.epochs(learner, states, digits["train"], batch_size=100)
    *_, (last, _) = itertools.islice(watched, 32)
    return states, last


@pytest.mark.parametrize("epochs_in_a_scan", [1, 16])
def test_epochs_scanned_in_pieces_have_the_same_bits(
    epochs_in_a_scan, digits, watched_for_32_epochs
):
    learner, data = learner_of(1e-3), digits["train"]
    states, expected = watched_for_32_epochs

    def epoch(state, _):
        return jn.training.run_epoch(learner, state, data, batch_size=100)

    scan = jax.jit(jax.vmap(lambda state: jax.lax.scan(epoch, state, length=epochs_in_a_scan)[0]))
    scanned = states
    for _ in range(32 // epochs_in_a_scan):
        scanned = scan(scanned)
    assert equal(expected, scanned)


def test_every_state_of_a_stack_may_have_its_own_data(digits, key):
    learner = learner_of(1e-3)
    # Of the same length as those of the other tests, so that single runs have one program.
    train = jax.device_get(digits["train"])
    parts = [train, {"x": train["x"][::-1] / 2, "y": train["y"][::-1]}]
    stacked = jax.tree.map(lambda *leaves: jax.device_put(np.stack(leaves)), *parts)
    keys = jax.random.split(key, 2)
    states = jax.jit(jax.vmap(learner.init))(keys)
    watched = jn.epochs(learner, states, stacked, batches=jn.training.per_run(100))
    *_, (_, found) = itertools.islice(watched, 3)
    for index, own in enumerate(parts):
        own = jax.device_put(own)
        single = jn.epochs(learner, jax.jit(learner.init)(keys[index]), own, batch_size=100)
        *_, (_, expected) = itertools.islice(single, 3)
        close(found["loss"][index], expected["loss"], rtol=1e-3)


def test_vmap_over_seeds_and_rates_agrees_with_single_runs(digits, key):
    keys, rates = jax.random.split(key, 2), np.array([1e-3, 1e-2], np.float32)
    over_keys = jax.vmap(run, (0, None, None))
    _, history = jax.jit(jax.vmap(over_keys, (None, 0, None)))(keys, rates, digits["train"])
    assert history["loss"].shape == (2, 2, 3)
    for row, rate in enumerate(rates):
        for column, each in enumerate(keys):
            _, expected = SINGLE_RUN(each, rate, digits["train"])
            found = jax.tree.map(lambda leaf, at=(row, column): np.asarray(leaf)[at], history)
            close(found["loss"], expected["loss"], rtol=1e-3)
            close(found["accuracy"], expected["accuracy"], atol=5e-3)


def test_epochs_train_a_stack_of_states(digits, key):
    learner = learner_of(1e-3)
    keys = jax.random.split(key, 2)
    states = jax.jit(jax.vmap(learner.init))(keys)
    watched = jn.epochs(learner, states, digits["train"], batch_size=100)
    for _, metrics in itertools.islice(watched, 2):
        assert metrics["loss"].shape == (2,)
    single = jn.epochs(learner, jax.jit(learner.init)(keys[1]), digits["train"], batch_size=100)
    *_, (_, expected) = itertools.islice(single, 2)
    close(metrics["loss"][1], expected["loss"], rtol=1e-3)


def test_nothing_is_traced_twice(digits, key):
    """The watched run traces the step twice: for the shapes of its metrics, and to compile it."""
    chex.clear_trace_counter()
    learner = learner_of(1e-3)
    counted = jn.Learner(learner.init, chex.assert_max_traces(learner.step, n=2))
    watched = jn.epochs(counted, learner.init(key), digits["train"], batch_size=100)
    for _ in itertools.islice(watched, 4):
        pass
    fit = jax.jit(chex.assert_max_traces(run, n=1))
    for seed, rate in ((0, 1e-3), (1, 1e-2), (2, 0.1)):
        fit(jax.random.key(seed), jnp.float32(rate), digits["train"])


def test_order_is_a_new_permutation_in_each_epoch(key):
    first = order_of(key, 0, 10, 3)
    again = order_of(key, 0, 10, 3)
    second = order_of(key, 1, 10, 3)
    assert first.shape == (3, 3)
    assert len(set(first.ravel().tolist())) == 9
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_every_example_is_seen_equally_often_in_the_long_run(key):
    orders = jax.jit(jax.vmap(lambda epoch: order_of(key, epoch, 10, 4)))(jnp.arange(400))
    counts = np.bincount(np.ravel(orders), minlength=10)
    assert abs(counts - 320).max() < 40


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, {}, "data holds no examples"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3)}, {}, r"same length, found lengths .*'y': 3"),
        ({"x": np.zeros((4, 2)), "y": np.float32(1)}, {}, "first axis counts the examples"),
        ({}, {}, "must be a dict of arrays"),
        ({"x": np.zeros((4, 2))}, {"batch_size": 5}, "between 1 and the number of examples, 4"),
        ({"x": np.zeros((4, 2))}, {"batch_size": 0}, "found 0"),
        ({"x": np.zeros((4, 2))}, {"num_epochs": 0}, "num_epochs must be at least 1, found 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(data, options, message, key):
    options = {"batch_size": 2, "num_epochs": 1} | options
    with pytest.raises(ValueError, match=message):
        jn.fit(learner_of(1e-3), key, data, **options)
    if options["num_epochs"]:
        learner = learner_of(1e-3)
        with pytest.raises(ValueError, match=message):
            jn.epochs(learner, jax.jit(learner.init)(key), data, batch_size=options["batch_size"])


def test_steps_do_not_reach_beyond_the_epoch(key):
    data = {"x": jnp.zeros((4, 64)), "y": jnp.zeros(4, int)}
    learner = learner_of(1e-3)
    state = jax.jit(learner.init)(key)
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=2)
    options = {"batch_size": 2}
    with pytest.raises(ValueError, match="between 1 and 2, found 3; 2 steps are left"):
        jn.training.advance(learner, state, metrics, data, num_steps=3, **options)
    with pytest.raises(ValueError, match=r"an epoch of 2 steps.* found 1 and 3"):
        jn.training.run_steps(
            learner, state, metrics, data, start=1, stop=3, batches=jn.training.shuffled(2)
        )
    state, metrics = jn.training.advance(learner, state, metrics, data, num_steps=1, **options)
    with pytest.raises(ValueError, match="1 steps inside an epoch of 2 steps, expected at"):
        jn.epochs(learner, state, data, **options)
    with pytest.raises(ValueError, match="between 1 and 1, found 2; 1 steps are left"):
        jn.training.advance(learner, state, metrics, data, num_steps=2, **options)
