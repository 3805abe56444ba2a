"""Temperature and vector scaling against scikit-learn and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from jaxnet import calibration

CLASSES = 4

# Eager operations would each be compiled alone. A pseudocount is an argument of the program.
fit_temperature = jax.jit(calibration.fit_temperature)
fit_vector_scaling = jax.jit(calibration.fit_vector_scaling)


class Logits(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its logits."""

    def fit(self, x, y):
        self.classes_ = np.arange(x.shape[1])
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)


@pytest.fixture
def data():
    """Logits that are three times too large, and labels."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(300, CLASSES))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return 3 * logits, labels


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8),
    reason="scikit-learn has temperature scaling since 1.8",
)
def test_the_temperature_is_that_of_scikit_learn(data, x64):
    x, y = data
    fitted = CalibratedClassifierCV(
        FrozenEstimator(Logits().fit(x, y)), method="temperature", ensemble=False
    ).fit(x, y)
    temperature = fit_temperature(x, y)
    beta = fitted.calibrated_classifiers_[0].calibrators[0].beta_
    # scikit-learn stops at a tolerance of its search.
    np.testing.assert_allclose(1 / temperature, beta, rtol=1e-4)
    scaled = calibration.scale_logits(jnp.array(x), temperature)
    found = scipy.special.softmax(scaled, axis=1)
    np.testing.assert_allclose(found, fitted.predict_proba(x), atol=1e-5)


def loss(parameters, x, y, weight):
    scale, bias = np.split(parameters, 2)
    z = scale * x + bias
    z = z - z.max(axis=1, keepdims=True)
    logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -np.average(logs[np.arange(len(y)), y], weights=weight)


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float64, 1e-6), (jnp.float32, 2e-3)])
def test_vector_scaling_is_the_minimum_that_scipy_finds(data, x64, dtype, tolerance):
    x, y = data
    x = x * [1.0, 0.5, 2.0, 1.0] + [0.0, 1.0, 0.0, -1.0]
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y))
    with jax.enable_x64(dtype == jnp.float64):
        found = fit_vector_scaling(x.astype(dtype), y, weight=weight.astype(dtype))
    start = np.concatenate([np.ones(CLASSES), np.zeros(CLASSES)])
    best = scipy.optimize.minimize(loss, start, (x, y, weight), tol=1e-12)
    scale, bias = np.split(best.x, 2)
    np.testing.assert_allclose(found.scale, scale, atol=20 * tolerance)
    np.testing.assert_allclose(found.bias, bias - bias.mean(), atol=20 * tolerance)
    assert loss(np.concatenate(found), x, y, weight) < best.fun + tolerance**2


def test_with_one_output_vector_scaling_is_that_of_platt(x64):
    generator = np.random.default_rng(2)
    z = generator.normal(size=400)
    y = (generator.uniform(size=400) < 1 / (1 + np.exp(-(0.5 * z - 1)))).astype(int)
    scale, bias = np.asarray(fit_vector_scaling(np.stack([np.zeros(400), z], axis=1), y))
    platt = LogisticRegression(C=np.inf, tol=1e-10).fit(z[:, None], y)
    np.testing.assert_allclose(scale[1], platt.coef_[0, 0], rtol=1e-4)
    np.testing.assert_allclose(bias[1] - bias[0], platt.intercept_[0], rtol=1e-4)


@jax.jit
def fit_both(logits, labels, weight=None, pseudocount=1.0):
    options = {"weight": weight, "pseudocount": pseudocount}
    return (
        calibration.fit_temperature(logits, labels, **options),
        calibration.fit_vector_scaling(logits, labels, **options),
    )


def test_masked_examples_change_nothing_and_runs_of_a_batch_are_single_runs(data):
    x, y = data[0].astype(np.float32), data[1].astype(np.int32)
    expected = fit_both(x, y)
    padded = np.pad(x, ((0, 20), (0, 0)), constant_values=np.nan)
    labels = np.pad(y, (0, 20), constant_values=-1)
    weight = (np.arange(320) < 300).astype(np.float32)
    # The third run has no examples.
    runs = jax.jit(jax.vmap(fit_both, (0, None, 0)))(
        np.stack([padded, 2 * padded, padded]), labels, np.stack([weight, weight, 0 * weight])
    )
    first, second, weightless = (
        [np.asarray(leaf)[run] for leaf in jax.tree.leaves(runs)] for run in range(3)
    )
    for one, other in zip(first, jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(second[0], 2 * first[0], rtol=2e-3)
    assert all(np.isnan(leaf).all() for leaf in weightless)
    row_is_broken = np.arange(300)[:, None] == 3
    broken = fit_both(np.where(row_is_broken, np.float32(np.nan), x), y)
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(broken))


def test_examples_that_are_all_right_have_a_temperature():
    labels = np.arange(30, dtype=np.int32) % 3
    logits = 3 * np.eye(3, dtype=np.float32)[labels]
    lowest, _ = fit_both(logits, labels, pseudocount=0.0)
    np.testing.assert_allclose(lowest, np.exp(-10), rtol=1e-3)
    # By hand: a label is wrong with 1 / 31 of the probability without scaling.
    wrong = 2 / (np.exp(3) + 2) / 31
    temperature, vector = fit_both(logits, labels)
    for scaling in (temperature, vector):
        scaled = calibration.scale_logits(jnp.array(logits), scaling)
        probabilities = scipy.special.softmax(scaled, axis=1)
        np.testing.assert_allclose(probabilities.max(axis=1), 1 - wrong, rtol=1e-4)


def test_the_ensemble_is_calibrated_where_its_networks_disagree():
    generator = np.random.default_rng(3)
    true = generator.normal(size=(4000, CLASSES))
    labels = (true + generator.gumbel(size=true.shape)).argmax(axis=1).astype(np.int32)
    networks = (true + generator.normal(size=(5, *true.shape))).astype(np.float32)

    @jax.jit
    def scaled_then_pooled(networks, labels):
        single = jax.vmap(calibration.fit_temperature, (0, None))(networks, labels)
        each = jax.vmap(calibration.scale_logits)(networks, single)
        return single, calibration.fit_temperature(calibration.ensemble_logits(each), labels)

    pooled = jax.jit(calibration.ensemble_logits)(networks)
    np.testing.assert_allclose(
        np.exp(pooled), scipy.special.softmax(networks, axis=2).mean(axis=0), rtol=1e-4, atol=1e-6
    )
    single, later = scaled_then_pooled(networks, labels)
    assert np.min(single) > 1.3, "a network that has noise is overconfident"
    assert later < 0.9, "the mean of calibrated networks is underconfident"


def test_wrong_shapes_are_named(as_users_run):
    for fit in (calibration.fit_temperature, calibration.fit_vector_scaling):
        with pytest.raises(ValueError, match=r"logits has shape \(3, 1\).*at least two classes"):
            fit(jnp.ones((3, 1)), jnp.zeros(3, int))
        with pytest.raises(ValueError, match=r"labels has shape \(3, 1\), expected \(3,\)"):
            fit(jnp.ones((3, 2)), jnp.zeros((3, 1), int))
