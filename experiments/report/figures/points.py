"""Examples as points, and errors as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from experiments.report.figures.style import (
    BLUE,
    GREEN,
    RED,
    class_colors,
    name_ticks,
    place_legend,
)


def predictions(
    targets: Float[np.ndarray, " n"], predicted: Float[np.ndarray, " n"], unit: str
) -> Figure:
    """Predicted against true values of a regression, with the diagonal.

    Args:
        targets: true values.
        predicted: predictions.
        unit: what the axes measure.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    limits = [min(targets.min(), predicted.min()), max(targets.max(), predicted.max())]
    axes.plot(limits, limits, color="black", lw=1, label="perfect prediction")
    axes.scatter(targets, predicted, s=12, color=BLUE, alpha=0.6, label="test examples")
    axes.set_aspect("equal")
    axes.set_xlabel(f"true {unit}")
    axes.set_ylabel(f"predicted {unit}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left")
    return figure


def fitted_line(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    grid: Float[np.ndarray, " m"],
    curves: Float[np.ndarray, "num_seeds m"],
) -> Figure:
    """Points of one input with the function that each network fitted.

    Args:
        x: inputs.
        y: targets.
        grid: inputs of the curves.
        curves: predictions.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.scatter(x, y, s=12, color=BLUE, alpha=0.6, label="examples")
    name = "fitted function" if len(curves) == 1 else f"fitted functions of {len(curves)} networks"
    for index, curve in enumerate(curves):
        label = name if index == 0 else None
        axes.plot(grid, curve, color=RED, lw=1, alpha=0.7, label=label)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def code_map(
    points: Float[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"], class_names: Sequence[str]
) -> Figure:
    """Codes in two dimensions, colored by class.

    Args:
        points: the first two principal components of the codes.
        labels: classes.
        class_names: names of the classes; empty where there are no classes.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    names = class_names or ("all",)
    for label, (name, color) in enumerate(zip(names, class_colors(len(names)), strict=True)):
        x, y = points[labels == label].T
        axes.scatter(x, y, s=10, alpha=0.7, color=color, label=name, lw=0)
    axes.set_xlabel("first principal component of the codes")
    axes.set_ylabel("second principal component of the codes")
    axes.grid(alpha=0.3)
    if class_names:
        place_legend(axes, "class", len(class_names))
    return figure


def errors_by(
    errors: Mapping[str, Float[np.ndarray, " n"]], names: Sequence[str], *, what: str, unit: str
) -> Figure:
    """Mean squared errors of classes or features, a bar for each model.

    Args:
        errors: name of a model -> errors.
        names: of the classes or features.
        what: label of the x axis, such as "class" or "feature".
        unit: what the bars measure.

    Returns:
        The figure.
    """
    size = (max(5.4, 0.62 * len(names) + 2.2), 3.6 + 0.06 * max(map(len, names)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    width, places = 0.8 / len(errors), np.arange(len(names))
    colors = (BLUE, RED, GREEN)
    for index, (name, values) in enumerate(errors.items()):
        offset = (index - (len(errors) - 1) / 2) * width
        axes.bar(places + offset, values, width, label=name, color=colors[index % 3])
    name_ticks(axes, names, (size[0] - 2.2) / len(names))
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel(what)
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    place_legend(axes)
    return figure
