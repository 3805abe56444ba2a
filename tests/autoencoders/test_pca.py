"""Principal components against scikit-learn, NumPy and a trained linear autoencoder."""

import os
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import jaxnet as jn

fit_pca = jn.autoencoders.fit_pca
project, reconstruct = (
    jax.jit(jn.autoencoders.PCA.project),
    jax.jit(jn.autoencoders.PCA.reconstruct),
)


@pytest.fixture(scope="module")
def images():
    return (load_digits().data / 16).astype(np.float32)


@pytest.mark.parametrize("num_examples", [500, 40], ids=["tall", "wide"])
def test_equals_scikit_learn_and_numpy(images, num_examples):
    x = images[:num_examples]
    found = fit_pca(jax.device_put(x), 10)
    expected = PCA(10, svd_solver="full").fit(x.astype(np.float64))
    np.testing.assert_allclose(found.mean, expected.mean_, atol=1e-6)
    np.testing.assert_allclose(found.variances, expected.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(found.components, expected.components_, atol=2e-3)
    codes = project(found, x)
    np.testing.assert_allclose(codes, expected.transform(x), atol=2e-3)
    outputs = np.asarray(reconstruct(found, codes))
    np.testing.assert_allclose(
        outputs, expected.inverse_transform(expected.transform(x)), atol=1e-4
    )
    # Eckart and Young: the error is what the singular values left out hold.
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    assert float(((x - outputs) ** 2).sum()) == pytest.approx(
        float((singular[10:] ** 2).sum()), 1e-4
    )


def test_constant_pixels_and_all_components(images):
    x = images
    assert (x.std(axis=0) == 0).any()
    model = jax.device_get(fit_pca(jax.device_put(x), 64))
    assert (model.variances >= 0).all()
    np.testing.assert_allclose(model.components @ model.components.T, np.eye(64), atol=1e-5)
    np.testing.assert_allclose(reconstruct(model, project(model, x)), x, atol=1e-5)


def test_float32_is_accurate_for_many_examples_far_from_zero():
    # 60 000 examples, a mean far larger than the deviations, variances over four decades.
    scales = np.logspace(0, -2, 50)
    x = jax.device_put(10 + np.random.default_rng(0).normal(size=(60_000, 50)) * scales)
    found = fit_pca(x, 50)
    expected = np.linalg.eigvalsh(np.cov(np.asarray(x, np.float64).T))[::-1]
    np.testing.assert_allclose(found.variances, expected, rtol=2e-3)
    np.testing.assert_allclose(found.variances[:20], expected[:20], rtol=2e-5)


def test_it_maps_over_data_sets(images):
    halves = images[:1000].reshape(2, 500, 64)
    together = jax.jit(jax.vmap(lambda x: fit_pca(x, 10)))(halves)
    alone = fit_pca(jax.device_put(halves[1]), 10)
    np.testing.assert_allclose(np.asarray(together.variances)[1], alone.variances, rtol=1e-4)
    codes = jax.eval_shape(jax.vmap(jn.autoencoders.PCA.project), together, halves)
    assert codes.shape == (2, 500, 10)


@pytest.mark.parametrize("tied", [False, True])
def test_a_linear_autoencoder_finds_the_principal_subspace(x64, key, tied):
    random, scales = np.random.default_rng(0), np.array([3.0, 2.0, 1.5, 0.7, 0.5, 0.3])
    basis = np.linalg.qr(random.normal(size=(6, 6)))[0]
    x = jax.device_put(random.normal(size=(200, 6)) * scales @ basis + 0.5)
    network = jn.autoencoders.mlp_autoencoder([6, 3], tied=tied)
    objective = jn.autoencoders.reconstruction(network, mean=lambda outputs: outputs)
    rate = optax.cosine_decay_schedule(0.03, 2000)
    learner = jn.gradient_learner(network.init, objective, optax.adam(rate))

    @jax.jit
    def train(key, data):
        return jn.fit(learner, key, data, batch_size=200, num_epochs=2000)

    state, _ = train(key, {"x": x})
    model = fit_pca(x, 3)
    outputs = reconstruct(model, project(model, x))
    least = float(((x - outputs) ** 2).sum(axis=1).mean())
    loss, _ = jax.jit(objective)(state.params, {"x": x}, None)
    assert float(loss) == pytest.approx(least, rel=1e-6)
    kernel = network.decoder_params(state.params)["dense_0"]["kernel"]
    angles = subspace_angles(np.asarray(kernel).T, np.asarray(model.components).T)
    assert angles.max() < 1e-3


@pytest.mark.parametrize(
    ("shape", "num_components", "message"),
    [
        ((5, 4, 4), 2, r"found shape \(5, 4, 4\); flatten images"),
        ((1, 4), 1, "at least two examples"),
        ((5, 4), 0, "num_components must lie between 1 and 4"),
        ((3, 4), 4, "num_components must lie between 1 and 3"),
    ],
)
def test_errors_name_the_argument(shape, num_components, message):
    with pytest.raises(ValueError, match=message):
        fit_pca(jax.device_put(np.ones(shape)), num_components)


def test_mnist_error_of_thirty_components():
    folder = os.environ.get("JAXNET_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("MNIST is read from the folder that JAXNET_DATA names")
    from experiments.data import load

    pixels = load("mnist").x.reshape(70_000, 784)
    model = fit_pca(jax.device_put(pixels[:60_000]), 30)
    test = pixels[60_000:]
    error = ((test - reconstruct(model, project(model, test))) ** 2).sum(axis=1).mean()
    # Hinton and Salakhutdinov (2006) report 13.87 for their test images.
    assert float(error) == pytest.approx(13.87, abs=0.01)
