"""Results of the trials of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from experiments.report.figures.style import BLUE, RED, display_name, name_ticks, use_log_scale

_MAX_PANELS = 3
_PANEL_WIDTH = 3.6


class SettingAxis(NamedTuple):
    """How the values of a setting are placed on an axis.

    Attributes:
        names: of its choices; none for numbers.
        choices: the choices themselves.
        is_logarithmic: whether the axis is.
    """

    names: tuple[str, ...]
    choices: tuple[Any, ...]
    is_logarithmic: bool


def expected_best(
    mean: Float[np.ndarray, " draws"],
    std: Float[np.ndarray, " draws"],
    limits: tuple[float, float],
    name: str,
) -> Figure:
    """The expected best of n trials, with a band of one standard deviation.

    Args:
        mean: for n = 1, 2, ...
        std: of the best of n.
        limits: the smallest and the largest result, beyond which there is no band.
        name: of the metric.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    number = np.arange(1, len(mean) + 1)
    axes.plot(number, mean, color=BLUE, marker="o" if len(mean) == 1 else None, label="mean")
    low, high = np.clip(mean - std, *limits), np.clip(mean + std, *limits)
    axes.fill_between(number, low, high, color=BLUE, alpha=0.2, lw=0, label="± standard deviation")
    if len(mean) > 1:
        use_log_scale(axes, "x")
    axes.set_xlabel("number of trials")
    axes.set_ylabel(f"{display_name(name)}, best of n")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def setting_scatter(
    settings: Mapping[str, SettingAxis],
    samples: Sequence[Mapping[str, Any]],
    values: Float[np.ndarray, " trials"],
    epochs: Int[np.ndarray, " trials"],
    winner: int,
    failed: Sequence[Mapping[str, Any]],
    name: str,
) -> Figure:
    """The result of each trial against each of its settings.

    Args:
        settings: how each setting is placed on its axis.
        samples: the settings of each trial.
        values: their results.
        epochs: the epochs that each has trained for; the darker, the more.
        winner: the index of the winner.
        failed: the settings of trials without a result.
        name: of the metric.

    Returns:
        The figure.
    """
    columns = min(len(settings), _MAX_PANELS)
    rows = -(-len(settings) // columns)
    size = (_PANEL_WIDTH * columns + 0.6, 3.2 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in panels[len(settings) :]:
        axes.remove()
    strength = 0.25 + 0.75 * epochs / epochs.max()
    bottom = values.min() - 0.05 * max(float(np.ptp(values)), 1e-3)
    # Trials that were stopped early may be far below: the best half decides what is seen.
    order = np.argsort(epochs, kind="stable")
    for index, (axes, (setting, axis)) in enumerate(zip(panels, settings.items(), strict=False)):
        place = _places(axis, setting, samples)
        axes.scatter(place[order], values[order], s=22, color=BLUE, alpha=strength[order], lw=0)
        axes.scatter(
            place[winner],
            values[winner],
            s=110,
            facecolors="none",
            edgecolors=RED,
            lw=1.8,
            label="winner",
        )
        if failed:
            crosses = _places(axis, setting, failed)
            axes.scatter(
                crosses, np.full(len(failed), bottom), marker="x", color=RED, s=22, label="diverged"
            )
        if axis.names:
            axes.set_xlim(-0.6, len(axis.names) - 0.4)
            name_ticks(axes, axis.names, _PANEL_WIDTH / len(axis.names))
        elif axis.is_logarithmic:
            use_log_scale(axes, "x")
        axes.set_xlabel(display_name(setting).lower())
        if index % columns == 0:
            axes.set_ylabel(display_name(name))
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    return figure


def _places(axis: SettingAxis, setting: str, samples: Sequence[Mapping[str, Any]]) -> np.ndarray:
    values = [sample[setting] for sample in samples]
    if not axis.names:
        return np.array(values, np.float64)
    # Beside each other where a choice has many trials.
    shift = 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
    return np.array([axis.choices.index(value) for value in values]) + shift
