"""Networks: pairs of pure functions, the layers they are made of, and how they compose.

`jaxnet.nn.flax` makes a network of any Flax module; it needs the extra `flax`.
"""

from jaxnet.nn.architectures import cnn, mlp
from jaxnet.nn.augmentation import random_affine, transform_images
from jaxnet.nn.batch_statistics import RunningStatistics, batch_norm_mlp
from jaxnet.nn.branches import heads, residual
from jaxnet.nn.carried_state import Series, carried, concatenate_series
from jaxnet.nn.cells import elman, gru, lstm
from jaxnet.nn.convolution import conv
from jaxnet.nn.embeddings import embedding, embedding_bag, token_dropout
from jaxnet.nn.fixed_convolutions import RandomConvolutions, random_convolutions
from jaxnet.nn.importing import channels_last, from_state_dict
from jaxnet.nn.initializers import he_normal, lecun_normal
from jaxnet.nn.inspection import summary
from jaxnet.nn.layers import activation, dense, dropout, flatten, layer_norm
from jaxnet.nn.linear_recurrences import linear_recurrence, min_gru
from jaxnet.nn.network import Chain, Network, StatefulNetwork, chain, parallel
from jaxnet.nn.noise import bernoulli_sampling, gaussian_noise, masking_noise, salt_and_pepper_noise
from jaxnet.nn.padded import padded_mlp, padded_sizes, unpad_mlp
from jaxnet.nn.pooling import max_pool, mean_pool
from jaxnet.nn.precision import compute_in
from jaxnet.nn.recurrence import Cell, bidirectional, recurrent, scan_cell
from jaxnet.nn.resampling import resample
from jaxnet.nn.self_attention import attention, positional_encoding
from jaxnet.nn.sequence_architectures import bag_of_embeddings, conv1d, rnn
from jaxnet.nn.sequences import as_sequences, each_step, pad_sequences, time_mask, zero_padding
from jaxnet.nn.shape import reshape, upsample
from jaxnet.nn.time_pooling import (
    last,
    max_over_time,
    mean_over_time,
    sqrtn_over_time,
    sum_over_time,
)
from jaxnet.typing import Sequences

__all__ = [
    "Cell",
    "Chain",
    "Network",
    "RandomConvolutions",
    "RunningStatistics",
    "Sequences",
    "Series",
    "StatefulNetwork",
    "activation",
    "as_sequences",
    "attention",
    "bag_of_embeddings",
    "batch_norm_mlp",
    "bernoulli_sampling",
    "bidirectional",
    "carried",
    "chain",
    "channels_last",
    "cnn",
    "compute_in",
    "concatenate_series",
    "conv",
    "conv1d",
    "dense",
    "dropout",
    "each_step",
    "elman",
    "embedding",
    "embedding_bag",
    "flatten",
    "from_state_dict",
    "gaussian_noise",
    "gru",
    "he_normal",
    "heads",
    "last",
    "layer_norm",
    "lecun_normal",
    "linear_recurrence",
    "lstm",
    "masking_noise",
    "max_over_time",
    "max_pool",
    "mean_over_time",
    "mean_pool",
    "min_gru",
    "mlp",
    "pad_sequences",
    "padded_mlp",
    "padded_sizes",
    "parallel",
    "positional_encoding",
    "random_affine",
    "random_convolutions",
    "recurrent",
    "resample",
    "reshape",
    "residual",
    "rnn",
    "salt_and_pepper_noise",
    "scan_cell",
    "sqrtn_over_time",
    "sum_over_time",
    "summary",
    "time_mask",
    "token_dropout",
    "transform_images",
    "unpad_mlp",
    "upsample",
    "zero_padding",
]
