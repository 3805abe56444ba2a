"""Layers that repeat or rearrange numbers, on the way from a code back to an image."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_sizes
from jaxnet.nn.network import Network
from jaxnet.typing import Params


def reshape(shape: Sequence[int]) -> Network:
    """Give the last axis of each example another shape: a vector to an image, in row-major order.

    Args:
        shape: the shape of one example afterwards, such as height, width and channels.

    Returns:
        A network from `(*batch, prod(shape))` to `(*batch, *shape)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: no size, or a size below 1; (of the network) a last axis of another size.

    >>> reshape((4, 4, 3)).apply({}, jnp.ones((5, 48))).shape
    (5, 4, 4, 3)
    """
    shape = require_sizes("reshape", "shape", shape, "be at least one size", min_length=1)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        if x.shape[-1:] != (math.prod(shape),):
            raise ValueError(
                f"reshape: the input has shape {x.shape}, expected a last axis of "
                f"{math.prod(shape)} for examples of shape {shape}"
            )
        return x.reshape(*x.shape[:-1], *shape)

    return Network(lambda key: {}, apply, "reshape", detail=f"{shape}")


def upsample(factors: Sequence[int] = (2, 2)) -> Network:
    """Repeat each pixel of an image: nearest-neighbor upsampling, which undoes the size of pooling.

    Followed by a convolution it replaces a transposed convolution, without its checkerboard
    artifacts: Odena, Dumoulin, Olah (2016), "Deconvolution and checkerboard artifacts".

    Args:
        factors: how often each row and each column is repeated.

    Returns:
        A network from `(*batch, height, width, channels)` to
        `(*batch, factors[0] * height, factors[1] * width, channels)`.

    Raises:
        TypeError: a factor that is not an integer.
        ValueError: factors that are not a vertical and a horizontal one of at least 1.

    >>> upsample((1, 2)).apply({}, jnp.arange(4.0).reshape(2, 2, 1))[..., 0].tolist()
    [[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0]]
    """
    rows, columns = require_sizes(
        "upsample", "factors", factors, "be a vertical and a horizontal factor", length=2
    )

    def apply(
        params: Params,
        x: Float[Array, "*batch height width channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width channels"]:
        # A broadcast, not `jnp.repeat`: its gradient is a sum over axes, not a scatter.
        *batch, height, width, channels = x.shape
        shape = (*batch, height, rows, width, columns, channels)
        repeated = jnp.broadcast_to(x[..., :, None, :, None, :], shape)
        return repeated.reshape(*batch, height * rows, width * columns, channels)

    return Network(lambda key: {}, apply, "upsample", detail=f"{(rows, columns)}")
