"""Gaussian mixtures against scikit-learn and SciPy."""

import warnings
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer

from jaxnet.clustering.em import expectation_maximization, fit_gaussian_mixture
from jaxnet.clustering.mixture import (
    Covariance,
    GaussianMixture,
    bic,
    covariance_shape,
    log_density,
    responsibilities,
)

KINDS = get_args(Covariance)
PEER_KINDS = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}


@pytest.fixture(scope="module")
def x():
    """Digits with noise, so that no pixel is constant."""
    pixels = load_digits().data[:400] / 16
    return pixels + np.random.default_rng(0).normal(0, 0.1, pixels.shape)


def starting(kind, x, num_components=4):
    """Examples as means, and the variance of the data."""
    dim = x.shape[1]
    shape = covariance_shape(kind, num_components, dim)
    covariances = x.var() * (np.eye(dim) if len(shape) == 3 else np.ones(()))
    mixture = GaussianMixture(
        np.arange(1.0, num_components + 1) / sum(range(num_components + 1)),
        x[:num_components],
        np.broadcast_to(covariances, shape),
    )
    return jax.device_put(jax.tree.map(np.asarray, mixture))


def iterate(x, start, num_iterations, *, min_variance=1e-6):
    """EM with all options as arguments: compiled once for all their values."""
    return expectation_maximization(
        x, start, max_iterations=num_iterations, tolerance=0.0, min_variance=min_variance
    )


def trace(x, start, num_iterations):
    """Log-likelihoods of the start and after each iteration, and the last mixture."""
    fits = [iterate(x, start, 0)]
    for _ in range(num_iterations):
        fits.append(iterate(x, fits[-1].mixture, 1))
    return np.array([float(fit.log_likelihood) for fit in fits]), fits[-1].mixture


