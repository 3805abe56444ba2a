"""Colors, labels, axes and legends that figures share."""

import math
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from experiments.report.figures.text import display_width

BLUE, RED, GREEN, PURPLE = "#4c78a8", "#e4572e", "#2a9d8f", "#8338ec"

_ABBREVIATIONS = ("ari", "auc", "nmi", "pca", "roc")
# Mean width of a letter of tick labels, in inches.
_LETTER_WIDTH = 0.095


def display_name(name: str) -> str:
    """The name of a metric as it is shown.

    Args:
        name: with underscores.

    Returns:
        With blanks, a capital at the beginning, and abbreviations in capitals.

    >>> display_name("mean_squared_error"), display_name("nmi"), display_name("roc_auc")
    ('Mean squared error', 'NMI', 'ROC AUC')
    """
    words = [word.upper() if word in _ABBREVIATIONS else word for word in name.split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def class_colors(num_classes: int) -> list[tuple[float, float, float, float]]:
    """A color for each class, all different.

    Args:
        num_classes: number of classes.

    Returns:
        Red, green, blue and opacity of each, in [0, 1].

    >>> len(set(class_colors(40)))
    40
    """
    if num_classes <= 20:
        colors = colormaps["tab10" if num_classes <= 10 else "tab20"]
        return [colors(index) for index in range(num_classes)]
    return [colormaps["turbo"](index / (num_classes - 1)) for index in range(num_classes)]


def name_ticks(axes: Axes, names: Sequence[str], width: float) -> None:
    """Name the ticks of the x axis, tilted where a name is wider than its place.

    Args:
        axes: the axes, with a tick at each integer.
        names: one for each tick.
        width: of the place of one name, in inches.
    """
    if max(map(display_width, names), default=0) * _LETTER_WIDTH > width:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), names)


def place_legend(axes: Axes, title: str | None = None, num_entries: int = 1) -> None:
    """Put the legend to the right of the axes, where it covers no data.

    Args:
        axes: the axes.
        title: of the legend.
        num_entries: number of entries, which are shown in columns of at most 20.
    """
    axes.legend(
        title=title,
        fontsize="small",
        markerscale=2,
        ncols=math.ceil(num_entries / 20),
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )


def use_log_scale(axes: Axes, *names: str) -> None:
    """Use logarithmic axes whose ticks are decimal numbers, several in a decade where it is short.

    Args:
        axes: the axes, with all their data.
        names: "x", "y" or both.
    """
    for name in names:
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        axis: Axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = sorted(axis.get_view_interval())
        num_decades = math.log10(high / low) if 0 < low < high < math.inf else 0.0
        # Plain numbers: no text of a figure is mathematics.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if num_decades >= 2.5:
            axis.set_minor_formatter(NullFormatter())
            continue
        subs = (1, 2, 5) if num_decades > 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_minor_locator(NullLocator())
