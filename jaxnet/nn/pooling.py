"""Layers of images and series: pooling over windows that do not overlap."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet.nn._windows import (
    fit_to_windows,
    num_windows,
    pad_by_length,
    require_padding,
    require_steps,
    window_cells,
    window_sizes,
)
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import time_mask, zero_padding
from jaxnet.typing import Params, Sequences


def max_pool(window: int | Sequence[int] = 2, *, padding: str = "VALID") -> Network:
    """Largest value of each window of an image or of a series; windows do not overlap.

    Zhou and Chellappa (1988), "Computation of optical flow using a neural network". The gradient
    is divided equally among equal largest values.

    Args:
        window: height and width of the window, or one number for both; `(2,)` is 2 steps of a
            series.
        padding: "VALID" drops an incomplete window at the border, "SAME" keeps it.

    Returns:
        A network from `(*batch, height, width, channels)` to
        `(*batch, new_height, new_width, channels)`; of series, from `(*batch, time, channels)` to
        `(*batch, new_time, channels)`, and from `Sequences` to `Sequences`, each pooled as if it
        were cut to its length.

    Raises:
        TypeError: a size that is not an integer; (of the network) sequences for a window of two
            sizes.
        ValueError: a size below 1 or an unknown padding; (of the network) an input of other axes.

    >>> max_pool().apply({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    window = window_sizes("max_pool", "window", window)
    require_padding("max_pool", padding)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch_and_space channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Shaped[Array, "*batch_and_new_space channels"]:
        require_steps("max_pool", x, len(window))
        if isinstance(x, Sequences):
            mask = time_mask(x)[..., None]
            values = jnp.where(mask, x.values, jnp.asarray(_lowest(x.values), x.values.dtype))
            values = _fit_sequences(Sequences(values, x.length), window, padding, _lowest(values))
            return _pooled(_window_max(values, (1, *window)), x, window, padding)
        if len(window) == 1:
            return pool_images(x[..., None, :, :]).squeeze(-3)
        return pool_images(x)

    def pool_images(x: Array) -> Array:
        size = (1, *window)[-2:]
        return _window_max(fit_to_windows(x, size, padding, _lowest(x)), size)

    return Network(lambda key: {}, apply, "max_pool")


def _lowest(x: Array) -> float | int:
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return -math.inf if floating else int(jnp.iinfo(x.dtype).min)


def _fit_sequences(x: Sequences, window: tuple[int, ...], padding: str, fill: float | int) -> Array:
    """Values as images of one row, whose windows are those of the cut sequences."""
    values = pad_by_length(x, window[0], window[0], fill) if padding == "SAME" else x.values
    return fit_to_windows(values[..., None, :, :], (1, *window), "VALID", fill)


def _pooled(y: Array, x: Sequences, window: tuple[int, ...], padding: str) -> Sequences:
    length = num_windows(x.length, window[0], window[0], padding)
    return zero_padding(Sequences(y.squeeze(-3), length))


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
    """Mean of each window of an image or of a series; windows do not overlap.

    LeCun et al. (1998), "Gradient-based learning applied to document recognition", section II.B,
    without their trained factor.

    Args:
        window: height and width of the window, or one number for both; `(2,)` is 2 steps of a
            series.
        padding: "VALID" drops an incomplete window at the border, "SAME" averages the pixels that
            it has.

    Returns:
        A network from `(*batch, height, width, channels)` to
        `(*batch, new_height, new_width, channels)`; of series, from `(*batch, time, channels)` to
        `(*batch, new_time, channels)`, and from `Sequences` to `Sequences`, each pooled as if it
        were cut to its length.

    Raises:
        TypeError: a size that is not an integer; (of the network) sequences for a window of two
            sizes.
        ValueError: a size below 1 or an unknown padding; (of the network) an input of other axes.

    >>> jax.jit(mean_pool().apply)({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    >>> series = Sequences(jnp.arange(6.0).reshape(1, 6, 1), jnp.array([3]))
    >>> jax.jit(mean_pool((2,), padding="SAME").apply)({}, series).values[..., 0].tolist()
    [[0.5, 2.0, 0.0]]
    """
    window = window_sizes("mean_pool", "window", window)
    require_padding("mean_pool", padding)

    size = (1, *window)[-2:]

    def mean(x: Array, is_there: Array | None = None) -> Array:
        count = jnp.ones((*x.shape[-3:-1], 1), x.dtype)
        if is_there is not None:
            count = is_there
        sums = [
            functools.reduce(jnp.add, window_cells(fit_to_windows(array, size, padding, 0), size))
            for array in (x, count)
        ]
        return sums[0] / jax.lax.broadcast_to_rank(jnp.maximum(sums[1], 1), x.ndim)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch_and_space channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch_and_new_space channels"]:
        require_steps("mean_pool", x, len(window))
        if isinstance(x, Sequences):
            x = zero_padding(Sequences(_as_floating(x.values), x.length))
            mask = Sequences(time_mask(x)[..., None].astype(x.values.dtype), x.length)
            values, is_there = (_fit_sequences(part, window, padding, 0) for part in (x, mask))
            return _pooled(mean(values, is_there), x, window, padding)
        x = _as_floating(x)
        return mean(x) if len(window) == 2 else mean(x[..., None, :, :]).squeeze(-3)

    return Network(lambda key: {}, apply, "mean_pool")


def _as_floating(x: Array) -> Array:
    """Numbers that can be averaged: a sum of uint8 pixels would overflow."""
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
