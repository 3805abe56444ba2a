"""Networks of sequences built from layers: recurrent, convolutional, bags of embeddings."""

import itertools
from collections.abc import Callable, Sequence

import jax
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_range, require_sizes
from jaxnet.nn import cells, embeddings, layers, time_pooling
from jaxnet.nn.architectures import dropout_layers, mlp
from jaxnet.nn.branches import residual
from jaxnet.nn.convolution import conv
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Chain, Network, chain, parallel
from jaxnet.nn.recurrence import Cell, recurrent
from jaxnet.nn.recurrence import bidirectional as both_directions
from jaxnet.nn.sequences import each_step

_POOLINGS = {
    "last": time_pooling.last,
    "mean": time_pooling.mean_over_time,
    "max": time_pooling.max_over_time,
}


def _require_pooling(function: str, pooling: str, choices: Sequence[str]) -> None:
    if pooling not in choices:
        names = ", ".join(map(repr, choices))
        raise ValueError(f"{function}: pooling must be one of {names}, found {pooling!r}")


def rnn(
    dims: Sequence[int],
    *,
    cell: Callable[[int, int], Cell] = cells.gru,
    bidirectional: bool = False,
    pooling: str = "last",
    dropout: ArrayLike = 0.0,
) -> Chain:
    """Recurrent network: layers that read sequences, one vector for each sequence, a dense layer.

    Graves (2012), "Supervised sequence labelling with recurrent neural networks", chapter 3.

    Args:
        dims: sizes of a step of the input, of the state of each recurrent layer, and of the
            output.
        cell: `(in_dim, hidden_dim) -> Cell`: `gru`, `lstm`, `elman`, `min_gru`, or a function that
            gives them options.
        bidirectional: whether each layer reads in both directions; its output is twice its state.
        pooling: "last", the state after the last step (and, reversed, after the first); "mean" or
            "max" over the steps.
        dropout: rate of dropout on each step after each layer but the last, and on the vector of
            the sequence; 0 leaves it out. Zaremba, Sutskever, Vinyals (2014), eq. 7.

    Returns:
        A chain from `Sequences` with values `(*batch, time, dims[0])`, or an array, to
        `(*batch, dims[-1])`. Without its last part it gives the features of each sequence.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than three sizes, a size below 1, an unknown pooling, or a rate outside
            [0, 1).

    >>> network = rnn([12, 64, 9], dropout=0.1)
    >>> network.names
    ('recurrent_0', 'last_0', 'dropout_0', 'dense_0')
    """
    meaning = "hold the sizes of input, state and output"
    dims = require_sizes("rnn", "dims", dims, meaning, min_length=3)
    _require_pooling("rnn", pooling, ("last", "mean", "max"))
    require_range("rnn", "dropout", dropout, 0, 1, include_high=False)
    parts: list[Network] = []
    in_dim = dims[0]
    for index, hidden_dim in enumerate(dims[1:-1]):
        if index:
            parts += map(each_step, dropout_layers(dropout))
        if bidirectional:
            parts.append(
                both_directions(
                    recurrent(cell(in_dim, hidden_dim)),
                    recurrent(cell(in_dim, hidden_dim), reverse=True),
                )
            )
        else:
            parts.append(recurrent(cell(in_dim, hidden_dim)))
        in_dim = 2 * hidden_dim if bidirectional else hidden_dim
    if pooling == "last" and bidirectional:
        parts.append(time_pooling.last(num_reversed=in_dim // 2))
    else:
        parts.append(_POOLINGS[pooling]())
    return chain(*parts, *dropout_layers(dropout), layers.dense(in_dim, dims[-1]))


def conv1d(
    dims: Sequence[int],
    *,
    kernel_sizes: Sequence[int] = (39, 19, 9),
    activation: Callable[[Array], Array] = jax.nn.relu,
    pooling: str = "mean",
    dropout: ArrayLike = 0.0,
    algorithm: str = "auto",
) -> Chain:
    """Convolutional network of series: blocks of kernels of several lengths, then a dense layer.

    Each block concatenates convolutions of all lengths on a narrow copy of its input (a kernel of
    length 1) with one more such copy, then normalizes and activates; a block that keeps the number
    of channels is residual. Ismail Fawaz et al. (2020), "InceptionTime", section 3, with layer
    normalization of each step, which looks at no other example and no padding, in place of batch
    normalization; a copy of the input in place of max pooling; and every such block residual.

    Args:
        dims: channels of the input, channels of each block, and size of the output. Those of a
            block are divided among the lengths of kernels and the copy.
        kernel_sizes: lengths of the kernels in steps.
        activation: applied at the end of each block.
        pooling: "mean" or "max" over the steps after the last block.
        dropout: rate of dropout on the vector of the series; 0 leaves it out.
        algorithm: of the convolutions, as in `conv`.

    Returns:
        A chain from `Sequences` with values `(*batch, time, dims[0])`, or an array, to
        `(*batch, dims[-1])`. Without its last part it gives the features of each series.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than three sizes, a size below 1, a block with fewer channels than kernels
            and the copy, no kernel, an unknown pooling, or a rate outside [0, 1).

    >>> network = conv1d([1, 32, 32, 5], dropout=0.1)
    >>> network.names
    ('chain_0', 'residual_0', 'mean_over_time_0', 'dropout_0', 'dense_0')
    """
    meaning = "hold the sizes of input, blocks and output"
    dims = require_sizes("conv1d", "dims", dims, meaning, min_length=3)
    meaning = "hold the length of at least one kernel"
    kernel_sizes = require_sizes("conv1d", "kernel_sizes", kernel_sizes, meaning, min_length=1)
    _require_pooling("conv1d", pooling, ("mean", "max"))
    require_range("conv1d", "dropout", dropout, 0, 1, include_high=False)
    if min(dims[1:-1]) <= len(kernel_sizes):
        raise ValueError(
            f"conv1d: each block needs a channel for each of {len(kernel_sizes)} kernels and one "
            f"for the copy, found dims = {list(dims)}; use more channels or fewer kernel_sizes"
        )
    parts: list[Network] = []
    for in_dim, out_dim in itertools.pairwise(dims[:-1]):
        block = chain(
            _inception(in_dim, out_dim, kernel_sizes, algorithm),
            each_step(layers.layer_norm(out_dim)),
            each_step(layers.activation(activation)),
        )
        parts.append(residual(block) if in_dim == out_dim else block)
    head = [*dropout_layers(dropout), layers.dense(dims[-2], dims[-1])]
    return chain(*parts, _POOLINGS[pooling](), *head)


def _inception(in_dim: int, out_dim: int, kernel_sizes: Sequence[int], algorithm: str) -> Network:
    """Kernels of several lengths on a narrow copy of the input, and another copy beside them."""

    def layer(in_dim: int, out_dim: int, size: int) -> Network:
        return conv(in_dim, out_dim, (size,), kernel_init=he_normal, algorithm=algorithm)

    width = out_dim // (len(kernel_sizes) + 1)
    copy = layer(in_dim, out_dim - width * len(kernel_sizes), 1)
    # One channel has no narrower copy.
    narrow_dim = width if in_dim > 1 else 1
    kernels = [layer(narrow_dim, width, size) for size in kernel_sizes]
    if in_dim == 1:
        return parallel(*kernels, copy)
    return parallel(chain(layer(in_dim, width, 1), parallel(*kernels)), copy)


def bag_of_embeddings(
    num_tokens: int,
    dims: Sequence[int],
    *,
    pooling: str = "mean",
    dropout: ArrayLike = 0.0,
    token_dropout: ArrayLike = 0.0,
) -> Chain:
    """Texts by the vectors of their tokens, whatever the order: pooled embeddings, then an `mlp`.

    Joulin et al. (2016), "Bag of tricks for efficient text classification", section 2, where the
    `mlp` is a single dense layer; Iyyer et al. (2015), "Deep unordered composition rivals syntactic
    methods for text classification", with hidden layers.

    Args:
        num_tokens: number of tokens, which are integers in [0, num_tokens); others count as steps
            whose vector is 0.
        dims: sizes of the vectors, of hidden layers, and of the output.
        pooling: "mean", "sum" or "max" over the tokens, or "sqrtn", their sum divided by the square
            root of their number.
        dropout: rate of dropout on the pooled vector and after each hidden activation; 0 leaves it
            out.
        token_dropout: rate at which tokens are removed in training; 0 leaves it out.

    Returns:
        A chain from `Sequences` of tokens `(*batch, time)`, or an array of them, to
        `(*batch, dims[-1])`.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than two sizes, a size below 1, an unknown pooling, or a rate outside
            [0, 1).

    >>> network = bag_of_embeddings(1000, [64, 150], token_dropout=0.1)
    >>> network.names
    ('token_dropout_0', 'embedding_bag_0', 'dense_0')
    """
    meaning = "hold at least the sizes of vectors and output"
    dims = require_sizes("bag_of_embeddings", "dims", dims, meaning, min_length=2)
    _require_pooling("bag_of_embeddings", pooling, ("mean", "sum", "sqrtn", "max"))
    for name, rate in (("dropout", dropout), ("token_dropout", token_dropout)):
        require_range("bag_of_embeddings", name, rate, 0, 1, include_high=False)
    head = mlp(dims, dropout=dropout, input_dropout=dropout)
    if pooling == "max":
        bag = [embeddings.embedding(num_tokens, dims[0]), time_pooling.max_over_time()]
    else:
        bag = [embeddings.embedding_bag(num_tokens, dims[0], pooling=pooling)]
    return chain(
        *dropout_layers(token_dropout, embeddings.token_dropout),
        *bag,
        *(part.network for part in head.parts),
    )
