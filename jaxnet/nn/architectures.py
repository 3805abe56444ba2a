"""Networks built from layers: the multi-layer perceptron and the convolutional network."""

import itertools
from collections.abc import Callable, Sequence

import jax
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import is_zero, require_positive, require_range, require_sizes
from jaxnet.nn import convolution, layers, pooling
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.typing import Initializer


def dropout_layers(
    rate: ArrayLike, layer: Callable[[ArrayLike], Network] = layers.dropout
) -> list[Network]:
    """One layer, or none where the rate is known to be zero: it would only cost random bits.

    Args:
        rate: of dropout.
        layer: from the rate to the layer.

    Returns:
        No network, or one.

    >>> dropout_layers(0.0), dropout_layers(0.5)
    ([], [dropout(0.5)])
    """
    return [] if is_zero(rate) else [layer(rate)]


def _mlp_layers(
    dims: Sequence[int],
    activation: Callable[[Array], Array],
    dropout: ArrayLike,
    kernel_init: Initializer,
) -> list[Network]:
    parts: list[Network] = []
    for in_dim, out_dim in itertools.pairwise(dims[:-1]):
        parts += [layers.dense(in_dim, out_dim, kernel_init=kernel_init)]
        parts += [layers.activation(activation), *dropout_layers(dropout)]
    return [*parts, layers.dense(dims[-2], dims[-1])]


def mlp(
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: ArrayLike = 0.0,
    input_dropout: ArrayLike = 0.0,
    kernel_init: Initializer = he_normal,
) -> Chain:
    """Multi-layer perceptron: dense layers with an activation after each but the last.

    `h_0 = x`, `h_l = activation(h_{l-1} W_l + b_l)`, and the output is `h_{L-1} W_L + b_L`.
    Goodfellow, Bengio and Courville (2016), "Deep learning", chapter 6.

    Args:
        dims: sizes of input, hidden layers and output. Two sizes make a linear model.
        activation: applied after each hidden layer.
        dropout: rate of dropout after each hidden activation; 0 leaves the layer out.
        input_dropout: rate of dropout on the input; 0 leaves the layer out.
        kernel_init: initializer of the hidden kernels, He et al. (2015), eq. 10, by default; the
            output layer keeps that of `dense`.

    Returns:
        A chain from `(*batch, dims[0])` to `(*batch, dims[-1])`.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than two sizes, a size below 1, or a rate outside [0, 1).

    >>> network = mlp([4, 8, 3], dropout=0.1)
    >>> network.names
    ('dense_0', 'activation_0', 'dropout_0', 'dense_1')
    """
    meaning = "hold at least the sizes of input and output"
    dims = require_sizes("mlp", "dims", dims, meaning, min_length=2)
    for name, rate in (("dropout", dropout), ("input_dropout", input_dropout)):
        require_range("mlp", name, rate, 0, 1, include_high=False)
    return chain(
        *dropout_layers(input_dropout), *_mlp_layers(dims, activation, dropout, kernel_init)
    )


def cnn(
    image_shape: Sequence[int],
    channels: Sequence[int],
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: ArrayLike = 0.0,
    kernel_size: int = 3,
    convs_per_stage: int = 1,
    algorithm: str = "auto",
) -> Chain:
    """Convolutional network: stages of convolutions and 2x2 max pooling, then an `mlp`.

    LeCun et al. (1998), "Gradient-based learning applied to document recognition", section II.B,
    with an activation after each convolution and max pooling. Hidden kernels are those of He et al.
    (2015), eq. 10.

    Args:
        image_shape: height, width and channels of an image.
        channels: output channels of each stage; each stage halves height and width.
        dims: hidden sizes and output size of the dense part.
        activation: applied after each convolution and hidden dense layer.
        dropout: rate of dropout after each stage and each hidden dense layer; 0 leaves it out.
        kernel_size: height and width of every kernel.
        convs_per_stage: convolutions in one stage.
        algorithm: of the convolutions, as in `conv`; "convolution" can be converted to ONNX.

    Returns:
        A chain from `(*batch, height, width, channels)` to `(*batch, dims[-1])`.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: an image shape that is not height, width, channels, or is too small for the
            number of stages; a size below 1; no output size; a rate outside [0, 1).

    >>> network = cnn((8, 8, 1), channels=[16, 32], dims=[10])
    >>> params = jax.eval_shape(network.init, jax.random.key(0))
    >>> jax.eval_shape(network.apply, params, jax.numpy.ones((5, 8, 8, 1))).shape
    (5, 10)
    """
    height, width, in_channels = require_sizes(
        "cnn", "image_shape", image_shape, "be height, width and channels", length=3
    )
    channels = require_sizes("cnn", "channels", channels, "be one size for each stage")
    dims = require_sizes("cnn", "dims", dims, "hold at least the size of the output", min_length=1)
    require_positive("cnn", kernel_size=kernel_size, convs_per_stage=convs_per_stage)
    require_range("cnn", "dropout", dropout, 0, 1, include_high=False)
    if min(height, width) >> len(channels) < 1:
        raise ValueError(
            f"cnn: {len(channels)} stages halve an image of {height}x{width} to nothing; "
            "use fewer channels"
        )
    parts: list[Network] = []
    for out_channels in channels:
        for _ in range(convs_per_stage):
            size = (kernel_size, kernel_size)
            options = {"kernel_init": he_normal, "algorithm": algorithm}
            parts.append(convolution.conv(in_channels, out_channels, size, **options))
            parts.append(layers.activation(activation))
            in_channels = out_channels
        parts += [pooling.max_pool(), *dropout_layers(dropout)]
        height, width = height // 2, width // 2
    flat_dims = [height * width * in_channels, *dims]
    head = _mlp_layers(flat_dims, activation, dropout, he_normal)
    return chain(*parts, layers.flatten(), *head)
