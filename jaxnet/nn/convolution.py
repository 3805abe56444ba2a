"""Layers of images: two-dimensional convolution."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn._convolve_cpu import convolve
from jaxnet.nn._windows import require_padding, window_sizes
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.typing import Initializer, Params

_ALGORITHMS = ("auto", "convolution", "cpu")


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int] = 3,
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "SAME",
    kernel_init: Initializer = lecun_normal,
    bias_init: Initializer = jax.nn.initializers.zeros,
    algorithm: str = "auto",
) -> Network:
    """Two-dimensional convolution (cross-correlation) of images.

    `y[i, j] = sum_{u, v} x[i + u, j + v] kernel[u, v] + bias`, LeCun et al. (1998),
    "Gradient-based learning applied to document recognition", section II.A.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel, or one number for both.
        strides: vertical and horizontal step, or one number for both.
        padding: "SAME" or "VALID".
        kernel_init: initializer of the kernel, shape `(height, width, in_channels, out_channels)`.
        bias_init: initializer of the bias, shape `(out_channels,)`.
        algorithm: "convolution" is `lax.conv_general_dilated`. "cpu" computes the same with
            gradients that are fast on CPU; in forward mode its tangent of the images is as slow
            there as the gradients of "convolution". "auto" is "cpu" where the program runs on CPU
            and "convolution" elsewhere. That choice is a primitive of its own, `platform_index`,
            which some exporters do not know: give them another algorithm.

    Returns:
        A network from `(*batch, height, width, in_channels)` to
        `(*batch, new_height, new_width, out_channels)`. Images and kernel are promoted to a common
        dtype.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1, an unknown padding or an unknown algorithm.

    >>> network = conv(1, 8, 5)
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jnp.ones((5, 28, 28, 1))).shape
    (5, 28, 28, 8)
    """
    require_positive("conv", in_channels=in_channels, out_channels=out_channels)
    kernel_size = window_sizes("conv", "kernel_size", kernel_size)
    strides = window_sizes("conv", "strides", strides)
    require_padding("conv", padding)
    if algorithm not in _ALGORITHMS:
        choices = ", ".join(f'"{choice}"' for choice in _ALGORITHMS)
        raise ValueError(f"conv: algorithm must be one of {choices}, found {algorithm!r}")

    def init(key: Array) -> Params:
        kernel_key, bias_key = jax.random.split(key)
        shape = (*kernel_size, in_channels, out_channels)
        return {"kernel": kernel_init(kernel_key, shape), "bias": bias_init(bias_key, shape[-1:])}

    def apply(
        params: Params,
        x: Shaped[Array, "*batch height width in_channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width out_channels"]:
        # Every branch for a platform is traced, so the dtypes agree before.
        dtype = jnp.promote_types(x.dtype, params["kernel"].dtype)
        images, kernel = x.astype(dtype), params["kernel"].astype(dtype)
        if x.ndim != 4:
            images = images.reshape(-1, *x.shape[-3:])
        if algorithm == "convolution" or (algorithm == "auto" and _is_on_explicit_axes(images)):
            y = convolution(images, kernel)
        elif algorithm == "cpu":
            y = cpu(images, kernel)
        else:
            y = jax.lax.platform_dependent(images, kernel, cpu=cpu, default=convolution)
        y = y + jax.lax.broadcast_to_rank(params["bias"], y.ndim)
        return y if x.ndim == 4 else y.reshape(*x.shape[:-3], *y.shape[-3:])

    def convolution(images: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def cpu(images: Array, kernel: Array) -> Array:
        (top, bottom), (left, right) = jax.lax.padtype_to_pads(
            images.shape[1:3], kernel_size, strides, padding
        )
        return convolve(images, kernel, strides, ((top, bottom), (left, right)))

    return Network(init, apply, "conv", detail=f"{in_channels}, {out_channels}, {kernel_size}")


def _is_on_explicit_axes(x: Array) -> bool:
    """Whether explicit axes of a mesh spread an array; the algorithm for CPU would cut it."""
    return any(axis is not None for axis in jax.typeof(x).sharding.spec)