@pytest.mark.parametrize("kind", KINDS)
def test_equals_scikit_learn_from_the_same_start(x64, x, kind):
    start = starting(kind, x)
    data = jax.device_put(x)
    fit = iterate(data, start, 4, min_variance=1e-4)
    precisions = np.asarray(start.covariances)
    precisions = np.linalg.inv(precisions) if precisions.ndim == 3 else 1 / precisions
    peer = Peer(
        4,
        covariance_type=PEER_KINDS[kind],
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=precisions[0] if kind == "tied" else precisions,
        reg_covar=1e-4,
        max_iter=4,
        tol=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(x)
    assert int(fit.num_iterations) == peer.n_iter_ == 4
    np.testing.assert_allclose(fit.mixture.weights, peer.weights_, rtol=1e-6)
    np.testing.assert_allclose(fit.mixture.means, peer.means_, rtol=1e-6, atol=1e-9)
    covariances = np.asarray(fit.mixture.covariances)
    covariances = covariances[0] if kind == "tied" else covariances
    np.testing.assert_allclose(covariances, peer.covariances_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, peer.score(x), rtol=1e-6)
    densities, memberships, criterion = jax.jit(
        lambda mixture, x: (log_density(mixture, x), responsibilities(mixture, x), bic(mixture, x))
    )(fit.mixture, data)
    np.testing.assert_allclose(densities, peer.score_samples(x), rtol=1e-6)
    np.testing.assert_allclose(memberships, peer.predict_proba(x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(criterion, peer.bic(x), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_never_falls(x64, x, kind):
    values, mixture = trace(jax.device_put(x), starting(kind, x), 8)
    assert (np.diff(values) > -1e-6).all() and values[-1] > values[0] + 0.1
    # One run of 8 iterations is 8 runs of one.
    whole = iterate(jax.device_put(x), starting(kind, x), 8)
    np.testing.assert_allclose(whole.mixture.means, mixture.means, rtol=1e-8, atol=1e-10)


def test_densities_equal_scipy(x64):
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(2, 3, 3))
    covariances = factors @ factors.transpose(0, 2, 1) + np.eye(3)
    means, points = generator.normal(size=(2, 3)), generator.normal(size=(5, 3)) * 4
    mixture = GaussianMixture(np.array([0.3, 0.7]), means, covariances)
    expected = np.log(
        0.3 * multivariate_normal(means[0], covariances[0]).pdf(points)
        + 0.7 * multivariate_normal(means[1], covariances[1]).pdf(points)
    )
    found = jax.jit(log_density)(jax.device_put(mixture), jax.device_put(points))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_as_many_dimensions_as_an_image_in_float32(kind):
    """300 examples in 784 dimensions: every covariance matrix is singular."""
    generator = np.random.default_rng(1)
    data = generator.normal(size=(300, 784)) + generator.integers(0, 2, (300, 1))
    data = data.astype(np.float32)
    start, data = starting(kind, data, 2), jax.device_put(data)
    values, mixture = trace(data, start, 2)
    assert np.isfinite(values).all() and values[1] > values[0]
    assert (np.diff(values) > -1e-4 * np.abs(values[1:])).all()
    assert all(np.isfinite(leaf).all() for leaf in mixture)


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_without_examples_keeps_its_mean(x64, x, kind):
    start = starting(kind, x)
    means = np.array(start.means)
    means[1] = 1e6
    start = start._replace(means=jax.device_put(means))
    fit = jax.device_get(iterate(jax.device_put(x), start, 4, min_variance=1e-4))
    assert all(np.isfinite(leaf).all() for leaf in (*fit.mixture, fit.log_likelihood))
    np.testing.assert_array_equal(fit.mixture.means[1], 1e6)
    assert float(fit.mixture.weights[1]) < 1e-15
    assert float(fit.mixture.weights.sum()) == pytest.approx(1)
    assert int(fit.num_iterations) == 4


def test_finds_the_mixture_of_the_data(key):
    generator = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [0.0, 0.0], [8.0, 0.0]])
    scales = np.array([[4.0, 0.3], [0.3, 4.0], [1.0, 1.0]])
    labels = generator.choice(3, size=1500, p=[0.5, 0.3, 0.2])
    data = means[labels] + scales[labels] * generator.normal(size=(1500, 2))
    data = data.astype(np.float32)
    fit = fit_gaussian_mixture(key, jax.device_put(data), 3, num_restarts=3, tolerance=1e-5)
    fit = jax.device_get(fit)
    order = np.argsort(-fit.mixture.weights)
    np.testing.assert_allclose(fit.mixture.weights[order], np.bincount(labels) / 1500, atol=0.02)
    np.testing.assert_allclose(fit.mixture.means[order], means, atol=0.4)
    deviations = np.sqrt(np.diagonal(fit.mixture.covariances, axis1=1, axis2=2))[order]
    np.testing.assert_allclose(deviations, scales, rtol=0.15)
    peer = Peer(3, n_init=3, random_state=0, tol=1e-5).fit(data)
    assert float(fit.log_likelihood) == pytest.approx(peer.score(data), abs=2e-3)


def test_errors_name_the_argument(key):
    x, ones = jax.device_put((np.ones((5, 2), np.float32), np.full(3, 1 / 3, np.float32)))
    with pytest.raises(ValueError, match="found 'diag'; did you mean 'diagonal'"):
        # Where types are checked that comes first; the message is for all others.
        fit_gaussian_mixture.__wrapped__(key, x, 2, covariance="diag")
    with pytest.raises(ValueError, match=r"num_components must lie between 1 and 5, found 6"):
        fit_gaussian_mixture(key, x, 6)
    with pytest.raises(ValueError, match="num_restarts must be at least 1, found 0"):
        fit_gaussian_mixture(key, x, 2, num_restarts=0)
    with pytest.raises(ValueError, match=r"covariances have shape \(2,\); with means \(3, 2\)"):
        log_density(GaussianMixture(ones, jnp.ones((3, 2)), jnp.ones(2)), x)
