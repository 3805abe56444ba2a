"""Exact partition functions against brute force; annealed importance sampling against them."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from jax.test_util import check_grads

import jaxnet as jn
from experiments.data import load
from jaxnet import boltzmann
from jaxnet.boltzmann import GAUSSIAN, RBM

# Compiled as a whole: its operations one by one take longer to compile.
log_partition = jax.jit(boltzmann.log_partition, static_argnums=0)


@pytest.mark.parametrize("num_visible, num_hidden", [(5, 3), (3, 5), (1, 1)])
def test_log_partition_equals_brute_force(
    x64, key, num_visible, num_hidden, states, enumerate_joint, random_params
):
    rbm = RBM(num_visible, num_hidden)
    params = random_params(rbm, key)
    exact, joint = log_partition(rbm, params), enumerate_joint(params)
    assert float(exact) == pytest.approx(joint.log_partition, abs=1e-12)
    log_probability = jax.jit(rbm.log_probability)(params, states(num_visible), exact)
    assert np.exp(log_probability).sum() == pytest.approx(1, abs=1e-12)


def test_both_layers_give_the_same_log_partition_in_many_chunks(x64, key, states, random_params):
    """13 and 14 units are 8 and 16 chunks of states; the brute force here is by factorization."""
    rbm = RBM(14, 13)
    params = random_params(rbm, key, scale=0.3)
    v, of_numpy = np.asarray(states(14)), jax.device_get(params)
    expected = np.logaddexp.reduce(
        v @ of_numpy["visible_bias"]
        + np.logaddexp(0, v @ of_numpy["kernel"] + of_numpy["hidden_bias"]).sum(axis=1)
    )
    assert float(log_partition(rbm, params)) == pytest.approx(expected, abs=1e-9)


def test_gaussian_hidden_units_are_integrated(x64, key, states, random_params):
    """In closed form: completing the square couples the visible units by W W^T."""
    rbm = RBM(4, 30, hidden=GAUSSIAN)
    params = random_params(rbm, key, scale=0.5)
    v, of_numpy = np.asarray(states(4)), jax.device_get(params)
    eta = v @ of_numpy["kernel"] + of_numpy["hidden_bias"]
    terms = v @ of_numpy["visible_bias"] + (eta**2).sum(axis=1) / 2 + 15 * np.log(2 * np.pi)
    expected = np.logaddexp.reduce(terms)
    assert float(log_partition(rbm, params)) == pytest.approx(expected, abs=1e-9)


def test_likelihood_gradient_is_data_minus_model(
    x64, rbm, key, enumerate_joint, random_params, bits
):
    params = random_params(rbm, key)
    x = bits(7, 5)

    @jax.jit
    def log_likelihood(params):
        return rbm.log_probability(params, x, boltzmann.log_partition(rbm, params)).mean()

    joint = enumerate_joint(params)
    p = joint.probability
    h, images = jax.device_get([jax.jit(rbm.hidden_mean)(params, x), x])
    expected = {
        "kernel": images.T @ h / 7 - np.einsum("s,si,sj->ij", p, joint.v, joint.h),
        "visible_bias": images.mean(axis=0) - p @ joint.v,
        "hidden_bias": h.mean(axis=0) - p @ joint.h,
    }
    gradient = jax.jit(jax.grad(log_likelihood))(params)
    assert gradient.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(gradient[name], expected[name], rtol=0, atol=1e-9)
    check_grads(log_likelihood, (params,), order=1, modes=["rev"], eps=1e-6, atol=1e-6, rtol=1e-6)


def train_and_estimate(x, key, *, rbm, rate, num_epochs, num_betas):
    """A machine trained by CD-1, its exact `log Z` and its estimate."""

    @jax.jit
    def run(x, key, estimate_key):
        bias = rbm.data_bias(x)
        learner = jn.gradient_learner(
            lambda key: rbm.init(key, visible_bias=bias),
            boltzmann.contrastive_divergence(rbm),
            optax.sgd(rate),
        )
        state, _ = jn.fit(learner, key, {"x": x}, batch_size=20, num_epochs=num_epochs)
        estimate = boltzmann.annealed_importance_sampling(
            rbm,
            state.params,
            estimate_key,
            base_bias=bias,
            betas=boltzmann.annealing_schedule(num_betas),
        )
        return state.params, boltzmann.log_partition(rbm, state.params), estimate

    params, exact, estimate = run(x, key, jax.random.key(21))
    return params, exact, jax.device_get(estimate)


def test_annealed_importance_sampling_on_digits(key):
    images = load("digits").x.reshape(1797, 64)
    x = (np.random.default_rng(0).random(images.shape) < images).astype(np.float32)
    rbm = RBM(64, 16)
    params, exact, estimate = train_and_estimate(
        x, key, rbm=rbm, rate=0.3, num_epochs=8, num_betas=500
    )
    assert float(estimate.standard_error) < 0.5
    assert abs(estimate.log_partition - exact) < 3 * estimate.standard_error
    # It learned something: better than independent pixels, which is where AIS begins.
    pixels = scipy.special.expit(jax.jit(rbm.data_bias)(x))
    independent = scipy.special.xlogy(x, pixels) + scipy.special.xlog1py(1 - x, -pixels)
    log_probability = jax.jit(rbm.log_probability)(params, x, exact)
    assert np.mean(log_probability) > independent.sum(axis=1).mean() + 3


@pytest.mark.slow
@pytest.mark.parametrize("num_hidden", [12, 20])
def test_annealed_importance_sampling_on_mnist(key, num_hidden):
    """20 hidden units, the smaller machine of Salakhutdinov and Murray (2008), trained briefly."""
    place = Path(os.environ.get("JAXNET_DATA") or "missing", "mnist")
    if not place.is_dir():
        pytest.skip("JAXNET_DATA names no folder that holds mnist")
    images = jnp.asarray(load("mnist").x[:2000].reshape(2000, 784))
    x = jax.random.bernoulli(key, images).astype(float)
    _, exact, estimate = train_and_estimate(
        x, key, rbm=RBM(784, num_hidden), rate=0.05, num_epochs=5, num_betas=1000
    )
    assert float(estimate.standard_error) < 0.5
    assert abs(estimate.log_partition - exact) < 3 * estimate.standard_error


@pytest.mark.parametrize("units", [{"visible": GAUSSIAN}, {"hidden": GAUSSIAN}])
def test_annealed_importance_sampling_of_gaussian_units(key, units, random_params):
    rbm = RBM(6, 4, **units)
    params = random_params(rbm, key, scale=0.4)
    estimate = jax.device_get(
        boltzmann.annealed_importance_sampling(
            rbm,
            params,
            key,
            base_bias=jax.device_put(np.full(6, 0.5, np.float32)),
            betas=boltzmann.annealing_schedule(500),
            num_chains=300,
        )
    )
    exact = log_partition(rbm, params)
    assert float(estimate.standard_error) < 0.1
    assert abs(estimate.log_partition - exact) < 3 * estimate.standard_error


def test_the_standard_error_is_the_spread_of_estimates(rbm, key, random_params):
    """Few betas and many keys: the error bar against the standard deviation it stands for."""
    params = random_params(rbm, key)
    betas = np.linspace(0, 1, 10, dtype=np.float32)
    estimates = jax.vmap(
        lambda key: boltzmann.annealed_importance_sampling(
            rbm, params, key, base_bias=jnp.zeros(5), betas=betas
        )
    )
    run = jax.jit(lambda key: estimates(jax.random.split(key, 400)))
    estimate = jax.device_get(run(key))
    spread = float(estimate.log_partition.std())
    assert float(estimate.standard_error.mean()) == pytest.approx(spread, rel=0.15)
    exact = log_partition(rbm, params)
    # The mean weight is unbiased; 400 x 100 chains say so within 4 standard errors.
    ratios = np.exp(estimate.log_partition - exact)
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / 20


def test_schedule_is_that_of_the_paper():
    betas = boltzmann.annealing_schedule()
    counts = [(betas < 0.5).sum(), ((betas >= 0.5) & (betas < 0.9)).sum(), (betas >= 0.9).sum()]
    assert counts == [500, 4000, 10_000]
    for num_betas in (4, 5, 100):
        betas = boltzmann.annealing_schedule(num_betas)
        assert len(betas) == num_betas and betas[0] == 0 and betas[-1] == 1
        assert (np.diff(betas) > 0).all()


def test_errors_name_what_to_use_instead(rbm, params, key):
    large = RBM(784, 500)
    with pytest.raises(
        ValueError,
        match=r"at most 20 units.*found 784 Bernoulli visible and 500 Bernoulli hidden units; "
        "use annealed_importance_sampling",
    ):
        log_partition(large, jax.eval_shape(large.init, key))
    with pytest.raises(ValueError, match="found 3 Gaussian visible and 21 Bernoulli hidden units"):
        small = RBM(3, 21, visible=GAUSSIAN)
        log_partition(small, jax.eval_shape(small.init, key))
    with pytest.raises(ValueError, match="num_betas must be at least 4, found 3"):
        boltzmann.annealing_schedule(3)

    base_bias = jax.device_put(np.zeros(5, np.float32))

    def estimate(betas, num_chains=10):
        return boltzmann.annealed_importance_sampling(
            rbm, params, key, base_bias=base_bias, betas=betas, num_chains=num_chains
        )

    with pytest.raises(ValueError, match="num_chains must be at least 2, found 1"):
        estimate(np.linspace(0, 1, 9), num_chains=1)
    for wrong in (np.linspace(0, 0.9, 9), np.linspace(1, 0, 9), np.array([0.0, 0.5, 0.5, 1.0])):
        with pytest.raises(ValueError, match="betas must increase from 0 to 1"):
            estimate(wrong)
