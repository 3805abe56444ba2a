"""Layers of images: two-dimensional convolution and pooling."""

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_positive, require_sizes
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.typing import Initializer, Params


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int] = (3, 3),
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "SAME",
    kernel_init: Initializer = lecun_normal,
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Network:
    """Two-dimensional convolution (cross-correlation) of images.

    `y[i, j] = sum_{u, v} x[i + u, j + v] kernel[u, v] + bias`, LeCun et al. (1998),
    "Gradient-based learning applied to document recognition", section II.A.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel.
        strides: vertical and horizontal step.
        padding: "SAME" or "VALID".
        kernel_init: initializer of the kernel, shape `(height, width, in_channels, out_channels)`.
        bias_init: initializer of the bias, shape `(out_channels,)`.

    Returns:
        A network from `(*batch, height, width, in_channels)` to
        `(*batch, new_height, new_width, out_channels)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1 or an unknown padding.

    >>> network = conv(1, 8)
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jnp.ones((5, 28, 28, 1))).shape
    (5, 28, 28, 8)
    """
    require_positive("conv", in_channels=in_channels, out_channels=out_channels)
    kernel_size = _window("conv", "kernel_size", kernel_size)
    strides = _window("conv", "strides", strides)
    _require_padding("conv", padding)

    def init(key: Array) -> Params:
        kernel_key, bias_key = jax.random.split(key)
        shape = (*kernel_size, in_channels, out_channels)
        return {"kernel": kernel_init(kernel_key, shape), "bias": bias_init(bias_key, shape[-1:])}

    def apply(
        params: Params,
        x: Float[Array, "*batch height width in_channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width out_channels"]:
        images = x.reshape(-1, *x.shape[-3:])
        y = jax.lax.platform_dependent(images, params["kernel"], cpu=products, default=convolution)
        y = y + jax.lax.broadcast_to_rank(params["bias"], y.ndim)
        return y.reshape(*x.shape[:-3], *y.shape[-3:])

    def convolution(images: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def products(images: Array, kernel: Array) -> Array:
        # On CPU, XLA's convolution is an order of magnitude slower inside a loop, where training
        # is, than outside (jax-ml/jax issue 12868). One matrix product for each place of the kernel
        # is the same sum.
        pads = jax.lax.padtype_to_pads(images.shape[1:3], kernel_size, strides, padding)
        images = jnp.pad(images, [(0, 0), *pads, (0, 0)])
        spans = [
            (size - window) // stride * stride + 1
            for size, window, stride in zip(images.shape[1:3], kernel_size, strides, strict=True)
        ]
        return sum(
            images[:, row : row + spans[0] : strides[0], column : column + spans[1] : strides[1]]
            @ kernel[row, column]
            for row, column in itertools.product(*map(range, kernel_size))
        )  # pyright: ignore[reportReturnType]

    return Network(init, apply, "conv")


def _pool(
    name: str,
    window: Sequence[int],
    padding: str,
    reduce: Callable[[Callable[[Array, float], Array], Array], Array],
) -> Network:
    """A network that reduces windows; `reduce(windows, x)` gets the function that makes them."""
    window = _window(name, "window", window)
    _require_padding(name, padding)

    def windows(x: Array, fill: float) -> Array:
        """`(*batch, new_height, window_height, new_width, window_width, channels)`."""
        *batch, height, width, channels = x.shape
        if padding == "SAME":
            pads = jax.lax.padtype_to_pads((height, width), window, window, padding)
            x = jnp.pad(x, [*[(0, 0)] * len(batch), *pads, (0, 0)], constant_values=fill)
        rows, columns = x.shape[-3] // window[0], x.shape[-2] // window[1]
        x = x[..., : rows * window[0], : columns * window[1], :]
        return x.reshape(*batch, rows, window[0], columns, window[1], channels)

    def apply(
        params: Params,
        x: Float[Array, "*batch height width channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width channels"]:
        return reduce(windows, x)

    return Network(lambda key: {}, apply, name)


def max_pool(window: Sequence[int] = (2, 2), *, padding: str = "VALID") -> Network:
    """Largest value of each window of an image; windows do not overlap.

    Zhou and Chellappa (1988), "Computation of optical flow using a neural network".

    Args:
        window: height and width of the window.
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
    return _pool(
        "max_pool", window, padding, lambda windows, x: windows(x, -math.inf).max(axis=(-4, -2))
    )


def mean_pool(window: Sequence[int] = (2, 2), *, padding: str = "VALID") -> Network:
    """Mean of each window of an image; windows do not overlap.

    LeCun et al. (1998), "Gradient-based learning applied to document recognition", section II.B,
    without their trained factor.

    Args:
        window: height and width of the window.
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

    def mean(windows: Callable[[Array, float], Array], x: Array) -> Array:
        counts = windows(jnp.ones_like(x[..., :1]), 0.0).sum(axis=(-4, -2))
        return windows(x, 0.0).sum(axis=(-4, -2)) / counts

    return _pool("mean_pool", window, padding, mean)


def _window(function: str, name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    return require_sizes(function, name, sizes, "be a height and a width", length=2)


def _require_padding(function: str, padding: str) -> None:
    if padding not in ("SAME", "VALID"):
        raise ValueError(f'{function}: padding must be "SAME" or "VALID", found {padding!r}')
