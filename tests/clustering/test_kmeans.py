"""k-means against scikit-learn, SciPy and loops in NumPy."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chisquare
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

import jaxnet as jn
from jaxnet import clustering
from jaxnet.clustering.kmeans import assign, fit_kmeans
from jaxnet.clustering.minibatch import minibatch_kmeans_learner
from jaxnet.clustering.seeding import check_clusters, kmeans_plus_plus
from jaxnet.metrics.pairwise import require_same_dim, squared_distances


@pytest.fixture(scope="module")
def x():
    """Digits, with noise so that no two distances are equal; float32 in JAX unless x64 is used."""
    pixels = load_digits().data / 16
    return pixels + np.random.default_rng(0).normal(0, 1e-3, pixels.shape)


@pytest.fixture
def start(x):
    return x[np.random.default_rng(3).choice(len(x), 10, replace=False)]


def lloyd(x, start, *, max_iterations=300, tolerance=1e-4):
    """`clustering.lloyd` with all options as arguments: compiled once for all their values."""
    return clustering.lloyd(x, start, max_iterations=max_iterations, tolerance=tolerance)


def float32(values):
    return jax.device_put(np.asarray(values, np.float32))


def peer(x, start, **options) -> Any:
    return KMeans(len(start), init=start, n_init=1, **options).fit(x)


def by_rows(centers):
    centers = np.asarray(centers)
    return centers[np.argsort(centers.sum(axis=1))]


def test_distances_equal_scipy_and_their_error_is_as_stated(x, start):
    expected = cdist(x, start, "sqeuclidean")
    compiled = jax.jit(squared_distances)
    distances = compiled(jax.device_put(x), jax.device_put(start))
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)
    assert (np.asarray(distances) >= 0).all()
    far = compiled(jax.device_put(x + 100), jax.device_put(start + 100))
    error = abs(np.asarray(far) - expected)
    scale = 1.2e-7 * 8 * 2 * ((x + 100) ** 2).sum(axis=1).max()
    assert 1e-2 < error.max() < scale
    # Assignments are not affected: they use centered data.
    labels = assign(jax.device_put(start + 100), jax.device_put(x + 100))
    assert (np.asarray(labels) == expected.argmin(axis=1)).mean() > 0.999


@pytest.mark.parametrize(
    ("max_iterations", "tolerance"), [(300, 0.0), (300, 1e-3), (1, 0.0), (4, 0.0)]
)
def test_lloyd_equals_scikit_learn(x64, x, start, max_iterations, tolerance):
    model = lloyd(
        jax.device_put(x), jax.device_put(start), max_iterations=max_iterations, tolerance=tolerance
    )
    # It warns where it stops early; its tolerance has the same meaning.
    expected = peer(x, start, max_iter=max_iterations, tol=tolerance)
    np.testing.assert_allclose(model.centers, expected.cluster_centers_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.inertia, expected.inertia_, rtol=1e-12)
    np.testing.assert_array_equal(assign(model.centers, jax.device_put(x)), expected.labels_)
    assert int(model.num_iterations) == expected.n_iter_


def test_empty_clusters_get_the_farthest_examples(x64, x, start):
    outside = start.copy()
    outside[[2, 5, 6]] = 1e3 + np.arange(3)[:, None]
    once = lloyd(jax.device_put(x), jax.device_put(outside), max_iterations=1)
    once = jax.device_get(once)
    distances = cdist(x, outside, "sqeuclidean").min(axis=1)
    farthest = x[np.argsort(distances)[::-1][:3]]
    np.testing.assert_allclose(by_rows(once.centers[[2, 5, 6]]), by_rows(farthest))
    expected = peer(x, outside, max_iter=1)
    np.testing.assert_allclose(by_rows(once.centers), by_rows(expected.cluster_centers_))
    # The order of the three is arbitrary, so the results are compared up to a permutation.
    model = lloyd(jax.device_put(x), jax.device_put(outside), tolerance=0.0)
    expected = peer(x, outside, tol=0)
    np.testing.assert_allclose(model.inertia, expected.inertia_, rtol=1e-10)
    np.testing.assert_allclose(by_rows(model.centers), by_rows(expected.cluster_centers_))
    # In a batch with a run in which no cluster is ever empty, each run is what it is alone.
    run = jax.jit(jax.vmap(lambda start, x: lloyd(x, start, tolerance=0.0), (0, None)))
    pair = run(np.stack([start, outside]), jax.device_put(x))
    alone = lloyd(jax.device_put(x), jax.device_put(start), tolerance=0.0)
    np.testing.assert_allclose(pair.centers, [alone.centers, model.centers], atol=1e-12)
    assert pair.num_iterations.tolist() == [alone.num_iterations, model.num_iterations]


def test_clusters_without_examples_for_them_stay(x64, x, start):
    same = np.full_like(x, 0.25)
    model = lloyd(jax.device_put(same), jax.device_put(start))
    nearest = int(np.asarray(assign(jax.device_put(start), jax.device_put(same)))[0])
    model = jax.device_get(model)
    np.testing.assert_allclose(model.centers[nearest], 0.25)
    assert np.isfinite(model.centers).all()
    assert float(model.inertia) == pytest.approx(0, abs=1e-12)
    # Nine of ten clusters are empty, and only three examples are off the center.
    few = jax.device_put(np.concatenate([x[:3], same[3:]]))
    model = lloyd(few, jax.device_put(np.full_like(start, 0.25)))
    assert float(model.inertia) == pytest.approx(0, abs=1e-12)
    labels = np.asarray(assign(model.centers, few))
    assert len(set(labels[:4].tolist())) == 4


def test_several_blocks_are_one_data_set(x64, x, start):
    """Three blocks of 2048 rows on CPU, the last of which is not full."""
    many = np.concatenate([x, x + 0.01, x - 0.02])
    assert len(many) == 5391
    model = lloyd(jax.device_put(many), jax.device_put(start), max_iterations=1)
    labels = cdist(many, start).argmin(axis=1)
    means = np.stack([many[labels == label].mean(axis=0) for label in range(10)])
    np.testing.assert_allclose(model.centers, means, rtol=1e-10)
    inertia = (cdist(many, means).min(axis=1) ** 2).sum()
    np.testing.assert_allclose(model.inertia, inertia, rtol=1e-12)


def test_seeds_have_the_probabilities_of_the_paper(key):
    points = np.array([0.0, 1.0, 1.0, 4.0])
    keys = jax.random.split(key, 20_000)
    pick = jax.jit(jax.vmap(lambda key: kmeans_plus_plus(key, jnp.asarray(points)[:, None], 4)))
    centers = np.asarray(pick(keys))[..., 0]
    # With as many centers as examples the centers are the examples, even if two are equal.
    np.testing.assert_array_equal(np.sort(centers, axis=1) - points, 0)
    centers = centers[:, :3]
    probability = dict.fromkeys(itertools.product(sorted(set(points)), repeat=3), 0.0)
    for first, second, third in itertools.product(range(4), repeat=3):
        to_first = (points - points[first]) ** 2
        nearest = np.minimum(to_first, (points - points[second]) ** 2)
        path = (points[first], points[second], points[third])
        if nearest.sum() > 0:
            conditional = to_first[second] / to_first.sum() * nearest[third] / nearest.sum()
            probability[path] += conditional / 4
    assert sum(probability.values()) == pytest.approx(1)
    possible = [path for path, value in probability.items() if value > 0]
    counts = [(centers == path).all(axis=1).sum() for path in possible]
    assert sum(counts) == len(keys)
    assert chisquare(counts, [20_000 * probability[path] for path in possible]).pvalue > 0.01


def test_greedy_seeds_differ_and_are_better(x, key):
    data, potentials = float32(x[:500]), {}
    for num_candidates in (1, 4):
        seed = functools.partial(kmeans_plus_plus, num_candidates=num_candidates)
        starts = jax.jit(jax.vmap(lambda key, seed=seed: seed(key, data, 10)))
        potentials[num_candidates] = 0
        for centers in starts(jax.random.split(key, 10)):
            distances = cdist(centers, x[:500])
            assert len(set(distances.argmin(axis=1))) == 10
            assert (distances.min(axis=1) < 1e-5).all()
            potentials[num_candidates] += (distances.min(axis=0) ** 2).sum()
    assert potentials[4] < 0.95 * potentials[1]


def test_the_best_of_restarts_in_one_program(x, key):
    x = x[:900]
    best = fit_kmeans(key, float32(x), 10, num_restarts=24)
    assert best.centers.shape == (10, 64) and best.inertia.shape == ()
    single = [KMeans(10, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(24)]
    assert min(single) * 1.01 < max(single)
    assert float(best.inertia) == pytest.approx(min(single), rel=1e-3)
    np.testing.assert_allclose(
        best.inertia, (cdist(x, best.centers).min(axis=1) ** 2).sum(), rtol=1e-5
    )


def test_a_step_on_a_batch_is_one_example_after_the_other(x, start):
    start[7] = 3.0  # never the nearest center, so it stays
    learner = minibatch_kmeans_learner(lambda key: float32(start))
    state = learner.init(jax.random.key(0))
    step = jax.jit(learner.step)
    centers, counts = start.copy(), np.zeros(10)
    for batch in (x[:50], x[50:100]):
        labels = cdist(batch, centers).argmin(axis=1)
        loss = (cdist(batch, centers).min(axis=1) ** 2).mean()
        for row, label in zip(batch, labels, strict=True):
            counts[label] += 1
            centers[label] += (row - centers[label]) / counts[label]
        state, metrics = step(state, {"x": float32(batch)})
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_array_equal(state.extra, counts)
    np.testing.assert_allclose(state.params["centers"], centers, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(state.params["centers"])[7], 3.0)
    # Weight 0 masks an example, whatever it holds; weight 2 is the example twice.
    weight = np.array([1.0] * 40 + [0.0] * 10, np.float32)
    masked = float32(np.concatenate([x[:40], np.full_like(x[:10], 9.0)]))
    first, _ = step(state, {"x": masked, "weight": weight})
    second, _ = step(state, {"x": float32(x[:40])})
    np.testing.assert_allclose(first.params["centers"], second.params["centers"], atol=1e-6)


def test_the_learner_under_fit(x, key):
    data = {"x": float32(x)}
    learner = minibatch_kmeans_learner(lambda key: kmeans_plus_plus(key, data["x"][:500], 10))

    def run(key):
        return jn.fit(learner, key, data, batch_size=100, num_epochs=10)

    states, history = jax.jit(jax.vmap(run))(jax.random.split(key, 3))
    history = jax.device_get(history)
    assert history["loss"].shape == (3, 10)
    np.testing.assert_array_equal(np.asarray(states.extra).sum(axis=1), 17_000)
    inertias = [
        cdist(x, rows, "sqeuclidean").min(axis=1).sum()
        for rows in np.asarray(states.params["centers"])
    ]
    best = KMeans(10, n_init=5, random_state=0).fit(x).inertia_
    assert best * 0.999 < min(inertias) and max(inertias) < 1.1 * best
    assert (history["loss"][:, -1] < history["loss"][:, 0]).all()


@pytest.mark.parametrize(
    ("rows", "num_clusters", "message"),
    [
        (np.zeros((3, 2, 2)), 2, r"found shape \(3, 2, 2\); flatten images"),
        ([[0.0, np.nan], [1.0, 1.0]], 2, "row 0 holds nan at column 1"),
        ([[0.0], [1.0]], 1, "num_clusters must lie between 2 and 2, found 1"),
        ([[0.0], [1.0]], 3, "num_clusters must lie between 2 and 2, found 3"),
        (np.ones((600, 3)), 2, "all 600 rows are the same, expected at least 2 different"),
        ([[0.0], [-0.0], [1.0]], 3, "only 2 of its 3 rows are different"),
    ],
)
def test_data_that_cannot_be_clustered_are_rejected(rows, num_clusters, message):
    with pytest.raises(ValueError, match=message):
        check_clusters(rows, num_clusters)


def test_enough_different_rows_pass_wherever_they_are():
    rows = np.zeros((1000, 2))
    rows[-1] = 1
    check_clusters(rows, 2)
    check_clusters(rows.astype(np.int32), 2)


def test_errors_name_the_argument(key):
    x = float32(np.ones((5, 3)))
    for call, message in (
        (lambda: fit_kmeans(key, x, 6), "num_clusters must lie between 1 and 5, found 6"),
        (lambda: fit_kmeans(key, x, 2, num_restarts=0), "num_restarts must be at least 1, found 0"),
        (lambda: kmeans_plus_plus(key, x, 0), "num_clusters must lie between 1 and 5"),
        (lambda: kmeans_plus_plus(key, x, 2, num_candidates=0), "num_candidates must be at least"),
        (
            lambda: require_same_dim("lloyd", x, centers=float32(np.ones((2, 4)))),
            "lloyd: centers have 4 dimensions and x has 3",
        ),
        (
            lambda: minibatch_kmeans_learner(lambda key: jnp.ones(3)).init(key),
            r"init must return centers \(num_clusters, dim\), found shape \(3,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
