"""Figures of a recommendation: learning curves, errors by number of ratings, recall by rank."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from experiments.recommendation.evaluation import Tested, groups_of_curve, ranks_of_curve
from experiments.report import figures
from experiments.report.drawing import draw_figure
from jaxnet.runs import RunDirectory


def draw(
    directory: RunDirectory,
    history: Mapping[str, Mapping[str, np.ndarray]] | None,
    tested: Tested,
    method: str,
    num_items: int | None,
) -> dict[str, str]:
    """Draw the figures of a run.

    Args:
        directory: the run directory.
        history: of the training; None where nothing is trained.
        tested: on what was held out.
        method: what the method is called.
        num_items: number of items of a ranking; None for ratings.

    Returns:
        Captions by the names of the figures.
    """
    captions = {}
    if history is not None:
        captions = draw_figure(
            directory,
            "learning_curves",
            "Learning curves: mean and range over all networks.",
            lambda: figures.learning_curves(history),
        )
    curves = {method if name == "method" else name: curve for name, curve in tested.curves.items()}
    if num_items is None:
        return captions | draw_figure(
            directory,
            "errors",
            "Root mean squared error of the ratings that were held out, by the number of known "
            "ratings of the item.",
            lambda: errors_by_count(curves),
        )
    return captions | draw_figure(
        directory,
        "recall",
        "Recall of the items that were held out, among all items that the user had not chosen.",
        lambda: recall_by_rank(curves, ranks_of_curve(num_items)),
    )


def errors_by_count(curves: Mapping[str, np.ndarray]) -> Figure:
    """RMSE of groups of items by their numbers of ratings, one line for each predictor."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    groups = groups_of_curve()
    for name, curve in curves.items():
        axes.plot(groups, curve, marker="o", label=name)
    axes.set(xlabel="known ratings of the item", ylabel="RMSE")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def recall_by_rank(curves: Mapping[str, np.ndarray], ranks: list[int]) -> Figure:
    """Recall at some ranks, one line for each predictor."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(ranks, curve, marker="o", label=name)
    axes.set(xlabel="k", ylabel="recall at k")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure
