"""Windows of images and series: sizes, padding, and the cells of windows that do not overlap."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxnet._checks import require_sizes
from jaxnet.typing import Sequences

Pads = tuple[tuple[int, int], ...]


def window_sizes(
    function: str, name: str, sizes: int | Sequence[int], num_axes: int | None = None
) -> tuple[int, ...]:
    """One size for each axis: (9,) for series, a height and a width for images.

    One number stands for all axes: two of them unless `num_axes` says how many.
    """
    if not isinstance(sizes, Iterable):
        sizes = (sizes,) * (num_axes or 2)
    sizes = tuple(sizes)
    if num_axes is None:
        num_axes = 1 if len(sizes) == 1 else 2
        meaning = "be an integer, a height and a width, or a tuple of one size for series"
    elif num_axes == 1:
        meaning = "be an integer, or a tuple of one, as kernel_size has one axis"
    else:
        meaning = "be an integer, or a height and a width"
    return require_sizes(function, name, sizes, meaning, length=num_axes)


def require_padding(function: str, padding: str, *, causal: bool = False) -> None:
    """Raise unless a padding is known; "CAUSAL" is known where it has a meaning."""
    known = ("SAME", "VALID", "CAUSAL") if causal else ("SAME", "VALID")
    if padding not in known:
        choices = " or ".join(f'"{choice}"' for choice in known)
        remedy = '; "CAUSAL" is for convolutions of series' if padding == "CAUSAL" else ""
        raise ValueError(f"{function}: padding must be {choices}, found {padding!r}{remedy}")


def require_steps(function: str, x: Array | Sequences, num_axes: int) -> None:
    """Raise unless an input has one axis for each of a window, and one of channels."""
    if isinstance(x, Sequences):
        if num_axes != 1:
            raise TypeError(
                f"{function}: the window has a height and a width, found Sequences; for series "
                "give one size, as in (9,)"
            )
        if x.values.ndim != x.length.ndim + 2:
            raise ValueError(
                f"{function}: the values have shape {x.values.shape}, expected (*batch, time, "
                "channels); embed tokens first, and give series of one channel an axis of size 1"
            )
    elif x.ndim <= num_axes:
        axes = "time, channels" if num_axes == 1 else "height, width, channels"
        raise ValueError(f"{function}: the input has shape {x.shape}, expected (*batch, {axes})")


def pads_of(
    sizes: Sequence[int], spans: Sequence[int], strides: Sequence[int], padding: str
) -> Pads:
    """Zeros before and after each axis, for windows that span a number of steps."""
    if padding == "CAUSAL":
        return tuple((span - 1, 0) for span in spans)
    return tuple(
        (low, high) for low, high in jax.lax.padtype_to_pads(sizes, spans, strides, padding)
    )


def num_windows(
    length: Int[Array, "*batch"], span: int, stride: int, padding: str
) -> Int[Array, "*batch"]:
    """Number of windows of sequences of some lengths."""
    if padding == "VALID":
        return jnp.maximum((length - span) // stride + 1, 0)
    return -(-length // stride)


def pad_by_length(x: Sequences, span: int, stride: int, fill: float | int = 0) -> Array:
    """Padding "SAME" of each sequence as of the sequence cut to its length.

    With a stride above 1 the number of steps before the first depends on the length. What lies
    beyond the lengths must be `fill`.

    Returns:
        Values whose windows are those of padding "VALID".
    """
    values, time = x.values, x.values.shape[-2]
    size = (-(-time // stride) - 1) * stride + span
    low = jnp.maximum(span - 1 - (x.length - 1) % stride, 0) // 2
    lows = sorted({max(span - 1 - residue, 0) // 2 for residue in range(stride)})
    padded = []
    for before in lows:
        pads = [(0, 0, 0)] * (values.ndim - 2) + [(before, size - before - time, 0), (0, 0, 0)]
        padded.append(jax.lax.pad(values, jnp.asarray(fill, values.dtype), pads))
    y = padded[0]
    for before, other in zip(lows[1:], padded[1:], strict=True):
        y = jnp.where((low == before)[..., None, None], other, y)
    return y


def fit_to_windows(x: Array, window: tuple[int, ...], padding: str, fill: float | int) -> Array:
    """The image with incomplete windows at the border filled ("SAME") or dropped ("VALID")."""
    height, width = x.shape[-3:-1]
    if padding == "SAME":
        pads = jax.lax.padtype_to_pads((height, width), window, window, padding)
        if all(pad == (0, 0) for pad in pads):
            return x
        return jnp.pad(x, [*[(0, 0)] * (x.ndim - 3), *pads, (0, 0)], constant_values=fill)
    return x[..., : height // window[0] * window[0], : width // window[1] * window[1], :]


def window_cells(x: Array, window: tuple[int, ...]) -> list[Array]:
    """The images of all first cells of windows, of all second cells, and so on, row by row.

    The transpose joins them again by concatenation, where that of strided slices would add padded
    images. One axis is split at a time, which explicit mesh axes allow.
    """
    *batch, height, width, channels = x.shape
    by_row = x.reshape(*batch, height // window[0], window[0], width, channels)
    cells: list[Array] = []
    for row in jax.lax.split(by_row, [1] * window[0], axis=len(batch) + 1):
        row = row.squeeze(-3).reshape(
            *batch, height // window[0], width // window[1], window[1], channels
        )
        columns = jax.lax.split(row, [1] * window[1], axis=len(batch) + 2)
        cells += [column.squeeze(-2) for column in columns]
    return cells
