"""Initializers of kernels, to the bit those of `jax.nn.initializers`, that compile in less time."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Standard deviation of a standard normal that is cut off at -2 and 2.
_TRUNCATED_STD = 0.87962566103423978


def lecun_normal(key: Array, shape: Sequence[int]) -> Float[Array, "..."]:
    """Truncated normal of variance `1 / fan_in`, LeCun et al. (1998), "Efficient BackProp".

    Args:
        key: PRNG key.
        shape: `(*window, in, out)`; the fan-in is the product of all but the last.

    >>> kernel = lecun_normal(jax.random.key(0), (400, 10))
    >>> abs(float(kernel.std()) - 0.05) < 0.002
    True
    """
    return _truncated_normal(key, shape, 1.0)


def he_normal(key: Array, shape: Sequence[int]) -> Float[Array, "..."]:
    """Truncated normal of variance `2 / fan_in`, He et al. (2015), "Delving deep into rectifiers".

    Args:
        key: PRNG key.
        shape: `(*window, in, out)`; the fan-in is the product of all but the last.

    >>> he_normal(jax.random.key(0), (3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """
    return _truncated_normal(key, shape, 2.0)


def _truncated_normal(key: Array, shape: Sequence[int], scale: float) -> Array:
    # A vector takes its shape afterwards: XLA unrolls the loop over the columns of a matrix with
    # ten of them, and compiles it for a second, for several keys at once for two.
    drawn = jax.random.truncated_normal(key, -2, 2, (math.prod(shape),))
    variance = jnp.array(scale / math.prod(shape[:-1]), drawn.dtype)
    stddev = jnp.sqrt(variance) / jnp.array(_TRUNCATED_STD, drawn.dtype)
    return (drawn * stddev).reshape(shape)
