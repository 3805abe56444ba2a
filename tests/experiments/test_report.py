"""The report of a constructed run; notes, baselines and warnings; figures that cannot be drawn."""

import html.parser
import json

import numpy as np
import pytest
import sklearn.metrics
from matplotlib.figure import Figure
from sklearn.dummy import DummyClassifier, DummyRegressor

from experiments.baselines import (
    class_baseline,
    cluster_baseline,
    compare,
    mean_baseline,
    note_rising_loss,
    reconstruction_baseline,
)
from experiments.classification.config import Cnn, Config, Linear
from experiments.classification.evaluation import class_table
from experiments.command import finish, statistics
from experiments.data import Dataset
from experiments.leaks import find_leaks, note_leaks
from experiments.report.drawing import draw_figure
from experiments.report.report import MAX_ROWS
from experiments.summary import describe
from experiments.training import open_directory
from jaxnet.runs import verify_run

RNG = np.random.default_rng(0)


class Page(html.parser.HTMLParser):
    """Rows, links and text of a report, and the elements around each table."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links, self.around, self._open, self.text = [], [], [], [], ""
        self._is_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._is_cell = True
        elif tag == "a":
            self.links.append(dict(attrs)["href"])
        elif tag == "table":
            self.around.append(dict(self._open[-1][1]).get("class"))
        if tag in ("div", "ul"):
            self._open.append((tag, attrs))

    def handle_endtag(self, tag):
        if tag in ("div", "ul"):
            self._open.pop()
        if tag in ("td", "th"):
            self._is_cell = False

    def handle_data(self, data):
        self.text += data
        if self._is_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def report(tmp_path):
    """Writes the report of a run from its metrics."""

    def write(values=(0.5, 0.75), config=None, **summary):
        config = config or Config(dataset="fruit", out=tmp_path / "run")
        summary = {
            "num_seeds": len(values),
            "metrics": {"accuracy": statistics(values)},
            "seconds": {"total": 1.0, "compile": 0.5, "train": 0.5},
            "params_sha256": ["abc"],
        } | summary
        with open_directory(config, "abc") as directory:
            finish(directory, config, summary, {})
        return Page((tmp_path / "run" / "report.html").read_text()), tmp_path / "run"

    return write


def test_the_result_stands_beside_the_baseline_and_the_notes(report, capsys):
    dataset = Dataset(
        "fruit", RNG.normal(size=(9, 2)), np.arange(9) % 3, class_names=("a", "b", "c")
    )
    baseline = class_baseline(np.array([0, 0, 1]), np.array([0, 1]), ("a", "b"))
    described = describe(
        dataset, baseline, {"accuracy": np.array([0.25, 0.5])}, notes=["leave x out (--ignore x)"]
    )
    page, path = report((0.25, 0.5), num_examples={"train": 5, "test": 4}, **described)
    assert ["accuracy", "0.3750", "0.5000", "0.1768"] in page.rows
    for row in (["rows", "9"], ["features", "2"], ["classes", "3"], ["train examples", "5"]):
        assert row in page.rows
    assert "the most frequent class, 'a'" in page.text
    assert "accuracy (0.375) is not better than that of the most frequent class" in page.text
    printed = capsys.readouterr().out
    assert "accuracy                      0.3750 ± 0.1768   baseline 0.5000" in printed
    assert "warning: leave x out (--ignore x)" in printed
    assert set(page.links) <= {file.name for file in path.iterdir()}
    assert {"summary.json", "config.json"} <= set(page.links)
    summary = verify_run(path)
    assert summary["baseline"]["metrics"]["accuracy"] == 0.5


def test_one_seed_has_no_standard_deviation(report, capsys):
    page, _ = report((0.5,))
    assert ["accuracy", "0.5000"] in page.rows
    assert "One seed." in page.text and "1 seeds" not in page.text
    printed = capsys.readouterr().out
    assert "fruit: one seed" in printed and "±" not in printed


def test_options_are_those_of_the_method_that_were_used(tmp_path, report):
    page, _ = report(config=Config(dataset="fruit", model=Linear(), out=tmp_path / "run"))
    names = [row[0] for row in page.rows if row]
    assert "model" in names and "num epochs" in names
    assert not {"hidden dims", "channels", "dropout", "cross validate", "repeats"} & set(names)
    assert not {"impute", "ignore", "content_sha256", "false positive cost"} & set(names)


def test_options_of_a_cnn_are_shown_for_a_cnn(tmp_path, report):
    config = Config(dataset="fruit", model=Cnn(channels=(4, 8)), out=tmp_path / "run")
    page, _ = report(config=config)
    assert ["channels", "4, 8"] in page.rows


def test_long_tables_are_cut_and_scroll_in_their_own_box(report):
    rows = [("coefficient", "value"), *((f"x{index}", str(index)) for index in range(5000))]
    page, path = report(tables={"Coefficients": rows})
    assert ["x59", "59"] in page.rows and ["x60", "60"] not in page.rows
    assert f"The first {MAX_ROWS} of 5000 rows" in page.text
    assert set(page.around) == {"scroll"}
    text = (path / "report.html").read_text()
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
    assert "prefers-color-scheme: dark" in text
    assert "overflow-wrap: anywhere" not in text and "word-break" not in text
    assert len(json.loads((path / "summary.json").read_text())["tables"]["Coefficients"]) == 5001


def test_a_figure_that_cannot_be_drawn_costs_no_result(tmp_path, capsys):
    def fail():
        raise ValueError("no\nletters")

    config = Config(dataset="fruit", out=tmp_path / "run")
    summary = {"num_seeds": 2, "metrics": {}, "seconds": {"total": 1.0, "compile": 0.0}}
    with open_directory(config, "abc") as directory:
        captions = draw_figure(directory, "empty", "Nothing.", Figure)
        captions |= draw_figure(directory, "broken", "All.", fail)
        finish(directory, config, summary, captions)
    assert captions == {"empty": "Nothing."}
    assert "the figure 'broken' cannot be drawn (no letters); all" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run" / "figures").iterdir()] == ["empty.png"]
    verify_run(tmp_path / "run")


def test_baselines_are_those_of_scikit_learn():
    train, test = RNG.integers(0, 3, 30), RNG.integers(0, 3, 20)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((30, 1)), train)
    probabilities = dummy.predict_proba(np.zeros((20, 1)))
    metrics = class_baseline(train, test, ("a", "b", "c")).metrics
    assert metrics["accuracy"] == pytest.approx(dummy.score(np.zeros((20, 1)), test))
    assert metrics["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(test, probabilities, labels=[0, 1, 2])
    )
    x, y = RNG.normal(size=30), RNG.normal(size=20)
    predicted = DummyRegressor().fit(np.zeros((30, 1)), x).predict(np.zeros((20, 1)))
    metrics = mean_baseline(x, y).metrics
    assert metrics["r2"] == pytest.approx(sklearn.metrics.r2_score(y, predicted))
    for name in ("mean_squared_error", "mean_absolute_error", "root_mean_squared_error"):
        score = getattr(sklearn.metrics, name)
        assert metrics[name] == pytest.approx(score(y, predicted))
    one = np.zeros(20, int)
    metrics = cluster_baseline(test).metrics
    assert metrics["nmi"] == sklearn.metrics.normalized_mutual_info_score(test, one)
    assert metrics["adjusted_rand_index"] == sklearn.metrics.adjusted_rand_score(test, one)
    x = RNG.normal(size=(5, 3))
    error = reconstruction_baseline(x, x).metrics["squared_error"]
    assert error == pytest.approx(3 * x.var(axis=0).mean())


def test_only_what_is_not_better_is_noted():
    baseline = class_baseline(np.array([0, 0, 1]), np.array([0, 1]), ("a", "b"))
    assert compare(baseline, {"accuracy": [0.9], "log_loss": [0.1]}) == []
    (note,) = compare(baseline, {"accuracy": [0.9], "log_loss": [0.9]})
    assert note.startswith("log loss (0.9) is not better") and "learned nothing" not in note
    (note,) = compare(baseline, {"accuracy": [0.5], "log_loss": [0.9]})
    assert "accuracy (0.5), log loss (0.9) are not better than those" in note
    assert note.endswith("learned nothing that helps")
    falling = {"loss": {"validation": np.array([[1.0], [0.5], [0.51]])}}
    assert note_rising_loss(falling) == [] == note_rising_loss({})


def table(columns, y, classes=("u", "v")):
    names = tuple(columns)
    x = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return Dataset("t", x, y, feature_names=names, class_names=classes)


def test_columns_that_say_the_label_are_found():
    labels = np.arange(40) % 2
    noise = RNG.normal(size=40)
    codes = np.arange(40) % 4
    dataset = table(
        {
            "alive=no": labels == 0,
            "alive=yes": labels == 1,
            "step": labels * 3.0 + np.abs(noise) * 0.1,
            "noise": noise,
            "equal": np.where(labels == 1, 1.0, 0.0) + (np.arange(40) == 7) - 1.0 * (labels == 1),
            **{f"code={c}": codes == c for c in range(4)},
            **{f"name={i}": np.arange(40) == i for i in range(40)},
        },
        labels,
    )
    assert find_leaks(dataset) == ["alive", "step", "code"]
    (note,) = note_leaks(dataset)
    assert "column 'alive', 'step', 'code' alone predict, each of them," in note
    assert "--ignore alive" in note
    few = table({"step": labels[:8]}, labels[:8])
    assert find_leaks(few) == []
    y = noise.astype(np.float32)
    copied = table({"same": 2 * noise + 1, "other": RNG.normal(size=40)}, y, ())
    assert find_leaks(copied) == ["same"]


def test_recall_and_precision_of_each_class():
    labels = np.array([0, 0, 1, 2])
    outputs = np.eye(3)[np.array([[0, 1, 1, 0], [0, 0, 1, 0]])]
    rows = class_table(outputs, labels, ("a", "b", "c"))
    assert rows[1] == ("c", "1", "0.0000", "never predicted")
    assert rows[2] == ("a", "2", "0.7500", "0.6000")
    assert rows[3] == ("b", "1", "1.0000", "0.6667")
