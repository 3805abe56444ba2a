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
from experiments.report.figures.text import display_text, display_width

_MAX_NAMED = 20
_MAX_COLUMNS = 12


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
    axes.set_xlabel(f"true {display_text(unit)}" if unit else "true value")
    axes.set_ylabel(f"predicted {display_text(unit)}" if unit else "predicted value")
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

    Of more than 20 classes the 19 with most points are named; all others are gray.

    Args:
        points: the first two principal components of the codes.
        labels: classes.
        class_names: names of the classes; empty where there are no classes.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for name, color, members in _groups(labels, class_names or ("all",)):
        x, y = points[members].T
        axes.scatter(x, y, s=10, alpha=0.7, color=color, label=name, lw=0)
    axes.set_xlabel("first principal component of the codes")
    axes.set_ylabel("second principal component of the codes")
    axes.grid(alpha=0.3)
    if class_names:
        place_legend(axes, "class", min(len(class_names), _MAX_NAMED))
    return figure


def _groups(
    labels: np.ndarray, class_names: Sequence[str]
) -> list[tuple[str, str | tuple[float, ...], np.ndarray]]:
    """Name, color and members of each class that has a color of its own, and of all others."""
    sizes = np.bincount(labels, minlength=len(class_names))
    named = np.arange(len(class_names))
    if len(class_names) > _MAX_NAMED:
        named = np.sort(np.argsort(-sizes, kind="stable")[: _MAX_NAMED - 1])
    groups: list[tuple[str, str | tuple[float, ...], np.ndarray]] = [
        (display_text(class_names[int(label)]), color, labels == label)
        for label, color in zip(named, class_colors(len(named)), strict=True)
    ]
    if others := len(class_names) - len(named):
        # First, so that the named classes lie on top.
        groups.insert(0, (f"{others} other classes", "#bbbbbb", ~np.isin(labels, named)))
    return groups


def errors_by(
    errors: Mapping[str, Float[np.ndarray, " n"]], names: Sequence[str], *, what: str, unit: str
) -> Figure:
    """Mean squared errors of classes or features, a bar for each model.

    The bars of many names are horizontal, so that the names can be read.

    Args:
        errors: name of a model -> errors.
        names: of the classes or features.
        what: label of the x axis, such as "class" or "feature".
        unit: what the bars measure.

    Returns:
        The figure.
    """
    shown = [display_text(name) for name in names]
    is_wide = len(names) > _MAX_COLUMNS
    if is_wide:
        size = (7.0, 1.6 + 0.28 * len(names))
    else:
        longest = max(map(display_width, shown))
        size = (max(5.4, 0.62 * len(names) + 2.2), 3.6 + 0.06 * longest)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    width, places = 0.8 / len(errors), np.arange(len(names))
    colors = (BLUE, RED, GREEN)
    for index, (name, values) in enumerate(errors.items()):
        offset = places + (index - (len(errors) - 1) / 2) * width
        draw = axes.barh if is_wide else axes.bar
        draw(offset, values, width, label=name, color=colors[index % 3])
    limits = (-0.6, len(names) - 0.4)
    if is_wide:
        axes.set_yticks(places, shown)
        axes.set_ylim(*limits[::-1])
        axes.set_ylabel(what)
        axes.set_xlabel(unit)
    else:
        name_ticks(axes, shown, (size[0] - 2.2) / len(names))
        axes.set_xlim(*limits)
        axes.set_xlabel(what)
        axes.set_ylabel(unit)
    axes.grid(alpha=0.3, axis="x" if is_wide else "y")
    axes.set_axisbelow(True)
    place_legend(axes)
    return figure
