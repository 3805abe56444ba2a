"""Laws that every network of sequences obeys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from tests.contracts.generator import quick_key
from tests.contracts.registry import example_params
from tests.contracts.registry_over_time import OVER_TIME

LENGTH = np.array([2, 5, 0], np.int32)
BEYOND = np.arange(5) >= LENGTH[:, None]


@pytest.fixture(params=OVER_TIME)
def case(request):
    return OVER_TIME[request.param]


def test_steps_beyond_the_length_change_no_output_and_no_gradient(case):
    params, values = example_params(case.network.init), case.example((3, 5))
    mask = BEYOND.reshape(*BEYOND.shape, *(1,) * len(case.step))

    @jax.jit
    def outputs_and_gradients(values, key):
        def loss(params, values):
            outputs = case.network.apply(params, jn.Sequences(values, jnp.asarray(LENGTH)), key=key)
            numbers = jax.tree.leaves(outputs)[0]
            # Each output has its own factor, and the step beyond the length does not matter.
            factors = jnp.sin(jnp.arange(1.0, numbers.size + 1)).reshape(numbers.shape)
            return jnp.vdot(factors, numbers).astype(jnp.float32), outputs

        arguments = 0 if case.num_tokens else (0, 1)
        gradients, outputs = jax.grad(loss, arguments, has_aux=True)(params, values)
        return outputs, gradients

    paddings = (2, -5, 10**6) if case.num_tokens else (7.0, jnp.nan, -jnp.inf)
    for mode in (None, quick_key(20)) if case.is_random else (None,):
        results = [
            outputs_and_gradients(np.where(mask, np.asarray(padding, values.dtype), values), mode)
            for padding in paddings
        ]
        for other in results[1:]:
            jax.tree.map(np.testing.assert_array_equal, results[0], other)
        outputs, gradients = results[0]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(results[0]))
        if not case.num_tokens:
            assert not np.asarray(gradients[1])[BEYOND].any()
        if isinstance(outputs, jn.Sequences):
            outputs = jax.device_get(outputs)
            beyond = np.arange(outputs.values.shape[1]) >= outputs.length[:, None]
            assert not outputs.values[beyond].any()


def test_more_padding_and_more_axes_of_the_batch_change_nothing(case):
    params, values = example_params(case.network.init), case.example((2, 3, 5))
    length = np.stack([LENGTH, LENGTH[::-1]])

    @jax.jit
    def compare(params, values):
        apply, padding = case.network.apply, jnp.zeros((2, 3, 4, *case.step), values.dtype)
        sequences = jn.Sequences(values, jnp.asarray(length))
        by_one = jax.vmap(jax.vmap(apply, (None, 0)), (None, 0))(params, sequences)
        padded = sequences._replace(values=jnp.concatenate([values, padding], axis=2))
        return apply(params, sequences), by_one, apply(params, padded)

    together, by_one, padded = compare(params, values)
    if isinstance(together, jn.Sequences):
        np.testing.assert_array_equal(padded.length, together.length)
        values = np.asarray(padded.values)[:, :, : together.values.shape[2]]
        padded = padded._replace(values=values)
    for other in (by_one, padded):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), together, other
        )
