"""Recurrences that run in parallel against loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import nn


@pytest.mark.parametrize("reverse", (False, True))
def test_the_parallel_form_is_the_loop(reverse, key, x64):
    cell = nn.min_gru(3, 4, gate_bias=-1.0)
    loop = nn.Cell(cell.init, cell.start, cell.step)
    params, x = cell.init(key), jax.random.normal(key, (2, 3, 7, 3))
    sequences = nn.Sequences(x, jnp.array([[7, 0, 3], [1, 2, 6]]))
    carry = jax.random.normal(key, (2, 3, 4))

    def run(cell, params, carry, x):
        return nn.scan_cell(cell, params, carry, sequences._replace(values=x), reverse=reverse)

    last, outputs = jax.jit(functools.partial(run, cell))(params, carry, x)
    expected_last, expected = jax.jit(functools.partial(run, loop))(params, carry, x)
    np.testing.assert_allclose(last, expected_last, rtol=1e-12)
    np.testing.assert_array_equal(last[0, 1], carry[0, 1])
    np.testing.assert_allclose(outputs.values, expected.values, rtol=1e-12)

    def loss(form):
        return lambda *args: sum((leaf**2).sum() for leaf in jax.tree.leaves(run(form, *args)))

    gradients, expected = (
        jax.jit(jax.grad(loss(form), (0, 1, 2)))(params, carry, x) for form in (cell, loop)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), gradients, expected)


def test_a_linear_recurrence_is_its_sum(x64):
    decay, inputs = np.random.default_rng(0).uniform(size=(2, 9, 2))
    states = jax.jit(nn.linear_recurrence)(jnp.asarray(decay), jnp.asarray(inputs), jnp.ones(2))
    states = np.asarray(states)
    for t in range(9):
        sums = sum(np.prod(decay[s + 1 : t + 1], axis=0) * inputs[s] for s in range(t + 1))
        np.testing.assert_allclose(states[t], np.prod(decay[: t + 1], axis=0) + sums, rtol=1e-12)


def test_the_gate_can_begin_closed(key):
    bias = nn.min_gru(2, 3, gate_bias=-2.0).init(key)["input"]["bias"]
    np.testing.assert_array_equal(bias, [-2] * 3 + [0] * 3)
    with pytest.raises(ValueError, match="gate_bias must be finite"):
        nn.min_gru(2, 3, gate_bias=jnp.inf)
