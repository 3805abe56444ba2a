"""Penalties on codes, against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import jaxnet as jn
from tests.autoencoders.common import SIGMOID, identity, initial, uniform

PENALTIES = {
    "l1": jn.autoencoders.with_l1_sparsity,
    "kl": jn.autoencoders.with_kl_sparsity,
    "contraction": jn.autoencoders.with_contraction,
}


@pytest.fixture
def batch():
    return {"x": uniform(8, 6)}


def one_layer(key):
    encoder = jn.chain(jn.dense(6, 40), jn.activation(jax.nn.sigmoid))
    network = jn.autoencoders.autoencoder(encoder, jn.dense(40, 6))
    return network, initial(network, key)


def zero(params, batch, key):
    return jnp.zeros(()), {}


def test_contraction_equals_the_closed_form_of_a_sigmoid_layer(key, batch):
    network, params = one_layer(key)
    weight = np.arange(8, dtype=np.float32)
    h = np.asarray(jax.jit(network.encode)(params, batch["x"]))
    # Rifai et al. (2011), section 3: sum_j (h_j (1 - h_j))^2 sum_i W_ij^2.
    kernel = np.asarray(params["encoder"]["dense_0"]["kernel"])
    norms = ((h * (1 - h)) ** 2) @ (kernel**2).sum(axis=0)
    expected = float((norms * weight).sum() / weight.sum())
    exact = jax.jit(jn.autoencoders.with_contraction(zero, network, 2.0))
    weighted = batch | {"weight": weight}
    assert float(exact(params, weighted, None)[0]) == pytest.approx(2 * expected, rel=1e-5)
    probed = jax.jit(jn.autoencoders.with_contraction(zero, network, 2.0, num_probes=4000))
    assert float(probed(params, weighted, key)[0]) == pytest.approx(2 * expected, rel=0.02)
    assert float(probed(params, weighted, None)[0]) == pytest.approx(2 * expected, rel=1e-5)


def test_contraction_equals_jacobians_of_a_deep_encoder(key, batch):
    params = initial(SIGMOID, key)
    jacobians = jax.jit(jax.vmap(jax.jacfwd(lambda x: SIGMOID.encode(params, x))))(batch["x"])
    found = jax.jit(jn.autoencoders.with_contraction(zero, SIGMOID, 1.0))(params, batch, key)[0]
    assert float(found) == pytest.approx(np.sum(np.square(jacobians)) / 8, rel=1e-5)


def test_sparsity_equals_scipy(key, batch):
    network, params = one_layer(key)
    weight = np.arange(8, dtype=np.float32)
    weighted = batch | {"weight": weight}
    codes = np.asarray(jax.jit(network.encode)(params, batch["x"]), np.float64)
    activity = np.average(codes, axis=0, weights=weight)
    expected = (special.rel_entr(0.1, activity) + special.rel_entr(0.9, 1 - activity)).sum()
    penalty = jn.autoencoders.with_kl_sparsity(zero, network, 3.0, target=0.1)
    loss, found = jax.jit(penalty)(params, weighted, key)
    assert float(loss) == pytest.approx(3 * expected, rel=1e-5)
    assert float(found["activity"]) == pytest.approx(activity.mean(), rel=1e-5)
    penalty = jn.autoencoders.with_l1_sparsity(zero, network, 3.0)
    loss, _ = jax.jit(penalty)(params, weighted, key)
    expected = np.average(np.abs(codes).sum(axis=1), weights=weight)
    assert float(loss) == pytest.approx(3 * expected, rel=1e-5)


def test_silent_units_keep_a_gradient_and_codes_outside_are_loud(batch):
    network = jn.autoencoders.autoencoder(jn.activation(identity), jn.activation(identity))
    penalty = jn.autoencoders.with_kl_sparsity(zero, network, 1.0)

    @jax.jit
    @jax.value_and_grad
    def loss(x):
        return penalty({"encoder": {}, "decoder": {}}, {"x": x}, None)[0]

    for silent in (0, 1):
        value, gradient = map(np.asarray, loss(np.full((4, 2), silent, np.float32)))
        assert np.isfinite(value) and np.isfinite(gradient).all() and (gradient != 0).all()
    assert np.isnan(loss(np.full((4, 2), 1.5, np.float32))[0])


def test_strengths_may_be_traced(key, batch):
    params = initial(SIGMOID, key)

    @jax.jit
    @jax.vmap
    def losses(strength):
        penalized = [penalty(zero, SIGMOID, strength) for penalty in PENALTIES.values()]
        return [objective(params, batch, None)[0] for objective in penalized]

    for one, two in losses(np.float32([1, 2])):
        assert float(two) == pytest.approx(2 * float(one), rel=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_keep_the_state_of_an_objective(key, batch, name):
    def apply(params, extra, batch, key):
        return 2.0 * extra, (extra + 1, {"value": extra})

    params = initial(SIGMOID, key)
    stateful = jn.typing.StatefulObjective(lambda params, key: jnp.zeros(()), apply)
    penalized = PENALTIES[name](stateful, SIGMOID, 0.3)
    assert float(penalized.init(params, key)) == 0
    loss, (extra, metrics) = jax.jit(penalized.apply)(params, np.float32(3), batch, key)
    penalty, expected = jax.jit(PENALTIES[name](zero, SIGMOID, 0.3))(params, batch, key)
    assert float(loss) == pytest.approx(6 + float(penalty), rel=1e-6)
    assert float(extra) == 4 and metrics == expected | {"value": 3}


@pytest.mark.parametrize("name", PENALTIES)
def test_weights_of_elements_count_as_their_mean(key, batch, name):
    params, weight = initial(SIGMOID, key), np.arange(8, dtype=np.float32)
    penalized = jax.jit(PENALTIES[name](zero, SIGMOID, 0.3))
    halves = weight[:, None] * np.float32([[2, 0, 2, 0, 2, 0]])
    loss = penalized(params, batch | {"weight": halves}, None)[0]
    expected = penalized(params, batch | {"weight": weight}, None)[0]
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_nested_contractions_draw_independent_directions(key, batch):
    network, params = one_layer(key)

    def probed(objective):
        return jn.autoencoders.with_contraction(objective, network, 1.0, num_probes=1)

    @jax.jit
    @jax.vmap
    def losses(key):
        outer = probed(zero)(params, batch, key)[0]
        return outer, probed(probed(zero))(params, batch, key)[0] - outer

    outer, inner = map(np.asarray, losses(jax.random.split(key, 400)))
    assert abs(np.corrcoef(outer, inner)[0, 1]) < 0.2
    assert np.mean(inner) == pytest.approx(np.mean(outer), rel=0.05)
