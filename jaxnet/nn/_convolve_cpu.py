"""Convolution on CPU whose gradients stay on XLA's fast paths.

`lax.conv_general_dilated` is fast forward, but the two convolutions that are its transposes are not
in the form that XLA's kernels for CPU take: inside a loop, where training is, they are 7 to 60
times slower (jax-ml/jax issue 12868). Here the tangent is written as two linear maps whose
transposes, which JAX derives, are in that form. So `grad`, `jvp`, `hessian` and `vmap` all work;
only the tangent of the images in forward mode leaves the fast path.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

Pair = tuple[int, int]


class Grid(NamedTuple):
    """Where a kernel is placed on images.

    Attributes:
        strides: vertical and horizontal step from one place to the next.
        dilation: vertical and horizontal distance between two neighbors of the kernel.
        pads: rows of zeros added above and below, and columns to the left and right.
    """

    strides: Pair
    dilation: Pair
    pads: tuple[Pair, Pair]

    @classmethod
    def of(cls, strides: Sequence[int], dilation: Sequence[int], pads: Sequence[Pair]) -> "Grid":
        """A grid from sequences of two entries."""
        (row, column), (rows, columns), (vertical, horizontal) = strides, dilation, pads
        return cls((row, column), (rows, columns), (vertical, horizontal))


# XLA leaves a convolution with at most this number of channels in and out to a slower kernel.
_FEW_CHANNELS = 16
# Bytes of the shifted copies that the kernel's gradient reads at once: what a core's cache holds.
_CACHE_BYTES = 1 << 21


def convolve(
    images: Float[Array, "batch height width in_channels"],
    kernel: Float[Array, "kernel_height kernel_width in_channels out_channels"],
    grid: Grid,
) -> Float[Array, "batch new_height new_width out_channels"]:
    """Cross-correlation of images with a kernel, as `lax.conv_general_dilated`.

    Args:
        images: the images; a series is an image of one row.
        kernel: the kernel, of the same dtype.
        grid: the places of the kernel.
    """
    if kernel.shape[2] == 1:
        return _sum_of_shifts(images, kernel, grid)
    return _convolve(images, kernel, grid)


def _sum_of_shifts(images: Array, kernel: Array, grid: Grid) -> Array:
    """With one channel: one loop over the output that also adds the bias and the activation.

    Copies of shifted images with one channel move single numbers; they took 20 ms of a training
    step on 128 images of 28x28, and this loop 3 ms.
    """
    images = jnp.pad(images, [(0, 0), *grid.pads, (0, 0)])
    shifted = _shifts(images, kernel.shape[:2], grid)
    matrices = kernel.reshape(-1, 1, kernel.shape[3])
    terms = [image @ matrix for image, matrix in zip(shifted, matrices, strict=True)]
    return functools.reduce(jnp.add, terms)


def _shifts(images: Array, window: Sequence[int], grid: Grid) -> list[Array]:
    """For each place of a window, row by row, the pixels of padded images that are there."""
    strides = grid.strides
    lengths = _spans(window, grid)
    ends = [
        (size - length) // stride * stride + 1
        for size, length, stride in zip(images.shape[1:3], lengths, strides, strict=True)
    ]
    return [
        images[:, row : row + ends[0] : strides[0], column : column + ends[1] : strides[1]]
        for row in range(0, lengths[0], grid.dilation[0])
        for column in range(0, lengths[1], grid.dilation[1])
    ]


def _spans(window: Sequence[int], grid: Grid) -> Pair:
    """Height and width of the pixels that a dilated kernel spans."""
    height, width = window[:2]
    return (height - 1) * grid.dilation[0] + 1, (width - 1) * grid.dilation[1] + 1


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve(images: Array, kernel: Array, grid: Grid) -> Array:
    return _correlate(images, kernel, grid)


@functools.partial(_convolve.defjvp, symbolic_zeros=True)
def _convolve_jvp(grid: Grid, primals: tuple[Array, Array], tangents: tuple) -> tuple[Array, Array]:
    images, kernel = primals
    images_tangent, kernel_tangent = tangents
    y = _convolve(images, kernel, grid)
    tangent = jnp.zeros_like(y)
    if not isinstance(images_tangent, SymbolicZero):
        tangent = _along_images(images_tangent, kernel, grid)
    if not isinstance(kernel_tangent, SymbolicZero):
        along_kernel = _along_kernel(images, kernel_tangent, grid)
        both = not isinstance(images_tangent, SymbolicZero)
        tangent = tangent + along_kernel if both else along_kernel
    return y, tangent


def _correlate(images: Array, kernel: Array, grid: Grid) -> Array:
    """`lax.conv_general_dilated` in a form for which XLA has a fast kernel."""
    kernel_height, kernel_width, in_channels, out_channels = kernel.shape
    strides, dilation, pads = grid
    height, width = (
        (size + sum(pad) - span) // stride + 1
        for size, pad, span, stride in zip(
            images.shape[1:3], pads, _spans(kernel.shape, grid), strides, strict=True
        )
    )
    if height > images.shape[1] or width > images.shape[2]:
        # The fast kernel does not enlarge images.
        images, pads = jnp.pad(images, [(0, 0), *pads, (0, 0)]), ((0, 0), (0, 0))
    # Two neighbors of the output computed as channels of one, by a kernel that is wider by a step
    # and partly zero: a third more operations for 3x3, and still faster than the slow kernel.
    few = max(in_channels, out_channels) <= _FEW_CHANNELS < 2 * out_channels
    in_pairs = few and width % 2 == 0 and dilation[1] == 1
    if in_pairs:
        step = strides[1]
        kernel = jnp.stack(
            [jnp.pad(kernel, [(0, 0), (s, step - s), (0, 0), (0, 0)]) for s in (0, step)], axis=3
        ).reshape(kernel_height, kernel_width + step, in_channels, 2 * out_channels)
        strides = strides[0], 2 * step
    y = jax.lax.conv_general_dilated(
        images,
        kernel,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(-1, height, width, out_channels) if in_pairs else y


def _along_images(tangent: Array, kernel: Array, grid: Grid) -> Array:
    """The convolution as a linear map of the images, whose transpose is a plain convolution.

    The gradient of the images is the correlation of the spread and padded cotangent with the
    flipped kernel. The barrier keeps XLA from folding the flip into the convolution, for which it
    has no fast kernel; the map itself is the transpose of that.
    """
    flipped = jax.lax.optimization_barrier(jnp.flip(kernel, (0, 1)).swapaxes(2, 3))
    sizes, spreads = [], []
    for size, span, stride, (low, high) in zip(
        tangent.shape[1:3], _spans(kernel.shape, grid), grid.strides, grid.pads, strict=True
    ):
        sizes.append((size + low + high - span) // stride + 1)
        spread = (sizes[-1] - 1) * stride + 1
        spreads.append((span - 1 - low, size + low - spread))

    def gradient(cotangent: Array) -> Array:
        if grid.strides != (1, 1):
            zero = jnp.zeros((), cotangent.dtype)
            steps = [(0, 0, 0), *((0, 0, stride - 1) for stride in grid.strides), (0, 0, 0)]
            cotangent = jax.lax.pad(cotangent, zero, steps)
        return _correlate(cotangent, flipped, Grid((1, 1), grid.dilation, tuple(spreads)))

    shape = (len(tangent), *sizes, kernel.shape[3])
    transposed = jax.linear_transpose(gradient, jax.ShapeDtypeStruct(shape, tangent.dtype))
    return transposed(tangent)[0]


def _along_kernel(images: Array, tangent: Array, grid: Grid) -> Array:
    """The convolution as a linear map of the kernel, whose transpose is one matrix product.

    The images are cut into parts that fit into the cache, and what the product reads is made again
    for the gradient (`jax.checkpoint`): both cost less than going through memory.
    """
    shifted = _rows_and_columns if grid.strides == (1, 1) else _patches

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def part(images: Array, tangent: Array) -> Array:
        return shifted(jnp.pad(images, [(0, 0), *grid.pads, (0, 0)]), tangent, grid)

    bytes_per_image = math.prod(images.shape[1:]) * tangent.shape[1] * images.dtype.itemsize
    size = _largest_divisor(len(images), _CACHE_BYTES // bytes_per_image)
    if size == len(images):
        return part(images, tangent)
    parts = images.reshape(-1, size, *images.shape[1:])
    y = jax.lax.map(lambda images: part(images, tangent), parts)
    return y.reshape(-1, *y.shape[2:])


def _rows_and_columns(images: Array, tangent: Array, grid: Grid) -> Array:
    """With step 1: columns shift before the product, rows after it.

    The product of the gradient is of the k column shifts of the images and the k row shifts of the
    cotangent: k + k copies, where patches are k times k.
    """
    kernel_height, kernel_width, in_channels, out_channels = tangent.shape
    rows_span, columns_span = _spans(tangent.shape, grid)
    height, width = images.shape[1] - rows_span + 1, images.shape[2] - columns_span + 1
    shifts = range(0, columns_span, grid.dilation[1])
    columns = jnp.concatenate([images[:, :, shift : shift + width] for shift in shifts], axis=-1)
    matrix = tangent.transpose(1, 2, 0, 3).reshape(kernel_width * in_channels, -1)
    # Flat: XLA transposes the copies of a product that sums over several axes.
    product = columns.reshape(-1, kernel_width * in_channels) @ matrix
    product = product.reshape(*columns.shape[:3], kernel_height * out_channels)
    rows = jax.lax.split(product, [out_channels] * kernel_height, axis=3)
    # Padding and one slice at the end transpose to slices of one padded cotangent.
    last = rows_span - 1
    padded = [
        jnp.pad(row, [(0, 0), (last - shift, shift), (0, 0), (0, 0)])
        for shift, row in zip(range(0, rows_span, grid.dilation[0]), rows, strict=True)
    ]
    return functools.reduce(jnp.add, padded)[:, last : last + height]


def _patches(images: Array, tangent: Array, grid: Grid) -> Array:
    """With any step: the product of the patch of each output with the kernel."""
    patches = jnp.concatenate(_shifts(images, tangent.shape[:2], grid), axis=-1)
    matrix = tangent.reshape(-1, tangent.shape[-1])
    return (patches.reshape(-1, len(matrix)) @ matrix).reshape(*patches.shape[:3], -1)


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is not above a limit, and at least 1."""
    return next(size for size in range(max(1, min(number, limit)), 0, -1) if number % size == 0)
