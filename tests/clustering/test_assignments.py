"""Soft assignments and targets against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxnet.clustering.deep.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from tests.clustering.small import CODE, K, N, numpy_q


def test_targets_by_hand():
    # Frequencies 1.0, 0.6, 0.4: squares over them are 0.36, 0.0166.., 0.1 | 0.16, 0.4166.., 0.1.
    q = jnp.array([[0.6, 0.1, 0.2], [0.4, 0.5, 0.2]])
    first = np.array([0.36, 0.01 / 0.6, 0.1])
    second = np.array([0.16, 0.25 / 0.6, 0.1])
    expected = [first / first.sum(), second / second.sum()]
    targets = jax.jit(target_distribution)
    np.testing.assert_allclose(targets(q), expected, rtol=1e-6)
    # A cluster that nothing belongs to.
    none = targets(jnp.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]))
    np.testing.assert_allclose(none, [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("a", [1.0, 3.0])
def test_assignments_are_those_of_the_formula(x64, a):
    rng = np.random.default_rng(0)
    # Far from the origin, where the rounding of squares would show in float32.
    codes, centers = rng.normal(size=(N, CODE)) + 100, rng.normal(size=(K, CODE)) + 100
    assign = jax.jit(functools.partial(student_t_assignments, degrees_of_freedom=a))
    q = assign(codes, centers)
    np.testing.assert_allclose(q, numpy_q(codes, centers, a), rtol=1e-9)
    small = assign(codes.astype(np.float32), centers.astype(np.float32))
    np.testing.assert_allclose(small, q, rtol=1e-3)


def test_gradients_are_those_of_the_paper(x64):
    rng = np.random.default_rng(1)
    codes, centers = rng.normal(size=(N, CODE)), rng.normal(size=(K, CODE))
    p = rng.dirichlet(np.ones(K), N)
    p[0] = np.eye(K)[0]

    @jax.jit
    def loss(codes, centers):
        return assignment_divergence(jnp.asarray(p), student_t_assignments(codes, centers)).sum()

    q = numpy_q(codes, centers)
    np.testing.assert_allclose(
        loss(jnp.asarray(codes), jnp.asarray(centers)),
        np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0).sum(),
    )
    arguments = jnp.asarray(codes), jnp.asarray(centers)
    in_codes, in_centers = jax.jit(jax.grad(loss, (0, 1)))(*arguments)
    # Xie et al. (2016), eq. 4 and 5, with one degree of freedom.
    difference = codes[:, None] - centers
    factor = (p - q) / (1 + (difference**2).sum(axis=-1))
    np.testing.assert_allclose(in_codes, 2 * np.einsum("ij,ijd->id", factor, difference))
    np.testing.assert_allclose(in_centers, -2 * np.einsum("ij,ijd->jd", factor, difference))
    check_grads(loss, arguments, order=1, modes=["rev"])


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="degrees_of_freedom must be greater than 0"):
        student_t_assignments(jnp.ones((4, 2)), jnp.ones((3, 2)), degrees_of_freedom=0.0)
