"""Calibrated classifications and intervals of regressions, from the options to new rows."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import polars
import pytest
from scipy.special import log_softmax, softmax

from experiments import predict, replay
from experiments.calibration import Calibration, divide_validation
from experiments.classification import experiment as classification
from experiments.classification.experiment import prepare_task
from experiments.command import main
from experiments.model import load_model
from experiments.protocol import configure
from experiments.regression import experiment as regression
from experiments.sweep import experiment as sweep
from jaxnet.runs import compare_runs
from jaxnet.runs.records import add_hash


def flowers(num_rows, seed=0):
    """Three species that overlap, and a number that depends on two columns."""
    generator = np.random.default_rng(seed)
    species = generator.integers(3, size=num_rows)
    size, width = (
        generator.normal(size=(2, num_rows)) + np.array([[0, 2, 1], [0, 0, 1]])[:, species]
    )
    price = size - width + np.exp(width / 2) * generator.normal(size=num_rows)
    names = np.array(["rose", "lily", "iris"])[species]
    columns = {"size": size, "width": width, "species": names, "price": price}
    return polars.DataFrame(columns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    flowers(1200).write_csv(folder / "flowers.csv")
    flowers(2000, seed=1).write_csv(folder / "new.csv")
    two = flowers(500).filter(polars.col("species") != "iris")
    two.write_csv(folder / "two.csv")
    return folder


COMMON = {"num_seeds": 2, "num_epochs": 12, "patience": None, "batch_size": 64}
COMMON["learning_rate"] = 1e-2
LABELS = {"label": "species", "ignore": ("price",), "hidden_dims": (8,), "label_smoothing": 0.5}


def classify(folder, name, **options):
    options = COMMON | LABELS | options
    data = folder / options.pop("file", "flowers.csv")
    config = configure(classification, data=data, out=folder / name, **options)
    return classification.run(config)


@pytest.fixture(scope="module")
def calibrated(folder, rendered_figures):
    with rendered_figures():
        return classify(folder, "calibrated", calibrate="temperature", coverage=0.9)


@pytest.fixture(scope="module")
def plain(folder):
    return classify(folder, "plain")


def test_calibration_changes_probabilities_and_no_network(folder, calibrated, plain):
    assert calibrated["params_sha256"] == plain["params_sha256"]
    found, before = (
        {name: value["values"] for name, value in each["metrics"].items()}
        for each in (calibrated, plain)
    )
    assert found["accuracy"] == before["accuracy"]
    for name in ("log_loss", "calibration_error"):
        assert found[f"{name}_before_scaling"] == before[name]
        assert all(after < plain for after, plain in zip(found[name], before[name], strict=True))
    assert max(found["temperature"]) < 0.8, "label smoothing makes networks underconfident"
    assert calibrated["num_examples"] == {
        "train": 768,
        "validation": 192,
        "test": 240,
        "scaling": 96,
        "conformal": 96,
    }
    for name in ("coverage", "ensemble_coverage"):
        assert 0.8 < min(found[name]) <= max(found[name]) < 0.98
    assert 1 < np.mean(found["set_size"]) < 2.5
    for name in ("reliability", "set_sizes"):
        assert (folder / "calibrated" / "figures" / f"{name}.png").stat().st_size > 1000
    assert "coverage asked for" in (folder / "calibrated" / "report.html").read_text()


def test_new_rows_have_calibrated_probabilities_and_sets(folder, calibrated, plain):
    config = predict.Config(
        run=folder / "calibrated", data=folder / "new.csv", out=folder / "calibrated.csv"
    )
    table = polars.DataFrame(predict.run(config))
    config = predict.Config(run=folder / "plain", data=folder / "new.csv", out=folder / "plain.csv")
    before = polars.DataFrame(predict.run(config))
    saved = json.loads((folder / "calibrated" / "model.json").read_text())["calibration"]
    columns = [name for name in table.columns if name.startswith("probability of ")]
    expected = softmax(np.log(before[columns].to_numpy()) / saved["temperature"], axis=1)
    np.testing.assert_allclose(table[columns].to_numpy(), expected, rtol=1e-4)
    assert table["class"].equals(before["class"])
    # By hand: classes before whose probability falls short of the quantile.
    ranked = -np.sort(-expected, axis=1)
    sizes = (ranked.cumsum(axis=1) - ranked <= saved["quantile"] + 1e-6).sum(axis=1)
    np.testing.assert_array_equal(table["set size"].to_numpy(), sizes)
    truth = flowers(2000, seed=1)["species"].to_list()
    sets = [row.split("; ") for row in table["set"]]
    assert [len(row) for row in sets] == sizes.tolist()
    assert [row[0] for row in sets] == table["class"].to_list()
    covered = np.mean([name in row for name, row in zip(truth, sets, strict=True)])
    assert 0.83 < covered < 0.97
    written = polars.read_csv(folder / "calibrated.csv")
    assert written["set"].to_list() == table["set"].to_list()


def test_a_calibrated_run_replays(folder, calibrated, capsys):
    assert main(replay, [str(folder / "calibrated")]) == 0
    assert "bit for bit" in capsys.readouterr().out


def test_two_classes_have_a_scaling_of_platt_and_a_threshold_on_its_scale(folder):
    options = {"label_smoothing": 0.0, "patience": 5, "file": "two.csv", "false_positive_cost": 3.0}
    summary = classify(folder, "two", calibrate="vector", **options)
    sizes = summary["num_examples"]
    assert sizes["scaling"] == sizes["validation"] // 2
    # That of calibrated probabilities, which are.
    assert summary["metrics"]["threshold"]["mean"] == pytest.approx(0.75, abs=0.2)
    config = predict.Config(run=folder / "two", data=folder / "new.csv", out=folder / "two-new.csv")
    table = polars.DataFrame(predict.run(config))
    assert "set" not in table.columns
    model = json.loads((folder / "two" / "model.json").read_text())
    decided = table["probability of rose"].to_numpy() >= model["threshold"]
    assert (table["decision"].to_numpy() == "rose").tolist() == decided.tolist()
    assert len(model["calibration"]["scale"]) == len(model["calibration"]["bias"]) == 2


def test_the_saved_calibration_is_that_of_the_calibration_examples_alone(folder, calibrated):
    """Temperature and quantile are found again by NumPy from rows that trained and test nothing."""
    options = COMMON | LABELS | {"calibrate": "temperature", "coverage": 0.9}
    config = configure(classification, data=folder / "flowers.csv", **options)
    task = prepare_task(config)
    held, parts = task.held, task.parts
    used = [parts.train, parts.test, held.scaling, held.conformal]
    assert len(np.unique(np.concatenate(used))) == sum(map(len, used))
    np.testing.assert_array_equal(held.watched, parts.validation)
    network = classification.build_network(task.config, (2,), 3)

    def stacked(in_shape, num_classes):
        return jax.eval_shape(jax.vmap(network.init), jax.random.split(jax.random.key(0), 2))

    model = load_model(folder / "calibrated", stacked)

    def log_probabilities(rows):
        outputs = jax.vmap(network.apply, (0, None))(model.params, jnp.asarray(task.x[rows]))
        return np.log(softmax(np.asarray(outputs, np.float64), axis=-1).mean(axis=0))

    logits, labels = log_probabilities(held.scaling), task.dataset.y[held.scaling]
    target = np.eye(3)[labels] * 96 / 97 + softmax(logits, axis=1) / 97

    def loss(temperature):
        return -(target * log_softmax(logits / temperature, axis=1)).sum()

    temperature = model.calibration.temperature
    assert loss(temperature) < min(loss(0.99 * temperature), loss(1.01 * temperature))
    p = softmax(log_probabilities(held.conformal) / temperature, axis=1)
    true = p[np.arange(96), task.dataset.y[held.conformal]]
    scores = np.where(p > true[:, None], p, 0).sum(axis=1)
    assert model.calibration.quantile == pytest.approx(np.sort(scores)[87], abs=1e-5)


@pytest.mark.parametrize("interval", ["residual", "quantile"])
def test_intervals_cover_new_rows(folder, interval, rendered_figures):
    config = configure(
        regression,
        method="mlp",
        data=folder / "flowers.csv",
        label="price",
        ignore=("species",),
        coverage=0.8,
        interval=interval,
        out=folder / interval,
        **COMMON,
    )
    with rendered_figures():
        summary = regression.run(config)
    assert summary["num_examples"]["conformal"] == summary["num_examples"]["validation"] == 192
    metrics = {name: value["mean"] for name, value in summary["metrics"].items()}
    assert 0.7 < metrics["ensemble_coverage"] < 0.9
    out = folder / f"{interval}.csv"
    config = predict.Config(run=folder / interval, data=folder / "new.csv", out=out)
    table = polars.DataFrame(predict.run(config))
    assert table.columns == ["prediction", "std", "lower", "upper"]
    truth, width = flowers(2000, seed=1)["price"], (table["upper"] - table["lower"]).to_numpy()
    covered = ((table["lower"] <= truth) & (truth <= table["upper"])).mean()
    assert 0.74 < covered < 0.86
    assert width.mean() == pytest.approx(metrics["ensemble_interval_width"], rel=0.1)
    assert (np.ptp(width) < 1e-4) == (interval == "residual")
    for name in ("intervals", "predictions"):
        assert (folder / interval / "figures" / f"{name}.png").stat().st_size > 1000
    if interval == "residual":
        np.testing.assert_allclose(
            (table["upper"] + table["lower"]) / 2, table["prediction"], rtol=1e-5, atol=1e-6
        )


def test_quantiles_follow_the_spread_where_it_differs(folder):
    """The spread of the price grows with the width of a flower."""
    table, new = polars.read_csv(folder / "quantile.csv"), flowers(2000, seed=1)
    width = (table["upper"] - table["lower"]).to_numpy()
    spread = np.exp(new["width"].to_numpy() / 2)
    assert np.corrcoef(width, spread)[0, 1] > 0.7


def test_parts_are_disjoint_and_sizes_are_required():
    rows = np.arange(100, 190)
    held = divide_validation(rows, seed=3, stops=True, scales=True, coverage=0.9)
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), rows)
    again = divide_validation(rows, seed=3, stops=True, scales=True, coverage=0.5)
    np.testing.assert_array_equal(held.scaling, again.scaling)
    other = divide_validation(rows, seed=4, stops=True, scales=True, coverage=0.9)
    assert (held.scaling != other.scaling).any()
    nine = divide_validation(rows[:9], seed=0, stops=False, scales=False, coverage=0.9)
    assert len(nine.conformal) == 9
    with pytest.raises(
        ValueError, match=r"coverage 0.9 needs at least 9 validation .* found 8, of"
    ):
        divide_validation(rows[:8], seed=0, stops=False, scales=False, coverage=0.9)
    with pytest.raises(
        ValueError, match=r"99 validation .* divided among scaling, coverage; use a"
    ):
        divide_validation(rows, seed=0, stops=False, scales=True, coverage=0.99)


def test_mistakes_leave_nothing_behind(tmp_path, capsys):
    def rejected(*options, experiment=classification):
        out = tmp_path / "out"
        options = [*map(str, options), "--dataset", "iris", "--out", str(out)]
        assert main(experiment, options) == 2
        assert not out.exists()
        return capsys.readouterr().err

    for options, message in (
        (["--calibrate", "vector", "--cross-validate", 3], "cross_validate leaves none"),
        (["--coverage", 0.9, "--validation-fraction", 0], "validation_fraction 0 leaves none"),
        (["--coverage", 0.99], "needs at least 99 validation examples of its own, found 24"),
        (["--coverage", 1.5], r"coverage must be a number in (0, 1), or None, found 1.5"),
    ):
        assert message in rejected(*options)
    over = ["classification", "--over", "learning_rate=log:1e-3:1e-1", "--budget", 2]
    message = rejected(*over, "--calibrate", "temperature", experiment=sweep)
    assert "calibrate needs validation examples that have chosen nothing" in message
    options = ["--interval", "quantile", "--dataset", "line", "--out", str(tmp_path / "line")]
    assert main(regression, options) == 2
    assert "interval quantile needs --coverage" in capsys.readouterr().err


def test_a_damaged_calibration_is_rejected(folder, calibrated):
    path = folder / "calibrated" / "model.json"
    before = path.read_text()
    content = json.loads(before)
    try:
        for damage, message in (
            ({"scale": [1.0]}, "its calibration is damaged"),
            ({"other": 1.0}, "its calibration is damaged"),
        ):
            changed = {name: value for name, value in content.items() if name != "sha256"}
            path.write_text(json.dumps(add_hash(changed | {"calibration": damage})))
            with pytest.raises(ValueError, match=message):
                load_model(folder / "calibrated", lambda *_: {})
    finally:
        path.write_text(before)
    values = Calibration(temperature=0.5, coverage=0.9, quantile=0.0)
    assert Calibration.of_content(values.content(), 3) == values


def test_an_interrupted_run_ends_the_same(folder, calibrated):
    """Without its results, a run is continued from its last checkpoint."""
    out = shutil.copytree(folder / "calibrated", folder / "interrupted")
    for name in ("summary.json", "model.json", "model.safetensors"):
        (out / name).unlink()
    assert main(classification, ["--resume", str(out)]) == 0
    assert not compare_runs(folder / "calibrated", out)
    names = ("model.json", "model.safetensors")
    for name in names:
        assert (out / name).read_bytes() == (folder / "calibrated" / name).read_bytes()
