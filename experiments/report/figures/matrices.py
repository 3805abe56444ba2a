"""Counts of two variables as per cent of each row."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.figures.style import name_ticks
from experiments.report.figures.text import display_text

# With more, numbers in cells could not be read.
MAX_SHOWN = 20


def confusion_matrix(
    matrix: Shaped[np.ndarray, "num_classes num_classes"], class_names: Sequence[str]
) -> Figure:
    """Per cent of each true class that were predicted as each class; rows are true classes.

    Of more than `MAX_SHOWN` classes those are shown that are confused most often, and the title
    says so; per cent are still those of all examples of a class.

    Args:
        matrix: counts, summed over seeds.
        class_names: names of the classes.

    Returns:
        The figure.
    """
    wrong = matrix - np.diag(np.diag(matrix))
    shown = _largest(wrong.sum(axis=0) + wrong.sum(axis=1))
    names = [display_text(class_names[index]) for index in shown]
    size = max(3.6, 0.55 * len(shown) + 1.8)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    _draw_percent(axes, _percent(matrix)[np.ix_(shown, shown)], num_digits=1)
    name_ticks(axes, names, (size - 1.6) / len(shown))
    axes.set_yticks(range(len(shown)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    title = "Per cent of each true class, test set"
    if len(shown) < len(matrix):
        title += f"\n{len(shown)} of {len(matrix)} classes, those that are confused most often"
    axes.set_title(title, fontsize="medium")
    return figure


def contingency_table(
    counts: Shaped[np.ndarray, "num_classes num_clusters"], class_names: Sequence[str]
) -> Figure:
    """Per cent of each class in each cluster; rows are classes.

    Of more than `MAX_SHOWN` classes or clusters the largest are shown, and the title says so.

    Args:
        counts: examples of each class in each cluster.
        class_names: names of the classes.

    Returns:
        The figure.
    """
    classes, clusters = _largest(counts.sum(axis=1)), _largest(counts.sum(axis=0))
    size = (max(3.6, 0.5 * len(clusters) + 2), max(2.6, 0.42 * len(classes) + 1.6))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    _draw_percent(axes, _percent(counts)[np.ix_(classes, clusters)], num_digits=0)
    name_ticks(axes, [str(cluster) for cluster in clusters], (size[0] - 1.8) / len(clusters))
    axes.set_yticks(range(len(classes)), [display_text(class_names[index]) for index in classes])
    axes.set_xlabel("cluster")
    axes.set_ylabel("class")
    title = "Per cent of each class"
    for name, shown, total in zip(
        ("classes", "clusters"), (classes, clusters), counts.shape, strict=True
    ):
        if len(shown) < total:
            title += f"\nthe {len(shown)} largest of {total} {name}"
    axes.set_title(title, fontsize="medium")
    return figure


def _largest(sizes: np.ndarray) -> np.ndarray:
    """Indices of the largest numbers, at most `MAX_SHOWN`, in their own order."""
    return np.sort(np.argsort(-sizes, kind="stable")[:MAX_SHOWN])


def _percent(counts: np.ndarray) -> np.ndarray:
    return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _draw_percent(axes: Axes, percent: np.ndarray, *, num_digits: int) -> None:
    """Draw per cent, with numbers in cells that do not round to 0."""
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        if value >= 0.5 * 10.0**-num_digits:
            color = "white" if value > 55 else "black"
            text = "100" if value == 100 else f"{value:.{num_digits}f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
