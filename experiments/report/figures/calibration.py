"""Figures of calibrated decisions: reliability, sizes of sets, intervals."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure

from experiments.report.figures.style import BLUE, RED, place_legend
from experiments.report.figures.text import display_text
from jaxnet.metrics import ReliabilityDiagram

_MAX_SHOWN = 300


def reliability_curves(diagrams: Mapping[str, ReliabilityDiagram]) -> Figure:
    """Accuracy against confidence, with intervals, in a panel for each diagram.

    Args:
        diagrams: name -> diagram, as NumPy arrays.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(4.4 * len(diagrams) + 0.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(diagrams), squeeze=False, sharey=True)[0]
    for axes, (name, diagram), color in zip(panels, diagrams.items(), (RED, BLUE), strict=False):
        shown = diagram.weight > 0
        confidence, accuracy = diagram.confidence[shown], diagram.accuracy[shown]
        ends = accuracy - diagram.lower[shown], diagram.upper[shown] - accuracy
        axes.plot((0, 1), (0, 1), color="#888888", linestyle="--", linewidth=1)
        axes.errorbar(
            confidence, accuracy, np.clip(ends, 0, 1), color=color, linewidth=1, capsize=2
        )
        sizes = 12 + 140 * diagram.weight[shown] / diagram.weight.sum()
        axes.scatter(confidence, accuracy, sizes, color=color, zorder=3)
        gap = np.abs(confidence - accuracy) @ diagram.weight[shown] / diagram.weight.sum()
        axes.set_title(f"{name}: error {gap:.4f}")
        axes.set_xlabel("confidence")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy")
    return figure


def set_sizes(sizes: Int[np.ndarray, " n"], covered: Bool[np.ndarray, " n"]) -> Figure:
    """How many prediction sets have each number of classes, and which hold the true class.

    Args:
        sizes: number of classes in each set.
        covered: whether the true class is in the set.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    counts = np.bincount(sizes)
    right = np.bincount(sizes, weights=covered)
    places = np.arange(len(counts))
    axes.bar(places, right, color=BLUE, label="holds the true class")
    axes.bar(places, counts - right, bottom=right, color=RED, label="does not")
    if len(places) <= 20:
        axes.set_xticks(places)
    axes.set_xlabel("classes in the set")
    axes.set_ylabel("test examples")
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    place_legend(axes)
    return figure


def prediction_intervals(
    predicted: Float[np.ndarray, " n"],
    lower: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, " n"],
    targets: Float[np.ndarray, " n"],
    unit: str,
) -> Figure:
    """Intervals and true values in the order of the predictions; of many examples some.

    Args:
        predicted: predictions.
        lower: lower ends.
        upper: upper ends.
        targets: true values.
        unit: of all of them.

    Returns:
        The figure.
    """
    order = np.argsort(predicted, kind="stable")
    if len(order) > _MAX_SHOWN:
        order = order[np.linspace(0, len(order) - 1, _MAX_SHOWN).round().astype(int)]
    places = np.arange(len(order))
    inside = ((lower <= targets) & (targets <= upper))[order]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(places, lower[order], upper[order], color=BLUE, alpha=0.25, lw=0)
    axes.plot(places, predicted[order], color=BLUE, linewidth=1, label="prediction")
    for is_inside, color, label in ((True, "#222222", "inside"), (False, RED, "outside")):
        rows = inside == is_inside
        axes.plot(places[rows], targets[order][rows], ".", color=color, label=label, markersize=4)
    axes.set_xlabel("test examples in the order of their predictions")
    axes.set_ylabel(display_text(unit) if unit else "target")
    axes.grid(alpha=0.3)
    place_legend(axes)
    return figure
