"""Objectives of networks that reconstruct their input, against NumPy and scikit-learn."""

import jax
import numpy as np
import optax
import pytest
from scipy import special
from sklearn import metrics

import jaxnet as jn
from tests.autoencoders.common import (
    SIGMOID,
    TIED,
    check_gradient,
    check_mask,
    identity,
    initial,
    uniform,
)


def objectives():
    plain = jn.autoencoders.reconstruction(SIGMOID)
    bernoulli = jn.autoencoders.bernoulli_reconstruction(SIGMOID)
    return {
        "squared": (plain, SIGMOID),
        "linear": (jn.autoencoders.reconstruction(SIGMOID, mean=identity), SIGMOID),
        "bernoulli": (bernoulli, SIGMOID),
        "tied": (jn.autoencoders.bernoulli_reconstruction(TIED), TIED),
        "l1": (jn.autoencoders.with_l1_sparsity(plain, SIGMOID, 0.3), SIGMOID),
        "kl": (jn.autoencoders.with_kl_sparsity(plain, SIGMOID, 0.3), SIGMOID),
        "contractive": (jn.autoencoders.with_contraction(bernoulli, SIGMOID, 0.3), SIGMOID),
        "probed": (jn.autoencoders.with_contraction(plain, SIGMOID, 0.3, num_probes=2), SIGMOID),
        "denoising": (jn.with_noise(bernoulli, jn.nn.gaussian_noise(0.2)), SIGMOID),
        "binarized": (jn.with_augmentation(bernoulli, jn.nn.bernoulli_sampling()), SIGMOID),
    }


@pytest.fixture
def batch():
    return {"x": uniform(8, 6)}


@pytest.mark.parametrize("name", objectives())
def test_gradients_and_masks(x64, key, name):
    objective, network = objectives()[name]
    params = initial(network, key)
    batch = {"x": uniform(8, 6), "weight": (np.arange(8) < 5).astype(float)}
    run = check_gradient(objective, params, batch, key)
    (loss, metrics), _ = check_mask(run, params, batch, key)
    # Noise has the shape of the batch: without the masked examples it is different noise.
    if name not in ("probed", "denoising", "binarized"):
        alone = jax.jit(objective)(params, {"x": np.asarray(batch["x"])[:5]}, key)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), alone, (loss, metrics)
        )


def test_pixels_of_weight_zero_are_missing(key, batch):
    params, x = initial(SIGMOID, key), np.asarray(batch["x"])
    known = np.random.default_rng(3).integers(0, 2, x.shape)
    apply = jax.jit(SIGMOID.apply)
    errors = (x - special.expit(np.asarray(apply(params, x)))) ** 2
    expected = 6 * (errors * known).sum() / known.sum()
    objective = jax.jit(jn.autoencoders.reconstruction(SIGMOID))
    weighted = {"x": x, "target": np.float32(x + 5.0 * (1 - known)), "weight": np.float32(known)}
    loss, values = objective(params, weighted, None)
    assert float(loss) == float(values["squared_error"]) == pytest.approx(expected, rel=1e-5)
    # The same weight for all pixels of an example is the weight of the example.
    weight = np.arange(8, dtype=np.float32)
    same = objective(params, {"x": x, "weight": weight[:, None] * np.ones((1, 6), "f4")}, None)
    np.testing.assert_allclose(
        same[0], objective(params, {"x": x, "weight": weight}, None)[0], rtol=1e-6
    )


def test_a_network_with_state_has_an_objective_with_state(key, batch):
    def apply(params, count, x, *, key=None):
        return SIGMOID.apply(params, x, key=key), count if key is None else count + 1

    network = jn.nn.StatefulNetwork(SIGMOID.init, lambda params, key: 0, apply)
    params = initial(SIGMOID, key)
    for objective in (jn.autoencoders.reconstruction, jn.autoencoders.bernoulli_reconstruction):
        stateful = objective(network)
        assert stateful.init(params, key) == 0
        loss, (count, values) = jax.jit(stateful.apply)(params, 0, batch, key)
        expected, others = jax.jit(objective(SIGMOID))(params, batch, key)
        assert count == 1 and float(loss) == pytest.approx(float(expected), rel=1e-6)
        assert sorted(values) == sorted(others)
        for name, value in values.items():
            assert float(value) == pytest.approx(float(others[name]), rel=1e-6)


def test_losses_equal_numpy_and_scikit_learn(key, batch):
    params = initial(SIGMOID, key)
    x = np.asarray(batch["x"], np.float64)
    apply = jax.jit(SIGMOID.apply)
    logits = np.asarray(apply(params, batch["x"]), np.float64)
    p = special.expit(logits)
    squared = ((x - p) ** 2).sum(axis=1).mean()
    loss, found = jax.jit(jn.autoencoders.reconstruction(SIGMOID))(params, batch, None)
    assert float(loss) == float(found["squared_error"]) == pytest.approx(squared, rel=1e-5)
    objective = jn.autoencoders.reconstruction(SIGMOID, mean=identity)
    loss, found = jax.jit(objective)(params, batch, None)
    assert float(loss) == pytest.approx(((x - logits) ** 2).sum(axis=1).mean(), rel=1e-5)
    bits = {"x": (x > 0.5).astype(np.float32)}
    p = special.expit(np.asarray(apply(params, bits["x"]), np.float64))
    loss, found = jax.jit(jn.autoencoders.bernoulli_reconstruction(SIGMOID))(params, bits, None)
    mean = metrics.log_loss(np.asarray(bits["x"], int).ravel(), p.ravel())
    assert float(loss) == float(found["cross_entropy"]) == pytest.approx(6 * mean, rel=1e-5)
    squared = ((np.asarray(bits["x"]) - p) ** 2).sum(axis=1).mean()
    assert float(found["squared_error"]) == pytest.approx(squared, rel=1e-5)


def test_training_composes_with_fit_and_its_noise_is_new_each_step(key):
    x = uniform(64, 6)
    objective = jn.with_noise(jn.autoencoders.reconstruction(SIGMOID), jn.nn.masking_noise(0.2))
    objective = jn.autoencoders.with_kl_sparsity(objective, SIGMOID, 1e-3)
    learner = jn.gradient_learner(SIGMOID.init, objective, optax.sgd(0.1))

    @jax.jit
    def train(key, data):
        return jn.fit(learner, key, data, batch_size=16, num_epochs=30)

    state, history = jax.device_get(train(key, {"x": x}))
    assert history["squared_error"][-1] < history["squared_error"][0]
    assert set(history) == {"activity", "loss", "squared_error"}
    # The same parameters at another step: only the noise differs.
    losses = jax.jit(jax.vmap(lambda step: learner.step(state._replace(step=step), {"x": x})[1]))
    assert len(set(losses(np.arange(3))["loss"].tolist())) == 3


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0, 7.0], [16.0, 0.0]], "row 0 holds 7.0 at column 1; .* 0.0 to 16.0: divide by"),
        ([[0.0, 1.0], [-0.5, 0.0]], "row 1 holds -0.5 at column 0; .* Gaussian output"),
        ([[0.0, np.nan]], "row 0 holds nan"),
    ],
)
def test_pixels_outside_the_unit_interval_raise(x, message):
    with pytest.raises(ValueError, match=message):
        jn.check_unit_interval(x)
    jn.check_unit_interval(np.ones((2, 3, 3, 1), bool))
