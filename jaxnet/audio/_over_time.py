"""Functions of arrays become functions of arrays and sequences alike."""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet.nn.sequences import as_sequences, zero_padding
from jaxnet.typing import Sequences

# What is given and what is returned are of the same kind.
OverTime = TypeVar("OverTime", Sequences, Array)


def with_time(
    function: str, features: OverTime, transform: Callable[[Sequences], Array]
) -> OverTime:
    """Apply a function that keeps times to features: `(*batch, time, dim)` or sequences of these.

    `transform` gets sequences with 0 beyond the length; its values beyond the length become 0.
    """
    if not isinstance(features, Sequences):
        values = require_floats(function, features)
        _require_axes(function, values, is_right=values.ndim >= 2)
        return transform(as_sequences(values))
    values = require_floats(function, features.values)
    _require_axes(function, values, is_right=values.ndim == features.length.ndim + 2)
    sequences = zero_padding(Sequences(values, jnp.asarray(features.length)))
    return zero_padding(Sequences(transform(sequences), sequences.length))


def _require_axes(function: str, values: Array, *, is_right: bool) -> None:
    if not is_right:
        raise ValueError(
            f"{function}: features must have the axes time and dim last, and sequences one length "
            f"for all axes in front, found shape {values.shape}"
        )


def require_floats(function: str, values: Array | np.ndarray) -> Array:
    """The values as a JAX array of at least float32; raise for integers."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(
            f"{function}: expected floating-point numbers, found {values.dtype}; divide 16-bit "
            "samples by 32768"
        )
    return jnp.asarray(values, jnp.promote_types(values.dtype, jnp.float32))
