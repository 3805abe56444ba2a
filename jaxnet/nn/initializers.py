"""Initializers of kernels: bitwise those of `jax.nn.initializers`, but faster to compile."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet._checks import require_sizes

# Standard deviation of a standard normal that is cut off at -2 and 2.
_TRUNCATED_STD = 0.87962566103423978


def lecun_normal(key: Array, shape: Sequence[int]) -> Float[Array, "..."]:
    """Truncated normal of variance `1 / fan_in`.

    LeCun et al. (1998), "Efficient BackProp", section 4.6.

    Args:
        key: PRNG key.
        shape: `(*window, in_dim, out_dim)`; the fan-in is the product of all but the last.

    Returns:
        The kernel, of that shape and of the default float type.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: no size, or a size below 1.

    >>> kernel = lecun_normal(jax.random.key(0), (400, 10))
    >>> abs(float(kernel.std()) - 0.05) < 0.002
    True
    """
    return _truncated_normal("lecun_normal", key, shape, 1.0)


def he_normal(key: Array, shape: Sequence[int]) -> Float[Array, "..."]:
    """Truncated normal of variance `2 / fan_in`, for layers before a ReLU.

    He et al. (2015), "Delving deep into rectifiers", eq. 10.

    Args:
        key: PRNG key.
        shape: `(*window, in_dim, out_dim)`; the fan-in is the product of all but the last.

    Returns:
        The kernel, of that shape and of the default float type.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: no size, or a size below 1.

    >>> he_normal(jax.random.key(0), (3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """
    return _truncated_normal("he_normal", key, shape, 2.0)


def _truncated_normal(function: str, key: Array, shape: Sequence[int], scale: float) -> Array:
    shape = require_sizes(function, "shape", shape, "be the sizes of a kernel", min_length=1)
    return _draw_kernel(key, tuple(shape), scale)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw_kernel(key: Array, shape: tuple[int, ...], scale: float) -> Array:
    return scale_kernel(draw(key, math.prod(shape)), shape, scale)


def draw(key: Array, size: int) -> Float[Array, " size"]:
    """Numbers of a standard normal that is cut off at -2 and 2.

    A vector is drawn and reshaped: XLA unrolls the loop over the columns of a matrix with ten of
    them, and compiles it for a second, for several keys at once for two.
    """
    return jax.random.truncated_normal(key, -2, 2, (size,))


def scale_kernel(
    drawn: Float[Array, " size"], shape: Sequence[int], scale: float
) -> Float[Array, "..."]:
    """A kernel of variance `scale / fan_in` from numbers of `draw`."""
    return (drawn * kernel_stddev(math.prod(shape[:-1]), scale, drawn.dtype)).reshape(shape)


def kernel_stddev(fan_in: ArrayLike, scale: float, dtype: Any) -> Float[Array, ""]:
    """What numbers of `draw` are multiplied by for a kernel of variance `scale / fan_in`."""
    variance = jnp.asarray(scale / fan_in, dtype)
    return jnp.sqrt(variance) / jnp.array(_TRUNCATED_STD, dtype)


# Variance of a kernel times its fan-in.
SCALES = {lecun_normal: 1.0, he_normal: 2.0}
