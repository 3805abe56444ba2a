"""Figures: drawn without warnings, and what they show."""

import io

import numpy as np
import pytest

from experiments.report import figures
from experiments.report.figures.style import class_colors


def draw(figure):
    """The texts of a figure, once it is drawn."""
    file = io.BytesIO()
    figure.savefig(file, dpi=30)
    assert file.getvalue().startswith(b"\x89PNG")
    return {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}


LOSSES = np.linspace(2.0, 0.01, 24).reshape(8, 3)


def test_learning_curves_share_a_legend_and_have_no_panel_twice():
    history = {
        "loss": {"train": LOSSES, "validation": LOSSES + 1},
        "squared_error": {"train": LOSSES, "validation": LOSSES + 1},
        "nmi": {"all examples": 1 / (1 + LOSSES)},
    }
    figure = figures.learning_curves(history)
    texts = draw(figure)
    assert len(figure.axes) == 2
    assert {"Loss = squared error", "NMI", "training", "validation", "all examples"} <= texts
    assert "mean and range over 3 seeds" in texts
    one_seed = {name: {p: v[:1, :1] for p, v in parts.items()} for name, parts in history.items()}
    assert "one seed" in draw(figures.learning_curves(one_seed))


def test_matrices_hold_per_cent_of_each_row():
    counts = np.array([[199, 1, 0], [0, 10, 0], [0, 0, 0]])
    names = ["a", "a class with a long name", "c"]
    assert {"99.5", "0.5", "100"} <= draw(figures.confusion_matrix(counts, names))
    assert {"100", "0", "1"} <= draw(figures.contingency_table(counts[:, :2], names))


@pytest.mark.parametrize("decades", [0.0, 0.5, 2.0, 6.0])
def test_logarithmic_axes_of_any_length(decades):
    values = 10 ** np.linspace(0, decades, 5)
    draw(figures.rate_curves({"adam": (values, values[:, None])}))
    curves = {"adam": (values, values[:, None]), "sgd": (2 * values, 3 * values[:, None])}
    texts = draw(figures.optimizer_curves(curves, steps_per_epoch=7))
    assert {"steps", "optimizer", "adam", "sgd"} <= texts


def test_points_and_bars():
    x = np.linspace(-1, 1, 9)
    assert "true y (t)" in draw(figures.predictions(x, x + 0.1, "y (t)"))
    assert "fitted functions of 2 networks" in draw(figures.fitted_line(x, x, x, np.stack([x, x])))
    labels = np.arange(9) % 3
    points = np.stack([x, x**2], axis=1)
    assert {"class", "u", "w"} <= draw(figures.code_map(points, labels, ("u", "v", "w")))
    assert "class" not in draw(figures.code_map(points, 0 * labels, ()))
    errors = {"model": x**2, "PCA": x**2 + 1}
    names = [f"feature {i}" for i in range(9)]
    assert {"model", "feature 8"} <= draw(
        figures.errors_by(errors, names, what="feature", unit="error")
    )
    rates = {"precision": np.linspace(0, 1, 9)}
    assert "chosen threshold 0.500" in draw(
        figures.threshold_curve(np.append(x[1:], np.inf), rates, 0.5, "positive class: u")
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_images(channels):
    images = np.random.default_rng(0).uniform(size=(5, 6, 4, channels))
    assert {"a", "e"} <= draw(figures.image_grid(images, list("abcde"), columns=3))
    assert {"x", "y"} <= draw(figures.image_rows({"x": images, "y": images}))
    draw(figures.filters(images - 0.5, columns=3))


@pytest.mark.parametrize("num_classes", [1, 10, 11, 20, 21, 100])
def test_classes_have_different_colors(num_classes):
    assert len(set(class_colors(num_classes))) == num_classes
