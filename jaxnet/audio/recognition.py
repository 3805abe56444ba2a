"""Networks that recognize short recordings, such as words."""

import itertools
from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from jaxnet._checks import require_positive, require_range, require_sizes
from jaxnet.audio.augmentation import random_resample, spec_augment
from jaxnet.nn.architectures import dropout_layers
from jaxnet.nn.convolution import conv
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.layers import activation, dense, flatten, layer_norm
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.nn.pooling import max_pool


def word_recognizer(
    dims: Sequence[int],
    *,
    num_steps: int = 24,
    kernel_size: int = 5,
    hidden_dim: int = 128,
    dropout: ArrayLike = 0.3,
    max_shift: ArrayLike = 0.15,
    max_warp: ArrayLike = 0.5,
    max_mask: tuple[int, int] = (3, 6),
) -> Chain:
    """Convolutional network of words: all are stretched to one length, at random in training.

    `random_resample` and `spec_augment`, then for each number of channels a convolution over time,
    layer normalization of each step, a rectifier and maxima of two steps; then the steps as one
    vector, a hidden layer and the output. That each step has weights of its own in the hidden
    layer is what the common length is for.

    Args:
        dims: features of a frame, channels of each convolution, and size of the output.
        num_steps: steps of every recording after the stretch.
        kernel_size: steps of a kernel.
        hidden_dim: size of the hidden layer.
        dropout: rate before and after the hidden layer; 0 leaves it out.
        max_shift: of `random_resample`.
        max_warp: of `random_resample`.
        max_mask: largest widths of one mask in time, in steps, and of one in features.

    Returns:
        A chain from `Sequences` with values `(*batch, time, dims[0])`, or an array, to
        `(*batch, dims[-1])`. Without a key nothing is random.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than three sizes, a size below 1, fewer steps than can be halved for each
            convolution, or a range or rate outside of its limits.

    >>> network = word_recognizer([32, 64, 10])
    >>> network.names[:4]
    ('random_resample_0', 'spec_augment_0', 'conv_0', 'layer_norm_0')
    """
    meaning = "hold the sizes of frames, convolutions and output"
    dims = require_sizes("word_recognizer", "dims", dims, meaning, min_length=3)
    require_positive("word_recognizer", kernel_size=kernel_size, hidden_dim=hidden_dim)
    require_range("word_recognizer", "dropout", dropout, 0, 1, include_high=False)
    num_last = num_steps >> (len(dims) - 2)
    if num_last < 1:
        raise ValueError(
            f"word_recognizer: {num_steps} steps cannot be halved {len(dims) - 2} times; take more "
            "num_steps or fewer convolutions"
        )
    parts: list[Network] = [
        random_resample(num_steps, max_shift=max_shift, max_warp=max_warp),
        spec_augment(
            num_time_masks=1,
            max_time=max_mask[0],
            num_frequency_masks=1,
            max_frequency=max_mask[1],
        ),
    ]
    for in_dim, out_dim in itertools.pairwise(dims[:-1]):
        parts += [
            conv(in_dim, out_dim, (kernel_size,), kernel_init=he_normal),
            layer_norm(out_dim),
            activation(jax.nn.relu),
            max_pool((2,)),
        ]
    return chain(
        *parts,
        flatten(2),
        *dropout_layers(dropout),
        dense(num_last * dims[-2], hidden_dim, kernel_init=he_normal),
        activation(jax.nn.relu),
        *dropout_layers(dropout),
        dense(hidden_dim, dims[-1]),
    )
