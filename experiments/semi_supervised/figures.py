"""Figures of experiments.semi_supervised."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from experiments.report.figures.style import class_colors, use_log_scale
from experiments.semi_supervised.config import TITLES
from experiments.semi_supervised.tables import Score


def errors_of_draws(scores: Mapping[str, Score]) -> Figure:
    """The error of each method on each draw: a row for each method, a color for each draw.

    Args:
        scores: the errors by the name of a method.

    Returns:
        The figure.
    """
    num_draws = len(next(iter(scores.values())).errors)
    colors = class_colors(max(2, num_draws))
    figure = Figure(figsize=(7.5, 0.38 * len(scores) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, score in enumerate(scores.values()):
        of_draws = 100 * score.errors.mean(axis=1)
        places = row + np.linspace(-0.22, 0.22, num_draws) if num_draws > 1 else np.array([row])
        axes.scatter(of_draws, places, c=colors[:num_draws], s=16)
        axes.plot([of_draws.mean()] * 2, [row - 0.35, row + 0.35], color="black", lw=1.2)
    axes.set_yticks(range(len(scores)), [TITLES.get(name, name) for name in scores])
    axes.invert_yaxis()
    axes.set_xlabel("error on the held-out examples, %")
    axes.grid(axis="x", alpha=0.3)
    return figure


def error_curves(curves: Mapping[str, Float[np.ndarray, "epochs networks"]]) -> Figure:
    """The mean error of each method over the epochs that take examples without labels.

    Args:
        curves: errors on the held-out examples by the name of a method.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    colors = class_colors(max(2, len(curves)))
    for color, (name, curve) in zip(colors, curves.items(), strict=False):
        epochs = np.arange(1, len(curve) + 1)
        marker = "o" if len(curve) == 1 else None
        axes.plot(
            epochs,
            100 * curve.mean(axis=1),
            color=color,
            marker=marker,
            label=TITLES.get(name, name),
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("error on the held-out examples, %")
    if all((curve.mean(axis=1) > 0).all() for curve in curves.values()):
        use_log_scale(axes, "y")
    axes.grid(alpha=0.3, which="both")
    figure.legend(fontsize="small", ncols=3, loc="outside lower center")
    return figure
