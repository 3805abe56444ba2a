"""Layers of images and series: convolution over two axes or one."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_choice, require_positive
from jaxnet.nn._convolve_cpu import Grid, convolve
from jaxnet.nn._kernels import KernelInit
from jaxnet.nn._windows import (
    Pads,
    num_windows,
    pad_by_length,
    pads_of,
    require_padding,
    require_steps,
    window_sizes,
)
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import zero_padding
from jaxnet.typing import Initializer, Params, Sequences

_ALGORITHMS = ("auto", "convolution", "cpu")
_DIMENSIONS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int] = 3,
    *,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: str = "SAME",
    kernel_init: Initializer = lecun_normal,
    algorithm: str = "auto",
) -> Network:
    """Convolution (cross-correlation) of images, or over the time of series.

    `y[i, j] = sum_{u, v} x[i + u, j + v] kernel[u, v] + bias`, LeCun et al. (1998),
    "Gradient-based learning applied to document recognition", section II.A. With one size of the
    kernel, `y[t] = sum_u x[t + d u] kernel[u] + bias` with the dilation `d`, van den Oord et al.
    (2016), "WaveNet", section 2.1. The bias starts at 0.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel, or one number for both; `(9,)` is 9 steps of
            a series.
        strides: step of each axis of the kernel, or one number for all.
        dilation: distance between neighbors of the kernel in each axis, or one number for all.
        padding: "SAME", "VALID", or for series "CAUSAL": an output depends on no later step.
        kernel_init: initializer of the kernel, shape `(*kernel_size, in_channels, out_channels)`.
        algorithm: "convolution" is `lax.conv_general_dilated`. "cpu" computes the same with
            gradients that are fast on CPU; in forward mode its tangent of the images is as slow
            there as the gradients of "convolution". "auto" is "cpu" where the program runs on CPU
            and "convolution" elsewhere. That choice is a primitive of its own, `platform_index`,
            which some exporters do not know: give them another algorithm.

    Returns:
        A network from `(*batch, height, width, in_channels)` to
        `(*batch, new_height, new_width, out_channels)`; of series, from
        `(*batch, time, in_channels)` to `(*batch, new_time, out_channels)`, and from `Sequences` to
        `Sequences`, each convolved as if it were cut to its length: steps beyond are zeros. The
        length of the output is that of the convolution of the cut sequence, so 0 where a kernel
        with padding "VALID" spans more steps. Images and kernel are promoted to a common dtype.

    Raises:
        TypeError: a size that is not an integer; (of the network) sequences for a kernel of two
            sizes.
        ValueError: a size below 1, an unknown padding or an unknown algorithm; (of the network) an
            input of other axes or channels, or smaller than the kernel with padding "VALID".

    >>> network = conv(1, 8, 5)
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> jax.jit(network.apply)(params, jnp.ones((5, 28, 28, 1))).shape
    (5, 28, 28, 8)
    >>> network = conv(3, 8, (9,), strides=2, padding="CAUSAL")
    >>> series = Sequences(jnp.ones((2, 50, 3)), jnp.array([50, 21]))
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> y = jax.jit(network.apply)(params, series)
    >>> y.values.shape, y.length.tolist()
    ((2, 25, 8), [25, 11])
    """
    require_positive("conv", in_channels=in_channels, out_channels=out_channels)
    kernel_size = window_sizes("conv", "kernel_size", kernel_size)
    num_axes = len(kernel_size)
    strides = window_sizes("conv", "strides", strides, num_axes)
    dilation = window_sizes("conv", "dilation", dilation, num_axes)
    require_padding("conv", padding, causal=num_axes == 1)
    require_choice("conv", "algorithm", algorithm, _ALGORITHMS)
    spans = tuple((size - 1) * step + 1 for size, step in zip(kernel_size, dilation, strict=True))

    init = KernelInit((*kernel_size, in_channels, out_channels), kernel_init)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch_and_space in_channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch_and_new_space out_channels"]:
        require_steps("conv", x, num_axes)
        if not isinstance(x, Sequences):
            return correlate(params, x, padding)
        x, length = zero_padding(x), num_windows(x.length, spans[0], strides[0], padding)
        if padding == "SAME" and strides != (1,):
            values = correlate(params, pad_by_length(x, spans[0], strides[0]), "VALID")
        else:
            values = correlate(params, x.values, padding)
        return zero_padding(Sequences(values, length))

    def correlate(params: Params, x: Array, padding: str) -> Array:
        sizes = x.shape[-1 - num_axes : -1]
        if x.shape[-1] != in_channels:
            raise ValueError(
                f"conv: the input has shape {x.shape}, expected in_channels = {in_channels} in the "
                "last axis"
            )
        if padding == "VALID" and any(map(int.__lt__, sizes, spans)):
            raise ValueError(
                f"conv: the input has shape {x.shape}, and the kernel spans {spans}, which does "
                'not fit; use padding="SAME" or a smaller kernel'
            )
        pads = pads_of(sizes, spans, strides, padding)
        # Every branch for a platform is traced, so the dtypes agree before.
        dtype = jnp.promote_types(x.dtype, params["kernel"].dtype)
        images, kernel = x.astype(dtype), params["kernel"].astype(dtype)
        if x.ndim != num_axes + 2:
            images = images.reshape(-1, *sizes, in_channels)
        if algorithm == "convolution" or (algorithm == "auto" and _is_on_explicit_axes(images)):
            y = convolution(images, kernel, pads)
        elif algorithm == "cpu":
            y = cpu(images, kernel, pads)
        else:
            y = jax.lax.platform_dependent(
                images,
                kernel,
                cpu=lambda images, kernel: cpu(images, kernel, pads),
                default=lambda images, kernel: convolution(images, kernel, pads),
            )
        y = y + jax.lax.broadcast_to_rank(params["bias"], y.ndim)
        return y if x.ndim == num_axes + 2 else y.reshape(*x.shape[: -1 - num_axes], *y.shape[1:])

    def convolution(images: Array, kernel: Array, pads: Pads) -> Array:
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            strides,
            pads,
            rhs_dilation=dilation,
            dimension_numbers=_DIMENSIONS[num_axes],
        )

    def cpu(images: Array, kernel: Array, pads: Pads) -> Array:
        if num_axes == 2:
            return convolve(images, kernel, Grid.of(strides, dilation, pads))
        grid = Grid.of((1, *strides), (1, *dilation), ((0, 0), *pads))
        return convolve(images[:, None], kernel[None], grid)[:, 0]

    return Network(init, apply, "conv", detail=f"{in_channels}, {out_channels}, {kernel_size}")


def _is_on_explicit_axes(x: Array) -> bool:
    """Whether explicit axes of a mesh spread an array; the algorithm for CPU would cut it."""
    return any(axis is not None for axis in jax.typeof(x).sharding.spec)
