"""Metrics of regressions against scikit-learn."""

import jax
import numpy as np
import pytest
import sklearn.metrics as oracle


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_regression_metrics_equal_scikit_learn(
    compiled, regression_data, assert_close, outputs, weighted
):
    predictions, targets, weight = regression_data(7)
    columns = 0 if outputs is None else slice(outputs)
    predictions, targets = predictions[:, columns], targets[:, columns]
    weight = weight if weighted else np.ones_like(weight)
    assert_close(
        compiled.mean_squared_error(predictions, targets, weight=weight),
        oracle.mean_squared_error(targets, predictions, sample_weight=weight),
    )
    assert_close(
        compiled.r2_score(predictions, targets, weight=weight),
        oracle.r2_score(targets, predictions, sample_weight=weight),
    )


def test_r2_of_the_mean_is_zero_and_of_a_constant_undefined(compiled):
    targets = np.array([1.0, 2.0, 6.0])
    assert compiled.r2_score(np.full(3, 3.0), targets) == 0
    with jax.enable_x64(False):
        constant = np.full(1000, 0.1, np.float32)  # whose float32 mean is not 0.1
        assert np.isnan(compiled.r2_score(constant, constant))
    assert np.isnan(compiled.r2_score(targets[:1], targets[:1]))
