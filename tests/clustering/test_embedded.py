"""DEC and IDEC: targets, objectives and runs against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet.clustering.deep.embedded import (
    deep_embedded_clustering,
    improved_deep_embedded_clustering,
    with_targets,
)
from tests.clustering.small import (
    BATCH,
    HOOKS,
    NETWORK,
    RECONSTRUCTION,
    N,
    assert_identical,
    embedded,
    init,
    numpy_p,
    numpy_q,
)

ENCODE = jax.jit(NETWORK.encode)


def test_objectives_are_means_over_the_examples(data, key):
    params, x = init(key), data["x"]
    q = numpy_q(ENCODE(params["autoencoder"], x), params["centers"])
    p = np.roll(numpy_p(q), 1, axis=1)
    divergence = (p * np.log(p / q)).sum(axis=1)
    weight = (np.arange(N) < 9).astype(np.float32)
    batch = {"x": x, "p": jnp.asarray(p), "weight": jnp.asarray(weight)}
    dec = deep_embedded_clustering(NETWORK)
    idec = improved_deep_embedded_clustering(NETWORK, RECONSTRUCTION, strength=0.3)
    (loss, _), (improved, metrics) = jax.jit(
        lambda params, batch: (dec(params, batch, None), idec(params, batch, None))
    )(params, batch)
    np.testing.assert_allclose(loss, divergence[:9].mean(), rtol=1e-4)
    np.testing.assert_allclose(improved, metrics["squared_error"] + 0.3 * loss, rtol=1e-6)
    np.testing.assert_allclose(metrics["divergence"], loss, rtol=1e-6)


def test_targets_are_those_of_all_examples_and_last_t_steps(data, key):
    learner = embedded()
    state, advance = jax.jit(learner.init)(key), functools.partial(jn.training.advance, learner)
    # One batch of all examples in each step, so that its order does not matter.
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=N)
    for number in range(5):
        if number % 3 == 0:
            codes = ENCODE(state.params["autoencoder"], data["x"])
            targets = numpy_p(numpy_q(codes, state.params["centers"]))
        codes = ENCODE(state.params["autoencoder"], data["x"])
        q = numpy_q(codes, state.params["centers"])
        state, values = advance(state, metrics, data, batch_size=N, num_steps=1, hooks=HOOKS)
        np.testing.assert_allclose(state.extra, targets, rtol=1e-4)
        divergence = (targets * np.log(targets / q)).sum(axis=1).mean()
        np.testing.assert_allclose(values["loss"][0], divergence, rtol=1e-3, atol=1e-6)


def test_batches_of_runs_are_single_runs_and_pieces_are_the_whole(data, key):
    @jax.jit
    def run(key, data):
        return jn.fit(embedded(), key, data, batch_size=BATCH, num_epochs=2, hooks=HOOKS)

    keys = jax.random.split(key, 2)
    states, history = jax.jit(jax.vmap(run, (0, None)))(keys, data)
    alone, alone_history = run(keys[1], data)
    np.testing.assert_allclose(history["loss"][1], alone_history["loss"], rtol=1e-3)
    np.testing.assert_allclose(
        states.params["centers"][1], alone.params["centers"], rtol=1e-3, atol=1e-4
    )
    # The watched run, whose states have a step each.
    learner = embedded()
    start = jax.jit(jax.vmap(learner.init))(keys)
    options = {"data": data, "batch_size": BATCH, "hooks": HOOKS}
    advance = functools.partial(jn.training.advance, learner, **options)
    metrics = jn.training.begin_epoch(learner, start, data, batch_size=BATCH)
    first = advance(start, metrics=metrics, num_steps=4)
    whole = advance(first[0], metrics=metrics, num_steps=4)
    part, metrics = advance(first[0], metrics=metrics, num_steps=2)
    pieces = advance(part, metrics=metrics, num_steps=2)
    jax.tree.map(assert_identical, whole, pieces)
    np.testing.assert_allclose(
        whole[0].params["centers"], states.params["centers"], rtol=1e-3, atol=1e-4
    )


def test_errors_name_the_argument(data, key):
    with pytest.raises(ValueError, match=r"holds no targets p, found \['x'\]"):
        deep_embedded_clustering(NETWORK)({}, {"x": data["x"]}, None)
    with pytest.raises(ValueError, match="holds no index, found"):
        learner = embedded()
        jax.eval_shape(learner.step, jax.eval_shape(learner.init, key), {"x": data["x"]})
    with pytest.raises(ValueError, match="strength must not be negative"):
        improved_deep_embedded_clustering(NETWORK, RECONSTRUCTION, strength=-1.0)
    with pytest.raises(ValueError, match="num_examples must be at least 1, found 0"):
        with_targets(deep_embedded_clustering(NETWORK), num_examples=0)
