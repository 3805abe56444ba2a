"""Figures of the experiments: functions from arrays to a matplotlib figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_TRAIN, _VALIDATION, _ACCENT = "#4c78a8", "#e4572e", "#2a9d8f"
_COLORS = {"train": _TRAIN, "validation": _VALIDATION}


def learning_curves(history: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel for each metric: the mean over seeds, and the spread between least and largest.

    Args:
        history: metric -> part -> values `(num_epochs, num_seeds)`.
    """
    figure = Figure(figsize=(4.6 * len(history), 3.4), layout="constrained")
    for axes, (name, parts) in zip(
        figure.subplots(1, len(history), squeeze=False)[0], history.items(), strict=True
    ):
        for part, values in parts.items():
            epochs = np.arange(1, len(values) + 1)
            color = _COLORS.get(part, _ACCENT)
            axes.plot(epochs, values.mean(axis=1), color=color, label=part)
            axes.fill_between(
                epochs, values.min(axis=1), values.max(axis=1), color=color, alpha=0.2, lw=0
            )
        curves = np.concatenate([values.ravel() for values in parts.values()])
        if "loss" in name and curves.min() > 0 and curves.max() > 20 * curves.min():
            axes.set_yscale("log")
        num_seeds = next(iter(parts.values())).shape[1]
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        label = f"mean and range of {num_seeds} seeds" if num_seeds > 1 else "one seed"
        axes.legend(title=label, fontsize="small", title_fontsize="small")
    return figure


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Per cent of each true class that was called each class; rows are true classes.

    Args:
        matrix: counts, summed over seeds, `(num_classes, num_classes)`.
        class_names: names of the classes.
    """
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = max(3.6, 0.55 * len(class_names) + 1.8)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    ticks = np.arange(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, class_names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("confusion on the test set (%)")
    for row, column in np.ndindex(*percent.shape):
        if percent[row, column] >= 0.05:
            color = "white" if percent[row, column] > 55 else "black"
            text = f"{percent[row, column]:.1f}".removesuffix(".0")
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
    return figure


def pictures(images: np.ndarray, titles: Sequence[str], *, columns: int = 8) -> Figure:
    """A sheet of pictures with a title above each.

    Args:
        images: `(n, height, width, channels)` or `(n, height, width)`, in [0, 1].
        titles: one for each picture.
        columns: pictures in a row.
    """
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(1.35 * columns, 1.75 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).ravel():
        axes.set_axis_off()
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.imshow(np.squeeze(image), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=7)
    return figure


def threshold_curve(
    thresholds: np.ndarray, rates: Mapping[str, np.ndarray], chosen: float, title: str
) -> Figure:
    """Rates of a binary decision against its threshold, with the chosen threshold marked.

    Args:
        thresholds: probabilities, `(n,)`, infinite ones are left out.
        rates: name -> values `(n,)`.
        chosen: the threshold that the decision uses.
        title: title of the figure.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    finite = np.isfinite(thresholds)
    for (name, values), color in zip(
        rates.items(), (_VALIDATION, _TRAIN, _ACCENT, "#8338ec"), strict=False
    ):
        axes.step(thresholds[finite], values[finite], where="post", label=name, color=color)
    axes.axvline(chosen, color="black", linestyle="--", label=f"chosen threshold {chosen:.3f}")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("threshold on the predicted probability")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def predictions(targets: np.ndarray, predicted: np.ndarray, unit: str) -> Figure:
    """Predicted against true values of a regression, with the diagonal.

    Args:
        targets: true values `(n,)`.
        predicted: predictions `(n,)`.
        unit: what the axes measure.
    """
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    limits = [min(targets.min(), predicted.min()), max(targets.max(), predicted.max())]
    axes.plot(limits, limits, color="black", lw=1, label="perfect prediction")
    axes.scatter(targets, predicted, s=12, color=_TRAIN, alpha=0.6, label="test examples")
    axes.set_xlabel(f"true {unit}")
    axes.set_ylabel(f"predicted {unit}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def fitted_line(x: np.ndarray, y: np.ndarray, grid: np.ndarray, curves: np.ndarray) -> Figure:
    """Points of one input with the function that each network fitted.

    Args:
        x: inputs `(n,)`.
        y: targets `(n,)`.
        grid: inputs of the curves `(m,)`.
        curves: predictions `(num_seeds, m)`.
    """
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.scatter(x, y, s=12, color=_TRAIN, alpha=0.6, label="examples")
    for index, curve in enumerate(curves):
        label = "fitted, one line for each seed" if index == 0 else None
        axes.plot(grid, curve, color=_VALIDATION, lw=1, alpha=0.7, label=label)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure
