"""DCN: moving centers and a whole step against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.clustering.deep.dcn import (
    deep_clustering_network,
    deep_clustering_network_learner,
    move_centers,
)
from tests.clustering.small import CODE, NETWORK, RECONSTRUCTION, K, N, init

ENCODE, APPLY = jax.jit(NETWORK.encode), jax.jit(NETWORK.apply)


def test_centers_move_as_one_example_after_the_other(x64):
    rng = np.random.default_rng(2)
    centers, codes = rng.normal(size=(K, CODE)), rng.normal(size=(N, CODE))
    labels, counts = rng.integers(0, 2, N), np.array([100.0, 3.0, 0.0])
    move = jax.jit(move_centers)
    found = move(*(jnp.asarray(value) for value in (centers, counts, codes, labels)))
    expected, total = centers.copy(), counts.copy()
    for code, label in zip(codes, labels, strict=True):
        total[label] += 1
        expected[label] -= (expected[label] - code) / total[label]
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    np.testing.assert_allclose(found[1], total)
    weight = jnp.asarray((np.arange(N) < 10).astype(float))
    masked = jnp.asarray(np.where(np.arange(N)[:, None] < 10, codes, np.nan))
    left_out = move(*(jnp.asarray(value) for value in (centers, counts, masked, labels)), weight)
    ten = move(*(jnp.asarray(value) for value in (centers, counts, codes[:10], labels[:10])))
    np.testing.assert_allclose(left_out[0], ten[0], rtol=1e-12)


def test_a_step_of_a_deep_clustering_network(data, key):
    """The network by the gradient for fixed assignments, then the centers, without any decay."""
    optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.2))
    learner = deep_clustering_network_learner(
        init, NETWORK, RECONSTRUCTION, optimizer, strength=0.7, initial_count=4.0
    )
    start, x = jax.jit(learner.init)(key), data["x"]
    state, metrics = jax.jit(learner.step)(start, {"x": x})
    before = jn.evaluation_params(start)
    centers = np.asarray(before["centers"])
    codes = np.asarray(ENCODE(before["autoencoder"], x))
    labels = ((codes[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)

    def loss(autoencoder):
        difference = NETWORK.encode(autoencoder, x) - centers[labels]
        reconstruction = jax.nn.sigmoid(NETWORK.apply(autoencoder, x))
        per_example = ((x - reconstruction) ** 2).sum(axis=1) + 0.35 * (difference**2).sum(axis=1)
        return per_example.mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(before["autoencoder"])
    expected = jax.tree.map(
        lambda leaf, slope: leaf - 0.2 * (slope + 0.1 * leaf),
        *jax.device_get((before["autoencoder"], gradient)),
    )
    after = jn.evaluation_params(state)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, after["autoencoder"], expected)
    close(metrics["loss"], value)
    codes = np.asarray(ENCODE(expected, x))
    labels = ((codes[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)
    counts = np.bincount(labels, minlength=K)
    sums = np.eye(K)[labels].T @ codes
    close(after["centers"], (4 * centers + sums) / (4 + counts)[:, None])
    close(state.extra, 4 + counts)


def test_errors_name_the_argument(key):
    with pytest.raises(ValueError, match="strength must not be negative"):
        deep_clustering_network_learner(
            init, NETWORK, RECONSTRUCTION, optax.sgd(0.1), strength=-1.0
        )
    schedule_free = optax.contrib.schedule_free_sgd(0.1)
    learner = deep_clustering_network_learner(
        init, NETWORK, RECONSTRUCTION, schedule_free, strength=1.0
    )
    with pytest.raises(ValueError, match="the optimizer is schedule-free"):
        jax.eval_shape(learner.init, key)


def test_a_changed_copy_shares_the_center_of_the_example(data, key):
    mirrored = jn.Network(lambda key: {}, lambda params, x, *, key=None: x[:, ::-1])
    objective = deep_clustering_network(
        NETWORK, RECONSTRUCTION, strength=0.7, augmentation=mirrored
    )
    params, x = init(key), data["x"]
    loss, _ = jax.jit(objective)(params, {"x": x}, key)
    centers = np.asarray(params["centers"])
    codes = np.asarray(ENCODE(params["autoencoder"], x))
    labels = ((codes[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)
    expected = 0.0
    x = np.asarray(x)
    for view in (x, x[:, ::-1]):
        reconstruction = 1 / (1 + np.exp(-np.asarray(APPLY(params["autoencoder"], view))))
        difference = np.asarray(ENCODE(params["autoencoder"], view)) - centers[labels]
        errors = ((view - reconstruction) ** 2).sum(axis=1) + 0.35 * (difference**2).sum(axis=1)
        expected += float(errors.mean()) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    # Nothing is drawn in evaluation.
    plain = deep_clustering_network(NETWORK, RECONSTRUCTION, strength=0.7)
    evaluated, expected = jax.jit(
        lambda params, x: [each(params, {"x": x}, None)[0] for each in (objective, plain)]
    )(params, x)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-6)
