"""Sequences of different lengths: padding, masks, and networks that act on each step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from jaxnet.nn.network import Network, one_line, require_network
from jaxnet.typing import Params, Sequences


def pad_sequences(sequences: Sequence[Shaped[np.ndarray, "..."]]) -> Sequences:
    """Sequences of different lengths in one array, padded with zeros behind the last step.

    Args:
        sequences: one array `(time, ...)` for each, of one dtype and equal in all axes but the
            first.

    Returns:
        NumPy arrays: values `(n, longest, ...)`, and lengths `(n,)`, int32.

    Raises:
        ValueError: no sequences, or steps of different shapes or dtypes.

    >>> padded = pad_sequences([np.array([1.0, 2.0, 3.0]), np.array([4.0])])
    >>> padded.values.tolist(), padded.length.tolist()
    ([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]], [3, 1])
    """
    steps = {(array.shape[1:], array.dtype.name) if array.ndim else () for array in sequences}
    if len(steps) != 1 or () in steps:
        raise ValueError(
            "pad_sequences: sequences must be at least one array with an axis of time first, and "
            f"steps of one shape and dtype, found {sorted(map(str, steps))}"
        )
    length = np.array([len(array) for array in sequences], np.int32)
    values = np.zeros((len(length), length.max(), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, array in zip(values, sequences, strict=True):
        row[: len(array)] = array
    return Sequences(values, length)


def as_sequences(x: Sequences | Shaped[Array, "*batch time dim"]) -> Sequences:
    """Sequences as they are; an array `(*batch, time, dim)` becomes sequences of full length.

    Args:
        x: sequences, or an array whose steps all count.

    Returns:
        Sequences.

    >>> as_sequences(jnp.ones((2, 5, 3))).length.tolist()
    [5, 5]
    """
    if isinstance(x, Sequences):
        return x
    return Sequences(x, jnp.full(x.shape[:-2], x.shape[-2], jnp.int32))


def time_mask(sequences: Sequences) -> Bool[Array, "*batch time"]:
    """Which steps belong to a sequence: True before its length, False beyond.

    Args:
        sequences: values of any shape `(*batch, time, ...)`.

    Returns:
        One Boolean for each step.

    >>> time_mask(Sequences(jnp.ones((2, 3, 1)), jnp.array([1, 3]))).tolist()
    [[True, False, False], [True, True, True]]
    """
    steps = jnp.arange(sequences.values.shape[sequences.length.ndim])
    length = sequences.length[..., None]
    return jax.lax.broadcast_to_rank(steps, length.ndim) < length


def zero_padding(sequences: Sequences) -> Sequences:
    """The sequences with 0 beyond their length; every network over time begins with this.

    Args:
        sequences: values of any shape `(*batch, time, ...)`.

    Returns:
        Sequences of the same lengths; no gradient reaches the padding.

    >>> zero_padding(Sequences(jnp.full((1, 3), jnp.nan), jnp.array([0]))).values.tolist()
    [[0.0, 0.0, 0.0]]
    """
    mask, values = time_mask(sequences), sequences.values
    mask = mask.reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))
    return Sequences(jnp.where(mask, values, jnp.zeros((), values.dtype)), sequences.length)


def each_step(network: Network) -> Network:
    """A network of one step, such as `dense` or `dropout`, applied to every step of sequences.

    Args:
        network: from `(*batch, dim)` to `(*batch, new_dim)`.

    Returns:
        A network from `Sequences` to `Sequences` of the same lengths, with the parameters of
        `network`; from an array `(*batch, time, dim)` to an array.

    Raises:
        TypeError: an argument that is not a network.

    >>> import jaxnet as jn
    >>> network = each_step(jn.dense(3, 4))
    >>> sequences = Sequences(jnp.ones((2, 5, 3)), jnp.array([5, 2]))
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> outputs = jax.jit(network.apply)(params, sequences)
    >>> outputs.values.shape, bool(outputs.values[1, 2:].any())
    ((2, 5, 4), False)
    """
    require_network("each_step", network)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Shaped[Array, "*batch time new_dim"]:
        if not isinstance(x, Sequences):
            return network.apply(params, x, key=key)
        values = network.apply(params, zero_padding(x).values, key=key)
        return zero_padding(Sequences(values, x.length))

    return Network(network.init, apply, "each_step", detail=one_line(network))
