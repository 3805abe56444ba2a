"""Layers of images: pooling over windows that do not overlap."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet.nn._windows import fit_to_windows, require_padding, window_cells, window_sizes
from jaxnet.nn.network import Network
from jaxnet.typing import Params


def max_pool(window: int | Sequence[int] = 2, *, padding: str = "VALID") -> Network:
    """Largest value of each window of an image; windows do not overlap.

    Zhou and Chellappa (1988), "Computation of optical flow using a neural network". The gradient
    is divided equally among equal largest values.

    Args:
        window: height and width of the window, or one number for both.
        padding: "VALID" drops an incomplete window at the border, "SAME" keeps it.

    Returns:
        A network from `(*batch, height, width, channels)` to
        `(*batch, new_height, new_width, channels)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1 or an unknown padding.

    >>> max_pool().apply({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    window = window_sizes("max_pool", "window", window)
    require_padding("max_pool", padding)

    def apply(
        params: Params,
        x: Shaped[Array, "*batch height width channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Shaped[Array, "*batch new_height new_width channels"]:
        floating = jnp.issubdtype(x.dtype, jnp.floating)
        lowest = -math.inf if floating else int(jnp.iinfo(x.dtype).min)
        return _window_max(fit_to_windows(x, window, padding, lowest), window)

    return Network(lambda key: {}, apply, "max_pool")


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _window_max(x: Array, window: tuple[int, int]) -> Array:
    return functools.reduce(jnp.maximum, window_cells(x, window))


@_window_max.defjvp
def _window_max_jvp(
    window: tuple[int, int], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """The mean of the tangents of all largest values, as `jnp.max` has it."""
    (x,), (tangent,) = primals, tangents
    y = _window_max(x, window)

    # The gradient finds the largest values again: reading the image twice costs less than storing
    # a weight for each pixel.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def mean_of_largest(x: Array, y: Array, tangent: Array) -> Array:
        largest = [cell == y for cell in window_cells(x, window)]
        count = functools.reduce(jnp.add, [is_largest.astype(y.dtype) for is_largest in largest])
        chosen = [
            jnp.where(is_largest, cell, 0)
            for is_largest, cell in zip(largest, window_cells(tangent, window), strict=True)
        ]
        return functools.reduce(jnp.add, chosen) / count

    return y, mean_of_largest(x, y, tangent)


def mean_pool(window: int | Sequence[int] = 2, *, padding: str = "VALID") -> Network:
    """Mean of each window of an image; windows do not overlap.

    LeCun et al. (1998), "Gradient-based learning applied to document recognition", section II.B,
    without their trained factor.

    Args:
        window: height and width of the window, or one number for both.
        padding: "VALID" drops an incomplete window at the border, "SAME" averages the pixels that
            it has.

    Returns:
        A network from `(*batch, height, width, channels)` to
        `(*batch, new_height, new_width, channels)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1 or an unknown padding.

    >>> mean_pool().apply({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    window = window_sizes("mean_pool", "window", window)
    require_padding("mean_pool", padding)

    def window_sum(x: Array) -> Array:
        return functools.reduce(
            jnp.add, window_cells(fit_to_windows(x, window, padding, 0), window)
        )

    def apply(
        params: Params,
        x: Shaped[Array, "*batch height width channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width channels"]:
        # A sum of uint8 pixels would overflow.
        if not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(jnp.float32)
        counts = window_sum(jnp.ones((*x.shape[-3:-1], 1), x.dtype))
        return window_sum(x) / jax.lax.broadcast_to_rank(counts, x.ndim)

    return Network(lambda key: {}, apply, "mean_pool")
