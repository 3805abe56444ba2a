"""Energies, conditionals and Gibbs sampling, against brute force over all states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxnet import boltzmann
from jaxnet.boltzmann import BERNOULLI, GAUSSIAN, RBM


def test_free_energy_is_the_sum_over_hidden_states(
    x64, rbm, key, states, enumerate_joint, random_params
):
    params = random_params(rbm, key)
    v, joint = states(rbm.num_visible), enumerate_joint(params)
    marginal = [joint.probability[(joint.v == each).all(axis=1)].sum() for each in v]
    expected = -np.log(marginal) - joint.log_partition
    np.testing.assert_allclose(jax.jit(rbm.free_energy)(params, v), expected, rtol=0, atol=1e-12)


def test_conditionals_equal_those_of_the_joint_distribution(
    x64, rbm, key, states, enumerate_joint, random_params
):
    params = random_params(rbm, key)
    joint = enumerate_joint(params)
    means = jax.device_get(jax.jit(rbm.hidden_mean)(params, states(5)))
    for v, mean in zip(np.asarray(states(5)), means, strict=True):
        p = joint.probability * (joint.v == v).all(axis=1)
        np.testing.assert_allclose(mean, p @ joint.h / p.sum(), atol=1e-12)
    means = jax.device_get(jax.jit(rbm.visible_mean)(params, states(3)))
    for h, mean in zip(np.asarray(states(3)), means, strict=True):
        p = joint.probability * (joint.h == h).all(axis=1)
        np.testing.assert_allclose(mean, p @ joint.v / p.sum(), atol=1e-12)


def test_reconstruction_is_mean_field_up_and_down(rbm, params, states):
    v, params = jax.device_get((states(5), params))
    sigmoid = stats.logistic.cdf
    h = sigmoid(v @ params["kernel"] + params["hidden_bias"])
    expected = sigmoid(h @ params["kernel"].T + params["visible_bias"])
    np.testing.assert_allclose(jax.jit(rbm.reconstruct)(params, v), expected, rtol=1e-5)


def test_leading_axes_are_batch(rbm, params, bits):
    v = bits(4, 2, 5)

    def evaluate(v):
        return rbm.free_energy(params, v), rbm.reconstruct(params, v)

    together, one_by_one = jax.jit(lambda v: (evaluate(v), jax.vmap(jax.vmap(evaluate))(v)))(v)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), together, one_by_one)


def test_gibbs_chains_have_the_exact_marginals(rbm, key, enumerate_joint, random_params):
    params = random_params(rbm, key, scale=0.7)
    joint, num = enumerate_joint(params), 20_000
    v = jax.jit(lambda key: rbm.sample(params, key, num_samples=num, num_steps=50))(key)
    states_seen = np.asarray(v) @ 2.0 ** np.arange(4, -1, -1)
    counts = np.bincount(states_seen.astype(int), minlength=32)
    expected = joint.probability.reshape(32, 8).sum(axis=1)
    error = np.sqrt(expected * (1 - expected) / num)
    # All 32 states within 4.5 standard errors: by chance outside in 1 of 5 000 keys.
    assert (np.abs(counts / num - expected) < 4.5 * error).all()
    assert stats.chisquare(counts, expected / expected.sum() * num).pvalue > 1e-3


def test_the_number_of_gibbs_steps_may_be_traced(rbm, params, key):
    gibbs = functools.partial(rbm.gibbs, params, jax.device_put(np.zeros((4, 5))), key)
    traced = jax.jit(lambda num_steps: gibbs(num_steps=num_steps))
    expected = jax.jit(lambda: {num_steps: gibbs(num_steps=num_steps) for num_steps in (1, 3)})()
    for num_steps in (1, 3):
        np.testing.assert_array_equal(traced(num_steps), expected[num_steps])


def test_gaussian_visible_units(x64, key, states, random_params):
    rbm = RBM(2, 3, visible=GAUSSIAN)
    params = random_params(rbm, key)
    W, b, c = (np.asarray(params[name]) for name in ("kernel", "visible_bias", "hidden_bias"))

    def density(v):
        """The unnormalized marginal from the energy `|v|^2 / 2 - b.v - c.h - v W h`."""
        return sum(np.exp(-v @ v / 2 + b @ v + c @ h + v @ W @ h) for h in np.asarray(states(3)))

    v = np.random.default_rng(0).normal(size=(4, 2))
    expected = [-np.log(density(row)) for row in v]
    free_energy = jax.jit(rbm.free_energy)
    np.testing.assert_allclose(free_energy(params, v), expected, atol=1e-12)
    # Integrated numerically: a mixture of 8 normal distributions around b + W h.
    grid = np.linspace(-12, 12, 481)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    surface = np.exp(-np.asarray(free_energy(params, points)))
    volume = integrate.trapezoid(integrate.trapezoid(surface, grid), grid)
    exact = jax.jit(boltzmann.log_partition, static_argnums=0)(rbm, params)
    assert float(exact) == pytest.approx(np.log(volume), abs=1e-9)
    h = np.asarray(states(3))
    means = jax.jit(rbm.visible_mean)(params, h)
    np.testing.assert_allclose(means, b + h @ W.T, atol=1e-12)
    drawn = jax.jit(rbm.sample_visible)(params, np.broadcast_to(h[5], (20_000, 3)), key)
    drawn = np.asarray(drawn)
    assert (abs(drawn.mean(axis=0) - (b + W @ h[5])) < 4.5 / np.sqrt(20_000)).all()
    assert (abs(drawn.var(axis=0) - 1) < 4.5 * np.sqrt(2 / 20_000)).all()


def test_gaussian_hidden_units(x64, key, states, random_params):
    rbm = RBM(3, 1, hidden=GAUSSIAN)
    params = random_params(rbm, key)
    W, b, c = (np.asarray(params[name]) for name in ("kernel", "visible_bias", "hidden_bias"))
    free_energy, hidden_mean = jax.jit(rbm.free_energy), jax.jit(rbm.hidden_mean)
    for v in np.asarray(states(3)):

        def density(h, v=v):
            return np.exp(-(h**2) / 2 + b @ v + c[0] * h + (v @ W)[0] * h)

        total = integrate.quad(density, -30, 30)[0]
        assert float(free_energy(params, v)) == pytest.approx(-np.log(total), abs=1e-9)
        mean = integrate.quad(lambda h, density=density: h * density(h), -30, 30)[0] / total
        assert float(hidden_mean(params, v)[0]) == pytest.approx(mean, abs=1e-9)


def test_init_follows_the_practical_guide(key):
    rbm = RBM(100, 50)
    x = np.random.default_rng(0).random((500, 100)) < np.linspace(0, 1, 100)
    x = x.astype(np.float32)
    init = jax.jit(lambda key, x: rbm.init(key, visible_bias=rbm.data_bias(x)))
    params = jax.device_get(init(key, x))
    assert float(params["kernel"].std()) == pytest.approx(0.01, rel=0.05)
    assert not params["hidden_bias"].any()
    means = (x.sum(axis=0) + 1) / 502
    np.testing.assert_allclose(params["visible_bias"], np.log(means / (1 - means)), rtol=1e-4)
    assert np.isfinite(params["visible_bias"]).all()
    gaussian = jax.jit(RBM(100, 50, visible=GAUSSIAN).data_bias)
    np.testing.assert_allclose(gaussian(3 * x), 3 * x.mean(axis=0), rtol=1e-5)


def test_errors_name_the_argument(rbm, params, key):
    with pytest.raises(ValueError, match="num_hidden must be at least 1, found 0"):
        RBM(3, 0)
    with pytest.raises(ValueError, match="num_visible must be at least 1, found -1"):
        RBM(-1, 3, visible=BERNOULLI)
    with pytest.raises(ValueError, match=r"both Gaussian.*use principal components"):
        RBM(3, 3, visible=GAUSSIAN, hidden=GAUSSIAN)
    with pytest.raises(ValueError, match="num_steps must be at least 1, found 0"):
        rbm.gibbs(params, jnp.zeros((2, 5)), key, num_steps=0)
    with pytest.raises(ValueError, match="num_samples must be at least 1, found 0"):
        rbm.sample(params, key, num_samples=0, num_steps=3)
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected 5 numbers in the last axis"):
        rbm.hidden_mean(params, jnp.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected 5 numbers in the last axis"):
        rbm.free_energy(params, jnp.zeros((2, 4)))
