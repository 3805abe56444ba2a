"""Whole networks built from layers."""

import itertools
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array

from jaxnet.nn import layers
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.typing import Initializer


def _dropout_layers(rate: float | Array) -> list[Network]:
    """One layer, or none where the rate is the number zero: it would only cost random bits."""
    return [] if isinstance(rate, (int, float)) and rate == 0 else [layers.dropout(rate)]


def _mlp_layers(
    dims: Sequence[int],
    activation: Callable[[Array], Array],
    dropout: float | Array,
    kernel_init: Initializer,
) -> list[Network]:
    parts: list[Network] = []
    for in_dim, out_dim in itertools.pairwise(dims[:-1]):
        parts += [layers.dense(in_dim, out_dim, kernel_init=kernel_init)]
        parts += [layers.activation(activation), *_dropout_layers(dropout)]
    return [*parts, layers.dense(dims[-2], dims[-1])]


def mlp(
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: float | Array = 0.0,
    input_dropout: float | Array = 0.0,
    kernel_init: Initializer = he_normal,
) -> Chain:
    """Multi-layer perceptron: dense layers with an activation after each but the last.

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
        ValueError: fewer than two sizes, a size below 1, or a rate outside [0, 1).

    >>> network = mlp([4, 8, 3], dropout=0.1)
    >>> network.names
    ('dense_0', 'activation_0', 'dropout_0', 'dense_1')
    """
    if len(dims) < 2:
        raise ValueError(
            f"mlp: dims must hold at least the sizes of input and output, found {list(dims)}"
        )
    return chain(
        *_dropout_layers(input_dropout), *_mlp_layers(dims, activation, dropout, kernel_init)
    )


def cnn(
    image_shape: Sequence[int],
    channels: Sequence[int],
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: float | Array = 0.0,
    kernel_size: int = 3,
    convs_per_stage: int = 1,
    kernel_init: Initializer = he_normal,
) -> Chain:
    """Convolutional network: stages of convolutions and 2x2 max pooling, then an `mlp`.

    Args:
        image_shape: height, width and channels of a picture.
        channels: channels of each stage; each stage halves height and width.
        dims: hidden sizes and output size of the dense part.
        activation: applied after each convolution and hidden dense layer.
        dropout: rate of dropout after each stage and each hidden dense layer.
        kernel_size: height and width of every kernel.
        convs_per_stage: convolutions in one stage.
        kernel_init: initializer of all kernels but the last layer's.

    Returns:
        A chain from `(*batch, height, width, channels)` to `(*batch, dims[-1])`.

    Raises:
        ValueError: a picture that is not height, width, channels, or is too small for the number
            of stages; a size below 1; no output size.

    >>> network = cnn((8, 8, 1), channels=[16, 32], dims=[10])
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jax.numpy.ones((5, 8, 8, 1))).shape
    (5, 10)
    """
    if len(image_shape) != 3:
        raise ValueError(
            f"cnn: image_shape must be height, width and channels, found {tuple(image_shape)}"
        )
    if not dims:
        raise ValueError("cnn: dims must hold at least the size of the output, found none")
    height, width, in_channels = image_shape
    if min(height, width) >> len(channels) < 1:
        raise ValueError(
            f"cnn: {len(channels)} stages halve a picture of {height}x{width} to nothing; "
            "use fewer channels"
        )
    parts: list[Network] = []
    for out_channels in channels:
        for _ in range(convs_per_stage):
            size = (kernel_size, kernel_size)
            parts.append(layers.conv(in_channels, out_channels, size, kernel_init=kernel_init))
            parts.append(layers.activation(activation))
            in_channels = out_channels
        parts += [layers.max_pool(), *_dropout_layers(dropout)]
        height, width = height // 2, width // 2
    flat_dims = [height * width * in_channels, *dims]
    head = _mlp_layers(flat_dims, activation, dropout, kernel_init)
    return chain(*parts, layers.flatten(), *head)
