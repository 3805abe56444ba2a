"""Figures: drawn without warnings, and what they show."""

import io
import types

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from experiments.report import figures
from experiments.report.drawing import render
from experiments.report.figures import text
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


NAMES = ["$50_{$", "$x", r"$\alpha", "$10k-$20k", "_hidden", "a\tb\x00", "상", "%d {}", ""]


def texts_of(figure):
    """The texts of a figure and whether any of them is mathematics, once it is rendered."""
    assert render(figure).startswith(b"\x89PNG")
    found = figure.findobj(Text)
    assert not [text.get_text() for text in found if text.get_text() and text.get_parse_math()]
    return {text.get_text() for text in found}


def test_text_of_users_is_never_mathematics(capsys):
    number = len(NAMES)
    shown = {"$50_{$", "$x", r"$\alpha", "$10k-$20k", "a b", "상", "%d {}", "(blank)"}
    counts = np.arange(number**2).reshape(number, number)
    points = np.random.default_rng(0).normal(size=(90, 2))
    bars = {"$model$": np.ones(number)}
    for figure in (
        figures.confusion_matrix(counts, NAMES),
        figures.contingency_table(counts, NAMES),
        figures.code_map(points, np.arange(90) % number, NAMES),
        figures.errors_by(bars, NAMES, what="class", unit="$"),
    ):
        assert shown <= texts_of(figure)
        if figure.axes[0].get_legend() is not None and len(figure.axes[0].collections) == number:
            named = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
            assert "\u200b_hidden" in named
    for name in NAMES[:1] + NAMES[4:5]:
        images = np.zeros((1, 4, 4))
        texts_of(figures.image_grid(images, [f"{name}, not {name}\np = 0.5"]))
        texts_of(figures.image_rows({name: images[..., None]}))
        texts_of(figures.predictions(points[:, 0], points[:, 1], name))
        texts_of(figures.threshold_curve(np.ones(2), {"rate": np.ones(2)}, 0.5, f"class: {name}"))
    capsys.readouterr()


def test_letters_without_a_font_are_named_once(capsys, monkeypatch):
    monkeypatch.setattr(text, "_reported", set())
    monkeypatch.setattr(text, "_installed", list)
    figure = figures.confusion_matrix(np.eye(2), ["상", "하"])
    for _ in range(2):
        render(figure)
    (line,) = capsys.readouterr().err.splitlines()
    assert "letters of Hangul" in line and "fonts-noto-cjk" in line
    assert "fonts-noto-core" in str(text.advise_fonts("\u10d0"))


def test_a_font_that_has_the_letters_is_used(monkeypatch):
    """Letters that the first font lacks are looked for in the others, in their order."""
    letters = {"first": "ab", "second": "c상", "third": "상하"}
    fonts = [types.SimpleNamespace(name=name, fname=name) for name in ("second", "third")]
    monkeypatch.setattr(text, "_installed", lambda: fonts)
    monkeypatch.setattr(text.font_manager, "findfont", lambda _: "first")
    monkeypatch.setattr(text, "_letters_of", lambda path: frozenset(letters[path]))
    assert text.find_fonts(frozenset("ab ")) == (["DejaVu Sans"], frozenset())
    assert text.find_fonts(frozenset("a상")) == (["DejaVu Sans", "second"], frozenset())
    families, missing = text.find_fonts(frozenset("a상하z"))
    assert (families, missing) == (["DejaVu Sans", "second", "third"], {"z"})


@pytest.mark.parametrize("number", [21, 300])
def test_figures_of_many_names_are_capped_and_say_so(number):
    names = [f"class {index}" for index in range(number)]
    counts = np.eye(number, dtype=int)
    counts[5, 7] = counts[7, 3] = 9
    figure = figures.confusion_matrix(counts, names)
    assert max(figure.get_size_inches()) < 14
    texts = texts_of(figure)
    assert {"class 5", "class 7", "class 3"} <= texts and f"class {number - 1}" not in texts
    assert any(f"20 of {number} classes" in shown for shown in texts)
    figure = figures.contingency_table(np.ones((number, number)), names)
    assert any(f"the 20 largest of {number} clusters" in shown for shown in texts_of(figure))
    labels = np.arange(number).repeat(np.arange(number) % 3 + 1)
    figure = figures.code_map(np.ones((len(labels), 2)), labels, names)
    assert f"{number - 19} other classes" in texts_of(figure)
    rows = {name: np.zeros((1, 2, 2, 1)) for name in names}
    figure = figures.image_rows(rows)
    assert max(figure.get_size_inches()) < 27
    if number > 30:
        assert f"the first 30 of {number} rows" in texts_of(figure)


def test_many_bars_are_horizontal_with_names_of_full_size():
    names = [f"a feature with a long name {index}" for index in range(40)]
    figure = figures.errors_by({"model": np.ones(40)}, names, what="feature", unit="error")
    width, height = figure.get_size_inches()
    assert width <= 8 and height < 14
    sizes = {label.get_fontsize() for label in figure.axes[0].get_yticklabels()}
    assert sizes == {10.0}


def test_no_figure_is_larger_than_4000_pixels():
    content = render(Figure(figsize=(200, 2)))
    width = int.from_bytes(content[16:20], "big")
    assert width <= 4100
