"""The silhouette against scikit-learn."""

import functools

import jax
import numpy as np
import pytest
from sklearn import metrics

from jaxnet.metrics.silhouette import silhouette_samples, silhouette_score


@pytest.fixture(scope="module")
def points():
    """Three groups and one point alone; cluster 2 of 5 is empty. The mean is far from zero."""
    clusters = np.append(np.random.default_rng(1).choice([0, 1, 3], 120), 4)
    centers = np.random.default_rng(2).normal(size=(5, 6)) * 2 + 30
    return centers[clusters] + np.random.default_rng(3).normal(size=(121, 6)), clusters


def test_silhouette_equals_scikit_learn(points):
    x, clusters = jax.device_put(points)
    expected = np.asarray(metrics.silhouette_samples(*points))
    actual = silhouette_samples(x, clusters, num_clusters=5, block_size=50)
    np.testing.assert_allclose(actual, expected, atol=1e-9)
    assert np.asarray(actual)[-1] == 0 and expected[-1] == 0
    mean = silhouette_score(x, clusters, num_clusters=5, block_size=50)
    assert float(mean) == pytest.approx(metrics.silhouette_score(*points), abs=1e-9)


def test_silhouette_in_single_precision_over_a_batch(points):
    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def samples(x, clusters):
        return silhouette_samples(x, clusters, num_clusters=5)

    with jax.enable_x64(False):
        clusters = points[1].astype(np.int32)
        batch = np.stack([clusters, np.roll(clusters, 1), np.zeros_like(clusters), clusters + 2])
        actual = np.asarray(samples(points[0].astype(np.float32), batch))
    for values, shift in zip(actual[:2], (0, 1), strict=True):
        expected = metrics.silhouette_samples(points[0], np.roll(points[1], shift))
        np.testing.assert_allclose(values, np.asarray(expected), atol=1e-5)
    # A single cluster has no silhouette; labels outside of the range are not clusters.
    assert np.isnan(actual[2]).all()
    np.testing.assert_array_equal(np.isnan(actual[3]), points[1] + 2 >= 5)


def test_silhouette_of_equal_examples_is_zero(points):
    x, clusters = jax.device_put((np.ones((121, 6)), points[1]))
    samples = silhouette_samples(x, clusters, num_clusters=5, block_size=50)
    assert (np.asarray(samples) == 0).all()


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
            *jax.device_put((np.ones(shape), np.array(clusters, np.int32))),
            **{"num_clusters": 2} | options,
        )
