"""Recurrent networks as a whole: parts, tables, mixed precision, and everything that trains."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import nn

TIME, DIM = 5, 3
NETWORK = nn.rnn([DIM, 4, 4, 2], bidirectional=True, dropout=0.2)
# Half of the operations to compile.
SMALL = nn.rnn([DIM, 8, 2])


def drawn(network):
    """Parameters drawn by NumPy: programs that draw them compile longer than those that learn."""
    random, shapes = np.random.default_rng(0), jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype) / 2, shapes)


@pytest.fixture(scope="module")
def data():
    """Whether the first number of the last step is positive; the padding is NaN."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(48, TIME, DIM)).astype(np.float32)
    length = generator.integers(1, TIME + 1, size=48).astype(np.int32)
    y = (values[np.arange(48), length - 1, 0] > 0).astype(np.int32)
    values[np.arange(TIME) >= length[:, None]] = np.nan
    return {"x": jn.Sequences(values, length), "y": y}


@pytest.fixture(scope="module")
def computed(data):
    """Parameters, features, logits of the features, and logits of the whole network."""

    @jax.jit
    def compute(params, x):
        features = NETWORK[:-2].apply(params, x)
        return params, features, NETWORK[-2:].apply(params, features), NETWORK.apply(params, x)

    return compute(drawn(NETWORK), data["x"])


def test_slices_are_features(computed):
    _, features, logits, expected = computed
    assert features.shape == (48, 8)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_layers_of_a_recurrent_network_are_its_parts():
    assert NETWORK.names == (
        "bidirectional_0",
        "each_step_0",
        "bidirectional_1",
        "last_0",
        "dropout_0",
        "dense_0",
    )
    assert "recurrent(gru(3, 4), reverse=True)" in repr(NETWORK)
    assert repr(nn.rnn([2, 3, 1], cell=nn.lstm, pooling="max")).splitlines() == [
        "chain(",
        "  recurrent_0: recurrent(lstm(2, 3))",
        "  max_over_time_0: max_over_time()",
        "  dense_0: dense(3, 1)",
        ")",
    ]


def test_the_table_of_a_network_of_sequences_shows_steps():
    lines = jn.summary(nn.rnn([DIM, 4, 2]), jn.Sequences((TIME, DIM), ())).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[1:-1]] == ["110", "100", "0", "10"]
    assert "(2,)" in lines[1] and "recurrent_0: recurrent(gru(3, 4))  (5, 4)" in lines[2]
    tokens = jn.Sequences(jax.ShapeDtypeStruct((TIME,), jnp.int32), ())
    lines = jn.summary(nn.bag_of_embeddings(9, [4, 2]), tokens).splitlines()
    assert "embedding_bag_0: embedding_bag(9, 4, 'mean')" in lines[2] and "  (4,)  " in lines[2]
    assert lines[-1] == "46 parameters"


def test_sequences_are_computed_in_other_types(data, computed, key):
    params, _, _, expected = computed
    network = jn.compute_in(NETWORK, jnp.bfloat16)
    shapes = [jax.eval_shape(each.init, key) for each in (network, NETWORK)]
    assert shapes[0] == shapes[1]
    outputs = jax.jit(network.apply)(params, data["x"])
    assert outputs.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(outputs, np.float32), expected, atol=0.05)
    tokens = jn.Sequences(np.array([[1, 2]]), np.array([2]))
    bag = jn.compute_in(nn.bag_of_embeddings(300, [4, 2]), jnp.bfloat16)
    params = jax.eval_shape(bag.init, key)
    assert jax.eval_shape(bag.apply, params, tokens).dtype == jnp.bfloat16


def test_everything_that_trains_and_evaluates_takes_sequences(data, key):
    jn.check_data(data["x"], data["y"], num_classes=2)
    objective = jn.classification(SMALL)
    params = drawn(SMALL)
    learner = jn.gradient_learner(lambda key: params, objective, optax.adam(0.02))
    validation = jn.Validation(objective, data, patience=30)
    state, history = jn.fit(learner, key, data, batch_size=16, num_epochs=30, validation=validation)
    metrics = jn.evaluate(objective, jn.evaluation_params(state), data, batch_size=20)
    assert metrics["accuracy"] > 0.9 > 0.8 > history["accuracy"][0]
    logits = jn.predict(SMALL.apply, jn.evaluation_params(state), data["x"], batch_size=20)
    accuracy = (np.asarray(logits).argmax(axis=-1) == data["y"]).mean()
    assert accuracy == pytest.approx(float(metrics["accuracy"]))
    run = jn.epochs(learner, learner.init(key), data, batch_size=16)
    *_, (watched, _) = itertools.islice(run, 30)
    jax.tree.map(np.testing.assert_array_equal, watched.params, state.params)


def test_blocks_of_a_convolutional_network_have_kernels_of_all_lengths(key):
    network = nn.conv1d([1, 7, 7, 5], kernel_sizes=(5, 3), pooling="max", dropout=0.1)
    assert network.names == ("chain_0", "residual_0", "max_over_time_0", "dropout_0", "dense_0")
    shapes = [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(network.init, key))]
    assert [shape for shape in shapes if len(shape) == 3] == [
        *((5, 1, 2), (3, 1, 2), (1, 1, 3)),
        *((1, 7, 2), (5, 2, 2), (3, 2, 2), (1, 7, 3)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": [1, 5]}, "dims must hold the sizes of input, blocks and output"),
        ({"dims": [1, 8, 3, 5]}, r"found dims = \[1, 8, 3, 5\]; use more channels"),
        ({"dims": [1, 8, 5], "kernel_sizes": ()}, "at least one kernel"),
        ({"dims": [1, 8, 5], "pooling": "last"}, "pooling must be one of 'mean', 'max'"),
        ({"dims": [1, 8, 5], "dropout": 1.0}, "dropout"),
    ],
)
def test_wrong_convolutional_networks_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        nn.conv1d(**options)
