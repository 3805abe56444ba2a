"""Autoencoders: their halves, tied weights and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from tests.autoencoders.common import TIED, initial, small, uniform


@pytest.fixture
def batch():
    return {"x": uniform(8, 6)}


def zero(params, batch, key):
    return jnp.zeros(()), {}


def test_halves_make_the_whole_and_share_its_key(key, batch):
    encoder, decoder = jn.mlp([6, 4, 2], dropout=0.5), jn.mlp([2, 4, 6], dropout=0.5)
    network = jn.autoencoders.autoencoder(encoder, decoder)
    params = initial(network, key)

    @jax.jit
    def both(params, x, key):
        code = network.encode(params, x, key=key)
        return network.apply(params, x, key=key), network.decode(params, code, key=key)

    for noise in (None, key):
        np.testing.assert_array_equal(*both(params, batch["x"], noise))
    # Encoder and decoder draw from different streams.
    same = jn.autoencoders.autoencoder(jn.dropout(0.5), jn.dropout(0.5))

    @jax.jit
    def kept(x, key):
        params = same.init(key)
        return same.encode(params, x, key=key) > 0, same.decode(params, x, key=key) > 0

    first, second = map(np.asarray, kept(np.ones((100, 100), np.float32), key))
    assert abs((first & second).mean() - 0.25) < 0.02


def test_tied_weights_are_one_array_used_twice(key, batch):
    params = initial(TIED, key)
    assert {name: set(part) for name, part in params["decoder"].items()} == {
        "dense_0": {"bias"},
        "dense_1": {"bias"},
    }
    untied = small()
    copied = {"encoder": params["encoder"], "decoder": TIED.decoder_params(params)}
    outputs = [
        jax.jit(network.apply)(own, batch["x"])
        for network, own in ((TIED, params), (untied, copied))
    ]
    # Two programs, which round differently.
    np.testing.assert_allclose(*outputs, rtol=1e-5)

    def gradient_of(network):
        objective = jn.autoencoders.bernoulli_reconstruction(network)
        return jax.jit(jax.grad(lambda params: objective(params, batch, None)[0]))

    gradient = jax.device_get(gradient_of(TIED)(params))
    both = jax.device_get(gradient_of(untied)(copied))
    for first, last in (("dense_0", "dense_1"), ("dense_1", "dense_0")):
        encoder, decoder = (
            both[half][name] for half, name in (("encoder", first), ("decoder", last))
        )
        assert np.abs(encoder["kernel"]).max() > 0 and np.abs(decoder["kernel"]).max() > 0
        expected = encoder["kernel"] + decoder["kernel"].T
        np.testing.assert_allclose(
            gradient["encoder"][first]["kernel"], expected, rtol=1e-4, atol=1e-6
        )


def test_tied_kernels_without_biases_and_with_many_layers(key):
    def linear(in_dim, out_dim):
        return jn.chain(jn.dense(in_dim, out_dim, use_bias=False))

    network = jn.autoencoders.autoencoder(linear(6, 2), linear(2, 6), tied=True)
    params = initial(network, key)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    kernel = np.asarray(params["encoder"]["dense_0"]["kernel"])
    outputs = jax.jit(network.apply)(params, x)
    np.testing.assert_allclose(outputs, x @ kernel @ kernel.T, rtol=1e-5, atol=1e-6)
    # Names sort as dense_0, dense_1, dense_10, dense_2: the order must be that of the layers.
    deep = jn.autoencoders.mlp_autoencoder(list(range(20, 7, -1)), tied=True)
    params = jax.eval_shape(deep.decoder_params, jax.eval_shape(deep.init, key))
    assert params["dense_2"]["kernel"].shape == (10, 11)
    assert params["dense_10"]["kernel"].shape == (18, 19)


def test_a_convolutional_autoencoder_has_outputs_of_the_input_shape(key):
    network = jn.autoencoders.cnn_autoencoder((8, 12, 2), [3, 4], [7, 5])
    jn.autoencoders.check_autoencoder(network, (8, 12, 2))
    params = jax.eval_shape(network.init, key)
    code = jax.eval_shape(network.encode, params, np.ones((3, 8, 12, 2), np.float32))
    assert code.shape == (3, 5)
    # As many numbers come back from the dense part as the encoder had pixels and channels.
    kernel = params["decoder"]["dense_1"]["kernel"]
    assert kernel.shape == (7, 2 * 3 * 4)


@pytest.mark.parametrize("dims", [[6, 6], [6, 8]])
def test_a_code_that_may_copy_the_input_is_warned_of(dims):
    network = jn.autoencoders.mlp_autoencoder(dims)
    with pytest.warns(
        UserWarning, match=rf"the code has {dims[-1]} numbers and the input 6: .*copy"
    ):
        jn.autoencoders.check_autoencoder(network, (6,))
    jn.autoencoders.check_autoencoder(network, (6,), regularized=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: jn.autoencoders.mlp_autoencoder([6]),
            r"mlp_autoencoder: dims must hold .* found \[6\]",
        ),
        (lambda: jn.autoencoders.mlp_autoencoder([6, 0]), r"each at least 1, found \[6, 0\]"),
        (
            lambda: jn.autoencoders.cnn_autoencoder((8, 8), [2], [2]),
            "image_shape must be height, width",
        ),
        (
            lambda: jn.autoencoders.cnn_autoencoder((8, 8, 1), [], [2]),
            "without stages use mlp_autoencoder",
        ),
        (lambda: jn.autoencoders.cnn_autoencoder((8, 8, 1), [2], []), "the size of the code"),
        (
            lambda: jn.autoencoders.cnn_autoencoder((6, 8, 1), [2, 2], [2]),
            "multiples of 4, found .* 6x8",
        ),
        (lambda: jn.nn.masking_noise(1.0), r"rate must lie in \[0, 1\), found 1.0"),
        (lambda: jn.nn.salt_and_pepper_noise(-0.1), r"rate must lie in \[0, 1\), found -0.1"),
        (lambda: jn.nn.gaussian_noise(-1.0), "scale must not be negative, found -1.0"),
        (
            lambda: jn.autoencoders.with_l1_sparsity(zero, TIED, -1.0),
            "strength must not be negative",
        ),
        (
            lambda: jn.autoencoders.with_kl_sparsity(zero, TIED, 1.0, target=1.0),
            r"target must lie in \(0, 1\)",
        ),
        (
            lambda: jn.autoencoders.with_contraction(zero, TIED, 1.0, num_probes=0),
            "num_probes must be",
        ),
        (lambda: jn.nn.reshape(()), "shape must be at least one size"),
        (lambda: jn.nn.reshape((2, 3)).apply({}, jnp.ones((2, 5))), "expected a last axis of 6"),
        (lambda: jn.nn.upsample((2,)), "factors must be"),
        (
            lambda: jn.autoencoders.autoencoder(jn.mlp([6, 4, 2]), jn.mlp([2, 5, 6]), tied=True),
            r"kernels of shapes \[\(2, 4\), \(4, 6\)\], .* found \[\(2, 5\), \(5, 6\)\]; reverse",
        ),
        (
            lambda: jn.autoencoders.autoencoder(jn.dense(6, 2), jn.dense(2, 6), tied=True),
            "need encoder to be a chain of dense layers",
        ),
        (
            lambda: jn.autoencoders.autoencoder(
                jn.mlp([6, 2]), jn.chain(jn.layer_norm(2)), tied=True
            ),
            "need decoder to be a chain of dense layers",
        ),
        (
            lambda: jn.autoencoders.check_autoencoder(
                jn.autoencoders.autoencoder(jn.dense(6, 2), jn.dense(2, 5)), (6,)
            ),
            r"outputs of shape \(5,\) for an input of shape \(6,\)",
        ),
        (
            lambda: jax.eval_shape(
                lambda key, x: jn.autoencoders.reconstruction(jn.dense(6, 5))(
                    jn.dense(6, 5).init(key), {"x": x}, None
                ),
                jax.random.key(0),
                np.ones((3, 6), np.float32),
            ),
            r"outputs have shape \(3, 5\), expected .* \(3, 6\)",
        ),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()
