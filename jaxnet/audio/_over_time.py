"""Functions of arrays become functions of arrays and sequences alike."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnet.nn.sequences import as_sequences, zero_padding
from jaxnet.typing import Sequences

Numbers = Shaped[Array | np.ndarray, "..."]


def with_time(
    function: str, features: Sequences | Numbers, transform: Callable[[Sequences], Array]
) -> Sequences | Array:
    """Apply a function that keeps times to features: `(*batch, time, dim)` or sequences of these.

    `transform` gets sequences with 0 beyond the length; its values beyond the length become 0.
    """
    is_sequences = isinstance(features, Sequences)
    values = require_floats(function, features.values if is_sequences else features)
    num_axes = features.length.ndim + 2 if is_sequences else 2
    if (values.ndim != num_axes) if is_sequences else (values.ndim < num_axes):
        raise ValueError(
            f"{function}: features must have the axes time and dim last, found shape "
            f"{values.shape}{' for the lengths of sequences' if is_sequences else ''}"
        )
    if not is_sequences:
        return transform(as_sequences(values))
    sequences = zero_padding(Sequences(values, jnp.asarray(features.length)))
    return zero_padding(Sequences(transform(sequences), sequences.length))


def require_floats(function: str, values: Numbers) -> Array:
    """The values as a JAX array of at least float32; raise for integers."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(
            f"{function}: expected floating-point numbers, found {values.dtype}; divide 16-bit "
            "samples by 32768"
        )
    return jnp.asarray(values, jnp.promote_types(values.dtype, jnp.float32))
