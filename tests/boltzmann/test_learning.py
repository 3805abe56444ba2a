"""Contrastive divergence and persistent chains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import boltzmann
from jaxnet.boltzmann import RBM


def exact_gradient(rbm, params, x):
    """Of minus the mean log-likelihood."""

    def loss(params):
        return -rbm.log_probability(params, x, boltzmann.log_partition(rbm, params)).mean()

    return jax.jit(jax.grad(loss))(params)


def test_the_gradient_is_the_textbook_update(rbm, params, key, bits):
    x = bits(6, 5)
    objective = boltzmann.contrastive_divergence(rbm, num_steps=3)
    gradient, metrics = jax.jit(jax.grad(objective, has_aux=True))(params, {"x": x}, key)
    ends = jax.jit(functools.partial(rbm.gibbs, num_steps=3))(params, x, key)

    @jax.jit
    def means(params, x, ends):
        of_data = (rbm.reconstruct(params, x), rbm.free_energy(params, x))
        return rbm.hidden_mean(params, x), rbm.hidden_mean(params, ends), *of_data

    x, ends, *computed = jax.device_get([x, ends, *means(params, x, ends)])
    h, h_ends, reconstruction, free_energy = computed
    expected = {
        "kernel": -(x.T @ h - ends.T @ h_ends) / 6,
        "visible_bias": -(x - ends).mean(axis=0),
        "hidden_bias": -(h - h_ends).mean(axis=0),
    }
    for name in expected:
        np.testing.assert_allclose(gradient[name], expected[name], rtol=1e-5, atol=1e-6)
    error = ((x - reconstruction) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(metrics["squared_reconstruction_error"], error, rtol=1e-5)
    np.testing.assert_allclose(metrics["free_energy"], free_energy.mean(), rtol=1e-5)


def test_many_steps_give_the_likelihood_gradient(rbm, key, random_params, bits):
    params = random_params(rbm, key, scale=0.7)
    x = bits(30, 5)
    objective = boltzmann.contrastive_divergence(rbm, num_steps=50)

    @jax.jit
    def gradients(key):
        gradient = jax.grad(objective, has_aux=True)
        return jax.vmap(lambda key: gradient(params, {"x": x}, key)[0])(jax.random.split(key, 400))

    expected = jax.device_get(exact_gradient(rbm, params, x))
    for name, found in jax.device_get(gradients(key)).items():
        error = found.std(axis=0, ddof=1) / np.sqrt(400)
        # 23 numbers within 4 standard errors of the mean over 400 keys.
        assert (abs(found.mean(axis=0) - expected[name]) < 4 * error).all(), name


def test_weight_zero_masks_an_example(rbm, params, key, bits):
    x, weight = bits(8, 5), (np.arange(8) < 5).astype(np.float32)
    objective = jax.jit(boltzmann.contrastive_divergence(rbm))
    loss, metrics = objective(params, {"x": x, "weight": weight}, key)
    garbage = np.where(weight[:, None] > 0, x, np.float32(0.3))
    other = objective(params, {"x": garbage, "weight": weight}, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), (loss, metrics), other)
    free_energy = np.asarray(jax.jit(rbm.free_energy)(params, x))[:5].mean()
    np.testing.assert_allclose(metrics["free_energy"], free_energy, rtol=1e-5)


def persistent_learner(rbm, optimizer, *, init=None, **options):
    objective = boltzmann.persistent_contrastive_divergence(rbm, **options)
    return jn.gradient_learner(init or rbm.init, objective, optimizer)


@pytest.mark.slow
def test_longer_and_persistent_chains_learn_better(bars, key):
    """Bars and stripes, 2 000 updates on all 30 images, rate falling from 0.5 to 0; 8 machines.

    Mean log-likelihood per image, at most -log 30 = -3.40: CD-1 -5.36 (its likelihood decreases
    later, Fischer and Igel 2010), CD-10 -4.08, PCD with the same number of steps -4.02; standard
    errors 0.03, 0.01, 0.015.
    """
    rbm, num_updates = RBM(16, 8), 2_000
    optimizer = optax.sgd(optax.linear_schedule(0.5, 0.0, num_updates))

    def cd(num_steps):
        objective = boltzmann.contrastive_divergence(rbm, num_steps=num_steps)
        return jn.gradient_learner(rbm.init, objective, optimizer)

    pcd = persistent_learner(rbm, optimizer, num_chains=30, num_steps=10)

    def log_likelihood(learner, key):
        state, _ = jn.fit(learner, key, {"x": bars}, batch_size=30, num_epochs=num_updates)
        log_partition = boltzmann.log_partition(rbm, state.params)
        return rbm.log_probability(state.params, bars, log_partition).mean()

    keys = jax.random.split(key, 8)
    cd_1, cd_10, persistent = (
        jax.jit(jax.vmap(functools.partial(log_likelihood, learner)))(keys).mean()
        for learner in (cd(1), cd(10), pcd)
    )
    assert cd_1 + 1 < cd_10
    assert cd_10 < persistent < -np.log(30)


OPTIMIZERS = {
    "adam": optax.adam(0.01),
    "lookahead": optax.lookahead(optax.sgd(0.05), sync_period=2, slow_step_size=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_persistent_learner_is_a_learner_as_any(name, bars, key):
    """vmap over seeds, any optimizer, and a run cut into pieces with the bits of one piece."""
    rbm = RBM(16, 8)
    learner = persistent_learner(rbm, OPTIMIZERS[name], num_chains=10, num_steps=2)
    start = jax.jit(lambda key: jax.vmap(learner.init)(jax.random.split(key, 3)))(key)
    assert start.extra.shape == (3, 10, 16)
    advance = functools.partial(jn.training.advance, learner, data={"x": bars}, batch_size=5)
    metrics = jn.training.begin_epoch(learner, start, {"x": bars}, batch_size=5)
    whole = advance(start, metrics=metrics, num_steps=6)
    part, metrics = advance(start, metrics=metrics, num_steps=3)
    pieces = advance(part, metrics=metrics, num_steps=3)

    def same(a, b):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)

    jax.tree.map(same, whole, pieces)
    chains = np.asarray(whole[0].extra)
    assert set(np.unique(chains)) == {0.0, 1.0}
    assert (chains != np.asarray(start.extra)).any(axis=(1, 2)).all()
    assert (chains[0] != chains[1]).any() and (chains[1] != chains[2]).any()
    assert sorted(whole[1]) == ["free_energy", "loss", "squared_reconstruction_error"]
    params = jax.jit(jax.vmap(jn.evaluation_params))(whole[0])
    assert params["kernel"].shape == (3, 16, 8)
    assert np.isfinite(params["kernel"]).all()


def test_chains_persist(rbm, key):
    """Without learning, a step of the learner is a step of its chains, whatever the batch."""
    learner = persistent_learner(rbm, optax.sgd(0.0), num_chains=2000, num_steps=1)
    state = jax.jit(learner.init)(key)
    # A machine that copies: its two states flip rarely, so chains that persist stay.
    coupled = {
        "kernel": np.full((5, 3), 8, np.float32),
        "visible_bias": np.full(5, -12, np.float32),
        "hidden_bias": np.full(3, -20, np.float32),
    }
    chains = np.float32(np.repeat([0, 1], 1000)[:, None] * np.ones(5))
    state = jax.device_put(state._replace(params=coupled, extra=chains))
    step = jax.jit(learner.step)
    for _ in range(5):
        state, _ = step(state, {"x": np.ones((4, 5), np.float32)})
    assert (np.asarray(state.extra) == np.asarray(chains)).mean() > 0.99


def test_init_may_be_ones_own(rbm, key):
    bias = jax.device_put(np.float32([-20, 20, 0, 0, 0]))
    learner = persistent_learner(
        rbm,
        optax.sgd(0.1),
        num_chains=50,
        init=functools.partial(rbm.init, visible_bias=bias),
    )
    state = jax.jit(learner.init)(key)
    np.testing.assert_array_equal(state.params["visible_bias"], bias)
    chains = np.asarray(state.extra)
    assert not chains[:, 0].any() and chains[:, 1].all()
    assert 0 < chains[:, 2:].mean() < 1


def test_errors_name_the_argument(rbm, params):
    with pytest.raises(ValueError, match="num_steps must be at least 1, found 0"):
        boltzmann.contrastive_divergence(rbm, num_steps=0)
    for options in ({"num_chains": 0}, {"num_chains": 3, "num_steps": 0}):
        with pytest.raises(ValueError, match="must be at least 1, found 0"):
            persistent_learner(rbm, optax.sgd(0.1), **options)
    with pytest.raises(ValueError, match="needs a key, found None"):
        boltzmann.contrastive_divergence(rbm)(params, {"x": jnp.ones((2, 5))}, None)
