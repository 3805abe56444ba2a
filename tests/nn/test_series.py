"""Convolution and pooling over time against Flax, and against the same sequences cut."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn
from jaxnet import nn

TIME, CHANNELS, LENGTHS = 11, 2, (11, 8, 5, 2, 7)
LENGTH = np.array(LENGTHS, np.int32)
VALUES = np.random.default_rng(0).normal(size=(len(LENGTHS), TIME, CHANNELS))
BEYOND = np.arange(TIME)[:, None] >= LENGTH[:, None, None]


@pytest.fixture
def sequences():
    return jax.device_put(jn.Sequences(VALUES.astype(np.float32), LENGTH))


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


class Computed(NamedTuple):
    """What a layer computes in float64, in one program.

    Attributes:
        outputs: of the sequences.
        gradients: of the squared outputs, with respect to parameters and values.
        cut: outputs of each sequence alone, without what is beyond its length.
        full: outputs of sequences of full length.
        arrays: outputs of the same as arrays.
    """

    outputs: Any
    gradients: Any
    cut: Any
    full: Any
    arrays: Any


@pytest.fixture(scope="module", params=LAYERS)
def computed(request):
    """With NaN beyond the lengths, and with 7."""
    layer, random = LAYERS[request.param], np.random.default_rng(1)
    shapes = jax.eval_shape(layer.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), shapes)

    @jax.jit
    def compute(params, values, length):
        def loss(params, values):
            outputs = layer.apply(params, jn.Sequences(values, length))
            return (outputs.values**2).sum(), outputs

        gradients, outputs = jax.grad(loss, (0, 1), has_aux=True)(params, values)
        rows = zip(values, LENGTHS, strict=True)
        cut = [layer.apply(params, row[:number]) for row, number in rows]
        full = layer.apply(params, nn.as_sequences(values))
        return Computed(outputs, gradients, cut, full, layer.apply(params, values))

    with jax.enable_x64(True):
        return [
            jax.device_get(compute(params, np.where(BEYOND, number, VALUES), LENGTH))
            for number in (np.nan, 7.0)
        ]


def test_sequences_are_convolved_as_if_cut(computed):
    for outputs, _, cut, _, _ in computed:
        for row, expected in enumerate(cut):
            assert outputs.length[row] == len(expected)
            np.testing.assert_allclose(
                outputs.values[row, : len(expected)], expected, rtol=1e-12, atol=1e-12
            )
            assert not outputs.values[row, len(expected) :].any()


def test_steps_beyond_the_length_change_nothing(computed):
    dirty, clean = (each[:2] for each in computed)
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    assert not np.where(BEYOND, dirty[1][1], 0).any()


def test_sequences_of_full_length_are_arrays(computed):
    _, clean = computed
    np.testing.assert_array_equal(clean.full.values, clean.arrays)
    assert (clean.full.length == clean.arrays.shape[-2]).all()


def test_a_sequence_shorter_than_the_kernel_has_no_valid_output(sequences, key):
    layer = jn.conv(CHANNELS, 3, (3,), dilation=2, padding="VALID")
    outputs = jax.jit(lambda key, x: layer.apply(layer.init(key), x))(key, sequences)
    assert outputs.length.tolist() == [7, 4, 1, 0, 3] and not outputs.values[3].any()


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CAUSAL"])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_convolutions_of_series_are_those_of_flax(padding, strides, dilation, sequences, key):
    flax = linen.Conv(3, (3,), strides=strides, kernel_dilation=dilation, padding=padding)
    layer = jn.conv(CHANNELS, 3, (3,), strides=strides, dilation=dilation, padding=padding)

    @jax.jit
    def both(key, values):
        params = flax.init(key, values)
        return layer.apply(params["params"], values), flax.apply(params, values)

    np.testing.assert_allclose(*both(key, sequences.values), rtol=1e-5, atol=1e-6)


def test_a_causal_output_depends_on_no_later_step(key):
    layer = jn.conv(CHANNELS, 1, (3,), dilation=2, padding="CAUSAL")

    @jax.jit
    def jacobian(key, values):
        params = layer.init(key)
        return jax.jacobian(lambda x: layer.apply(params, x)[:, 0])(values)

    depends = np.abs(jacobian(key, VALUES[0].astype(np.float32))).sum(-1) > 0
    assert not np.triu(depends, 1).any() and depends.diagonal().all()


@pytest.mark.parametrize("pool", [linen.max_pool, linen.avg_pool])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools_of_series_are_those_of_flax(pool, padding, sequences):
    layer = (jn.max_pool if pool is linen.max_pool else jn.mean_pool)((3,), padding=padding)
    options = {} if pool is linen.max_pool else {"count_include_pad": False}
    outputs, expected = jax.jit(
        lambda x: (layer.apply({}, x), pool(x, (3,), (3,), padding, **options))
    )(sequences.values)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)


def test_a_pool_of_integers_ignores_padding():
    sequences = jn.Sequences(np.full((1, 4, 1), -5, np.int8), np.array([3]))
    pools = [build((2,), padding="SAME") for build in (jn.max_pool, jn.mean_pool)]
    largest, means = jax.jit(lambda x: [pool.apply({}, x).values for pool in pools])(sequences)
    assert largest.dtype == jnp.int8 and np.ravel(largest).tolist() == [-5, -5]
    assert np.ravel(means).tolist() == [-5.0, -5.0]


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
        jax.eval_shape(
            lambda key: layer.apply(
                layer.init(key), jn.Sequences(jnp.ones(shape), jnp.zeros(2, int))
            ),
            key,
        )
    if error is ValueError and len(shape) == 3:
        with pytest.raises(error, match=message):
            jax.eval_shape(lambda key: layer.apply(layer.init(key), jnp.ones(shape)), key)
