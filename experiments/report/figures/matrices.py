"""Counts of two variables as per cent of each row."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.figures.style import name_ticks


def confusion_matrix(
    matrix: Shaped[np.ndarray, "num_classes num_classes"], class_names: Sequence[str]
) -> Figure:
    """Per cent of each true class that were predicted as each class; rows are true classes.

    Args:
        matrix: counts, summed over seeds.
        class_names: names of the classes.

    Returns:
        The figure.
    """
    size = max(3.6, 0.55 * len(class_names) + 1.8)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    _draw_percent(axes, matrix, num_digits=1)
    name_ticks(axes, class_names, (size - 1.6) / len(class_names))
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("Per cent of each true class, test set", fontsize="medium")
    return figure


def contingency_table(
    counts: Shaped[np.ndarray, "num_classes num_clusters"], class_names: Sequence[str]
) -> Figure:
    """Per cent of each class in each cluster; rows are classes.

    Args:
        counts: examples of each class in each cluster.
        class_names: names of the classes.

    Returns:
        The figure.
    """
    num_classes, num_clusters = counts.shape
    size = (max(3.6, 0.5 * num_clusters + 2), max(2.6, 0.42 * num_classes + 1.6))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    _draw_percent(axes, counts, num_digits=0)
    name_ticks(
        axes, [str(cluster) for cluster in range(num_clusters)], (size[0] - 1.8) / num_clusters
    )
    axes.set_yticks(range(num_classes), class_names)
    axes.set_xlabel("cluster")
    axes.set_ylabel("class")
    axes.set_title("Per cent of each class", fontsize="medium")
    return figure


def _draw_percent(axes: Axes, counts: np.ndarray, *, num_digits: int) -> None:
    """Draw counts as per cent of their rows, with numbers in cells that do not round to 0."""
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        if value >= 0.5 * 10.0**-num_digits:
            color = "white" if value > 55 else "black"
            text = "100" if value == 100 else f"{value:.{num_digits}f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
