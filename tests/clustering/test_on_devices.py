"""Clustering with examples spread over devices: the clusters of one device, and sums alone move."""

import functools

import jax
import numpy as np

import jaxnet as jn
from jaxnet.clustering import (
    GaussianMixture,
    em,
    expectation_maximization,
    fit_gaussian_mixture,
    fit_kmeans,
    kmeans_plus_plus,
    lloyd,
    minibatch_kmeans_learner,
)
from jaxnet.clustering.em import _expectation_maximization
from jaxnet.clustering.kmeans import _lloyd
from jaxnet.clustering.seeding import _draw
from jaxnet.training import data_parallel, device_mesh, replicate, shard_examples
from tests.clustering.small import BATCH, HOOKS, embedded
from tests.contracts.generator import quick_key
from tests.devices import needs_two_devices
from tests.training.test_placement import assert_close, collectives, size

DIM, K = 5, 4


@functools.cache
def blobs(num_examples):
    rng = np.random.default_rng(2)
    centers = 6 * rng.normal(size=(K, DIM))
    x = centers[rng.integers(0, K, num_examples)] + rng.normal(size=(num_examples, DIM))
    return x.astype(np.float32)


def rough_mixture(x):
    """Examples as means, from which EM has some way to go."""
    covariances = np.broadcast_to(np.eye(DIM, dtype=np.float32), (K, DIM, DIM))
    return jax.device_put(GaussianMixture(np.full(K, 1 / K, np.float32), x[:K], covariances))


def check_clusters(num_devices):
    """k-means++, Lloyd's algorithm with empty clusters, and EM; even and uneven numbers."""
    key, mesh = jax.random.key(4), device_mesh(data=num_devices)
    for num_examples, place in ((160, shard_examples), (161, replicate)):
        x = jax.device_put(blobs(num_examples))
        on_mesh = place(x, mesh)
        # The same random numbers choose the same examples.
        start = kmeans_plus_plus(key, x, K, num_candidates=3)
        found = kmeans_plus_plus(key, on_mesh, K, num_candidates=3)
        np.testing.assert_array_equal(found, start)
        # The last two clusters begin empty.
        far = jax.device_put(np.concatenate([start, np.asarray(start) + 1000])[[0, 1, K, K + 1]])
        model, expected = lloyd(on_mesh, far), lloyd(x, far)
        assert int(model.num_iterations) == int(expected.num_iterations)
        assert_close(model[:2], expected[:2])
        # EM alone, and after k-means in one program.
        if place is replicate:
            rough = rough_mixture(blobs(num_examples))
            options = {"max_iterations": 5, "tolerance": 0.0}
            mixture = expectation_maximization(x, rough, **options)
            other = expectation_maximization(on_mesh, rough, **options)
            text = _expectation_maximization.lower(on_mesh, rough, 5, 0.0, 1e-6, mesh)
        else:
            mixture = fit_gaussian_mixture(key, x, K, max_iterations=5, tolerance=0.0)
            other = fit_gaussian_mixture(key, on_mesh, K, max_iterations=5, tolerance=0.0)
            text = em._restarts.lower(key, on_mesh, (K, "full", 1, mesh), 5, 0.0, 1e-6)
        assert_close(other, mixture, rtol=1e-4, atol=1e-4)
        texts = [
            _draw.lower(key, on_mesh, K, 3, mesh),
            _lloyd.lower(on_mesh, far, 300, 1e-4, mesh),
            text,
        ]
        for lowered in texts:
            moved = collectives(lowered.compile().as_text())
            assert moved and max(size(s) for shapes in moved.values() for s in shapes) < 60


@needs_two_devices
def test_two_devices_find_the_clusters_of_one():
    check_clusters(2)


@needs_two_devices
def test_restarts_share_the_devices():
    x, mesh = jax.device_put(blobs(60)), device_mesh(data=2)
    expected = fit_kmeans(quick_key(0), x, K, num_restarts=3)
    model = fit_kmeans(quick_key(0), shard_examples(x, mesh), K, num_restarts=3)
    assert_close(model[:2], expected[:2])
    start = rough_mixture(blobs(60))
    with jax.set_mesh(mesh):
        # In a program of the caller.
        found = jax.jit(lambda x: expectation_maximization(x, start, max_iterations=3))(x)
    assert_close(found, expectation_maximization(x, start, max_iterations=3), rtol=1e-4, atol=1e-4)


@needs_two_devices
def test_minibatch_kmeans_and_dec_on_two_devices_are_those_of_one(data):
    mesh, key = device_mesh(data=2), quick_key(20)
    centers = jax.device_put(blobs(60)[:K])
    learner = minibatch_kmeans_learner(lambda key: centers)
    x = {"x": jax.device_put(blobs(60))}
    expected, _ = jn.fit(learner, key, x, batch_size=12, num_epochs=1)
    parallel = data_parallel(learner, mesh)
    state, _ = jn.fit(parallel, key, replicate(x, mesh), batch_size=12, num_epochs=1)
    assert_close((state.params, state.extra), (expected.params, expected.extra))
    # DEC, whose hook computes the targets of all examples.
    learner = embedded()
    expected, history = jn.fit(learner, key, data, batch_size=BATCH, num_epochs=2, hooks=HOOKS)
    parallel = data_parallel(learner, mesh)
    for place in (replicate, shard_examples):
        options = {"batch_size": BATCH, "hooks": HOOKS}
        state, found = jn.fit(parallel, key, place(data, mesh), num_epochs=2, **options)
        assert_close((state.params, state.extra), (expected.params, expected.extra))
        assert_close(found, history)
        run = jn.epochs(parallel, parallel.init(key), place(data, mesh), **options)
        next(run)
        state, _ = next(run)
        assert_close((state.params, state.extra), (expected.params, expected.extra))
