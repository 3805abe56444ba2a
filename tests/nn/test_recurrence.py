"""Recurrent networks against Flax, loops in Python, and sequences without padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

IN, HIDDEN, BATCH, TIME = 3, 4, 5, 6
# Our cell, Flax's cell, the names of its parts for the inputs and for the state.
CELLS = {
    "gru": (nn.gru, linen.GRUCell, ("ir", "iz", "in"), ("hr", "hz", "hn")),
    "lstm": (nn.lstm, linen.OptimizedLSTMCell, ("ii", "if", "ig", "io"), ("hi", "hf", "hg", "ho")),
    "elman": (nn.elman, linen.SimpleCell, ("i",), ("h",)),
}


def side_by_side(params, names):
    """The parameters of several parts of Flax, concatenated; parts without one are left out."""
    parts = [params[name] for name in names if name in params]
    return {
        leaf: jnp.concatenate([part[leaf] for part in parts if leaf in part], axis=-1)
        for leaf in ("kernel", "bias")
        if any(leaf in part for part in parts)
    }


def random_params(key, params):
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return tree.unflatten(drawn)


@pytest.fixture(params=CELLS)
def pair(request, key, x64):
    """Our cell and Flax's, with the same parameters, none of which is 0."""
    ours, theirs, inputs, hidden = CELLS[request.param]
    cell, flax_cell = ours(IN, HIDDEN), theirs(HIDDEN, param_dtype=jnp.float64)
    x = jax.random.normal(key, (BATCH, TIME, IN))
    carry = flax_cell.initialize_carry(key, (BATCH, IN))
    flax_params = random_params(key, flax_cell.init(key, carry, x[:, 0])["params"])
    params = {
        "input": side_by_side(flax_params, inputs),
        "hidden": side_by_side(flax_params, hidden),
    }
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, cell.init(key))
    return cell, params, flax_cell, flax_params, x


def test_a_cell_is_that_of_flax(pair):
    cell, params, flax_cell, flax_params, x = pair
    outputs = nn.recurrent(cell).apply(params, x)
    rnn = linen.RNN(flax_cell)
    expected = rnn.apply({"params": {"cell": flax_params}}, x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    backward = nn.recurrent(cell, reverse=True).apply(params, x)
    expected = linen.RNN(flax_cell, reverse=True, keep_order=True).apply(
        {"params": {"cell": flax_params}}, x
    )
    np.testing.assert_allclose(backward, expected, rtol=1e-12)


def test_the_scan_is_the_loop_of_steps(pair):
    cell, params, *_, x = pair
    carry, outputs = cell.start(params, (BATCH,)), []
    for step in range(TIME):
        carry, output = cell.step(params, carry, x[:, step])
        outputs.append(output)
    last, scanned = nn.scan_cell(cell, params, cell.start(params, (BATCH,)), x)
    np.testing.assert_allclose(scanned, np.stack(outputs, axis=1), rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), last, carry)


def test_padding_is_that_of_shorter_sequences(pair):
    cell, params, *_, x = pair
    length = jnp.array([0, 1, 3, 6, 2])
    padded = nn.Sequences(x.at[:, 3:].set(jnp.nan).at[3].set(x[3]), length)
    for reverse in (False, True):
        start = cell.start(params, (BATCH,))
        carry, outputs = nn.scan_cell(cell, params, start, padded, reverse=reverse)
        for row, steps in enumerate(length.tolist()):
            np.testing.assert_array_equal(outputs.values[row, steps:], 0)
            if steps == 0:
                continue
            cut, one = x[row : row + 1, :steps], cell.start(params, (1,))
            expected_carry, expected = nn.scan_cell(cell, params, one, cut, reverse=reverse)
            np.testing.assert_allclose(outputs.values[row, :steps], expected[0], rtol=1e-12)
            last = jax.tree.map(lambda leaf, row=row: leaf[row], carry)
            for got, wanted in zip(
                jax.tree.leaves(last), jax.tree.leaves(expected_carry), strict=True
            ):
                np.testing.assert_allclose(got, wanted[0], rtol=1e-12)


