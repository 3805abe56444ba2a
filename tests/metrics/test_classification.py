"""Accuracy, losses and calibration against scikit-learn and sums over bins."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as oracle
from scipy.special import softmax

NUM_CLASSES = 5


@pytest.mark.parametrize("weighted", [False, True])
def test_multiclass_metrics_equal_scikit_learn(compiled, multiclass_data, assert_close, weighted):
    logits, labels, weight = multiclass_data(1)
    weight = weight if weighted else np.ones_like(weight)
    predictions, probabilities = logits.argmax(-1), softmax(logits, axis=-1)
    assert_close(
        compiled.accuracy(logits, labels, weight=weight),
        oracle.accuracy_score(labels, predictions, sample_weight=weight),
    )
    for k in range(1, NUM_CLASSES):
        assert_close(
            compiled.top_k_accuracy(logits, labels, k=k, weight=weight),
            oracle.top_k_accuracy_score(labels, logits, k=k, sample_weight=weight),
        )
    assert_close(
        compiled.confusion_matrix(labels, predictions, num_classes=NUM_CLASSES, weight=weight),
        oracle.confusion_matrix(labels, predictions, sample_weight=weight),
    )
    assert_close(
        compiled.log_loss(logits, labels, weight=weight),
        oracle.log_loss(labels, probabilities, sample_weight=weight),
    )


def test_top_k_of_all_classes_is_one_and_of_equal_logits_the_first_classes_count(
    compiled, multiclass_data
):
    logits, labels, _ = multiclass_data(2)
    assert compiled.top_k_accuracy(logits, labels, k=NUM_CLASSES) == 1
    equal, labels = np.zeros((4, 4)), np.arange(4)
    assert compiled.top_k_accuracy(equal, labels, k=2) == 0.5
    assert compiled.top_k_accuracy(equal, labels, k=1) == compiled.accuracy(equal, labels)


def test_labels_of_any_integer_type_and_logits_of_low_precision(compiled, assert_close):
    logits = np.zeros((1000, 2), jnp.bfloat16)
    labels = (np.arange(1000) % 4 == 0).astype(np.uint8)
    assert compiled.accuracy(logits, labels) == 0.75
    assert_close(compiled.log_loss(logits, labels), np.log(2))
    assert_close(compiled.binary_log_loss(logits[:, 0], labels == 1), np.log(2))
    assert np.asarray(compiled.confusion_matrix(labels, labels, num_classes=2))[0, 0] == 750
    assert compiled.roc_auc(logits[:, 0], labels) == 0.5


@pytest.mark.parametrize("num_bins", [1, 7, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_expected_calibration_error_is_the_sum_over_bins(
    compiled, multiclass_data, assert_close, num_bins, weighted
):
    logits, labels, weight = multiclass_data(3)
    weight = weight if weighted else np.ones(len(labels))
    probabilities = softmax(logits, axis=-1)
    confidences, hits = probabilities.max(-1), probabilities.argmax(-1) == labels
    expected = 0.0
    for m in range(num_bins):
        members = (confidences > m / num_bins) & (confidences <= (m + 1) / num_bins)
        if members.any():
            fraction = weight[members].sum() / weight.sum()
            hit_rate = np.average(hits[members], weights=weight[members])
            confidence = np.average(confidences[members], weights=weight[members])
            expected += fraction * abs(hit_rate - confidence)
    actual = compiled.expected_calibration_error(
        probabilities, labels, num_bins=num_bins, weight=weight
    )
    assert_close(actual, expected)


def test_calibration_of_certain_predictions_is_their_error_rate(compiled):
    certain = np.eye(3)[[0, 1, 2, 2]]
    assert compiled.expected_calibration_error(certain, np.array([0, 1, 2, 0])) == 0.25
