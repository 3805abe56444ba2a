"""Networks that compute in another type of numbers than that of their parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn


def test_a_chain_stays_a_chain_and_parameters_keep_their_type(key):
    network = jn.mlp([4, 8, 3], dropout=0.5)
    half = jn.compute_in(network, jnp.bfloat16)
    assert isinstance(half, jn.Chain) and half.names == network.names
    assert half[:-1] == half[:-1] and half[:-1] != network[:-1]
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    pairs = ((half, network), (half[:-1], network[:-1]), (half[0], network[0]))

    @jax.jit
    def compute(key, x):
        params = half.init(key)
        outputs = [[each.apply(params, x, key=key) for each in pair] for pair in pairs]
        return params, network.init(key), outputs

    params, others, results = jax.device_get(compute(key, x))
    jax.tree.map(np.testing.assert_array_equal, params, others)
    for outputs, expected in results:
        assert outputs.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(outputs, np.float32), expected, atol=0.1)
    objective = jn.classification(half)
    learner = jn.gradient_learner(half.init, objective, optax.adam(1e-2))
    data = {"x": x, "y": np.arange(16) % 3}
    state, history = jax.eval_shape(
        lambda data: jn.fit(learner, key, data, batch_size=8, num_epochs=1), data
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, history))} == {jnp.dtype("f4")}


def test_accuracy_counts_exactly_where_outputs_are_in_bfloat16():
    outputs = np.zeros((1000, 10), jnp.bfloat16)
    outputs[:, 0] = 1
    network = jn.Network(lambda key: {}, lambda params, x, *, key=None: x)
    batch = {"x": outputs, "y": (np.arange(1000) >= 123).astype(int)}
    loss, metrics = jax.jit(jn.classification(network))({}, batch, None)
    assert loss.dtype == metrics["accuracy"].dtype == jnp.float32
    assert float(metrics["accuracy"]) == pytest.approx(0.123, abs=1e-6)


def test_what_cannot_be_transformed_raises():
    with pytest.raises(TypeError, match=r"dtype is .*int.*, expected floats"):
        jn.compute_in(jn.dense(2, 1), jnp.int32)
    network = jn.autoencoders.mlp_autoencoder([4, 2])
    with pytest.raises(TypeError, match="network is a Autoencoder, whose methods"):
        jn.compute_in(network, jnp.bfloat16)
    encoder, decoder = (jn.compute_in(n, jnp.bfloat16) for n in (network.encoder, network.decoder))
    half = jn.autoencoders.autoencoder(encoder, decoder)
    params = jax.eval_shape(half.init, jax.random.key(0))
    assert jax.eval_shape(half.encode, params, jnp.ones((3, 4))).dtype == jnp.bfloat16
