"""The networks of experiments.classification, and how they learn."""

import math
from collections.abc import Sequence

import numpy as np

import jaxnet as jn
from experiments.classification.config import (
    BagOfEmbeddings,
    Cnn,
    Config,
    Conv1d,
    Linear,
    Model,
    Rnn,
    WordRecognizer,
)
from experiments.data import Inputs
from experiments.precision import in_precision, scaled
from experiments.sizes import build_mlp
from experiments.training import config_optimizer
from jaxnet._checks import is_zero

# Models of sequences of any length.
SEQUENTIAL = (Rnn, Conv1d, WordRecognizer, BagOfEmbeddings)


def arrange(config: Config, x: Inputs) -> Inputs:
    """Examples with the axes that the model takes: images, sequences, or else vectors."""
    if isinstance(config.model, SEQUENTIAL):
        return x
    values = np.asarray(x.values) if isinstance(x, jn.Sequences) else x
    return values if isinstance(config.model, Cnn) else values.reshape(len(values), -1)


def build_network(config: Config, in_shape: Sequence[int], num_classes: int) -> jn.Network:
    """The network of a config; two classes have one logistic output.

    Args:
        config: the options.
        in_shape: shape of one example, or the number of different tokens; only a cnn keeps the axes
            of an image.
        num_classes: number of classes.

    Raises:
        ValueError: more stages of a cnn than an image can be halved.
    """
    num_outputs = 1 if num_classes == 2 else num_classes
    return in_precision(config, _build_network(config.model, in_shape, num_outputs))


def _build_network(model: Model, in_shape: Sequence[int], num_outputs: int) -> jn.Network:
    if isinstance(model, Cnn):
        return jn.cnn(
            in_shape,
            model.channels,
            [*model.hidden_dims, num_outputs],
            dropout=model.dropout,
            convs_per_stage=model.convs_per_stage,
        )
    if isinstance(model, Rnn):
        return jn.nn.rnn(
            [in_shape[-1], *model.hidden_dims, num_outputs],
            cell=getattr(jn.nn, model.cell),
            bidirectional=model.bidirectional,
            pooling=model.pooling,
            dropout=model.dropout,
        )
    if isinstance(model, Conv1d):
        return jn.nn.conv1d(
            [in_shape[-1], *model.channels, num_outputs],
            kernel_sizes=model.kernel_sizes,
            pooling=model.pooling,
            dropout=model.dropout,
        )
    if isinstance(model, WordRecognizer):
        return jn.audio.word_recognizer(
            [in_shape[-1], *model.channels, num_outputs],
            num_steps=model.num_steps,
            hidden_dim=model.hidden_dim,
            dropout=model.dropout,
            max_shift=model.max_shift,
            max_warp=model.max_warp,
        )
    if isinstance(model, BagOfEmbeddings):
        return jn.nn.bag_of_embeddings(
            in_shape[0],
            [model.embedding_dim, *model.hidden_dims, num_outputs],
            pooling=model.pooling,
            dropout=model.dropout,
            token_dropout=model.token_dropout,
        )
    in_dim = math.prod(in_shape)
    if isinstance(model, Linear):
        return jn.mlp([in_dim, num_outputs])
    return build_mlp(
        in_dim,
        model.hidden_dims,
        num_outputs,
        dropout=model.dropout,
        input_dropout=model.input_dropout,
    )


def build_learner(
    config: Config, network: jn.Network, num_classes: int, num_train: int
) -> jn.Learner:
    """The learner of a config for a number of training examples.

    Raises:
        ValueError: as `config_optimizer`.
    """
    if num_classes == 2:
        objective = jn.binary_classification(network)
    else:
        objective = jn.classification(network, label_smoothing=config.label_smoothing)
    if not is_zero(config.l2_weight):
        objective = jn.with_l2(objective, config.l2_weight)
    optimizer = config_optimizer(config, num_train)
    return jn.gradient_learner(network.init, scaled(config, objective), optimizer)
