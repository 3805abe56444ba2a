"""From sequences to one vector for each: the last step, the mean, the sum or the largest values."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_integer
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import as_sequences, time_mask, zero_padding
from jaxnet.typing import Params, Sequences


def _pooling(name: str, pool: Callable[[Sequences], Array], detail: str = "") -> Network:
    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch dim"]:
        sequences = zero_padding(x) if isinstance(x, Sequences) else as_sequences(x)
        return pool(sequences)

    return Network(lambda key: {}, apply, name, detail=detail)


def _step_mask(sequences: Sequences) -> Array:
    return time_mask(sequences)[..., None]


def last(*, num_reversed: int = 0) -> Network:
    """The last step of each sequence.

    Args:
        num_reversed: how many of the last features come from a network that reads reversed, whose
            last step is the first: half of those of `bidirectional`.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to
        `(*batch, dim)`; 0 for a sequence without steps.

    Raises:
        TypeError: a number that is not an integer.
        ValueError: a negative number.

    >>> sequences = Sequences(jnp.arange(8.0).reshape(2, 4, 1), jnp.array([4, 2]))
    >>> last().apply({}, sequences).tolist()
    [[3.0], [5.0]]
    """
    require_integer("last", "num_reversed", num_reversed, 0)

    def pool(sequences: Sequences) -> Array:
        values, length = sequences.values, sequences.length[..., None]
        # A sum of one step and zeros, whose gradient needs no scatter.
        steps = jnp.arange(values.shape[-2])
        steps = steps.reshape(*(1,) * (length.ndim - 1), -1) == length - 1
        latest = jnp.where(steps[..., None], values, jnp.zeros((), values.dtype)).sum(axis=-2)
        if not num_reversed:
            return latest
        first = values[..., 0, values.shape[-1] - num_reversed :]
        return jnp.concatenate([latest[..., : values.shape[-1] - num_reversed], first], axis=-1)

    return _pooling("last", pool, f"num_reversed={num_reversed}" if num_reversed else "")


def mean_over_time() -> Network:
    """Mean of the steps of each sequence.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to
        `(*batch, dim)`; 0 for a sequence without steps.

    >>> sequences = Sequences(jnp.arange(8.0).reshape(2, 4, 1), jnp.array([4, 2]))
    >>> mean_over_time().apply({}, sequences).tolist()
    [[1.5], [4.5]]
    """

    def pool(sequences: Sequences) -> Array:
        count = jnp.maximum(sequences.length, 1)[..., None].astype(sequences.values.dtype)
        return sequences.values.sum(axis=-2) / count

    return _pooling("mean_over_time", pool)


def sum_over_time() -> Network:
    """Sum of the steps of each sequence.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to
        `(*batch, dim)`; 0 for a sequence without steps.

    >>> sequences = Sequences(jnp.arange(8.0).reshape(2, 4, 1), jnp.array([4, 2]))
    >>> sum_over_time().apply({}, sequences).tolist()
    [[6.0], [9.0]]
    """
    return _pooling("sum_over_time", lambda sequences: sequences.values.sum(axis=-2))


def sqrtn_over_time() -> Network:
    """Sum of the steps of each sequence, divided by the square root of their number.

    Sums of independent steps then have one variance, however many there are, which suits bags of
    many embeddings better than a mean. It is the combiner "sqrtn" of TensorFlow's embeddings.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to
        `(*batch, dim)`; 0 for a sequence without steps.

    >>> sequences = Sequences(jnp.ones((2, 4, 1)), jnp.array([4, 1]))
    >>> sqrtn_over_time().apply({}, sequences).tolist()
    [[2.0], [1.0]]
    """

    def pool(sequences: Sequences) -> Array:
        count = jnp.maximum(sequences.length, 1)[..., None].astype(sequences.values.dtype)
        return sequences.values.sum(axis=-2) / jnp.sqrt(count)

    return _pooling("sqrtn_over_time", pool)


def max_over_time() -> Network:
    """Largest value of each feature over the steps of each sequence.

    Collobert et al. (2011), "Natural language processing (almost) from scratch", section 3.3.2.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to
        `(*batch, dim)`; 0 for a sequence without steps.

    >>> sequences = Sequences(jnp.arange(8.0).reshape(2, 4, 1), jnp.array([4, 0]))
    >>> max_over_time().apply({}, sequences).tolist()
    [[3.0], [0.0]]
    """

    def pool(sequences: Sequences) -> Array:
        values, lowest = sequences.values, jnp.array(-math.inf, sequences.values.dtype)
        largest = jnp.where(_step_mask(sequences), values, lowest).max(axis=-2)
        has_steps = (sequences.length > 0)[..., None]
        return jnp.where(has_steps, largest, jnp.zeros((), values.dtype))

    return _pooling("max_over_time", pool)
