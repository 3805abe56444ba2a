"""Laws that every network of sequences obeys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from tests.contracts.registry import OVER_TIME

LENGTH = jnp.array([2, 5, 0])
BEYOND = np.arange(5) >= LENGTH[:, None]


@pytest.fixture(params=OVER_TIME)
def case(request):
    return OVER_TIME[request.param]


def test_steps_beyond_the_length_change_no_output_and_no_gradient(case, key):
    params, values = jax.jit(case.network.init)(key), case.example((3, 5))
    mask = BEYOND.reshape(*BEYOND.shape, *(1,) * len(case.step))

    @jax.jit
    def outputs_and_gradients(values, key):
        def loss(params, values):
            outputs = case.network.apply(params, jn.Sequences(values, LENGTH), key=key)
            numbers = jax.tree.leaves(outputs)[0]
            # Each output has its own factor, and the step beyond the length does not matter.
            factors = jnp.sin(jnp.arange(1.0, numbers.size + 1)).reshape(numbers.shape)
            return jnp.vdot(factors, numbers).astype(jnp.float32), outputs

        arguments = 0 if case.num_tokens else (0, 1)
        gradients, outputs = jax.grad(loss, arguments, has_aux=True)(params, values)
        return outputs, gradients

    paddings = (2, -5, 10**6) if case.num_tokens else (7.0, jnp.nan, -jnp.inf)
    for mode in (None, key):
        results = [
            outputs_and_gradients(jnp.where(mask, padding, values), mode) for padding in paddings
        ]
        for other in results[1:]:
            jax.tree.map(np.testing.assert_array_equal, results[0], other)
        outputs, gradients = results[0]
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results[0]))
        if not case.num_tokens:
            assert not gradients[1][BEYOND].any()
        if isinstance(outputs, jn.Sequences):
            beyond = np.arange(5) >= outputs.length[:, None]
            assert not outputs.values[beyond].any()


def test_more_padding_changes_nothing(case, key):
    params, values = jax.jit(case.network.init)(key), case.example((3, 5))
    apply = jax.jit(case.network.apply)
    short = apply(params, jn.Sequences(values, LENGTH))
    padding = jnp.zeros((3, 4, *case.step), values.dtype)
    long = apply(params, jn.Sequences(jnp.concatenate([values, padding], axis=1), LENGTH))
    if isinstance(short, jn.Sequences):
        np.testing.assert_array_equal(long.length, short.length)
        short, long = short.values, long.values[:, : short.values.shape[1]]
    np.testing.assert_allclose(long, short, rtol=1e-5, atol=1e-6)


def test_leading_axes_of_sequences_are_batch(case, key):
    params, values = jax.jit(case.network.init)(key), case.example((2, 3, 5))
    sequences = jn.Sequences(values, jnp.stack([LENGTH, LENGTH[::-1]]))
    together = jax.jit(case.network.apply)(params, sequences)
    by_one = jax.jit(jax.vmap(jax.vmap(case.network.apply, (None, 0)), (None, 0)))(
        params, sequences
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), together, by_one
    )
