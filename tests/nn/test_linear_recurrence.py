"""Recurrences that run in parallel against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import nn


@pytest.mark.parametrize("reverse", (False, True))
def test_the_parallel_form_is_the_loop(reverse, key, x64):
    cell = nn.min_gru(3, 4, gate_bias=-1.0)
    loop = nn.Cell(cell.init, cell.start, cell.step)
    random, shapes = np.random.default_rng(0), jax.eval_shape(cell.init, key)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), shapes)
    x, carry = random.normal(size=(2, 3, 7, 3)), random.normal(size=(2, 3, 4))
    length = np.array([[7, 0, 3], [1, 2, 6]])

    def run(cell, params, carry, x):
        sequences = nn.Sequences(x, jnp.asarray(length))
        return nn.scan_cell(cell, params, carry, sequences, reverse=reverse)

    def loss(form, *arguments):
        leaves = jax.tree.leaves(run(form, *arguments))
        return sum((leaf**2).sum() for leaf in leaves), leaves

    @jax.jit
    def compare(*arguments):
        gradient = jax.grad(loss, (1, 2, 3), has_aux=True)
        return [gradient(form, *arguments) for form in (cell, loop)]

    ours, expected = compare(params, carry, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), ours, expected)
    last = np.asarray(ours[1][0])
    np.testing.assert_array_equal(last[0, 1], carry[0, 1])


@pytest.mark.parametrize("algorithm", ("auto", "associative", "loop"))
@pytest.mark.parametrize("reverse", (False, True))
def test_a_linear_recurrence_is_its_sum(algorithm, reverse, x64):
    decay, inputs = np.random.default_rng(0).uniform(size=(2, 5, 2))
    start = np.array([1.0, 2.0])

    def states(decay, inputs, start):
        return nn.linear_recurrence(decay, inputs, start, reverse=reverse, algorithm=algorithm)

    def sums(decay, inputs, start):
        if reverse:
            decay, inputs = decay[::-1], inputs[::-1]
        found = [start]
        for step in range(5):
            found.append(decay[step] * found[-1] + inputs[step])
        return jnp.stack(found[:0:-1] if reverse else found[1:])

    @jax.jit
    def compare(*arguments):
        forms = (states, sums)
        values = [form(*arguments) for form in forms]
        backward = [jax.jacrev(form, (0, 1, 2))(*arguments) for form in forms]
        forward = [jax.jacfwd(form, (0, 1, 2))(*arguments) for form in forms]
        return values, backward, forward

    for ours, expected in compare(decay, inputs, start):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), ours, expected
        )


def test_the_gate_can_begin_closed(key):
    bias = jax.jit(nn.min_gru(2, 3, gate_bias=-2.0).init)(key)["input"]["bias"]
    np.testing.assert_array_equal(bias, [-2] * 3 + [0] * 3)
    with pytest.raises(ValueError, match="gate_bias must be finite"):
        nn.min_gru(2, 3, gate_bias=jnp.inf)
