"""Convolution and pooling over time against Flax, and against the same sequences cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

TIME, CHANNELS, LENGTHS = 11, 2, (11, 8, 5, 2, 7)


@pytest.fixture
def sequences(key):
    values = jax.random.normal(key, (len(LENGTHS), TIME, CHANNELS))
    return jn.Sequences(values, jnp.array(LENGTHS))


# The law of sequences holds for each of them; lengths by the definition of a convolution.
LAYERS = {
    "same": jn.conv(CHANNELS, 3, (4,)),
    "same_strided": jn.conv(CHANNELS, 3, (5,), strides=3),
    "same_sparse": jn.conv(CHANNELS, 3, (2,), strides=4),
    "same_dilated": jn.conv(CHANNELS, 3, (3,), strides=2, dilation=3),
    "causal": jn.conv(CHANNELS, 3, (3,), dilation=2, padding="CAUSAL"),
    "causal_strided": jn.conv(CHANNELS, 3, (3,), strides=2, padding="CAUSAL"),
    "valid": jn.conv(CHANNELS, 3, (2,), padding="VALID"),
    "valid_strided": jn.conv(CHANNELS, 3, (2,), strides=2, padding="VALID"),
    "max_pool": jn.max_pool((2,)),
    "max_pool_same": jn.max_pool((3,), padding="SAME"),
    "mean_pool": jn.mean_pool((2,)),
    "mean_pool_same": jn.mean_pool((4,), padding="SAME"),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


def test_sequences_are_convolved_as_if_cut(layer, sequences, key, x64):
    sequences = jn.Sequences(sequences.values.astype(jnp.float64), sequences.length)
    params = layer.init(key)
    outputs = jax.jit(layer.apply)(params, sequences)
    for row, length in enumerate(LENGTHS):
        expected = layer.apply(params, sequences.values[row, :length])
        assert outputs.length[row] == len(expected)
        np.testing.assert_allclose(
            outputs.values[row, : len(expected)], expected, rtol=1e-12, atol=1e-12
        )
        assert not outputs.values[row, len(expected) :].any()


def test_steps_beyond_the_length_change_nothing(layer, sequences, key):
    params = layer.init(key)
    beyond = ~nn.time_mask(sequences)[..., None]

    @jax.jit
    def results(values):
        def loss(params, values):
            outputs = layer.apply(params, jn.Sequences(values, sequences.length))
            return (outputs.values**2).sum(), outputs

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, values)

    dirty = results(jnp.where(beyond, jnp.nan, sequences.values))
    clean = results(jnp.where(beyond, 7.0, sequences.values))
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    assert not jnp.where(beyond, dirty[1][1], 0).any()


def test_sequences_of_full_length_are_arrays(layer, sequences, key):
    params = layer.init(key)
    outputs = layer.apply(params, nn.as_sequences(sequences.values))
    np.testing.assert_array_equal(outputs.values, layer.apply(params, sequences.values))
    assert (outputs.length == outputs.values.shape[-2]).all()


def test_a_sequence_shorter_than_the_kernel_has_no_valid_output(sequences, key):
    layer = jn.conv(CHANNELS, 3, (3,), dilation=2, padding="VALID")
    outputs = layer.apply(layer.init(key), sequences)
    assert outputs.length.tolist() == [7, 4, 1, 0, 3] and not outputs.values[3].any()


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CAUSAL"])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_convolutions_of_series_are_those_of_flax(padding, strides, dilation, sequences, key):
    flax = linen.Conv(3, (3,), strides=strides, kernel_dilation=dilation, padding=padding)
    params = flax.init(key, sequences.values)
    layer = jn.conv(CHANNELS, 3, (3,), strides=strides, dilation=dilation, padding=padding)
    np.testing.assert_allclose(
        layer.apply(params["params"], sequences.values),
        flax.apply(params, sequences.values),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_causal_output_depends_on_no_later_step(sequences, key):
    layer = jn.conv(CHANNELS, 1, (3,), dilation=2, padding="CAUSAL")
    params = layer.init(key)
    jacobian = jax.jacobian(lambda x: layer.apply(params, x)[:, 0])(sequences.values[0])
    depends = np.asarray(abs(jacobian).sum(-1) > 0)
    assert not np.triu(depends, 1).any() and depends.diagonal().all()


@pytest.mark.parametrize("pool", [linen.max_pool, linen.avg_pool])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools_of_series_are_those_of_flax(pool, padding, sequences):
    layer = (jn.max_pool if pool is linen.max_pool else jn.mean_pool)((3,), padding=padding)
    options = {} if pool is linen.max_pool else {"count_include_pad": False}
    expected = pool(sequences.values, (3,), (3,), padding, **options)
    outputs = layer.apply({}, sequences.values)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)


def test_a_pool_of_integers_ignores_padding():
    sequences = jn.Sequences(jnp.full((1, 4, 1), -5, jnp.int8), jnp.array([3]))
    largest = jn.max_pool((2,), padding="SAME").apply({}, sequences).values
    assert largest.dtype == jnp.int8 and largest.ravel().tolist() == [-5, -5]
    means = jn.mean_pool((2,), padding="SAME").apply({}, sequences).values
    assert means.ravel().tolist() == [-5.0, -5.0]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: jn.conv(1, 1, (3, 3, 3)), ValueError, "a height and a width, or a tuple of one"),
        (lambda: jn.conv(1, 1, (3,), strides=(1, 2)), ValueError, "kernel_size has one axis"),
        (lambda: jn.conv(1, 1, 3, dilation=(2,)), ValueError, "dilation must be an integer, or a"),
        (lambda: jn.conv(1, 1, 3, padding="CAUSAL"), ValueError, "is for convolutions of series"),
        (lambda: jn.max_pool((2,), padding="CAUSAL"), ValueError, 'must be "SAME" or "VALID"'),
    ],
)
def test_wrong_windows_are_rejected(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("layer", "shape", "error", "message"),
    [
        (jn.conv(1, 1), (2, 5, 1), TypeError, "for series give one size"),
        (jn.max_pool(), (2, 5, 1), TypeError, "for series give one size"),
        (jn.conv(1, 1, (3,)), (2, 5), ValueError, "embed tokens first"),
        (jn.mean_pool((3,)), (2, 5), ValueError, "embed tokens first"),
        (jn.conv(1, 1, (3,)), (2, 5, 3), ValueError, "expected in_channels = 1"),
        (jn.conv(1, 1, (9,), padding="VALID"), (2, 5, 1), ValueError, r"spans \(9,\)"),
    ],
)
def test_wrong_sequences_are_rejected(layer, shape, error, message, key, as_users_run):
    with pytest.raises(error, match=message):
        layer.apply(layer.init(key), jn.Sequences(jnp.ones(shape), jnp.array([5, 3])))
    if error is ValueError and len(shape) == 3:
        with pytest.raises(error, match=message):
            layer.apply(layer.init(key), jnp.ones(shape))
