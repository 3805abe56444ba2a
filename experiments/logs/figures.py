"""Figures of a run on logs: learning curves, ROC curves, and costs."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.logs.config import Config
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.report.figures.style import BLUE, RED, use_log_scale
from jaxnet import metrics
from jaxnet.runs import RunDirectory


def draw(
    directory: RunDirectory,
    history: Mapping[str, Mapping[str, np.ndarray]],
    scores: np.ndarray,
    bayes: np.ndarray,
    labels: np.ndarray | None,
    threshold: float,
    config: Config,
) -> dict[str, str]:
    """Draw the figures of a run.

    Args:
        directory: the run directory.
        history: of the training.
        scores: of the networks, `(seeds, n)`.
        bayes: of naive Bayes, `(n,)`.
        labels: which blocks someone else made; None where this is not known.
        threshold: the chosen one.
        config: the options.

    Returns:
        Captions by the names of the figures.
    """
    captions = draw_figure(
        directory,
        "learning_curves",
        "Learning curves: mean and range.",
        lambda: figures.learning_curves(history),
    )
    captions |= draw_figure(
        directory,
        "scores",
        "Scores of all blocks, the mean over the networks, and the chosen threshold.",
        lambda: score_histogram(scores.mean(axis=0), labels, threshold),
    )
    if labels is None or not 0 < labels.sum() < len(labels):
        return captions
    return captions | draw_figure(
        directory,
        "roc",
        "ROC curves of all networks and of naive Bayes, and the cost along them: misses and "
        f"{config.false_alarm_cost:g} times the false alarms, in percent.",
        lambda: roc_and_cost(scores, bayes, labels, config.false_alarm_cost),
    )


def roc_and_cost(
    scores: np.ndarray, bayes: np.ndarray, labels: np.ndarray, false_alarm_cost: float
) -> Figure:
    """ROC curves, and costs against the rate of false alarms.

    Args:
        scores: of the networks, `(seeds, n)`.
        bayes: of naive Bayes, `(n,)`.
        labels: which blocks someone else made, `(n,)`.
        false_alarm_cost: cost of a rate of false alarms relative to the rate of misses.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, values in enumerate([bayes, *scores]):
        curve = jax.jit(metrics.threshold_curve)(values, labels)
        alarms, hits = np.asarray(curve.false_positive_rate), np.asarray(curve.recall)
        style: dict[str, Any] = {"color": BLUE, "alpha": 0.6, "lw": 1}
        if index == 0:
            style = {"color": RED, "label": "naive Bayes"}
        elif index == 1:
            style["label"] = "networks"
        left.plot(alarms, hits, **style)
        right.plot(alarms, 100 * (1 - hits + false_alarm_cost * alarms), **style)
    left.set(xlim=(-0.01, 1.01), ylabel="hits")
    right.set(xlim=(0, 0.2), ylim=(0, 130), ylabel="cost in percent")
    right.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
    for axes in (left, right):
        axes.set_xlabel("false alarms")
        axes.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize="small")
    return figure


def score_histogram(scores: np.ndarray, labels: np.ndarray | None, threshold: float) -> Figure:
    """How many blocks have which score.

    Args:
        scores: one for each block.
        labels: which blocks someone else made; None where this is not known.
        threshold: the chosen one.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    edges = np.histogram_bin_edges(scores, 60).tolist()
    parts = {"all blocks": scores}
    if labels is not None:
        parts = {"the user's own": scores[~labels], "of someone else": scores[labels]}
    for (name, values), color in zip(parts.items(), (BLUE, RED), strict=False):
        axes.hist(values, edges, label=name, color=color, alpha=0.6)
    if np.isfinite(threshold):
        axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.set(xlabel="score", ylabel="blocks")
    use_log_scale(axes, "y")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure
