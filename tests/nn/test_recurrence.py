"""Recurrent networks against Flax, loops in Python, and sequences without padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

IN, HIDDEN, BATCH, TIME = 3, 4, 5, 6
GRU = (nn.gru, linen.GRUCell, ("ir", "iz", "in"), ("hr", "hz", "hn"))
LSTM = (nn.lstm, linen.OptimizedLSTMCell, ("ii", "if", "ig", "io"), ("hi", "hf", "hg", "ho"))
# Size of the state, our cell, Flax's cell, the names of its parts for the inputs and for the state.
# With fewer units than inputs, the products of the inputs are computed before the loop.
CELLS = {
    "gru": (HIDDEN, *GRU),
    "small_gru": (2, *GRU),
    "small_lstm": (2, *LSTM),
    "elman": (HIDDEN, nn.elman, linen.SimpleCell, ("i",), ("h",)),
}


def side_by_side(params, names):
    """The parameters of several parts of Flax, concatenated; parts without one are left out."""
    parts = [params[name] for name in names if name in params]
    return {
        leaf: np.concatenate([part[leaf] for part in parts if leaf in part], axis=-1)
        for leaf in ("kernel", "bias")
        if any(leaf in part for part in parts)
    }


@pytest.fixture(params=CELLS)
def pair(request, key, x64):
    """Our cell and Flax's, with the same parameters, none of which is 0."""
    hidden_dim, ours, theirs, inputs, hidden = CELLS[request.param]
    cell, flax_cell = ours(IN, hidden_dim), theirs(hidden_dim, param_dtype=jnp.float64)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(BATCH, TIME, IN))
    carry = jax.eval_shape(lambda: flax_cell.initialize_carry(key, (BATCH, IN)))
    shapes = jax.eval_shape(flax_cell.init, key, carry, x[:, 0])["params"]
    flax_params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape), shapes)
    params = {
        "input": side_by_side(flax_params, inputs),
        "hidden": side_by_side(flax_params, hidden),
    }
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, jax.eval_shape(cell.init, key)
    )
    return cell, params, flax_cell, {"params": {"cell": flax_params}}, x


def test_a_cell_is_that_of_flax_and_the_loop_of_its_steps(pair):
    cell, params, flax_cell, flax_params, x = pair

    def loop(params, x):
        carry, outputs = cell.start(params, (BATCH,)), []
        for step in range(TIME):
            carry, output = cell.step(params, carry, x[:, step])
            outputs.append(output)
        return carry, jnp.stack(outputs, axis=1)

    @jax.jit
    def compare(params, flax_params, x):
        ours = [nn.recurrent(cell, reverse=r).apply(params, x) for r in (False, True)]
        theirs = [
            linen.RNN(flax_cell, reverse=r, keep_order=True).apply(flax_params, x)
            for r in (False, True)
        ]
        scanned = nn.scan_cell(cell, params, cell.start(params, (BATCH,)), x)
        return ours, theirs, scanned, loop(params, x)

    ours, theirs, scanned, looped = compare(params, flax_params, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), scanned, looped)


@pytest.mark.parametrize("reverse", (False, True))
def test_padding_is_that_of_shorter_sequences(pair, reverse):
    cell, params, *_, x = pair
    length = np.array([0, 1, 4, 6, 4])
    beyond = np.arange(TIME) >= length[:, None]
    padded = nn.Sequences(np.where(beyond[..., None], np.nan, x), length)

    @jax.jit
    def compare(params, padded, x):
        def scan(x, batch):
            return nn.scan_cell(cell, params, cell.start(params, (batch,)), x, reverse=reverse)

        cut = {steps: scan(x[:, :steps], BATCH) for steps in (1, 4, 6)}
        return scan(padded, BATCH), cut, cell.start(params, (BATCH,))

    (carry, outputs), cut, start = jax.device_get(compare(params, padded, x))
    for row, steps in enumerate(length):
        np.testing.assert_array_equal(outputs.values[row, steps:], 0)
        expected_carry, expected = cut[int(steps)] if steps else (start, outputs.values)
        np.testing.assert_allclose(outputs.values[row, :steps], expected[row, :steps], rtol=1e-12)
        jax.tree.map(
            lambda a, b, row=row: np.testing.assert_allclose(a[row], b[row], rtol=1e-12),
            carry,
            expected_carry,
        )


