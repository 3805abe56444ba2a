"""Autoencoders: an encoder and a decoder that are, together, one network."""

import dataclasses
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array

from jaxnet.nn import layers
from jaxnet.nn.architectures import cnn, mlp
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.nn.shape import reshape, upsample
from jaxnet.typing import Params

# Places in the chain of an encoder and a decoder, folded into the key of the whole.
_ENCODER, _DECODER = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoencoder(Network):
    """A network that rebuilds its input from a code; `encode` and `decode` are its halves.

    Its parameters are `{"encoder": ..., "decoder": ...}`, and every method takes them whole. Build
    one with `autoencoder`.

    Attributes:
        encoder: from the input to the code.
        decoder: from the code to the rebuilt input.
        decoder_params: from the parameters of the whole to those of the decoder, which are stored
            there or, with tied weights, partly derived from those of the encoder.
    """

    encoder: Network
    decoder: Network
    decoder_params: Callable[[Params], Params]

    def encode(self, params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        """The codes of inputs, `(*batch, *code)`; without a key in evaluation mode."""
        key = None if key is None else jax.random.fold_in(key, _ENCODER)
        return self.encoder.apply(params["encoder"], x, key=key)

    def decode(self, params: Params, code: Array, /, *, key: Array | None = None) -> Array:
        """What the decoder makes of codes; without a key in evaluation mode."""
        key = None if key is None else jax.random.fold_in(key, _DECODER)
        return self.decoder.apply(self.decoder_params(params), code, key=key)


def autoencoder(encoder: Network, decoder: Network, *, tied: bool = False) -> Autoencoder:
    """Make one network of an encoder and a decoder.

    Args:
        encoder: any network, from the input to the code.
        decoder: any network, from the code to the rebuilt input, or to its logits.
        tied: whether each kernel of the decoder is the transposed one of the encoder, Vincent et
            al. (2010), section 2.2. Then the parameters hold each kernel once, in the encoder, and
            the decoder has but its biases. Both must be chains whose only parts with kernels are
            dense layers, one the mirror of the other.

    Returns:
        A network, and a pair of networks on the same parameters.

    Raises:
        ValueError: tied weights of networks that do not mirror each other.

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
        own = decoder.init(jax.random.fold_in(key, _DECODER))
        for name in mirrored:
            own[name] = {leaf: value for leaf, value in own[name].items() if leaf != "kernel"}
        return {"encoder": encoder.init(jax.random.fold_in(key, _ENCODER)), "decoder": own}

    def tied_params(params: Params) -> Params:
        own = dict(params["decoder"])
        for name, source in mirrored.items():
            own[name] = own[name] | {"kernel": params["encoder"][source]["kernel"].T}
        return own

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        return whole.decode(params, whole.encode(params, x, key=key), key=key)

    whole = Autoencoder(
        init,
        apply,
        "autoencoder",
        encoder=encoder,
        decoder=decoder,
        decoder_params=tied_params if tied else operator.itemgetter("decoder"),
    )
    return whole


def _mirrored(encoder: Network, decoder: Network) -> dict[str, str]:
    """For each dense layer of the decoder the one of the encoder whose kernel it transposes."""
    backwards = _kernel_shapes("encoder", encoder)[::-1]
    forwards = _kernel_shapes("decoder", decoder)
    expected = [shape[::-1] for _, shape in backwards]
    if [shape for _, shape in forwards] != expected:
        raise ValueError(
            f"autoencoder: tied weights need a decoder with kernels of shapes {expected}, the "
            f"transposed ones of the encoder, found {[shape for _, shape in forwards]}; mirror the "
            "sizes or pass tied=False"
        )
    return {name: source for (name, _), (source, _) in zip(forwards, backwards, strict=True)}


def _kernel_shapes(argument: str, network: Network) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(network, Chain):
        # Nothing is computed: only the shapes are wanted. A dict that was traced comes back with
        # its keys sorted, so the order is that of the parts.
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
    kernel_init: layers.Initializer = he_normal,
) -> Autoencoder:
    """Autoencoder of an `mlp` and its mirror image; its outputs are logits or plain numbers.

    With sizes 784-1000-500-250-30 it is that of Hinton and Salakhutdinov (2006), "Reducing the
    dimensionality of data with neural networks", there with `jax.nn.sigmoid` and pretrained. Two
    sizes make a linear one, whose best codes span the principal subspace (see `pca`).

    Args:
        dims: sizes of input, hidden layers and code; the decoder has them backwards.
        activation: applied after each hidden layer.
        code_activation: applied to the code, such as `jax.nn.sigmoid`; None leaves it linear.
        tied: as in `autoencoder`.
        kernel_init: initializer of the hidden kernels, as in `mlp`.

    Returns:
        An autoencoder from `(*batch, dims[0])` to `(*batch, dims[0])`.

    Raises:
        ValueError: fewer than two sizes, or a size below 1.

    >>> import jax.numpy as jnp
    >>> network = mlp_autoencoder([784, 1000, 500, 250, 30])
    >>> params = jax.eval_shape(network.init, jax.random.key(0))
    >>> params["decoder"]["dense_3"]["kernel"].shape
    (1000, 784)
    """
    _require_dims("mlp_autoencoder", dims)
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
    kernel_init: layers.Initializer = he_normal,
) -> Autoencoder:
    """Convolutional autoencoder: a `cnn` to the code, and back by upsampling and convolutions.

    Args:
        image_shape: height, width and channels of a picture.
        channels: channels of each stage of the encoder; each stage halves height and width.
        dims: hidden sizes of the dense part and the size of the code.
        activation: applied after each convolution and hidden dense layer.
        code_activation: applied to the code; None leaves it linear.
        kernel_size: height and width of every kernel.
        kernel_init: initializer of the hidden kernels.

    Returns:
        An autoencoder from `(*batch, height, width, channels)` to the logits of that picture.

    Raises:
        ValueError: a picture that is not height, width, channels, or whose sides cannot be halved
            so often; no stage; no code; a size below 1.

    >>> import jax.numpy as jnp
    >>> network = cnn_autoencoder((8, 8, 1), [4, 8], [16, 3])
    >>> params = jax.eval_shape(network.init, jax.random.key(0))
    >>> pictures = jnp.ones((5, 8, 8, 1))
    >>> jax.eval_shape(network.encode, params, pictures).shape
    (5, 3)
    >>> jax.eval_shape(network.apply, params, pictures).shape
    (5, 8, 8, 1)
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(
            "cnn_autoencoder: image_shape must be height, width and channels of at least 1, "
            f"found {tuple(image_shape)}"
        )
    if not channels or min(channels) < 1:
        raise ValueError(
            "cnn_autoencoder: channels must be one size of at least 1 for each stage, "
            f"found {list(channels)}; without stages use mlp_autoencoder"
        )
    _require_dims("cnn_autoencoder", dims, at_least=1)
    height, width, image_channels = image_shape
    scale = 2 ** len(channels)
    if height % scale or width % scale:
        raise ValueError(
            f"cnn_autoencoder: {len(channels)} stages need sides that are multiples of {scale}, "
            f"found a picture of {height}x{width}; use fewer channels or pad the pictures"
        )
    encoder = cnn(
        image_shape,
        channels,
        dims,
        activation=activation,
        kernel_size=kernel_size,
        kernel_init=kernel_init,
    )
    small = (height // scale, width // scale, channels[-1])
    dense = mlp([*dims[::-1], math.prod(small)], activation=activation, kernel_init=kernel_init)
    parts = [*_networks(dense), layers.activation(activation), reshape(small)]
    size = (kernel_size, kernel_size)
    # The last convolution makes the outputs: like the last layer of an mlp it keeps the
    # initializer of its kind, and has no activation.
    for in_channels, out_channels in itertools.pairwise([*channels[::-1], channels[0]]):
        parts += [
            upsample(),
            layers.conv(in_channels, out_channels, size, kernel_init=kernel_init),
            layers.activation(activation),
        ]
    parts.append(layers.conv(channels[0], image_channels, size))
    return autoencoder(_with_activation(encoder, code_activation), chain(*parts))


def _networks(parts: Chain) -> list[Network]:
    return [part.network for part in parts.parts]


def _with_activation(encoder: Chain, function: Callable[[Array], Array] | None) -> Chain:
    if function is None:
        return encoder
    return chain(*_networks(encoder), layers.activation(function))


def _require_dims(function: str, dims: Sequence[int], *, at_least: int = 2) -> None:
    if len(dims) < at_least or min(dims) < 1:
        needed = "the sizes of input and code" if at_least == 2 else "the size of the code"
        raise ValueError(
            f"{function}: dims must hold at least {needed}, each at least 1, found {list(dims)}"
        )


def check_autoencoder(
    network: Autoencoder, input_shape: Sequence[int], *, regularized: bool = False
) -> None:
    """Refuse an autoencoder that does not rebuild its input, and warn of one that may copy it.

    Nothing is computed: only shapes are looked at.

    Args:
        network: the autoencoder.
        input_shape: shape of one example.
        regularized: whether noise, sparsity or contraction keeps it from copying.

    Raises:
        ValueError: outputs of another shape than the input.

    Warns:
        UserWarning: a code at least as large as the input, and not regularized.

    >>> check_autoencoder(mlp_autoencoder([6, 2]), (6,))
    """

    def shapes(x: Array) -> tuple[Array, Array]:
        params = network.init(jax.random.key(0))
        code = network.encode(params, x)
        return code, network.decode(params, code)

    x = jax.ShapeDtypeStruct(tuple(input_shape), float)
    code, rebuilt = jax.eval_shape(shapes, x)
    if rebuilt.shape != x.shape:
        raise ValueError(
            f"network: an input of shape {x.shape} is rebuilt with shape {rebuilt.shape}; the last "
            "size of the decoder must be the first of the encoder"
        )
    if code.size >= x.size and not regularized:
        warnings.warn(
            f"the code has {code.size} numbers and the input {x.size}: the network may learn to "
            "copy its input, with no error and useless codes; make the code smaller, or train with "
            "jaxnet.denoising, jaxnet.with_l1_sparsity, jaxnet.with_kl_sparsity or "
            "jaxnet.with_contraction and pass regularized=True",
            UserWarning,
            stacklevel=2,
        )
