"""Variational deep embedding against SciPy, brute force and the plain evidence lower bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.stats import norm

import jaxnet as jn
from jaxnet.clustering.deep.vade import (
    mixture_kl,
    mixture_params,
    mixture_responsibilities,
    variational_deep_embedding,
)

K, CODE = 3, 2
WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 1.0], [-1.0, 0.5], [2.0, -1.0]])
VARIANCES = np.array([[0.5, 1.0], [2.0, 0.3], [1.0, 1.5]])


def mixture(code=CODE):
    values = (WEIGHTS, MEANS[:, :code], VARIANCES[:, :code])
    return mixture_params(*(jnp.asarray(value) for value in values))


def random_params(model, dtype=jnp.float32):
    rng = np.random.default_rng(7)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 2, dtype), shapes)


def log_joint(codes):
    """`log p(z, c)`, the components along the last axis, by SciPy."""
    dim = codes.shape[-1]
    density = norm.logpdf(codes[..., None, :], MEANS[:, :dim], np.sqrt(VARIANCES[:, :dim]))
    return density.sum(axis=-1) + np.log(WEIGHTS)


def test_responsibilities_are_those_of_bayes(x64):
    codes = np.random.default_rng(0).normal(size=(20, CODE)) * 3
    joint = np.exp(log_joint(codes))
    expected = joint / joint.sum(axis=1, keepdims=True)
    actual = jax.jit(mixture_responsibilities)(mixture(), codes)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    # Far from all components no density is above 0 in float32, and yet one is the most probable.
    far = mixture_responsibilities(
        jax.tree.map(lambda leaf: leaf.astype(jnp.float32), mixture()), jnp.full((1, CODE), 1e3)
    )
    assert np.isfinite(far).all() and float(far.sum()) == pytest.approx(1)


def test_divergence_equals_brute_force(x64):
    rng = np.random.default_rng(1)
    mean, log_variance = rng.normal(size=(4, CODE)), rng.normal(size=(4, CODE)) / 2
    gamma = rng.dirichlet(np.ones(K), 4)
    gamma[0] = [0.0, 1.0, 0.0]
    scale = np.exp(log_variance / 2)
    codes = mean + scale * rng.normal(size=(200_000, 4, CODE))
    log_q = norm.logpdf(codes, mean, scale).sum(axis=-1)
    log_gamma = np.log(np.where(gamma > 0, gamma, 1))
    draws = (gamma * (log_q[..., None] + log_gamma - log_joint(codes))).sum(axis=-1)
    actual = jax.jit(mixture_kl)(mean, log_variance, gamma, mixture())
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (abs(actual - draws.mean(axis=0)) < 4 * error).all()
    assert (error < 0.02).all()


def test_one_standard_normal_gives_the_plain_bound(key):
    model = jn.autoencoders.mlp_variational_autoencoder([5, 4, CODE])
    x = jax.random.uniform(key, (6, 5))
    params = random_params(model)
    standard = mixture_params(jnp.ones(1), jnp.zeros((1, CODE)), jnp.ones((1, CODE)))
    batch = {"x": x, "weight": (jnp.arange(6) < 4).astype(float)}

    @jax.jit
    def both(params):
        ours = variational_deep_embedding(model)(
            {"autoencoder": params, "mixture": standard}, batch, key
        )
        return ours, jn.autoencoders.negative_elbo(model)(params, batch, key)

    ours, plain = both(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, plain)


def test_gradient_and_bound_on_the_evidence(x64, key):
    """One latent dimension, where `log p(x)` is an integral that can be computed."""
    model = jn.autoencoders.mlp_variational_autoencoder([3, 1])
    x = jax.device_put((np.random.default_rng(0).random((2, 3)) < 0.6).astype(float))
    params = {"autoencoder": random_params(model, jnp.float64), "mixture": mixture(1)}
    objective = variational_deep_embedding(model)

    @jax.jit
    def loss(params, key):
        return objective(params, {"x": x}, key)[0]

    check_grads(lambda params: loss(params, key), (params,), order=1, modes=["rev"], rtol=1e-5)
    keys = jax.random.split(key, 20_000)
    bounds = -jax.jit(jax.vmap(loss, (None, 0)))(params, keys)
    grid = np.linspace(-15, 15, 6_001)[:, None]
    logits = np.asarray(jax.jit(model.decode)(params["autoencoder"], grid))[:, None]
    log_prob = (np.asarray(x) * logits - np.logaddexp(0, logits)).sum(axis=-1)
    prior = np.exp(log_joint(grid)).sum(axis=1)[:, None]
    evidence = np.log((np.exp(log_prob) * prior).sum(axis=0) * (grid[1, 0] - grid[0, 0])).mean()
    # By quadrature, with the choice of the component that the code decides: the loss of a code
    # beside the averages over it of the posterior.
    mean, log_variance = map(np.asarray, jax.jit(model.posterior)(params["autoencoder"], x))
    q = norm.pdf(grid, mean.T, np.exp(log_variance.T / 2)) * (grid[1, 0] - grid[0, 0])
    gamma = np.asarray(jax.jit(mixture_responsibilities)(params["mixture"], grid))
    expected = []
    for i in range(len(x)):
        components = np.array(
            [
                (
                    q[:, i]
                    * (norm.logpdf(grid[:, 0], mean[i], np.exp(log_variance[i] / 2)) - joint)
                ).sum()
                for joint in log_joint(grid).T
            ]
        )
        divergence = (gamma * (components + np.log(gamma + 1e-300))).sum(axis=1)
        expected.append((q[:, i] * (log_prob[:, i] - divergence)).sum())
    error = float(bounds.std()) / np.sqrt(len(keys))
    assert abs(float(bounds.mean()) - np.mean(expected)) < 4 * error
    assert float(bounds.mean()) + 4 * error < evidence


def test_a_component_far_away_leaves_the_gradient_finite():
    # Its responsibility is exactly 0 in float32, where the logarithm has no finite derivative.
    far = {
        "logits": jnp.zeros(2),
        "means": jnp.array([[0.0], [1e3]]),
        "log_variances": -jnp.ones((2, 1)),
    }

    def divergence(codes):
        gamma = mixture_responsibilities(far, codes)
        return mixture_kl(codes, jnp.zeros_like(codes), gamma, far).sum()

    value, gradient = jax.jit(jax.value_and_grad(divergence))(jnp.array([[0.5]]))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()


def test_the_decoder_must_have_the_shape_of_the_input(key):
    model = jn.autoencoders.variational_autoencoder(jn.dense(5, 4), jn.dense(2, 6), 2)
    params = {"autoencoder": random_params(model), "mixture": mixture()}
    with pytest.raises(ValueError, match=r"outputs have shape \(4, 6\), expected .* \(4, 5\)"):
        jax.eval_shape(variational_deep_embedding(model), params, {"x": jnp.ones((4, 5))}, key)
