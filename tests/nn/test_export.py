"""Ready-made networks export with a symbolic batch, and to ONNX where jax2onnx is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxnet as jn

IMAGE = (8, 8, 1)
VAE = jn.autoencoders.mlp_variational_autoencoder([6, 5, 2])
CONV = jn.chain(
    jn.conv(1, 3, algorithm="convolution"),
    jn.activation(jax.nn.relu),
    jn.max_pool(),
    jn.conv(3, 2, strides=(2, 2), algorithm="convolution"),
    jn.mean_pool(),
    jn.flatten(),
    jn.dense(2, 4),
)
# Function, parameters from a key, shape of an example.
NETWORKS = {
    "mlp": (jn.mlp([6, 8, 3], dropout=0.1), (6,)),
    "layers": (jn.chain(jn.dense(6, 4), jn.layer_norm(4), jn.parallel(jn.dense(4, 2))), (6,)),
    "autoencoder": (jn.autoencoders.mlp_autoencoder([6, 4, 2], tied=True), (6,)),
    "vae": (VAE, (6,)),
    "vae_decoder": (jn.nn.Network(VAE.init, VAE.decode), (2,)),
    "upsampling": (jn.chain(jn.nn.reshape((2, 2, 1)), jn.nn.upsample(), jn.flatten()), (4,)),
    "conv": (CONV, IMAGE),
    "cnn_autoencoder": (
        jn.autoencoders.cnn_autoencoder(IMAGE, [4], [2], algorithm="convolution"),
        IMAGE,
    ),
    "cnn": (jn.cnn(IMAGE, [4], [5, 3], algorithm="convolution"), IMAGE),
    "rnn": (jn.nn.rnn([2, 3, 2], bidirectional=True), (5, 2)),
    "min_gru": (jn.nn.rnn([2, 3, 2], cell=jn.nn.min_gru, pooling="max"), (5, 2)),
    "attention": (jn.nn.residual(jn.nn.attention(4, 2, causal=True)), (5, 4)),
    # It chooses the algorithm by the platform, which ONNX cannot say.
    "cnn_by_platform": (jn.cnn(IMAGE, [4], [3]), IMAGE),
}


def drawn(network):
    """Parameters drawn by NumPy."""
    random, shapes = np.random.default_rng(1), jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), shapes)
    return jax.device_put(jax.tree.map(np.float32, params))


def example(name):
    network, shape = NETWORKS[name]
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    return network, drawn(network), x


@pytest.mark.parametrize("name", NETWORKS)
def test_exports_with_a_symbolic_batch(name):
    network, params, x = example(name)
    (batch,) = export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    exported = export.export(jax.jit(lambda x: network.apply(params, x)))(shape)
    outputs = exported.call(x)
    expected = jax.jit(network.apply)(params, x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


# Those with loops over time, and attention, are not converted here.
NOT_ONNX = ("cnn_by_platform", "rnn", "min_gru", "attention")
ONNX = [name for name in NETWORKS if name not in NOT_ONNX]


def test_sequences_export_with_a_symbolic_batch():
    network = jn.nn.bag_of_embeddings(9, [4, 2], token_dropout=0.1)
    params = drawn(network)
    (batch,) = export.symbolic_shape("batch")
    shapes = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((batch, 5), (batch,)))
    exported = export.export(jax.jit(lambda x: network.apply(params, x)))(jn.Sequences(*shapes))
    values, length = np.arange(15).reshape(3, 5) % 9, np.array([5, 1, 0])
    tokens = jn.Sequences(values.astype(np.int32), length.astype(np.int32))
    expected = jax.jit(network.apply)(params, tokens)
    np.testing.assert_allclose(exported.call(tokens), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ONNX)
def test_exports_to_onnx(name, tmp_path):
    jax2onnx, onnxruntime = map(pytest.importorskip, ("jax2onnx", "onnxruntime"))
    network, params, x = example(name)
    model = jax2onnx.to_onnx(lambda x: network.apply(params, x), [("B", *x.shape[1:])])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for count in (1, 3):
        (outputs,) = session.run(None, {session.get_inputs()[0].name: np.asarray(x[:count])})
        expected = network.apply(params, jnp.asarray(x[:count]))
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
