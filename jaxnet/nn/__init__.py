"""Networks: pairs of pure functions, the layers they are made of, and how they compose.

`jaxnet.nn.flax` makes a network of any Flax module; it needs the extra `flax`.
"""

from jaxnet.nn.architectures import cnn, mlp
from jaxnet.nn.augmentation import random_affine, transform_images
from jaxnet.nn.branches import heads
from jaxnet.nn.convolution import conv
from jaxnet.nn.importing import channels_last, from_state_dict
from jaxnet.nn.initializers import he_normal, lecun_normal
from jaxnet.nn.inspection import summary
from jaxnet.nn.layers import activation, dense, dropout, flatten, layer_norm
from jaxnet.nn.network import Chain, Network, StatefulNetwork, chain, parallel
from jaxnet.nn.noise import bernoulli_sampling, gaussian_noise, masking_noise, salt_and_pepper_noise
from jaxnet.nn.pooling import max_pool, mean_pool
from jaxnet.nn.precision import compute_in
from jaxnet.nn.sequences import as_sequences, each_step, pad_sequences, time_mask, zero_padding
from jaxnet.nn.shape import reshape, upsample
from jaxnet.typing import Sequences

__all__ = [
    "Chain",
    "Network",
    "Sequences",
    "StatefulNetwork",
    "activation",
    "as_sequences",
    "bernoulli_sampling",
    "chain",
    "channels_last",
    "cnn",
    "compute_in",
    "conv",
    "dense",
    "dropout",
    "each_step",
    "flatten",
    "from_state_dict",
    "gaussian_noise",
    "he_normal",
    "heads",
    "layer_norm",
    "lecun_normal",
    "masking_noise",
    "max_pool",
    "mean_pool",
    "mlp",
    "pad_sequences",
    "parallel",
    "random_affine",
    "reshape",
    "salt_and_pepper_noise",
    "summary",
    "time_mask",
    "transform_images",
    "upsample",
    "zero_padding",
]
