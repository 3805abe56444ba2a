"""Transformers and clusterers against PCA, sums over all states and known clusters."""

import itertools

import numpy as np
import pytest
from scipy import special
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from jaxnet import estimators
from jaxnet.estimators import _clusters
from tests.estimators.common import CLUSTERING

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3)) @ RNG.normal(size=(3, 5)) + RNG.normal(size=(100, 5)) / 5
BLOBS, LABELS = make_blobs(150, 4, centers=3, cluster_std=0.5, random_state=0)
# All rows are one batch.
WHOLE = {"batch_size": 128, "schedule": "constant", "random_state": 0}
LINEAR = WHOLE | {"hidden_dims": (), "code_dim": 2, "optimizer": "sgd", "dtype": "float64"}


def test_a_linear_autoencoder_finds_the_principal_subspace():
    model = estimators.AutoencoderTransformer(**LINEAR, num_epochs=3000, learning_rate=0.1).fit(X)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    pca = PCA(2).fit(scaled)
    projected = pca.inverse_transform(pca.transform(scaled))
    error = np.mean((scaled - projected) ** 2)
    assert model.score(X) == pytest.approx(-error, rel=1e-3)
    reconstructed = model.inverse_transform(model.transform(X))
    expected = projected * X.std(axis=0) + X.mean(axis=0)
    np.testing.assert_allclose(reconstructed, expected, atol=0.05)
    with pytest.raises(ValueError, match=r"codes have shape \(100, 5\), expected \(n, 2\)"):
        model.inverse_transform(X)


def test_noise_is_not_part_of_a_transform_and_training_goes_on():
    model = estimators.AutoencoderTransformer(**LINEAR, num_epochs=5, noise=0.3).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X))
    loss = model.loss_curve_[-1]
    for _ in range(3):
        model.partial_fit(X)
    assert model.n_iter_ == 8 and model.loss_curve_[-1] < loss


def test_features_and_energies_of_a_boltzmann_machine():
    x = (X > 0).astype(float)
    model = estimators.RestrictedBoltzmannMachine(
        **WHOLE, num_hidden=4, num_epochs=3, standardize=False, num_chains=10
    ).fit(x)
    kernel, hidden, visible = (
        model.params_[name][0].astype(np.float64)
        for name in ("kernel", "hidden_bias", "visible_bias")
    )
    np.testing.assert_allclose(model.transform(x), special.expit(hidden + x @ kernel), atol=1e-5)
    # The sum over all states of the hidden units.
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    energies = x @ visible[:, None] + states @ hidden + x @ kernel @ states.T
    expected = special.logsumexp(energies, axis=1)
    np.testing.assert_allclose(model.score_samples(x), expected, rtol=1e-5)
    mean = special.expit(visible + special.expit(hidden + x @ kernel) @ kernel.T)
    np.testing.assert_allclose(model.reconstruct(x), mean, atol=1e-5)
    with pytest.raises(ValueError, match="found 0 to 2; pass standardize=True"):
        model.fit(2 * x)


def test_a_boltzmann_machine_learns_and_goes_on():
    x = np.repeat([[1.0, 1, 0, 0], [0, 0, 1, 1]], 50, axis=0)
    model = estimators.RestrictedBoltzmannMachine(
        **WHOLE, num_hidden=8, num_epochs=300, learning_rate=0.5
    ).fit(x)
    errors = model.history_["squared_reconstruction_error"][0]
    assert errors[-1] < errors[0] / 2
    others = np.array([[1.0, 0, 1, 0], [1, 1, 1, 1]])
    assert model.score_samples(x).min() > model.score_samples(others).max() + 1
    model.partial_fit(x)
    assert model.n_iter_ == 301
    gaussian = estimators.RestrictedBoltzmannMachine(
        **WHOLE, num_hidden=4, visible="gaussian", learning_rate=0.01, num_epochs=3
    ).fit(X)
    assert gaussian.transform(X).shape == (100, 4)


def test_other_options_of_transformers_are_named():
    with pytest.raises(ValueError, match="code_dim must be at least 1"):
        estimators.AutoencoderTransformer(code_dim=0).fit(X)
    with pytest.raises(ValueError, match="num_hidden is the number of hidden units"):
        estimators.RestrictedBoltzmannMachine(hidden_dims=(3,)).fit(X)


@pytest.mark.parametrize("method", ["kmeans", "dec", "idec", "dcn", "vade"])
def test_clusters_are_found(method):
    model = estimators.DeepClusterer(**CLUSTERING, method=method).fit(BLOBS)
    # A prior that is learned may merge clusters.
    assert adjusted_rand_score(LABELS, model.labels_) > (0.5 if method == "vade" else 0.95)
    np.testing.assert_array_equal(model.predict(BLOBS), model.labels_)
    np.testing.assert_allclose(model.predict_proba(BLOBS).sum(axis=1), 1, rtol=1e-5)
    assert model.cluster_centers_.shape == (3, 2)
    distances = np.linalg.norm(model.transform(BLOBS)[:, None] - model.cluster_centers_, axis=2)
    if method != "vade":
        np.testing.assert_array_equal(distances.argmin(axis=1), model.labels_)
    if method == "kmeans":
        # Centers are the means of their codes, each counted once.
        codes = model.transform(BLOBS)
        means = np.stack([codes[model.labels_ == index].mean(axis=0) for index in range(3)])
        np.testing.assert_allclose(model.cluster_centers_, means, atol=1e-4)
    else:
        assert model.n_iter_ == 5 and "pretrain_loss" in model.history_


def test_clusters_on_an_embedding(monkeypatch):
    """With an embedding that is the codes, n2d is a mixture on the codes."""
    monkeypatch.setattr(_clusters, "fit_umap", lambda codes, *_: codes)
    model = estimators.DeepClusterer(**CLUSTERING, method="n2d").fit(BLOBS)
    assert adjusted_rand_score(LABELS, model.labels_) > 0.95
    np.testing.assert_array_equal(model.predict(BLOBS), model.labels_)
    # A new row has the mean embedding of its neighbors.
    middle = BLOBS[LABELS == 0].mean(axis=0, keepdims=True)
    assert model.predict(middle)[0] == model.labels_[LABELS == 0][0]


@pytest.mark.usefixtures("as_users_run")
def test_other_clusterings_are_named(monkeypatch):
    with pytest.raises(ValueError, match="unknown method 'ide'; did you mean"):
        estimators.DeepClusterer(method="ide").fit(BLOBS)
    with pytest.raises(ValueError, match="n_clusters is 8, and X has n_samples=5 rows"):
        estimators.DeepClusterer().fit(BLOBS[:5])
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(ImportError, match="install the extra umap"):
        _clusters.fit_umap(BLOBS, 2, 5, 0)


def test_a_clusterer_trains_by_the_program_of_the_transformer(traces):
    options = WHOLE | {"hidden_dims": (), "code_dim": 2, "optimizer": "sgd"}
    estimators.AutoencoderTransformer(**options, num_epochs=1).fit(X).transform(X)
    clusterer = estimators.DeepClusterer(
        **options, n_clusters=3, pretrain_epochs=1, num_restarts=2, output_std=0.5
    )
    clusterer.fit(X)
    assert traces == {"build_learner": 1, "predict": 1}
