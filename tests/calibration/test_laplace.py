"""The posterior of a last layer against exact Bayesian regression, Hessians and quadrature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct

import jaxnet as jn
from jaxnet import calibration

NOISE, PRECISION = 0.3, 2.0

# Eager operations would each be compiled alone.
fit_laplace = jax.jit(calibration.fit_laplace, static_argnames="structure")
laplace_outputs = jax.jit(calibration.laplace_outputs)
laplace_probabilities = jax.jit(calibration.laplace_probabilities, static_argnames="num_samples")


@pytest.fixture
def regression(x64):
    """Features, targets, and the layer with the highest posterior density, in NumPy."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 3))
    y = x @ [1.0, -0.5, 0.2] + 0.5 + np.sqrt(NOISE) * generator.normal(size=40)
    inputs = np.column_stack([x, np.ones(40)])
    gram = inputs.T @ inputs / NOISE + PRECISION * np.eye(4)
    weights = np.linalg.solve(gram, inputs.T @ y / NOISE)
    layer = {"kernel": weights[:3, None], "bias": weights[3:]}
    return x, y, layer


@pytest.mark.parametrize("structure", ["full", "kronecker"])
def test_of_a_linear_regression_it_is_exact(regression, structure):
    x, y, layer = regression
    posterior = fit_laplace(
        layer,
        x,
        y[:, None],
        structure=structure,
        prior_precision=PRECISION,
        noise_variance=NOISE,
    )
    inputs = np.column_stack([x, np.ones(len(x))])
    covariance = inputs @ inputs.T / PRECISION + NOISE * np.eye(len(x))
    evidence = scipy.stats.multivariate_normal(np.zeros(len(x)), covariance).logpdf(y)
    np.testing.assert_allclose(posterior.log_marginal_likelihood, evidence, rtol=1e-10)
    kernel = ConstantKernel(1 / PRECISION, "fixed") * DotProduct(1.0, "fixed")
    process = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(x, y)
    new = np.random.default_rng(1).normal(size=(5, 3)) * 3
    mean, covariance = laplace_outputs(posterior, new)
    expected, deviation = process.predict(new, return_std=True)
    np.testing.assert_allclose(mean[:, 0], expected, rtol=1e-8)
    np.testing.assert_allclose(covariance[:, 0, 0], deviation**2, rtol=1e-6)


def classifier(num_outputs=3, n=30):
    generator = np.random.default_rng(2)
    features = generator.normal(size=(n, 2))
    layer = {
        "kernel": generator.normal(size=(2, num_outputs)),
        "bias": generator.normal(size=num_outputs),
    }
    labels = generator.integers(0, max(num_outputs, 2), n)
    return layer, features, labels


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_the_full_precision_is_the_hessian_of_the_loss(x64, num_outputs):
    layer, features, labels = classifier(num_outputs)
    weight = np.random.default_rng(3).uniform(0.5, 2, len(labels))
    posterior = fit_laplace(
        layer, features, labels, structure="full", prior_precision=1.0, weight=weight
    )

    def loss(matrix):
        outputs = features @ matrix[:2] + matrix[2]
        if num_outputs == 1:
            outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=1)
        logs = jax.nn.log_softmax(outputs)
        return -jnp.sum(weight * logs[jnp.arange(len(labels)), labels])

    matrix = np.concatenate([layer["kernel"], layer["bias"][None]])
    value, hessian = jax.jit(lambda matrix: (loss(matrix), jax.hessian(loss)(matrix)))(matrix)
    hessian = np.asarray(hessian).reshape(matrix.size, matrix.size)
    basis, values = np.asarray(posterior.basis), np.asarray(posterior.values)
    np.testing.assert_allclose(basis * values @ basis.T, hessian, atol=1e-10)
    evidence = -value - np.sum(matrix**2) / 2
    evidence -= np.linalg.slogdet(hessian + np.eye(matrix.size))[1] / 2
    np.testing.assert_allclose(posterior.log_marginal_likelihood, evidence, rtol=1e-10)


