"""Curves over all thresholds, and areas under them, against scikit-learn."""

import functools

import jax
import numpy as np
import pytest
import sklearn.metrics as oracle

from jaxnet import metrics


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_binary_metrics_equal_scikit_learn(
    compiled, binary_data, assert_close, seed, ties, weighted
):
    scores, labels, weight = binary_data(seed, ties=ties)
    weight = weight if weighted else np.ones_like(weight)
    assert_close(
        compiled.roc_auc(scores, labels, weight=weight),
        oracle.roc_auc_score(labels, scores, sample_weight=weight),
    )
    assert_close(
        compiled.average_precision(scores, labels, weight=weight),
        oracle.average_precision_score(labels, scores, sample_weight=weight),
    )
    assert_close(
        compiled.binary_log_loss(scores, labels, weight=weight),
        oracle.log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weight),
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_threshold_curve_equals_scikit_learn(compiled, binary_data, assert_close, ties, weighted):
    scores, labels, weight = binary_data(4, ties=ties)
    weight = weight if weighted else np.ones_like(weight)
    curve = compiled.threshold_curve(scores, labels, weight=weight)
    curve = metrics.ThresholdCurve(*map(np.asarray, curve))
    assert all(len(values) == len(scores) + 1 for values in curve)
    _, distinct = np.unique(-curve.thresholds, return_index=True)

    false_positive_rate, recall, thresholds = oracle.roc_curve(
        labels, scores, sample_weight=weight, drop_intermediate=False
    )
    assert_close(curve.thresholds[distinct], thresholds)
    assert_close(curve.false_positive_rate[distinct], false_positive_rate)
    assert_close(curve.recall[distinct], recall)
    assert_close(curve.false_negative_rate[distinct], 1 - recall)
    precision, _, _ = oracle.precision_recall_curve(labels, scores, sample_weight=weight)
    assert_close(curve.precision[distinct], precision[::-1])

    for position, threshold in enumerate(curve.thresholds):  # every position of a group agrees
        first = int(np.argmax(curve.thresholds == threshold))
        assert all(values[position] == values[first] for values in curve)


def test_rates_are_monotone_and_end_exactly_with_fractional_weights(compiled):
    with jax.enable_x64(False):
        generator = np.random.default_rng(5)
        scores = generator.normal(size=5000).astype(np.float32)
        labels = generator.integers(0, 2, 5000).astype(np.int32)
        weight = (10.0 ** generator.uniform(-6, 3, 5000)).astype(np.float32)
        curve = jax.device_get(compiled.threshold_curve(scores, labels, weight=weight))
    for rate in (curve.false_positive_rate, curve.recall, -curve.false_negative_rate):
        assert np.all(np.diff(rate) >= 0)
    ends = np.array(curve)[1:, [0, -1]].T
    np.testing.assert_array_equal(ends[0], [0, 1, 1, 0])
    np.testing.assert_array_equal(ends[1][[0, 1, 3]], [1, 0, 1])


def test_a_curve_ends_exactly(compiled):
    count = 49  # XLA's division of an array by one number makes 49 / 49 another number than 1
    with jax.enable_x64(False):
        labels = np.arange(2 * count, dtype=np.int32) % 2
        scores = np.arange(2 * count, dtype=np.float32)
        curve = jax.device_get(compiled.threshold_curve(scores, labels))
    assert curve.recall[-1] == curve.false_positive_rate[-1] == 1
    assert curve.false_negative_rate[-1] == 0
    assert max(curve.recall.max(), curve.false_positive_rate.max()) == 1


def test_one_class_leaves_undefined_rates_nan(compiled):
    scores, zeros, ones = np.array([0.1, 0.9]), np.zeros(2, int), np.ones(2, int)
    negative = compiled.threshold_curve(scores, zeros)
    np.testing.assert_array_equal(negative.false_positive_rate, [0, 0.5, 1])
    np.testing.assert_array_equal(negative.precision, [1, 0, 0])
    assert np.isnan(negative.recall).all() and np.isnan(negative.false_negative_rate).all()
    positive = compiled.threshold_curve(scores, ones)
    np.testing.assert_array_equal(positive.recall, [0, 0.5, 1])
    assert np.isnan(positive.false_positive_rate).all()
    for labels in (zeros, ones):
        assert np.isnan(compiled.roc_auc(scores, labels))
    assert np.isnan(compiled.average_precision(scores, zeros))
    assert compiled.average_precision(scores, ones) == 1
    budgeted = functools.partial(compiled.threshold_at_false_positive_rate, scores, budget=0.5)
    assert np.isnan(budgeted(ones))
    assert budgeted(zeros) == 0.9