def test_both_directions_are_side_by_side(key):
    forward, backward = (nn.recurrent(nn.gru(IN, HIDDEN), reverse=r) for r in (False, True))
    network = nn.bidirectional(forward, backward)
    params, x = network.init(key), jax.random.normal(key, (BATCH, TIME, IN))
    sequences = nn.Sequences(x, jnp.array([1, 2, 3, 6, 0]))
    outputs = network.apply(params, sequences)
    np.testing.assert_array_equal(
        outputs.values[..., :HIDDEN], forward.apply(params["forward"], sequences).values
    )
    np.testing.assert_array_equal(
        outputs.values[..., HIDDEN:], backward.apply(params["backward"], sequences).values
    )
    ends = nn.last(num_reversed=HIDDEN).apply({}, outputs)
    np.testing.assert_array_equal(ends[:, HIDDEN:], outputs.values[:, 0, HIDDEN:])
    np.testing.assert_array_equal(ends[3, :HIDDEN], outputs.values[3, 5, :HIDDEN])
    assert not ends[4].any()


def test_the_first_forget_bias_is_an_option(key):
    bias = nn.lstm(2, 3, forget_bias=2.0).init(key)["hidden"]["bias"]
    np.testing.assert_array_equal(bias, [0] * 3 + [2] * 3 + [0] * 6)


def test_kernels_of_the_state_are_orthogonal(key):
    kernel = nn.gru(2, 8).init(key)["hidden"]["kernel"]
    for gate in np.split(np.asarray(kernel), 3, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(8), atol=1e-5)


def test_wrong_arguments_are_named(key, as_users_run):
    with pytest.raises(TypeError, match="cell is a Network, expected a Cell"):
        nn.recurrent(jn.dense(2, 3))
    network = nn.recurrent(nn.gru(3, 4))
    params = network.init(key)
    with pytest.raises(ValueError, match="expected in_dim = 3"):
        network.apply(params, jnp.ones((2, 5, 4)))
    with pytest.raises(ValueError, match=r"x\[..., None\]"):
        network.apply(params, jnp.ones(3))
    with pytest.raises(ValueError, match="expected the same"):
        nn.residual(jn.dense(3, 4)).apply(jn.dense(3, 4).init(key), jnp.ones((2, 3)))


def test_a_state_of_float32_meets_inputs_of_float64(key, x64):
    network = nn.recurrent(nn.lstm(IN, HIDDEN))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), network.init(key))
    assert network.apply(params, jnp.ones((2, 3, IN))).dtype == jnp.float64


def test_pooling_over_time_is_that_of_each_sequence(key):
    x = jax.random.normal(key, (3, 5, 2))
    sequences = nn.Sequences(x.at[0, 2:].set(jnp.nan), jnp.array([2, 5, 0]))
    pools = {
        nn.last: lambda steps: steps[-1],
        nn.mean_over_time: lambda steps: steps.mean(axis=0),
        nn.max_over_time: lambda steps: steps.max(axis=0),
        nn.sum_over_time: lambda steps: steps.sum(axis=0),
    }
    for layer, expected in pools.items():
        pooled = layer().apply({}, sequences)
        for row, steps in ((0, 2), (1, 5)):
            np.testing.assert_allclose(pooled[row], expected(x[row, :steps]), rtol=1e-6)
        np.testing.assert_array_equal(pooled[2], 0)
        np.testing.assert_allclose(layer().apply({}, x[1:2]), pooled[1:2], rtol=1e-6)


def test_the_gradient_of_a_sequence_without_steps_is_zero(key):
    x = jax.random.normal(key, (2, 3, 2))
    for layer in (nn.last, nn.mean_over_time, nn.max_over_time):
        gradient = jax.grad(
            lambda x, layer=layer: layer().apply({}, nn.Sequences(x, jnp.array([0, 3]))).sum()
        )(x)
        assert not gradient[0].any() and jnp.isfinite(gradient).all()