def test_the_product_of_kronecker_is_exact_where_the_curvature_is_one_for_all(x64):
    layer, features, labels = classifier()
    # Examples with one distribution over the classes.
    layer = {"kernel": np.zeros((2, 3)), "bias": layer["bias"]}
    new = np.array([[3.0, -1.0], [0.2, 0.1]])
    full, product = (
        laplace_outputs(
            fit_laplace(layer, features, labels, structure=name, prior_precision=0.7),
            new,
        )
        for name in ("full", "kronecker")
    )
    for one, other in zip(full, product, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("structure", ["full", "kronecker"])
def test_the_prior_has_the_highest_marginal_likelihood(x64, structure):
    layer, features, labels = classifier()
    best = fit_laplace(layer, features, labels, structure=structure)

    def evidence(precision):
        found = fit_laplace(layer, features, labels, structure=structure, prior_precision=precision)
        return found.log_marginal_likelihood

    grid = np.multiply(best.prior_precision, [0.5, 0.99, 1.01, 2.0])
    others = np.asarray(jax.vmap(evidence)(grid))
    assert (others < best.log_marginal_likelihood).all()
    assert others[1] > others[0] and others[2] > others[3]


def test_masked_examples_change_nothing_and_layers_of_a_batch_are_single_layers():
    layer, features, labels = classifier()
    padded = np.pad(features, ((0, 4), (0, 0)), constant_values=np.nan)
    more = np.pad(labels, (0, 4))
    weight = np.arange(34) < 30

    def probabilities(layer):
        posterior = fit_laplace(layer, padded, more, weight=weight)
        return laplace_probabilities(posterior, features)

    single = fit_laplace(layer, features, labels)
    expected = laplace_probabilities(single, features)
    layers = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), layer)
    both = np.asarray(jax.jit(jax.vmap(probabilities))(layers))
    np.testing.assert_allclose(both[0], expected, atol=1e-4)
    assert np.abs(both[1] - expected).max() > 0.05


def test_probabilities_are_means_over_the_posterior(x64, key):
    layer, features, labels = classifier(1)
    posterior = fit_laplace(layer, features, labels)
    mean, covariance = map(np.asarray, laplace_outputs(posterior, features))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    outputs = mean[:, :1] + np.sqrt(covariance[:, 0]) * nodes
    exact = scipy.special.expit(outputs) @ weights / weights.sum()
    probit = np.asarray(laplace_probabilities(posterior, features))[:, 1]
    np.testing.assert_allclose(probit, exact, atol=0.02)
    sample = functools.partial(laplace_probabilities, key=key, num_samples=4000)
    drawn = np.asarray(sample(posterior, features))[:, 1]
    np.testing.assert_allclose(drawn, exact, atol=0.02)
    assert np.abs(drawn - exact).max() > 1e-6
    layer, features, labels = classifier(3)
    posterior = fit_laplace(layer, features, labels)
    drawn = np.asarray(sample(posterior, features))
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    mean, covariance = map(np.asarray, laplace_outputs(posterior, features))
    normal = np.random.default_rng(5).multivariate_normal(mean[0], covariance[0], 20_000)
    expected = scipy.special.softmax(normal, axis=1).mean(axis=0)
    np.testing.assert_allclose(drawn[0], expected, atol=0.02)


def test_far_from_the_data_a_trained_network_is_less_sure(key):
    generator = np.random.default_rng(6)
    x = generator.normal(size=(60, 2)) + 2 * np.eye(2)[np.arange(60) % 2]
    y = np.arange(60) % 2
    network = jn.mlp([2, 8, 2])

    @jax.jit
    def of_both(key, x, y):
        """Probabilities of the network and of the posterior, far from the data."""
        params = network.init(key)
        posterior = calibration.fit_laplace(params["dense_1"], network[:-1].apply(params, x), y)
        far = network[:-1].apply(params, 1000 * x)
        own = jax.nn.softmax(network.apply(params, 1000 * x))
        return own, calibration.laplace_probabilities(posterior, far)

    sure, less = (np.max(p, axis=1) for p in of_both(key, x.astype(np.float32), y))
    assert sure.mean() > 0.99 and less.mean() < 0.95


def test_mistakes_are_named(as_users_run):
    layer, features, labels = jax.tree.map(jnp.asarray, classifier())
    for call, message in (
        (lambda: calibration.fit_laplace({}, features, labels), "layer must hold the kernel"),
        (
            lambda: calibration.fit_laplace(layer, features[:, :1], labels),
            r"features have shape \(30, 1\), expected \(n, features\) for a layer of 3 rows",
        ),
        (
            lambda: calibration.fit_laplace(layer, features, labels, structure="diagonal"),
            "structure must be 'kronecker' or 'full', found 'diagonal'",
        ),
        (
            lambda: calibration.fit_laplace(layer, features, labels[:, None]),
            r"targets has shape \(30, 1\), expected \(30,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
