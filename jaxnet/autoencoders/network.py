"""Autoencoders: an encoder and a decoder that together are one network."""

import dataclasses
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array

from jaxnet._checks import require_positive, require_sizes
from jaxnet.nn import layers
from jaxnet.nn.architectures import cnn, mlp
from jaxnet.nn.convolution import conv
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.nn.shape import reshape, upsample
from jaxnet.typing import Initializer, Params

# Places in the chain of an encoder and a decoder, folded into the key of the whole.
_ENCODER, _DECODER = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Autoencoder(Network):
    """A network that reconstructs its input from a code; `encode` and `decode` are its halves.

    Its parameters are `{"encoder": ..., "decoder": ...}`, and every method takes all of them.
    Create one with `autoencoder`.

    Attributes:
        encoder: from the input to the code.
        decoder: from the code to the reconstruction.
        decoder_params: from the parameters of the autoencoder to those of the decoder, which are
            stored there or, with tied weights, partly derived from those of the encoder.

    >>> import jax.numpy as jnp
    >>> network = mlp_autoencoder([6, 2])
    >>> params = network.init(jax.random.key(0))
    >>> network.decode(params, network.encode(params, jnp.ones((5, 6)))).shape
    (5, 6)
    """

    encoder: Network
    decoder: Network
    decoder_params: Callable[[Params], Params]

    def encode(self, params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        """Codes of inputs.

        Args:
            params: parameters of the autoencoder.
            x: inputs, `(*batch, *input)`.
            key: of dropout and noise; None for evaluation mode.

        Returns:
            Codes, `(*batch, *code)`.
        """
        key = None if key is None else jax.random.fold_in(key, _ENCODER)
        return self.encoder.apply(params["encoder"], x, key=key)

    def decode(self, params: Params, code: Array, /, *, key: Array | None = None) -> Array:
        """Reconstructions, or their logits, from codes.

        Args:
            params: parameters of the autoencoder.
            code: codes, `(*batch, *code)`.
            key: of dropout and noise; None for evaluation mode.

        Returns:
            Outputs of the decoder, `(*batch, *input)`.
        """
        key = None if key is None else jax.random.fold_in(key, _DECODER)
        return self.decoder.apply(self.decoder_params(params), code, key=key)


def autoencoder(encoder: Network, decoder: Network, *, tied: bool = False) -> Autoencoder:
    """Combine an encoder and a decoder into one network, `decoder(encoder(x))`.

    Args:
        encoder: any network, from the input to the code.
        decoder: any network, from the code to the reconstruction, or to its logits.
        tied: whether each kernel of the decoder is the transpose of one of the encoder, Vincent et
            al. (2010), "Stacked denoising autoencoders", section 2.2. Then the parameters hold each
            kernel once, in the encoder, and the decoder has only its biases. Both must be chains
            whose only parts with kernels are dense layers, with the sizes in reverse order.

    Returns:
        A network from `(*batch, *input)` to the outputs of the decoder, `(*batch, *input)`.

    Raises:
        ValueError: tied weights of networks whose kernels are not transposes of each other.

    >>> import jaxnet as jn, jax.numpy as jnp
    >>> network = autoencoder(jn.mlp([6, 4, 2]), jn.mlp([2, 4, 6]), tied=True)
    >>> params = network.init(jax.random.key(0))
    >>> sorted(params["encoder"]["dense_0"]), sorted(params["decoder"]["dense_0"])
    (['bias', 'kernel'], ['bias'])
    >>> jax.eval_shape(network.encode, params, jnp.ones((5, 6))).shape
    (5, 2)
    """
    mirrored = _mirrored(encoder, decoder) if tied else {}

    def init(key: Array) -> Params:
        decoder_params = decoder.init(jax.random.fold_in(key, _DECODER))
        for name in mirrored:
            layer = decoder_params[name]
            decoder_params[name] = {leaf: layer[leaf] for leaf in layer if leaf != "kernel"}
        encoder_params = encoder.init(jax.random.fold_in(key, _ENCODER))
        return {"encoder": encoder_params, "decoder": decoder_params}

    def tied_params(params: Params) -> Params:
        decoder_params = dict(params["decoder"])
        for name, source in mirrored.items():
            kernel = params["encoder"][source]["kernel"].T
            decoder_params[name] = decoder_params[name] | {"kernel": kernel}
        return decoder_params

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        return network.decode(params, network.encode(params, x, key=key), key=key)

    network = Autoencoder(
        init,
        apply,
        "autoencoder",
        encoder=encoder,
        decoder=decoder,
        decoder_params=tied_params if tied else operator.itemgetter("decoder"),
    )
    return network


def _mirrored(encoder: Network, decoder: Network) -> dict[str, str]:
    """For each dense layer of the decoder the one of the encoder whose kernel it transposes."""
    backwards = _kernel_shapes("encoder", encoder)[::-1]
    forwards = _kernel_shapes("decoder", decoder)
    expected = [shape[::-1] for _, shape in backwards]
    if [shape for _, shape in forwards] != expected:
        raise ValueError(
            f"autoencoder: tied weights need a decoder with kernels of shapes {expected}, the "
            f"transposes of the encoder's, found {[shape for _, shape in forwards]}; reverse the "
            "sizes or pass tied=False"
        )
    return {name: source for (name, _), (source, _) in zip(forwards, backwards, strict=True)}


def _kernel_shapes(argument: str, network: Network) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(network, Chain):
        # Only the shapes are computed. A dict that was traced has its keys sorted, so the order is
        # that of the parts.
        params = jax.eval_shape(lambda: network.init(jax.random.key(0)))
        named = [(name, params[name]) for name in network.names if name in params]
        if all(
            isinstance(part, dict) and set(part) <= {"kernel", "bias"} and part["kernel"].ndim == 2
            for _, part in named
        ):
            return [(name, part["kernel"].shape) for name, part in named]
    raise ValueError(
        f"autoencoder: tied weights need {argument} to be a chain of dense layers and layers "
        f"without parameters, found {network.name!r} with others; pass tied=False"
    )


def mlp_autoencoder(
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    code_activation: Callable[[Array], Array] | None = None,
    tied: bool = False,
    kernel_init: Initializer = he_normal,
) -> Autoencoder:
    """Autoencoder of an `mlp` and an `mlp` with the sizes in reverse order.

    Its outputs are logits or plain numbers, depending on the objective. With sizes
    784-1000-500-250-30 it is that of Hinton and Salakhutdinov (2006), "Reducing the dimensionality
    of data with neural networks", there with `jax.nn.sigmoid` and pretrained. With two sizes it is
    linear, and its best codes span the principal subspace (see `fit_pca`).

    Args:
        dims: sizes of input, hidden layers and code; the decoder has them in reverse order.
        activation: applied after each hidden layer.
        code_activation: applied to the code, such as `jax.nn.sigmoid`; None leaves it linear.
        tied: as in `autoencoder`.
        kernel_init: initializer of the hidden kernels, as in `mlp`.

    Returns:
        An autoencoder from `(*batch, dims[0])` to `(*batch, dims[0])`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: fewer than two sizes, or a size below 1; tied weights with another network.

    >>> import jax.numpy as jnp
    >>> network = mlp_autoencoder([784, 1000, 500, 250, 30])
    >>> params = jax.eval_shape(network.init, jax.random.key(0))
    >>> params["decoder"]["dense_3"]["kernel"].shape
    (1000, 784)
    """
    meaning = "hold at least the sizes of input and code"
    dims = require_sizes("mlp_autoencoder", "dims", dims, meaning, min_length=2)
    encoder = mlp(dims, activation=activation, kernel_init=kernel_init)
    decoder = mlp(dims[::-1], activation=activation, kernel_init=kernel_init)
    return autoencoder(_with_activation(encoder, code_activation), decoder, tied=tied)


def cnn_autoencoder(
    image_shape: Sequence[int],
    channels: Sequence[int],
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    code_activation: Callable[[Array], Array] | None = None,
    kernel_size: int = 3,
    algorithm: str = "auto",
) -> Autoencoder:
    """Convolutional autoencoder: a `cnn` to the code, and back by upsampling and convolutions.

    Masci et al. (2011), "Stacked convolutional auto-encoders", with the upsampling of `upsample`.

    Args:
        image_shape: height, width and channels of an image.
        channels: channels of each stage of the encoder; each stage halves height and width.
        dims: hidden sizes of the dense part and the size of the code.
        activation: applied after each convolution and hidden dense layer.
        code_activation: applied to the code; None leaves it linear.
        kernel_size: height and width of every kernel.
        algorithm: of the convolutions, as in `conv`.

    Returns:
        An autoencoder from `(*batch, height, width, channels)` to logits of that shape.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: an image shape that is not height, width, channels, or whose sides cannot be
            halved once for each stage; no stage; no code; a size below 1.

    >>> import jax.numpy as jnp
    >>> network = cnn_autoencoder((8, 8, 1), [4, 8], [16, 3])
    >>> params = jax.eval_shape(network.init, jax.random.key(0))
    >>> images = jnp.ones((5, 8, 8, 1))
    >>> jax.eval_shape(network.encode, params, images).shape
    (5, 3)
    >>> jax.eval_shape(network.apply, params, images).shape
    (5, 8, 8, 1)
    """
    function = "cnn_autoencoder"
    height, width, image_channels = require_sizes(
        function, "image_shape", image_shape, "be height, width and channels", length=3
    )
    channels = require_sizes(
        function,
        "channels",
        channels,
        "be one size for each stage",
        min_length=1,
        remedy="without stages use mlp_autoencoder",
    )
    dims = require_sizes(function, "dims", dims, "hold at least the size of the code", min_length=1)
    require_positive(function, kernel_size=kernel_size)
    scale = 2 ** len(channels)
    if height % scale or width % scale:
        raise ValueError(
            f"cnn_autoencoder: {len(channels)} stages need sides that are multiples of {scale}, "
            f"found an image of {height}x{width}; use fewer channels or pad the images"
        )
    encoder = cnn(
        image_shape,
        channels,
        dims,
        activation=activation,
        kernel_size=kernel_size,
        algorithm=algorithm,
    )
    small = (height // scale, width // scale, channels[-1])
    dense = mlp([*dims[::-1], math.prod(small)], activation=activation)
    parts = [*_networks(dense), layers.activation(activation), reshape(small)]
    size = (kernel_size, kernel_size)
    # The last convolution returns the outputs: like the last layer of an mlp it keeps the default
    # initializer, and has no activation.
    for in_channels, out_channels in itertools.pairwise([*channels[::-1], channels[0]]):
        parts += [
            upsample(),
            conv(in_channels, out_channels, size, kernel_init=he_normal, algorithm=algorithm),
            layers.activation(activation),
        ]
    parts.append(conv(channels[0], image_channels, size, algorithm=algorithm))
    return autoencoder(_with_activation(encoder, code_activation), chain(*parts))


def _networks(parts: Chain) -> list[Network]:
    return [part.network for part in parts.parts]


def _with_activation(encoder: Chain, function: Callable[[Array], Array] | None) -> Chain:
    if function is None:
        return encoder
    return chain(*_networks(encoder), layers.activation(function))


def check_autoencoder(
    network: Autoencoder, input_shape: Sequence[int], *, regularized: bool = False
) -> None:
    """Raise for outputs of another shape than the input, and warn if the network may copy it.

    Only shapes are computed. Vincent et al. (2010), "Stacked denoising autoencoders", section 3.1,
    on codes that are at least as large as the input.

    Args:
        network: the autoencoder.
        input_shape: shape of one example.
        regularized: whether noise, sparsity or contraction prevents copying.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; outputs of another shape than the input.

    Warns:
        UserWarning: a code at least as large as the input, without regularization.

    >>> check_autoencoder(mlp_autoencoder([6, 2]), (6,))
    """

    def code_and_outputs(x: Array) -> tuple[Array, Array]:
        params = network.init(jax.random.key(0))
        code = network.encode(params, x)
        return code, network.decode(params, code)

    shape = require_sizes(
        "check_autoencoder", "input_shape", input_shape, "be the sizes of one example"
    )
    x = jax.ShapeDtypeStruct(shape, float)
    code, outputs = jax.eval_shape(code_and_outputs, x)
    if outputs.shape != x.shape:
        raise ValueError(
            f"check_autoencoder: network has outputs of shape {outputs.shape} for an input of "
            f"shape {x.shape}, expected the same; the last size of the decoder must be the first "
            "of the encoder"
        )
    if code.size >= x.size and not regularized:
        warnings.warn(
            f"the code has {code.size} numbers and the input {x.size}: the network may learn to "
            "copy its input, with no error and useless codes; make the code smaller, or train with "
            "with_noise, with_l1_sparsity, with_kl_sparsity or with_contraction and pass "
            "regularized=True",
            UserWarning,
            stacklevel=2,
        )
