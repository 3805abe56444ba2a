"""Metrics over epochs, steps, seconds, learning rates and thresholds."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.report.figures.style import (
    BLUE,
    GREEN,
    PURPLE,
    RED,
    display_name,
    place_legend,
    use_log_scale,
)

_COLORS = {"train": BLUE, "validation": RED}
_NAMES = {"train": "training"}
_MAX_PANELS = 3


def learning_curves(history: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel for each metric: the mean over seeds, and the range from smallest to largest.

    A metric that is equal to the loss has no panel of its own.

    Args:
        history: metric -> part -> values `(num_epochs, num_seeds)`.

    Returns:
        The figure.
    """
    shown = {
        name: parts
        for name, parts in history.items()
        if name == "loss" or "loss" not in history or not _are_equal(parts, history["loss"])
    }
    equal = [name.replace("_", " ") for name in history if name not in shown]
    columns = min(len(shown), _MAX_PANELS)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(max(4.6, 3.9 * columns), 3.3 * rows + 0.3), layout="constrained")
    handles = {}
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.remove()
    for axes, (name, parts) in zip(panels, shown.items(), strict=False):
        for part, values in parts.items():
            epochs = np.arange(1, len(values) + 1)
            color = _COLORS.get(part, GREEN)
            marker = "o" if len(values) == 1 else None
            label = _NAMES.get(part, part)
            [handles[label]] = axes.plot(epochs, values.mean(axis=1), color=color, marker=marker)
            axes.fill_between(
                epochs, values.min(axis=1), values.max(axis=1), color=color, alpha=0.2, lw=0
            )
        curves = np.concatenate([values.ravel() for values in parts.values()])
        if "loss" in name and curves.min() > 0 and curves.max() > 20 * curves.min():
            use_log_scale(axes, "y")
        axes.set_title(" = ".join([display_name(name), *(equal if name == "loss" else [])]))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    num_seeds = next(iter(next(iter(shown.values())).values())).shape[1]
    title = f"mean and range over {num_seeds} seeds" if num_seeds > 1 else "one seed"
    figure.legend(
        handles.values(),
        handles.keys(),
        title=title,
        fontsize="small",
        title_fontsize="small",
        ncols=len(handles),
        loc="outside lower center",
    )
    return figure


def _are_equal(parts: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    return parts.keys() == others.keys() and all(
        np.array_equal(parts[part], others[part], equal_nan=True) for part in parts
    )


def threshold_curve(
    thresholds: Float[np.ndarray, " n"],
    rates: Mapping[str, Float[np.ndarray, " n"]],
    chosen: float,
    title: str,
) -> Figure:
    """Rates of a binary decision against its threshold, with the chosen threshold marked.

    Args:
        thresholds: probabilities; infinite ones are left out.
        rates: name -> values in [0, 1].
        chosen: the threshold that the decision uses.
        title: title of the figure, which may hold the name of a class.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7.0, 3.8), layout="constrained")
    axes = figure.subplots()
    finite = np.isfinite(thresholds)
    for (name, values), color in zip(rates.items(), (RED, BLUE, GREEN, PURPLE), strict=False):
        axes.step(thresholds[finite], values[finite], where="post", label=name, color=color)
    axes.axvline(chosen, color="black", linestyle="--", label=f"chosen threshold {chosen:.3f}")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("threshold on the predicted probability")
    axes.set_ylabel("rate")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    place_legend(axes)
    return figure


def optimizer_curves(
    curves: Mapping[
        str, tuple[Float[np.ndarray, " num_epochs"], Float[np.ndarray, "num_epochs num_seeds"]]
    ],
    *,
    steps_per_epoch: int,
) -> Figure:
    """Training losses of optimizers against steps and against seconds.

    Args:
        curves: name -> seconds and losses.
        steps_per_epoch: steps of an epoch.

    Returns:
        The figure.
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
    by_seconds.set_xlabel("seconds of training for each network")
    by_steps.set_ylabel("training loss, mean of each epoch")
    use_log_scale(by_seconds, "x", "y")
    use_log_scale(by_steps, "y")
    for axes in (by_steps, by_seconds):
        axes.grid(alpha=0.3, which="both")
    place_legend(by_seconds, "optimizer", len(curves))
    return figure


def rate_curves(
    curves: Mapping[str, tuple[Float[np.ndarray, " rates"], Float[np.ndarray, "rates num_seeds"]]],
) -> Figure:
    """Losses of optimizers against their learning rates; runs that diverged are left out.

    Args:
        curves: name -> rates and losses.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    for index, (name, (rates, losses)) in enumerate(curves.items()):
        means = losses.mean(axis=1)
        means = np.where(np.isfinite(means), means, np.nan)
        axes.plot(rates, means, color=f"C{index % 10}", label=name, marker="o", markersize=4)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("validation loss after the last epoch")
    use_log_scale(axes, "x", "y")
    axes.grid(alpha=0.3)
    if curves:
        place_legend(axes, "optimizer", len(curves))
    return figure
