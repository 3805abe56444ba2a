"""Variational autoencoders against closed forms, quadrature and exact linear-Gaussian models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate, special, stats

import jaxnet as jn
from tests.autoencoders.common import bits, check_gradient, check_mask, initial, uniform

SCALE = 0.6
MODEL = jn.autoencoders.mlp_variational_autoencoder([6, 5, 2], activation=jnp.tanh)
GAUSSIAN = jn.autoencoders.mlp_variational_autoencoder(
    [6, 5, 2], activation=jnp.tanh, likelihood=jn.autoencoders.gaussian_likelihood(SCALE)
)


@pytest.fixture
def batch():
    return {"x": uniform(8, 6)}


OBJECTIVES = {
    "elbo": jn.autoencoders.negative_elbo(MODEL),
    "gaussian": jn.autoencoders.negative_elbo(GAUSSIAN),
    "importance_weighted": jn.autoencoders.importance_weighted(MODEL, 3),
    "denoising": jn.with_noise(jn.autoencoders.negative_elbo(MODEL), jn.nn.masking_noise(0.3)),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_and_masks(x64, key, name):
    params = initial(MODEL, key)
    batch = {"x": uniform(8, 6), "weight": jnp.asarray(np.arange(8) < 5, float)}
    run = check_gradient(OBJECTIVES[name], params, batch, key)
    (_, metrics), _ = check_mask(run, params, batch, key)
    assert {"reconstruction", "kl", "squared_error"} == set(metrics)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.3, -2.0), (-0.4, 0.8)])
def test_kl_equals_its_integral(x64, mean, log_variance):
    posterior = stats.norm(mean, np.exp(log_variance / 2))

    def integrand(z):
        return posterior.pdf(z) * (posterior.logpdf(z) - stats.norm.logpdf(z))

    expected, _ = integrate.quad(integrand, -12, 12)
    found = jax.jit(jn.autoencoders.gaussian_kl)(np.array([mean]), np.array([log_variance]))
    assert float(found) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("model", [MODEL, GAUSSIAN], ids=["bernoulli", "gaussian"])
def test_one_importance_sample_is_a_single_sample_elbo(x64, key, model):
    params = initial(model, key)
    x = bits(8, 6)
    # The whole bound by SciPy, at codes seen through the inverse of a decoder that is the identity.
    seen = jn.autoencoders.variational_autoencoder(
        jn.dense(6, 4), jn.activation(lambda x: x), 2, likelihood=model.likelihood
    )
    encoder = initial(seen, key)
    pairs = np.asarray(x)[:, :2]
    one = jn.autoencoders.importance_weighted(seen, 1)

    @jax.jit
    def compute(params, encoder, key, x, pairs):
        elbo = jn.autoencoders.negative_elbo(model)(params, {"x": x}, key)
        # An encoder of six inputs and a decoder of two outputs: the target is of its shape.
        bound, _ = one(encoder, {"x": x, "target": pairs}, key)
        return elbo, bound, seen.apply(encoder, x, key=key), seen.posterior(encoder, x)

    (loss, found), bound, codes, (mean, log_variance) = jax.device_get(
        compute(params, encoder, key, x, pairs)
    )
    assert float(loss) == pytest.approx(float(found["reconstruction"] + found["kl"]), rel=1e-12)
    if model is GAUSSIAN:
        log_prob = stats.norm.logpdf(pairs, codes, SCALE)
    else:
        log_prob = stats.bernoulli.logpmf(pairs, 1 / (1 + np.exp(-codes)))
    posterior = stats.norm.logpdf(codes, mean, np.exp(log_variance / 2))
    expected = (log_prob + stats.norm.logpdf(codes) - posterior).sum(axis=1).mean()
    # One sample with its own first axis draws the same numbers as one sample without.
    assert float(bound) == pytest.approx(-expected, rel=1e-10)


def test_the_bound_tightens_with_the_number_of_samples(key):
    params = jax.tree.map(lambda leaf: 2 * np.asarray(leaf), initial(MODEL, key))
    x = bits(10, 6)
    objectives = (
        jn.autoencoders.importance_weighted(MODEL, 1),
        jn.autoencoders.importance_weighted(MODEL, 8),
        jn.autoencoders.negative_elbo(MODEL),
    )

    @jax.vmap
    def losses(key):
        return [objective(params, {"x": x}, key)[0] for objective in objectives]

    run = jax.jit(lambda key: losses(jax.random.split(key, 100)))
    (one, error), (some, _), (elbo, elbo_error) = (
        (np.mean(values), np.std(values) / 10) for values in run(key)
    )
    exact = jn.autoencoders.log_likelihood(MODEL, params, x, key, num_samples=5000, chunk_size=500)
    assert abs(one - elbo) < 4 * (error + elbo_error)
    assert one > some + 0.05 and some > -np.mean(exact) + 0.005


def linear_model(dim=6, latent_dim=2):
    """A decoder `x = z W + b + noise` with its exact posterior, a diagonal one."""
    random = np.random.default_rng(0)
    w = np.linalg.qr(random.normal(size=(dim, latent_dim)))[0].T * [[2.0], [0.7]]
    b = random.normal(size=dim)
    # Rows of W are orthogonal, so the precision 1 + |w_j|^2 / s^2 of each latent is its own.
    precision = 1 + (w**2).sum(axis=1) / SCALE**2
    gain = w.T / SCALE**2 / precision
    encoder = {
        "kernel": np.concatenate([gain, np.zeros_like(gain)], axis=1),
        "bias": np.concatenate([-b @ gain, -np.log(precision)]),
    }
    model = jn.autoencoders.variational_autoencoder(
        jn.dense(dim, 2 * latent_dim),
        jn.dense(latent_dim, dim),
        latent_dim,
        likelihood=jn.autoencoders.gaussian_likelihood(SCALE),
    )
    params = {"encoder": encoder, "decoder": {"kernel": w, "bias": b}}
    x = b + random.normal(size=(20, dim))
    exact = stats.multivariate_normal(b, w.T @ w + SCALE**2 * np.eye(dim)).logpdf(x)
    return model, jax.device_put(params), jax.device_put(x), exact


def test_a_gaussian_likelihood_is_normal_around_the_mean_of_its_outputs(x64):
    outputs, x = np.random.default_rng(0).normal(size=(2, 5))
    likelihood = jn.autoencoders.gaussian_likelihood(0.3, mean=jax.nn.sigmoid)
    mean = jax.jit(likelihood.mean)(outputs)
    np.testing.assert_allclose(mean, special.expit(outputs), rtol=1e-12)
    expected = stats.norm(special.expit(outputs), 0.3).logpdf(x)
    log_prob = jax.jit(likelihood.log_prob)(outputs, x)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-12)


def test_log_likelihood_of_a_linear_gaussian_model_is_exact(x64, key):
    model, params, x, exact = linear_model()
    # With the exact posterior every importance weight is p(x): no sample is needed beyond one.
    found = jn.autoencoders.log_likelihood(model, params, x, key, num_samples=7, chunk_size=3)
    np.testing.assert_allclose(found, exact, rtol=1e-10)
    loss, _ = jax.jit(jn.autoencoders.importance_weighted(model, 4))(params, {"x": x}, key)
    assert float(loss) == pytest.approx(-exact.mean(), rel=1e-10)
    # A posterior that is too wide and off needs many.
    wrong = np.add(params["encoder"]["bias"], [0.2, 0.2, 0.5, 0.5])
    params = params | {"encoder": params["encoder"] | {"bias": jax.device_put(wrong)}}
    found = jn.autoencoders.log_likelihood(model, params, x, key, num_samples=5000, chunk_size=1000)
    np.testing.assert_allclose(found, exact, atol=0.1)
    assert abs(np.mean(found - exact)) < 0.02


def test_log_likelihood_equals_quadrature_over_one_latent(x64, key):
    model = jn.autoencoders.mlp_variational_autoencoder([5, 4, 1], activation=jnp.tanh)
    params = initial(model, key)
    x = bits(6, 5)
    z = np.linspace(-10, 10, 4001)
    logits = np.asarray(jax.jit(model.decode)(params, jnp.asarray(z[:, None])))[:, None]
    pixels = special.expit(logits)
    probability = np.where(np.asarray(x) == 1, pixels, 1 - pixels).prod(axis=-1)
    density = probability * stats.norm.pdf(z)[:, None]
    exact = np.log(integrate.trapezoid(density, z, axis=0))
    found = jn.autoencoders.log_likelihood(
        model, params, x, key, num_samples=10_000, chunk_size=5000
    )
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_estimates_do_not_depend_on_the_examples_beside(key, batch):
    params = initial(MODEL, key)
    estimate = functools.partial(
        jn.autoencoders.log_likelihood, MODEL, num_samples=20, chunk_size=10
    )
    few = jax.device_put(np.asarray(batch["x"])[:3])
    together = np.asarray(estimate(params, batch["x"], key))
    np.testing.assert_allclose(estimate(params, few, key), together[:3], rtol=1e-6)
    # Equal examples draw different codes.
    same = estimate(params, jax.device_put(np.ones((8, 6), np.float32)), key)
    assert len(set(same.tolist())) == 8


def test_means_draws_and_streams(key, batch):
    params, x = initial(MODEL, key), batch["x"]

    @jax.jit
    def without_a_key(params, x):
        mean, _ = MODEL.posterior(params, x)
        outputs = MODEL.apply(params, x)
        return (MODEL.encode(params, x), mean), (outputs, MODEL.decode(params, mean))

    for found, expected in without_a_key(params, x):
        np.testing.assert_array_equal(found, expected)
    # A decoder that is the identity shows the codes that are drawn.
    seen = jn.autoencoders.variational_autoencoder(jn.dense(6, 4), jn.activation(lambda x: x), 2)
    params = initial(seen, key)

    @jax.jit
    def draw(params, x, key):
        """Codes of an example, the posterior that they are from, and examples of the prior."""
        keys = jax.random.split(key, 20_000)
        codes = jax.vmap(lambda key: seen.apply(params, x, key=key))(keys)
        drawn = jn.autoencoders.sample_prior(seen, params, key, num_samples=20_000)
        return codes, seen.posterior(params, x), drawn

    codes, (mean, log_variance), drawn = draw(params, np.asarray(x)[0], key)
    np.testing.assert_allclose(np.mean(codes, axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.var(codes, axis=0), np.exp(log_variance), rtol=0.05)
    # The prior: standard normal codes, and pixels by the mean of the likelihood.
    logits = special.logit(np.asarray(drawn))
    np.testing.assert_allclose(logits.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(logits.T), np.eye(2), atol=0.05)


def test_without_a_key_the_code_is_the_posterior_mean(key, batch):
    params = initial(MODEL, key)
    _, found = jax.jit(jn.autoencoders.negative_elbo(MODEL))(params, batch, None)
    _, expected = jax.jit(jn.autoencoders.bernoulli_reconstruction(MODEL))(params, batch, None)
    assert float(found["squared_error"]) == pytest.approx(float(expected["squared_error"]), 1e-6)
    assert float(found["reconstruction"]) == pytest.approx(float(expected["cross_entropy"]), 1e-6)


def test_training_a_linear_model_reaches_the_evidence_of_probabilistic_pca(key):
    # Tipping and Bishop (1999): with s^2 the mean of the variances left out, W spans the principal
    # subspace, and a linear encoder holds the exact posterior, so that the bound is tight.
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 4)) * [2.0, 1.5, 0.5, 0.5]
    x = (x - x.mean(axis=0)) @ np.linalg.qr(random.normal(size=(4, 4)))[0]
    variances = np.linalg.svd(x, compute_uv=False) ** 2 / 500
    noise = float(variances[2:].mean()) ** 0.5
    evidence = 2 * np.log(2 * np.pi) + (np.log(variances[:2]).sum() + 4 * np.log(noise)) / 2 + 2
    model = jn.autoencoders.variational_autoencoder(
        jn.dense(4, 4), jn.dense(2, 4), 2, likelihood=jn.autoencoders.gaussian_likelihood(noise)
    )
    learner = jn.gradient_learner(
        model.init,
        jn.autoencoders.negative_elbo(model),
        optax.adam(optax.cosine_decay_schedule(0.03, 1600)),
    )

    @jax.jit
    def train(key, data):
        return jn.fit(learner, key, data, batch_size=125, num_epochs=400)

    x = jnp.asarray(x, jnp.float32)
    state, _ = train(key, {"x": x})
    found = jn.autoencoders.log_likelihood(
        model, state.params, x, key, num_samples=50, chunk_size=50
    )
    assert -float(np.mean(found)) == pytest.approx(float(evidence), abs=0.02)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: jn.autoencoders.mlp_variational_autoencoder([6]),
            r"dims must hold .* found \[6\]",
        ),
        (
            lambda: jn.autoencoders.mlp_variational_autoencoder([6, 0]),
            r"each at least 1, found \[6, 0\]",
        ),
        (
            lambda: jn.autoencoders.variational_autoencoder(jn.dense(6, 4), jn.dense(2, 6), 0),
            "latent_dim must be at least 1, found 0",
        ),
        (
            lambda: jn.autoencoders.gaussian_likelihood(0.0),
            "scale must be greater than 0 and finite, found 0.0",
        ),
        (
            lambda: jn.autoencoders.importance_weighted(MODEL, 0),
            "num_samples must be at least 1, found 0",
        ),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_errors_of_calls_name_the_argument(key, batch):
    params = jax.eval_shape(MODEL.init, key)
    with pytest.raises(ValueError, match="key is None, expected a key"):
        jax.eval_shape(jn.autoencoders.importance_weighted(MODEL, 2), params, batch, None)
    with pytest.raises(ValueError, match="chunk_size must be at least 1, found 0"):
        jn.autoencoders.log_likelihood(MODEL, params, batch["x"], key, num_samples=1, chunk_size=0)
    with pytest.raises(ValueError, match="num_samples must be at least 1, found 0"):
        jn.autoencoders.sample_prior(MODEL, params, key, num_samples=0)
    narrow = jn.autoencoders.variational_autoencoder(jn.dense(6, 3), jn.dense(2, 6), 2)
    with pytest.raises(ValueError, match="has 3 outputs, expected 4, a mean and a log variance"):
        jax.eval_shape(narrow.apply, jax.eval_shape(narrow.init, key), batch["x"])
    wide = jn.autoencoders.variational_autoencoder(jn.dense(6, 4), jn.dense(2, 1), 2)
    with pytest.raises(ValueError, match=r"outputs have shape \(1,\), expected .* \(6,\)"):
        jax.eval_shape(
            jn.autoencoders.negative_elbo(wide), jax.eval_shape(wide.init, key), batch, key
        )
