"""Standardization: against float64 on the host, and constants."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from experiments.data import fit_standardization, fit_unit_interval, load, standardize


def test_scaling_is_that_of_scikit_learn():
    x = load("wine").x
    oracle = StandardScaler().fit(x.astype(np.float64))
    fitted = fit_standardization(x)
    np.testing.assert_allclose(fitted.mean, oracle.mean_, rtol=1e-6)
    np.testing.assert_allclose(fitted.scale, oracle.scale_, rtol=1e-6)
    oracle = MinMaxScaler().fit(x[:100].astype(np.float64))
    found = standardize(fit_unit_interval(x[:100]), x)
    np.testing.assert_allclose(found, oracle.transform(x.astype(np.float64)), atol=1e-6)


def test_standardization_has_zero_mean_and_unit_variance():
    x = load("wine").x
    values = standardize(fit_standardization(x), x)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0, dtype=np.float64), 1, rtol=1e-5)


def test_images_have_one_mean_and_scale():
    x = load("digits").x
    fitted = fit_standardization(x, per_feature=False)
    assert fitted.mean.shape == fitted.scale.shape == ()
    np.testing.assert_allclose(fitted.mean, x.astype(np.float64).mean(), rtol=1e-6)
    np.testing.assert_allclose(fitted.scale, x.astype(np.float64).std(), rtol=1e-6)
    assert fit_standardization(x).mean.shape == (8, 8, 1)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e-30, 3e38, 12345.678])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("per_feature", [True, False])
def test_a_constant_feature_becomes_exactly_zero(value, dtype, per_feature):
    x = np.full((1001, 2), value, dtype)
    values = standardize(fit_standardization(x, per_feature=per_feature), x)
    assert (values == 0).all()


def test_a_feature_that_varies_by_rounding_only_is_constant():
    x = np.full((100, 1), 0.1, np.float32)
    x[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    fitted = fit_standardization(x)
    assert fitted.scale == 1 and abs(standardize(fitted, x)).max() < 1e-7


def test_a_deviation_below_float32_does_not_divide_by_zero():
    x = np.array([[0.0], [1e-45]], np.float32)
    assert np.isfinite(standardize(fit_standardization(x), x)).all()


def test_the_mean_is_computed_in_float64():
    # Summed in float32, these small deviations from a large mean would be lost.
    x = (1000 + np.random.default_rng(0).normal(size=(100_000, 1))).astype(np.float32)
    fitted = fit_standardization(x)
    exact = x.astype(np.float64)
    np.testing.assert_array_equal(fitted.mean, exact.mean(axis=0).astype(np.float32))
    np.testing.assert_allclose(fitted.scale, exact.std(axis=0), rtol=1e-6)


def test_no_values_are_rejected():
    with pytest.raises(ValueError, match=r"x has shape \(0, 3\)"):
        fit_standardization(np.zeros((0, 3), np.float32))
