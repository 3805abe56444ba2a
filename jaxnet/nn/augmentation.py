"""Random shifts, rotations and scalings of images, drawn and applied on the device."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_above_zero, require_not_negative, require_range, require_sizes
from jaxnet.nn.network import Network
from jaxnet.typing import Params


def transform_images(
    images: Float[Array, "*shape"],
    *,
    shift: Shaped[ArrayLike, "*#batch 2"] | Sequence[float] = (0.0, 0.0),
    rotation: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "*shape"]:
    """Rotate and scale images about their center, then shift them.

    The new pixel at `o` is the old image at `(1 / scale) R (o - center - shift) + center`, with
    `center` the middle of the image and R the rotation back. Between four pixels it interpolates
    bilinearly; beyond the border every pixel is zero, and the border pixels fade into that zero, so
    the result is a continuous function of the transform. It is a convex combination of old pixels
    and zero: values in [0, 1] stay in [0, 1].

    Args:
        images: `(*batch, height, width, channels)`.
        shift: pixels downwards and to the right, `(*batch, 2)` or one pair for all.
        rotation: degrees counterclockwise, `(*batch,)` or one for all; an image that is not square
            loses its corners.
        scale: factor of the size, above 0, `(*batch,)` or one for all; may be traced.

    Returns:
        The new images, of the same shape. The gradient with respect to the images is a scatter-add,
        which on an accelerator need not be bitwise identical from run to run.

    Raises:
        TypeError: a scale that is not a number.
        ValueError: images that are not height, width, channels; a scale of 0 or below.

    >>> image = jnp.array([[1.0, 2.0], [3.0, 4.0]])[..., None]
    >>> transform_images(image, shift=(0.0, 1.0))[..., 0].tolist()
    [[0.0, 1.0], [0.0, 3.0]]

    Source: Jaderberg et al. (2015), "Spatial transformer networks", eq. 1 and 5.
    """
    if images.ndim < 3:
        raise ValueError(
            "transform_images: images must have the axes height, width and channels, found "
            f"shape {images.shape}; reshape vectors, and add an axis for one channel"
        )
    require_above_zero("transform_images", scale=scale)
    *batch, height, width, channels = images.shape
    # Coordinates in half precision would be wrong by pixels.
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    transforms = (
        jnp.broadcast_to(jnp.asarray(shift, dtype), (*batch, 2)).reshape(-1, 2),
        jnp.broadcast_to(jnp.asarray(rotation, dtype), batch).reshape(-1),
        jnp.broadcast_to(jnp.asarray(scale, dtype), batch).reshape(-1),
    )
    flat = images.reshape(-1, height, width, channels)
    return _transform(flat, *transforms).reshape(images.shape)


@jax.jit
@jax.vmap
def _transform(image: Array, shift: Array, rotation: Array, scale: Array) -> Array:
    height, width, channels = image.shape
    center = ((height - 1) / 2, (width - 1) / 2)
    rows = (jnp.arange(height, dtype=shift.dtype) - center[0] - shift[0])[:, None]
    columns = (jnp.arange(width, dtype=shift.dtype) - center[1] - shift[1])[None, :]
    angle = jnp.deg2rad(rotation)
    cosine, sine = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    old_rows = cosine * rows + sine * columns + center[0]
    old_columns = cosine * columns - sine * rows + center[1]
    # Further out there are only zeros.
    old_rows = jnp.clip(old_rows, -1, height)
    old_columns = jnp.clip(old_columns, -1, width)
    top, left = jnp.floor(old_rows), jnp.floor(old_columns)
    below, right = (old_rows - top)[..., None], (old_columns - left)[..., None]

    # Four gathers from a padded image. Interpolation as products with matrices of weights needs
    # no gather and is 30 times slower on CPU for 28 x 28 pixels; and map_coordinates, as fast for
    # one channel, takes twice the time for three.
    stride = width + 3
    framed = jnp.pad(image, ((1, 2), (1, 2), (0, 0))).reshape(-1, channels)
    corner = (top.astype(jnp.int32) + 1) * stride + left.astype(jnp.int32) + 1

    def pixels(offset: int) -> Array:
        return framed.at[corner + offset].get(mode="clip")

    upper = _between(right, pixels(0), pixels(1))
    lower = _between(right, pixels(stride), pixels(stride + 1))
    return _between(below, upper, lower).astype(image.dtype)


def _between(fraction: Array, first: Array, second: Array) -> Array:
    # In this form rounding never leaves [0, 1], and at fraction 0 it is exactly `first`.
    return first + fraction * (second - first)


def random_affine(
    image_shape: Sequence[int],
    *,
    max_shift: ArrayLike = 0.0,
    max_rotation: ArrayLike = 0.0,
    max_scale: ArrayLike = 0.0,
) -> Network:
    """Shift, rotate and scale each image at random, as a layer without parameters.

    For each image, a separate key draws uniformly and independently: a vertical shift within
    `max_shift * height`, a horizontal one within `max_shift * width`, an angle within
    `max_rotation` and a factor within `1 ± max_scale`. `transform_images` applies them. Without a
    key it is the identity, as all noise layers are.

    It takes vectors as well as images, so it fits in a chain before the layers of an `mlp` or a
    `cnn`, in `with_noise`, and in `with_augmentation`. Guo et al. (2018), "Deep embedded clustering
    with data augmentation", use shifts of 0.1 and rotations of 10 degrees, and their program
    fills new pixels with the nearest pixels of the border; here they are zeros, the background
    of digits. The scale is an addition.

    Args:
        image_shape: height, width and channels of an image.
        max_shift: largest shift as a fraction of height and of width, at least 0; may be traced.
        max_rotation: largest rotation in degrees, at least 0; may be traced.
        max_scale: largest change of the size, in [0, 1); may be traced.

    Returns:
        A network that keeps shapes, on `(*batch, height, width, channels)` and on
        `(*batch, height * width * channels)`.

    Raises:
        TypeError: a size that is not an integer, a range that is not a number.
        ValueError: an image shape that is not three sizes of at least 1; a range outside its
            limits; (of the network) an input of another shape, or of integers.

    >>> network = random_affine((8, 8, 1), max_shift=0.1, max_rotation=10.0, max_scale=0.1)
    >>> x = jnp.ones((5, 64))
    >>> moved = jax.jit(network.apply)({}, x, key=jax.random.key(0))
    >>> moved.shape, bool((moved == 1).all()), bool((network.apply({}, x) == 1).all())
    ((5, 64), False, True)
    """
    image_shape = require_sizes(
        "random_affine",
        "image_shape",
        image_shape,
        "be height, width and channels",
        length=3,
        remedy="grayscale images have one channel",
    )
    require_not_negative("random_affine", max_shift=max_shift, max_rotation=max_rotation)
    require_range("random_affine", "max_scale", max_scale, 0, 1, include_high=False)
    height, width, _ = image_shape

    def draw(key: Array) -> Array:
        return jax.random.uniform(key, (4,), minval=-1, maxval=1)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        batch = _batch_axes(x, image_shape)
        if key is None:
            return x
        # Keys that are split off are the same for an image whatever images follow it.
        drawn = jax.vmap(draw)(jax.random.split(key, math.prod(batch)))
        moved = transform_images(
            x.reshape(-1, *image_shape),
            shift=max_shift * drawn[:, :2] * jnp.array([[height, width]], drawn.dtype),
            rotation=max_rotation * drawn[:, 2],
            scale=1 + max_scale * drawn[:, 3],
        )
        return moved.reshape(x.shape)

    return Network(lambda key: {}, apply, "random_affine")


def _batch_axes(x: Array, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"random_affine: images must be floating-point numbers, found {x.dtype}; convert "
            "bytes with x / 255"
        )
    # Both fit only an image of one pixel, for which they mean the same.
    if x.shape[-3:] == image_shape:
        return x.shape[:-3]
    if x.shape[-1:] == (math.prod(image_shape),):
        return x.shape[:-1]
    raise ValueError(
        f"random_affine: the input has shape {x.shape}, expected last axes {image_shape}, or one "
        f"last axis of {math.prod(image_shape)}"
    )
