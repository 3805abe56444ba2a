"""Padding, masks, and networks of one step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet import nn

SEQUENCES_OF_DIFFERENT_STEPS = (
    [],
    [np.array(1.0)],
    [np.ones((2, 3)), np.ones((2, 4))],
    [np.ones(2), np.arange(2)],
)


def test_padding_holds_zeros_and_every_length():
    padded = nn.pad_sequences([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert padded.values.dtype == np.float32
    np.testing.assert_array_equal(padded.length, [2, 4])
    np.testing.assert_array_equal(padded.values.sum(axis=(1, 2)), [6, 12])


@pytest.mark.parametrize(
    "sequences",
    SEQUENCES_OF_DIFFERENT_STEPS,
)
def test_sequences_of_different_steps_are_rejected(sequences):
    with pytest.raises(ValueError, match="one shape and dtype"):
        nn.pad_sequences(sequences)


def test_steps_beyond_the_length_change_nothing(key):
    network = nn.each_step(jn.mlp([3, 4, 2]))
    random, shapes = np.random.default_rng(0), jax.eval_shape(network.init, key)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    dirty = random.normal(size=(2, 5, 3)).astype(np.float32)
    length = np.array([2, 5])

    def loss(params, values):
        return network.apply(params, jn.Sequences(values, jnp.asarray(length))).values.sum()

    slope = jax.jit(jax.grad(loss, (0, 1)))
    dirty[0, 2:] = np.nan
    gradients, clean = jax.device_get(
        [slope(params, np.nan_to_num(dirty, nan=number)) for number in (np.nan, 7.0)]
    )
    jax.tree.map(np.testing.assert_array_equal, gradients, clean)
    assert not gradients[1][0, 2:].any()


def test_an_array_has_full_length():
    assert nn.as_sequences(jnp.ones((4, 2, 5, 3))).length.tolist() == [[5, 5]] * 4


def test_the_mask_has_an_axis_for_time_whatever_a_step_is():
    mask = nn.time_mask(jn.Sequences(jnp.ones((2, 3, 4, 5)), jnp.array([1, 3])))
    np.testing.assert_array_equal(mask, [[True, False, False], [True, True, True]])


def test_data_are_checked_up_to_the_length():
    values = np.ones((2, 3, 1))
    values[0, 2] = np.nan
    jn.check_data(jn.Sequences(values, np.array([2, 3])), np.array([0, 1]), num_classes=2)
    with pytest.raises(ValueError, match="row 0 holds nan"):
        jn.check_data(jn.Sequences(values, np.array([3, 3])))
    for length in ([0, 3], [2, 4]):
        with pytest.raises(ValueError, match="expected a whole number from 1 to 3"):
            jn.check_data(jn.Sequences(values, np.array(length)))
    with pytest.raises(ValueError, match="one length for each"):
        jn.check_data(jn.Sequences(values, np.array([3])))
