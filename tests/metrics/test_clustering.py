"""Assignments of clusters to classes against scikit-learn and all permutations."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from jaxnet.metrics import clustering as scores

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 4, 300)
PAIRS = {
    "random": (LABELS, GENERATOR.integers(0, 4, 300)),
    "close": (LABELS, np.where(GENERATOR.uniform(size=300) < 0.8, (LABELS + 1) % 4, 3)),
    "more clusters": (LABELS, GENERATOR.integers(0, 7, 300)),
    "fewer clusters": (LABELS, LABELS // 2),
}


def brute_force_accuracy(labels, clusters):
    """The best of all one-to-one maps from clusters to classes, padded to the same number."""
    size = int(max(labels.max(), clusters.max())) + 1
    hits = (np.array(order)[clusters] == labels for order in itertools.permutations(range(size)))
    return max(hit.mean() for hit in hits)


def test_batches_of_clusterings():
    batch = GENERATOR.integers(0, 5, (2, 3, 300))
    accuracies = scores.clustering_accuracy(LABELS, jnp.asarray(batch))
    assert accuracies.shape == (2, 3) and accuracies.dtype == np.float64
    assert accuracies[1, 2] == scores.clustering_accuracy(LABELS, batch[1, 2])
    table = scores.contingency_table(LABELS, batch, num_classes=4, num_clusters=6)
    assert table.shape == (2, 3, 4, 6)
    expected = metrics.cluster.contingency_matrix(LABELS, batch[1, 2])
    np.testing.assert_array_equal(table[1, 2, :, :5], expected)
    np.testing.assert_array_equal(table[..., 5], 0)


@pytest.mark.parametrize("name", PAIRS)
def test_accuracy_is_the_best_of_all_assignments(name):
    labels, clusters = PAIRS[name]
    accuracy = scores.clustering_accuracy(labels, clusters)
    assert accuracy == brute_force_accuracy(labels, clusters)
    classes = scores.best_assignment(labels, clusters)
    assert (classes[clusters] == labels).mean() == accuracy
    used = classes[classes >= 0]
    assert len(classes) == clusters.max() + 1
    assert len(used) == len(set(used)) == min(len(classes), 4)


def test_accuracy_of_degenerate_clusterings():
    labels = np.array([0, 0, 0, 1, 1, 2])
    assert scores.clustering_accuracy(labels, np.zeros(6, int)) == 0.5
    assert scores.clustering_accuracy(labels, np.arange(6)) == 0.5
    assert scores.clustering_accuracy(labels, [2, 2, 2, 0, 0, 1]) == 1
    np.testing.assert_array_equal(scores.best_assignment(labels, [2, 2, 2, 0, 0, 1]), [1, 2, 0])
    # An empty cluster may be assigned to any class that is left.
    assert sorted(scores.best_assignment([0, 1], [0, 2])) == [-1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "clusters", "message"),
    [
        ([], [], "labels must be one integer for each of at least one example"),
        ([[0, 1]], [0, 1], r"labels must be one integer .* found shape \(1, 2\)"),
        ([0, 1, 1], [0, 1], r"clusters must have a last axis of 3 examples, .* shape \(2,\)"),
        ([0, 1, 1], np.zeros((0, 3)), r"clusters must .* found shape \(0, 3\)"),
        ([0, -1], [0, 1], "labels must .* found -1 at index 1, which is negative; number"),
        (
            [0, 1],
            [[0, 1], [0, 0.5]],
            "clusters must .* found 0.5 at index 1, 1, which is not an int",
        ),
        ([0, np.nan], [0, 1], "labels must .* found nan at index 1, which is not an integer"),
        (["a", "b"], [0, 1], "labels must be integers, found dtype .*return_inverse"),
    ],
)
def test_errors_name_the_argument(labels, clusters, message):
    for score in [scores.clustering_accuracy, scores.best_assignment]:
        with pytest.raises(ValueError, match=f"{score.__name__}: {message}"):
            score(labels, clusters)


def test_errors_of_a_table():
    with pytest.raises(ValueError, match="found 2; pass a larger num_clusters"):
        scores.contingency_table([0, 1], [0, 2], num_classes=2, num_clusters=2)
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        scores.contingency_table([0, 1], [0, 1], num_classes=0, num_clusters=2)
