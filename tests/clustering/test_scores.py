"""Scores of clusterings against scikit-learn and all permutations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from jaxnet.metrics import clustering as scores
from jaxnet.metrics.silhouette import silhouette_samples, silhouette_score

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 4, 300)
PEERS = {
    scores.normalized_mutual_information: metrics.normalized_mutual_info_score,
    scores.adjusted_rand_index: metrics.adjusted_rand_score,
    scores.homogeneity: metrics.homogeneity_score,
    scores.completeness: metrics.completeness_score,
}
PAIRS = {
    "random": (LABELS, GENERATOR.integers(0, 4, 300)),
    "close": (LABELS, np.where(GENERATOR.uniform(size=300) < 0.8, (LABELS + 1) % 4, 3)),
    "more clusters": (LABELS, GENERATOR.integers(0, 7, 300)),
    "fewer clusters": (LABELS, LABELS // 2),
    "gaps": (LABELS * 10, LABELS * 3 + 5),
    "one cluster": (LABELS, np.zeros(300, int)),
    "one class": (np.zeros(300, int), LABELS),
    "one of both": (np.zeros(300, int), np.full(300, 3)),
    "singletons": (LABELS, np.arange(300)),
    "singletons in both": (np.arange(300), np.arange(300)[::-1]),
    "one example": (np.array([2]), np.array([1])),
    "float": (LABELS.astype(np.float32), np.asarray(jnp.asarray(LABELS))),
}


def brute_force_accuracy(labels, clusters):
    """The best of all one-to-one maps from clusters to classes, missing classes filled up."""
    size = int(max(labels.max(), clusters.max())) + 1
    hits = (np.array(order)[clusters] == labels for order in itertools.permutations(range(size)))
    return max(hit.mean() for hit in hits)


@pytest.mark.parametrize("name", PAIRS)
def test_equals_scikit_learn(name):
    labels, clusters = PAIRS[name]
    for score, peer in PEERS.items():
        found = score(labels, clusters)
        assert found.shape == () and found.dtype == np.float64
        np.testing.assert_allclose(found, peer(labels, clusters), atol=1e-12, err_msg=str(score))


def test_stacks_and_large_numbers():
    stack = GENERATOR.integers(0, 5, (2, 3, 300))
    for score in [*PEERS, scores.clustering_accuracy]:
        found = score(LABELS, jnp.asarray(stack))
        assert found.shape == (2, 3)
        assert found[1, 2] == score(LABELS, stack[1, 2])
    table = scores.contingency_table(LABELS, stack, num_classes=4, num_clusters=6)
    assert table.shape == (2, 3, 4, 6)
    expected = metrics.cluster.contingency_matrix(LABELS, stack[1, 2])
    np.testing.assert_array_equal(table[1, 2, :, :5], expected)
    np.testing.assert_array_equal(table[..., 5], 0)
    # Products of pairs of pairs are beyond the integers of 64 bits.
    labels = np.repeat(np.arange(2), 200_000)
    clusters = np.roll(labels, 1000)
    np.testing.assert_allclose(
        scores.adjusted_rand_index(labels, clusters),
        metrics.adjusted_rand_score(labels, clusters),
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", ["random", "close", "more clusters", "fewer clusters"])
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
    # A cluster that no example is in may stand for any class that is left.
    assert sorted(scores.best_assignment([0, 1], [0, 2])) == [-1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "clusters", "message"),
    [
        ([], [], "labels must be one integer for each of at least one example"),
        ([[0, 1]], [0, 1], r"labels must be one integer .* found shape \(1, 2\)"),
        ([0, 1, 1], [0, 1], r"clusters must have a last axis of 3 examples, .* shape \(2,\)"),
        ([0, 1, 1], np.zeros((0, 3)), r"clusters must .* found shape \(0, 3\)"),
        ([0, -1], [0, 1], "labels must .* found -1 at index 1, which is negative; number"),
        ([0, 1], [[0, 1], [0, 0.5]], "clusters must .* found 0.5 at index 1, 1, which is no int"),
        ([0, np.nan], [0, 1], "labels must .* found nan at index 1, which is no integer"),
        (["a", "b"], [0, 1], "labels must be integers, found dtype .*return_inverse"),
    ],
)
def test_errors_name_the_argument(labels, clusters, message):
    for score in [*PEERS, scores.clustering_accuracy, scores.best_assignment]:
        with pytest.raises(ValueError, match=f"{score.__name__}: {message}"):
            score(labels, clusters)


def test_errors_of_a_table():
    with pytest.raises(ValueError, match="found 2; pass a larger num_clusters"):
        scores.contingency_table([0, 1], [0, 2], num_classes=2, num_clusters=2)
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        scores.contingency_table([0, 1], [0, 1], num_classes=0, num_clusters=2)


@pytest.fixture(scope="module")
def points():
    """Three groups and one point alone; cluster 2 of 5 is empty. The mean is far from zero."""
    clusters = np.append(np.random.default_rng(1).choice([0, 1, 3], 120), 4)
    centers = np.random.default_rng(2).normal(size=(5, 6)) * 2 + 30
    return centers[clusters] + np.random.default_rng(3).normal(size=(121, 6)), clusters


def test_silhouette_equals_scikit_learn(x64, points):
    x, clusters = map(jnp.asarray, points)
    expected = np.asarray(metrics.silhouette_samples(*points))
    found = silhouette_samples(x, clusters, num_clusters=5, block_size=50)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[-1] == 0 and expected[-1] == 0
    mean = silhouette_score(x, clusters, num_clusters=5, block_size=50)
    assert float(mean) == pytest.approx(metrics.silhouette_score(*points), abs=1e-9)


def test_silhouette_in_single_precision_over_a_stack(points):
    x, clusters = jnp.asarray(points[0], jnp.float32), jnp.asarray(points[1])
    stack = jnp.stack([clusters, jnp.roll(clusters, 1), jnp.zeros_like(clusters), clusters + 2])

    @jax.jit
    @jax.vmap
    def samples(clusters):
        return silhouette_samples(x, clusters, num_clusters=5)

    found = np.asarray(samples(stack))
    for values, shift in zip(found[:2], (0, 1), strict=True):
        expected = metrics.silhouette_samples(points[0], np.roll(points[1], shift))
        np.testing.assert_allclose(values, np.asarray(expected), atol=1e-5)
    # One cluster has no other; and what lies outside the range is not taken for a cluster.
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(np.isnan(found[3]), points[1] + 2 >= 5)


def test_silhouette_of_equal_examples_is_zero(points):
    x = jnp.ones((121, 6))
    assert (silhouette_samples(x, jnp.asarray(points[1]), num_clusters=5) == 0).all()


@pytest.mark.parametrize(
    ("shape", "clusters", "options", "message"),
    [
        ((3, 2, 2), [0, 1, 1], {}, r"x must hold one vector .* shape \(3, 2, 2\); flatten"),
        ((3, 2), [0, 1], {}, r"one integer for each of 3 examples, found shape \(2,\)"),
        ((3, 2), [0, 1, 2], {}, "clusters must be integers from 0 to 1, found 0 to 2"),
        ((3, 2), [0, 0, 0], {"num_clusters": 1}, "num_clusters must be at least 2, found 1"),
        ((3, 2), [0, 1, 1], {"block_size": 0}, "block_size must be at least 1"),
        ((0, 2), [], {}, "x holds no examples"),
    ],
)
def test_errors_of_the_silhouette(shape, clusters, options, message):
    with pytest.raises(ValueError, match=message):
        silhouette_score(
            jnp.ones(shape), jnp.asarray(clusters, jnp.int32), **{"num_clusters": 2} | options
        )
