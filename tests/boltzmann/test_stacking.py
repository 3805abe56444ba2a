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
    return jax.device_put(np.float32(load_digits().data[:400] / 16))


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


@pytest.fixture(scope="module")
def codes(trained, x):
    """Of the first machine and of the stack."""
    rbms, params, _ = trained

    def encode(params, x):
        return boltzmann.encode(rbms[:1], params[:1], x), boltzmann.encode(rbms, params, x)

    return jax.device_get(jax.jit(encode)(params, x))


def decode(decoder, code):
    network = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)
    return jax.nn.sigmoid(network.apply(decoder, code))


def two_steps(learner, key, batch):
    """The first state of a learner and the metrics of two steps on a batch."""
    start = learner.init(key)
    _, metrics = jax.lax.scan(lambda state, _: learner.step(state, batch), start, length=2)
    return start, metrics


def test_each_machine_learns_from_the_one_before(trained, x):
    rbms, params, histories = trained

    @jax.jit
    def errors_of_machines(params, x):
        found = []
        for rbm, own in zip(rbms, params, strict=True):
            found.append(((x - rbm.reconstruct(own, x)) ** 2).sum(axis=1).mean())
            x = rbm.hidden_mean(own, x)
        return found

    found = errors_of_machines(params, x)
    for error, history in zip(found, jax.device_get(histories), strict=True):
        errors = history["squared_reconstruction_error"]
        assert errors.shape == (10,) and errors[-1] < 0.9 * errors[0]
        # The machine was trained on these very features.
        assert float(error) == pytest.approx(float(errors[-1]), rel=0.1)
    codes = jax.eval_shape(lambda params, x: boltzmann.encode(rbms, params, x), params, x[:2])
    assert codes.shape == (2, 4)


def test_the_unrolled_encoder_computes_the_hidden_probabilities(trained, codes, x):
    rbms, params, _ = trained
    network = jn.mlp(DIMS, activation=jax.nn.sigmoid)

    @jax.jit
    def of_network(params, x):
        encoder = boltzmann.unroll(params)["encoder"]
        outputs = network.apply(encoder, x)
        return encoder, network[:2].apply(encoder, x), rbms[-1].hidden.mean(outputs)

    encoder, *found = of_network(params, x)
    for values, expected in zip(found, codes, strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    shapes = jax.tree.map(jnp.shape, jax.eval_shape(network.init, jax.random.key(0)))
    assert jax.tree.map(jnp.shape, encoder) == shapes


def test_the_unrolled_decoder_goes_down_again(trained):
    rbms, params, _ = trained
    network = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)

    @jax.jit
    def both(params, code):
        decoder = boltzmann.unroll(params)["decoder"]
        outputs = decode(decoder, code)
        for rbm, own in zip(rbms[::-1], params[::-1], strict=True):
            code = rbm.visible_mean(own, code)
        return decoder, outputs, code

    code = np.random.default_rng(1).random((3, 4), np.float32)
    decoder, outputs, expected = both(params, code)
    shapes = jax.tree.map(jnp.shape, jax.eval_shape(network.init, jax.random.key(0)))
    assert jax.tree.map(jnp.shape, decoder) == shapes
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_fine_tuning_lowers_the_loss_from_a_better_start(trained, x, key):
    rbms, params, _ = trained
    encoder = jn.mlp(DIMS, activation=jax.nn.sigmoid)
    decoder = jn.mlp(DIMS[::-1], activation=jax.nn.sigmoid)

    def objective(params, batch, key):
        code = rbms[-1].hidden.mean(encoder.apply(params["encoder"], batch["x"]))
        return ((decode(params["decoder"], code) - batch["x"]) ** 2).sum(axis=1).mean(), {}

    learner = jn.gradient_learner(lambda key: boltzmann.unroll(params), objective, optax.sgd(0.01))

    @jax.jit
    def losses(key, batch):
        _, metrics = two_steps(learner, key, batch)
        random = {"encoder": encoder.init(key), "decoder": decoder.init(key)}
        return metrics["loss"], objective(random, batch, None)[0]

    (first, second), at_random = jax.device_get(losses(key, {"x": x}))
    assert second < first
    assert first < 0.8 * at_random


def test_the_encoder_begins_a_classifier(trained, codes, x, key):
    rbms, params, _ = trained
    classifier = jn.mlp([*DIMS, 10], activation=jax.nn.sigmoid)

    def init(key):
        return classifier.init(key) | boltzmann.unroll(params)["encoder"]

    learner = jn.gradient_learner(init, jn.classification(classifier), optax.sgd(0.1))

    @jax.jit
    def begin(key, batch):
        start, metrics = two_steps(learner, key, batch)
        return classifier[:-1].apply(start.params, batch["x"]), metrics["loss"]

    batch = {"x": x, "y": load_digits().target[:400].astype(np.int32)}
    found, (first, second) = jax.device_get(begin(key, batch))
    if rbms[-1].hidden is BERNOULLI:
        np.testing.assert_allclose(found, codes[1], rtol=1e-5, atol=1e-6)
    assert second < first


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"dims must hold at least the sizes.*found \[3\]"):
        boltzmann.stack([3])
    with pytest.raises(ValueError, match=r"dims must hold .*, each at least 1, found \[3, 0\]"):
        boltzmann.stack([3, 0])
    with pytest.raises(ValueError, match="both Gaussian"):
        boltzmann.stack([3, 2], visible=GAUSSIAN, code=GAUSSIAN)
    with pytest.raises(ValueError, match="at least one machine, found none"):
        boltzmann.unroll([])
