"""Windows of images: the sizes that layers take, and the cells of windows that do not overlap."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet._checks import require_sizes


def window_sizes(function: str, name: str, sizes: int | Sequence[int]) -> tuple[int, int]:
    """Height and width; one number stands for both."""
    if not isinstance(sizes, Iterable):
        sizes = (sizes, sizes)
    height, width = require_sizes(
        function, name, sizes, "be an integer, or a height and a width", length=2
    )
    return height, width


def require_padding(function: str, padding: str) -> None:
    """Raise unless a padding is known."""
    if padding not in ("SAME", "VALID"):
        raise ValueError(f'{function}: padding must be "SAME" or "VALID", found {padding!r}')


def fit_to_windows(x: Array, window: tuple[int, int], padding: str, fill: float | int) -> Array:
    """The image with incomplete windows at the border filled ("SAME") or dropped ("VALID")."""
    height, width = x.shape[-3:-1]
    if padding == "SAME":
        pads = jax.lax.padtype_to_pads((height, width), window, window, padding)
        if all(pad == (0, 0) for pad in pads):
            return x
        return jnp.pad(x, [*[(0, 0)] * (x.ndim - 3), *pads, (0, 0)], constant_values=fill)
    return x[..., : height // window[0] * window[0], : width // window[1] * window[1], :]


def window_cells(x: Array, window: tuple[int, int]) -> list[Array]:
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
