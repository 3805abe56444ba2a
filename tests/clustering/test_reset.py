"""Soft resets and reclustering."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet.clustering.deep.codes import assign_codes, cluster_codes
from jaxnet.clustering.deep.reset import hidden_encoder_layers, reset_and_recluster, soft_reset
from tests.clustering.small import BATCH, HOOKS, NETWORK, TRAINED, K, assert_identical, embedded


def recluster(key, params, x):
    return {"centers": cluster_codes(key, NETWORK.encode, params, x, K, num_restarts=2).centers}


def test_soft_reset_blends(key):
    params = TRAINED
    reset = functools.partial(soft_reset, key, params, NETWORK.init)
    jax.tree.map(assert_identical, reset(factor=1.0), params)
    jax.tree.map(assert_identical, reset(factor=0.0), NETWORK.init(key))
    where = hidden_encoder_layers(NETWORK)
    blended, fresh = reset(factor=0.8, where=where), NETWORK.init(key)
    expected = jax.tree.map(lambda a, b: 0.8 * a + (1 - 0.8) * b, params, fresh)
    jax.tree.map(assert_identical, blended["encoder"]["dense_0"], expected["encoder"]["dense_0"])
    assert (blended["encoder"]["dense_0"]["kernel"] != params["encoder"]["dense_0"]["kernel"]).any()
    jax.tree.map(assert_identical, blended["encoder"]["dense_1"], params["encoder"]["dense_1"])
    jax.tree.map(assert_identical, blended["decoder"], params["decoder"])


def test_reclustering_finds_centers_and_forgets_their_moments(data, key):
    learner = embedded()
    state = jax.jit(lambda key, data: HOOKS[0][1](learner.init(key), data))(key, data)
    step = jax.jit(learner.step)
    batch = {"x": data["x"][:BATCH], "index": jnp.arange(BATCH)}
    for _ in range(3):
        state, _ = step(state, batch)
    intervene = jax.jit(reset_and_recluster(NETWORK, recluster, factor=0.5))
    new = intervene(state, data)
    # Each center is the mean of the codes that are nearest to it.
    codes = np.asarray(jax.jit(NETWORK.encode)(new.params["autoencoder"], data["x"]))
    labels = np.asarray(assign_codes(NETWORK.encode, new.params, data["x"]))
    means = [codes[labels == label].mean(axis=0) for label in range(K)]
    np.testing.assert_allclose(new.params["centers"], means, rtol=1e-3, atol=1e-4)
    old_adam, adam = (each.optimizer_state[0] for each in (state, new))
    for before, after in ((old_adam.mu, adam.mu), (old_adam.nu, adam.nu)):
        assert (before["centers"] != 0).all() and (after["centers"] == 0).all()
        jax.tree.map(assert_identical, before["autoencoder"], after["autoencoder"])
    assert adam.count == old_adam.count == 3
    # Another step has another draw.
    later = intervene(state._replace(step=state.step + 1), data)
    kernels = [each.params["autoencoder"]["encoder"]["dense_0"]["kernel"] for each in (new, later)]
    assert (kernels[0] != kernels[1]).any()
    decoders = (each.params["autoencoder"]["decoder"] for each in (new, state))
    jax.tree.map(assert_identical, *decoders)


def test_errors_name_the_argument(data, key):
    with pytest.raises(ValueError, match="factor must lie in"):
        soft_reset(key, {}, lambda key: {}, factor=2.0)
    with pytest.raises(ValueError, match="expected at least two"):
        hidden_encoder_layers(jn.autoencoders.mlp_autoencoder([4, 2]))
    dense = jn.dense(4, 2)
    with pytest.raises(ValueError, match="must be a chain, found 'dense'"):
        hidden_encoder_layers(jn.autoencoders.autoencoder(dense, jn.dense(2, 4)))
    with pytest.raises(ValueError, match="subsample must be at least 1, found 0"):
        reset_and_recluster(NETWORK, recluster, subsample=0)
    with pytest.raises(ValueError, match=r"gave \['means'\], expected .* among \['centers'\]"):
        intervene = reset_and_recluster(NETWORK, lambda key, params, x: {"means": x[:K]})
        jax.eval_shape(intervene, jax.eval_shape(embedded().init, key), data)
