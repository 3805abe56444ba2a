"""Images in grids and rows, and the kernels of a first layer as images."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from experiments.report.figures.text import display_text

_MAX_ROWS = 30


def image_grid(
    images: Float[np.ndarray, "n height width ..."], titles: Sequence[str], *, columns: int = 8
) -> Figure:
    """A grid of images with a title above each.

    Args:
        images: `(n, height, width, channels)` or `(n, height, width)`, in [0, 1].
        titles: one for each image.
        columns: images in a row.

    Returns:
        The figure.
    """
    rows = max(1, -(-len(images) // columns))
    height = 1.35 + 0.15 * max(title.count("\n") + 1 if title else 0 for title in [*titles, ""])
    figure = Figure(figsize=(1.35 * columns, height * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).ravel():
        axes.set_axis_off()
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.imshow(np.squeeze(image), cmap="gray_r", vmin=0, vmax=1)
        lines = title.splitlines()
        axes.set_title("\n".join(display_text(line, 26) for line in lines), fontsize=8)
    return figure


def image_rows(rows: Mapping[str, Float[np.ndarray, "n height width channels"]]) -> Figure:
    """Rows of images, one below the other, each with its name; at most the first 30.

    Args:
        rows: name -> images in [0, 1], the same number in each row.

    Returns:
        The figure.
    """
    total, rows = len(rows), dict(list(rows.items())[:_MAX_ROWS])
    images = np.concatenate(list(rows.values()))
    columns, height = len(images) // len(rows), images.shape[1] + 1
    figure = Figure(figsize=(0.75 * columns + 1, 0.85 * len(rows)), layout="constrained")
    axes = figure.subplots()
    # One image of all: an axes for each would take seconds to draw.
    axes.imshow(_sheet(images, columns), cmap=_with_gaps("gray_r"), vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height - 1, list(map(display_text, rows)))
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    if total > len(rows):
        axes.set_title(f"the first {len(rows)} of {total} rows", fontsize="medium")
    return figure


def filters(
    kernels: Float[np.ndarray, "units height width channels"], *, columns: int = 12
) -> Figure:
    """The kernels of a first layer as images: red is positive, blue negative.

    Args:
        kernels: one for each unit; several channels are shown by their mean.
        columns: units in a row.

    Returns:
        The figure.
    """
    kernels = kernels.mean(axis=-1, keepdims=True)
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    sheet = _sheet(kernels / np.maximum(largest, 1e-12), columns)
    figure = Figure(figsize=(0.7 * columns, 0.7 * -(-len(kernels) // columns)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, cmap=_with_gaps("RdBu_r"), vmin=-1, vmax=1)
    axes.set_axis_off()
    return figure


def _sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """One gray image of all, the mean of the channels, with NaN between them."""
    images = np.pad(
        images.mean(axis=-1), ((0, -len(images) % columns), (0, 1), (0, 1)), constant_values=np.nan
    )
    _, height, width = images.shape
    sheet = images.reshape(-1, columns, height, width).swapaxes(1, 2)
    return sheet.reshape(-1, columns * width)[:-1, :-1]


def _with_gaps(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad="#c8c8c8")
