"""Multi-layer perceptrons whose hidden sizes may be traced: many sizes in one compiled program."""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet._checks import is_hidden, require_positive, require_range, require_sizes
from jaxnet.nn import layers
from jaxnet.nn._kernels import KernelInit
from jaxnet.nn.architectures import dropout_layers
from jaxnet.nn.initializers import SCALES, he_normal, lecun_normal
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.typing import Initializer, Params


def padded_sizes(sizes: Sequence[int], *, smallest: int = 8) -> tuple[int, ...]:
    """Hidden sizes rounded up to powers of two: networks that share them share a program.

    The result depends on these sizes alone, not on what else is trained. At most half of the
    units of a layer are padding.

    Args:
        sizes: sizes of the hidden layers, at least 1 each.
        smallest: the least result, at least 1.

    Returns:
        The least power of two times `smallest` that is at least as large, for each size.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1.

    >>> padded_sizes((24, 100)), padded_sizes((3,)), padded_sizes(())
    ((32, 128), (8,), ())
    """
    require_positive("padded_sizes", smallest=smallest)
    smallest = operator.index(smallest)
    sizes = require_sizes("padded_sizes", "sizes", sizes, "be one size for each hidden layer")
    return tuple(smallest * (1 << (-(-size // smallest) - 1).bit_length()) for size in sizes)


def padded_mlp(
    dims: Sequence[int],
    hidden_dims: Sequence[ArrayLike] | Array,
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: ArrayLike = 0.0,
    input_dropout: ArrayLike = 0.0,
    kernel_init: Initializer = he_normal,
) -> Chain:
    """An `mlp` of hidden sizes that may be traced, with parameters padded to fixed sizes.

    With the same key it is, to rounding, `mlp((dims[0], *hidden_dims, dims[-1]), ...)`: its kernels
    hold the same numbers, and 0 beyond them; its dropout drops the same units. Units beyond
    `hidden_dims` are 0, and so are the gradients of their parameters. `jaxnet.optim.allows_padding`
    says which optimizers then keep these parameters at 0 and train the others as without padding.

    Args:
        dims: sizes of the input, of the padded hidden layers, and of the output.
        hidden_dims: size of each hidden layer, from 1 to the padded one; may be traced, and differ
            between the runs of a `vmap`.
        activation: applied after each hidden layer; it acts on each number by itself.
        dropout: as in `mlp`; a rate that is traced, such as that of a population, has a layer.
        input_dropout: as in `mlp`.
        kernel_init: initializer of the hidden kernels, `he_normal` or `lecun_normal`.

    Returns:
        A chain from `(*batch, dims[0])` to `(*batch, dims[-1])` with the parts of the `mlp`;
        `unpad_mlp` cuts its parameters.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: sizes or rates out of range; another number of hidden sizes than of padded ones;
            another initializer.

    >>> network = padded_mlp((4, 8, 3), jnp.array([5]))
    >>> params = network.init(jax.random.key(0))
    >>> exact = unpad_mlp(params, [5])
    >>> exact["dense_0"]["kernel"].shape, float(abs(params["dense_0"]["kernel"][:, 5:]).max())
    ((4, 5), 0.0)
    """
    dims = require_sizes(
        "padded_mlp", "dims", dims, "hold at least the sizes of input and output", min_length=2
    )
    hidden = _hidden_sizes("padded_mlp", hidden_dims, len(dims) - 2)
    for size, largest in zip(hidden, dims[1:-1], strict=True):
        if not is_hidden(size):
            remedy = "make the padded size in dims larger"
            require_range("padded_mlp", "hidden_dims", size, 1, largest, remedy=remedy)
    for name, rate in (("dropout", dropout), ("input_dropout", input_dropout)):
        require_range("padded_mlp", name, rate, 0, 1, include_high=False)
    if not any(kernel_init is known for known in SCALES):
        names = " or ".join(known.__name__ for known in SCALES)
        raise ValueError(
            f"padded_mlp: kernel_init must be {names}, found {kernel_init}; train networks with "
            "other initializers by mlp, one group for each size"
        )
    sizes = [dims[0], *hidden, dims[-1]]
    parts = dropout_layers(input_dropout)
    for index in range(len(dims) - 2):
        size = hidden[index]
        parts += [
            _dense(dims[index : index + 2], sizes[index : index + 2], kernel_init),
            _activation(activation, size),
            *dropout_layers(dropout, functools.partial(_dropout, size=size)),
        ]
    return chain(*parts, _dense(dims[-2:], sizes[-2:], lecun_normal))


def unpad_mlp(params: Params, hidden_dims: Sequence[int]) -> Params:
    """The parameters of an `mlp` from those of a `padded_mlp`.

    Args:
        params: parameters of one network.
        hidden_dims: its hidden sizes.

    Returns:
        The parameters of `mlp((in_dim, *hidden_dims, out_dim))`, which has the same outputs.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: another number of hidden sizes than of hidden layers, a size below 1.

    >>> params = padded_mlp((4, 8, 3), [5]).init(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, unpad_mlp(params, [5])["dense_1"])
    {'bias': (3,), 'kernel': (5, 3)}
    """
    names = sorted(params, key=lambda name: int(name.removeprefix("dense_")))
    meaning = f"be the sizes of the {len(names) - 1} hidden layers"
    hidden = require_sizes("unpad_mlp", "hidden_dims", hidden_dims, meaning, length=len(names) - 1)
    return {
        name: {
            "kernel": params[name]["kernel"][:in_dim, :out_dim],
            "bias": params[name]["bias"][:out_dim],
        }
        for name, (in_dim, out_dim) in zip(
            names, itertools.pairwise([None, *hidden, None]), strict=True
        )
    }


def _hidden_sizes(function: str, hidden_dims: Any, length: int) -> list[Any]:
    hidden = list(hidden_dims)
    if len(hidden) != length:
        raise ValueError(
            f"{function}: hidden_dims holds {len(hidden)} sizes, and dims has {length} hidden "
            "layers; give one size for each"
        )
    for size in hidden:
        if not jnp.issubdtype(jnp.result_type(size), jnp.integer):
            raise TypeError(
                f"{function}: hidden_dims must be integers, found {jnp.result_type(size)}; the "
                "sizes of a population are an array of integers"
            )
    return hidden


def _dense(padded: Sequence[int], sizes: Sequence[Any], kernel_init: Initializer) -> Network:
    """A dense layer whose kernel holds that of the given sizes, with 0 beyond it."""
    exact = layers.dense(*padded, kernel_init=kernel_init)
    in_dim, out_dim = sizes
    init = KernelInit(tuple(padded), kernel_init, sizes=(in_dim, out_dim))
    return Network(init, exact.apply, "dense", detail=exact.detail)


def _activation(function: Callable[[Array], Array], size: Any) -> Network:
    """An activation, 0 beyond the size, whatever the function has at 0."""

    exact = layers.activation(function)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        return jnp.where(jnp.arange(x.shape[-1]) < size, function(x), 0)

    return Network(exact.init, apply, "activation", detail=exact.detail)


def _dropout(rate: ArrayLike, *, size: Any) -> Network:
    """Dropout that drops the units that dropout of the given size drops."""
    exact = layers.dropout(rate)

    def apply(
        params: Params, x: Float[Array, "*batch dim"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch dim"]:
        if key is None:
            return x
        kept = jax.random.bernoulli(key, 1 - rate, (x.size,))
        row, column = (
            jax.lax.broadcasted_iota(jnp.int32, (x.size // x.shape[-1], x.shape[-1]), axis)
            for axis in (0, 1)
        )
        # Beyond the size any number will do: x is 0 there.
        kept = kept[jnp.minimum(row * size + column, x.size - 1)].reshape(x.shape)
        return jnp.where(kept, x / (1 - rate), 0)

    return Network(exact.init, apply, "dropout", detail=exact.detail)