def test_both_directions_are_side_by_side(key):
    forward, backward = (nn.recurrent(nn.elman(IN, HIDDEN), reverse=r) for r in (False, True))
    network = nn.bidirectional(forward, backward)
    values = np.random.default_rng(0).normal(size=(BATCH, TIME, IN)).astype(np.float32)
    sequences = nn.Sequences(values, np.array([1, 2, 3, 6, 0], np.int32))

    @jax.jit
    def compare(key, sequences):
        params = network.init(key)
        outputs = network.apply(params, sequences)
        parts = [
            part.apply(params[name], sequences).values
            for name, part in (("forward", forward), ("backward", backward))
        ]
        return outputs.values, parts, nn.last(num_reversed=HIDDEN).apply({}, outputs)

    outputs, parts, ends = jax.device_get(compare(key, sequences))
    np.testing.assert_allclose(outputs, np.concatenate(parts, axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(ends[:, HIDDEN:], outputs[:, 0, HIDDEN:])
    np.testing.assert_array_equal(ends[3, :HIDDEN], outputs[3, 5, :HIDDEN])
    assert not ends[4].any()


def test_the_first_forget_bias_is_an_option(key):
    bias = jax.jit(nn.lstm(2, 3, forget_bias=2.0).init)(key)["hidden"]["bias"]
    np.testing.assert_array_equal(bias, [0] * 3 + [2] * 3 + [0] * 6)


def test_kernels_of_the_state_are_orthogonal(key):
    kernel = jax.jit(nn.gru(2, 8).init)(key)["hidden"]["kernel"]
    for gate in np.split(np.asarray(kernel), 3, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(8), atol=1e-5)


def test_wrong_arguments_are_named(key, as_users_run):
    with pytest.raises(TypeError, match="cell is a Network, expected a Cell"):
        nn.recurrent(jn.dense(2, 3))
    network = nn.recurrent(nn.gru(3, 4))

    def run(network, *shape):
        jax.eval_shape(lambda: network.apply(network.init(key), jnp.ones(shape)))

    with pytest.raises(ValueError, match="expected in_dim = 3"):
        run(network, 2, 5, 4)
    with pytest.raises(ValueError, match=r"x\[..., None\]"):
        run(network, 3)
    with pytest.raises(ValueError, match="expected the same"):
        run(nn.residual(jn.dense(3, 4)), 2, 3)


def test_a_state_of_float32_meets_inputs_of_float64(key, x64):
    network = nn.recurrent(nn.lstm(IN, HIDDEN))
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32),
        jax.eval_shape(network.init, key),
    )
    outputs = jax.eval_shape(network.apply, params, np.ones((2, 3, IN)))
    assert outputs.dtype == jnp.float64


def test_pooling_over_time_is_that_of_each_sequence():
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    dirty = x.copy()
    dirty[0, 2:] = np.nan
    length = np.array([2, 5, 0])
    pools = {
        nn.last: lambda steps: steps[-1],
        nn.mean_over_time: lambda steps: steps.mean(axis=0),
        nn.max_over_time: lambda steps: steps.max(axis=0),
        nn.sum_over_time: lambda steps: steps.sum(axis=0),
        nn.sqrtn_over_time: lambda steps: steps.sum(axis=0) / max(1, len(steps)) ** 0.5,
    }

    @jax.jit
    def pool(dirty, x):
        def pooled(values, layer):
            return layer().apply({}, nn.Sequences(values, jnp.asarray(length)))

        return [
            (
                pooled(dirty, layer),
                layer().apply({}, x),
                jax.grad(lambda values, layer=layer: pooled(values, layer).sum())(x),
            )
            for layer in pools
        ]

    for (outputs, full, gradient), expected in zip(
        jax.device_get(pool(dirty, x)), pools.values(), strict=True
    ):
        for row, steps in ((0, 2), (1, 5)):
            np.testing.assert_allclose(outputs[row], expected(x[row, :steps]), rtol=1e-5)
            np.testing.assert_allclose(full[row], expected(x[row]), rtol=1e-5)
        np.testing.assert_array_equal(outputs[2], 0)
        assert np.isfinite(gradient).all() and not gradient[2].any()
