"""Figures of the experiments: functions from arrays to a matplotlib figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
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
    _write_percent(axes, percent, num_digits=1)
    return figure


def _write_percent(axes: Axes, percent: np.ndarray, *, num_digits: int) -> None:
    """Write numbers into the cells of a picture, but those that would round to 0."""
    for row, column in np.ndindex(*percent.shape):
        if percent[row, column] >= 0.5 * 10.0**-num_digits:
            color = "white" if percent[row, column] > 55 else "black"
            text = f"{percent[row, column]:.{num_digits}f}".removesuffix(".0")
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")


def contingency_table(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Per cent of each class in each cluster; rows are classes.

    Args:
        counts: `(num_classes, num_clusters)`.
        class_names: names of the classes.
    """
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    num_classes, num_clusters = counts.shape
    size = (max(3.6, 0.5 * num_clusters + 2), max(2.4, 0.42 * num_classes + 1.4))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(np.arange(num_clusters))
    axes.set_yticks(np.arange(num_classes), class_names)
    axes.set_xlabel("cluster")
    axes.set_ylabel("class")
    _write_percent(axes, percent, num_digits=0)
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


def picture_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Rows of pictures, one under the other, each with its name.

    Args:
        rows: name -> pictures `(n, height, width, channels)`, in [0, 1], equally many in each row.
    """
    images = np.concatenate(list(rows.values()))
    columns, height = len(images) // len(rows), images.shape[1] + 1
    figure = Figure(figsize=(0.75 * columns + 1, 0.85 * len(rows)), layout="constrained")
    axes = figure.subplots()
    # One picture of all: an axes for each would take seconds to draw.
    axes.imshow(_sheet(images, columns), cmap=_with_gaps("gray_r"), vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, list(rows))
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    return figure


def filters(kernels: np.ndarray, *, columns: int = 12) -> Figure:
    """What each unit of a first layer looks for: red is positive, blue negative.

    Args:
        kernels: `(units, height, width, channels)`; several channels are shown by their mean.
        columns: units in a row.
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
    """One picture of all, NaN between them; with three channels a gray one, their mean."""
    images = np.pad(
        images.mean(axis=-1), ((0, -len(images) % columns), (0, 1), (0, 1)), constant_values=np.nan
    )
    _, height, width = images.shape
    return images.reshape(-1, columns, height, width).swapaxes(1, 2).reshape(-1, columns * width)


def _with_gaps(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad="#c8c8c8")


def code_map(points: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Codes in two dimensions, colored by class.

    Args:
        points: `(n, 2)`.
        labels: classes `(n,)`.
        class_names: names of the classes; none where there are none.
    """
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for label, name in enumerate(class_names or ("all",)):
        own = points[labels == label]
        color = f"C{label}" if label < 10 else None
        axes.scatter(own[:, 0], own[:, 1], s=9, alpha=0.7, color=color, label=name, lw=0)
    axes.set_xlabel("first principal component of the codes")
    axes.set_ylabel("second principal component")
    axes.grid(alpha=0.3)
    if class_names:
        axes.legend(
            title="class",
            fontsize="small",
            markerscale=2,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
    return figure


def errors_by(
    errors: Mapping[str, np.ndarray], names: Sequence[str], *, what: str, unit: str
) -> Figure:
    """Mean squared errors of classes or features, a bar for each model.

    Args:
        errors: name of a model -> errors `(n,)`.
        names: of the classes or features, `n`.
        what: that they are classes or features.
        unit: what the bars measure.
    """
    tallest = max(map(len, names))
    size = (max(5.4, 0.62 * len(names) + 1.6), 3.6 + 0.06 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    width, places = 0.8 / len(errors), np.arange(len(names))
    colors = (_TRAIN, _VALIDATION, _ACCENT)
    for index, (name, values) in enumerate(errors.items()):
        offset = (index - (len(errors) - 1) / 2) * width
        axes.bar(places + offset, values, width, label=name, color=colors[index % 3])
    tilted = tallest > 4
    axes.set_xticks(
        places,
        names,
        rotation=45 if tilted else 0,
        ha="right" if tilted else "center",
        rotation_mode="anchor" if tilted else "default",
    )
    axes.set_xlabel(what)
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    axes.legend(fontsize="small")
    return figure


def optimizer_curves(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, steps_per_epoch: int
) -> Figure:
    """Training losses of optimizers against steps and against seconds.

    Args:
        curves: name -> seconds `(num_epochs,)` and losses `(num_epochs, num_seeds)`.
        steps_per_epoch: steps of an epoch.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    by_steps, by_seconds = figure.subplots(1, 2, sharey=True)
    for index, (name, (seconds, losses)) in enumerate(curves.items()):
        steps = steps_per_epoch * np.arange(1, len(losses) + 1)
        color = f"C{index % 10}"
        for axes, places in ((by_steps, steps), (by_seconds, seconds)):
            axes.plot(places, losses.mean(axis=1), color=color, label=name, marker=".")
            axes.fill_between(
                places, losses.min(axis=1), losses.max(axis=1), color=color, alpha=0.2, lw=0
            )
    by_steps.set_xlabel("steps")
    by_seconds.set_xlabel("seconds of training of one network")
    by_steps.set_ylabel("training loss, mean of each epoch")
    for axes in (by_steps, by_seconds):
        axes.set_yscale("log")
        axes.grid(alpha=0.3, which="both")
    by_seconds.set_xscale("log")
    by_seconds.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def rate_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Losses of optimizers against their learning rates; what diverged is left out.

    Args:
        curves: name -> rates `(rates,)` and losses `(rates, num_seeds)`.
    """
    figure = Figure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    for index, (name, (rates, losses)) in enumerate(curves.items()):
        means = losses.mean(axis=1)
        means = np.where(np.isfinite(means), means, np.nan)
        axes.plot(rates, means, color=f"C{index % 10}", label=name, marker="o")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("validation loss after the last epoch")
    axes.grid(alpha=0.3, which="both")
    if curves:
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
