"""Greedy stacking, and unrolling into autoencoders and classifiers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

import jaxnet as jn
from jaxnet import boltzmann
from jaxnet.boltzmann import BERNOULLI, GAUSSIAN

DIMS = [64, 24, 4]


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(load_digits().data[:400] / 16, jnp.float32)


@pytest.fixture(scope="module", params=[BERNOULLI, GAUSSIAN], ids=lambda unit: unit.name)
def trained(request, x):
    """A stack trained for a moment, with its parameters and histories."""
    rbms = boltzmann.stack(DIMS, code=request.param)

    def learner(rbm):
        rate = 0.001 if rbm.hidden is GAUSSIAN else 0.1
        objective = boltzmann.contrastive_divergence(rbm)
        return jn.gradient_learner(rbm.init, objective, optax.sgd(rate, momentum=0.9))

    fit = jax.jit(
        lambda key, x: boltzmann.fit_stack(rbms, learner, key, x, batch_size=20, num_epochs=10)
    )
    return rbms, *fit(jax.random.key(20), x)


def decode(decoder, code):
    network = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)
    return jax.nn.sigmoid(network.apply(decoder, code))


def test_each_machine_learns_from_the_one_before(trained, x):
    rbms, params, histories = trained
    for rbm, own, history in zip(rbms, params, histories, strict=True):
        errors = history["squared_reconstruction_error"]
        assert errors.shape == (10,) and errors[-1] < 0.9 * errors[0]
        found = ((x - rbm.reconstruct(own, x)) ** 2).sum(axis=1).mean()
        # The machine was trained on these very features.
        assert float(found) == pytest.approx(float(errors[-1]), rel=0.1)
        x = rbm.hidden_mean(own, x)
    assert boltzmann.encode(rbms, params, jnp.ones((2, 64))).shape == (2, 4)


def test_the_unrolled_encoder_computes_the_hidden_probabilities(trained, x):
    rbms, params, _ = trained
    unrolled = boltzmann.unroll(params)
    network = jn.mlp(DIMS, activation=jax.nn.sigmoid)
    found = network[:2].apply(unrolled["encoder"], x)
    expected = boltzmann.encode(rbms[:1], params[:1], x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    found = rbms[-1].hidden.mean(network.apply(unrolled["encoder"], x))
    np.testing.assert_allclose(found, boltzmann.encode(rbms, params, x), rtol=1e-5, atol=1e-6)
    shapes = jax.tree.map(jnp.shape, network.init(jax.random.key(0)))
    assert jax.tree.map(jnp.shape, unrolled["encoder"]) == shapes


def test_the_unrolled_decoder_goes_down_again(trained):
    rbms, params, _ = trained
    decoder = boltzmann.unroll(params)["decoder"]
    network = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)
    shapes = jax.tree.map(jnp.shape, network.init(jax.random.key(0)))
    assert jax.tree.map(jnp.shape, decoder) == shapes
    code = jax.random.uniform(jax.random.key(1), (3, 4))
    expected = code
    for rbm, own in zip(rbms[::-1], params[::-1], strict=True):
        expected = rbm.visible_mean(own, expected)
    np.testing.assert_allclose(decode(decoder, code), expected, rtol=1e-5)


def test_fine_tuning_lowers_the_loss_from_a_better_start(trained, x, key):
    rbms, params, _ = trained
    encoder = jn.mlp(DIMS, activation=jax.nn.sigmoid)
    decoder = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)

    def objective(params, batch, key):
        code = rbms[-1].hidden.mean(encoder.apply(params["encoder"], batch["x"]))
        return ((decode(params["decoder"], code) - batch["x"]) ** 2).sum(axis=1).mean(), {}

    learner = jn.gradient_learner(lambda key: boltzmann.unroll(params), objective, optax.sgd(0.01))
    state, first = jax.jit(learner.step)(learner.init(key), {"x": x})
    _, second = jax.jit(learner.step)(state, {"x": x})
    assert second["loss"] < first["loss"]
    random = {"encoder": encoder.init(key), "decoder": decoder.init(key)}
    assert first["loss"] < 0.8 * objective(random, {"x": x}, None)[0]


def test_the_encoder_begins_a_classifier(trained, x, key):
    rbms, params, _ = trained
    classifier = jn.mlp([*DIMS, 10], activation=jax.nn.sigmoid)
    start = classifier.init(key) | boltzmann.unroll(params)["encoder"]
    if rbms[-1].hidden is BERNOULLI:
        found = classifier[:-1].apply(start, x)
        np.testing.assert_allclose(found, boltzmann.encode(rbms, params, x), rtol=1e-5, atol=1e-6)
    learner = jn.gradient_learner(lambda key: start, jn.classification(classifier), optax.sgd(0.1))
    batch = {"x": x, "y": jnp.asarray(load_digits().target[:400], jnp.int32)}
    state, first = jax.jit(learner.step)(learner.init(key), batch)
    assert jax.jit(learner.step)(state, batch)[1]["loss"] < first["loss"]


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"dims must hold at least the sizes.*found \[3\]"):
        boltzmann.stack([3])
    with pytest.raises(ValueError, match=r"dims must hold .*, each at least 1, found \[3, 0\]"):
        boltzmann.stack([3, 0])
    with pytest.raises(ValueError, match="both Gaussian"):
        boltzmann.stack([3, 2], visible=GAUSSIAN, code=GAUSSIAN)
    with pytest.raises(ValueError, match="at least one machine, found none"):
        boltzmann.unroll([])
