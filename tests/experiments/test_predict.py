"""Predictions of finished runs for new rows: of users' tables, named data sets and images."""

import json
import shutil
from typing import Any

import numpy as np
import polars
import pytest

from experiments import predict
from experiments.classification import experiment as classification
from experiments.command import main
from experiments.protocol import configure
from experiments.regression import experiment as regression
from jaxnet.runs.records import add_hash


def flowers(num_rows, seed=0):
    """Two species told apart by size and color; some sizes are missing."""
    generator = np.random.default_rng(seed)
    species = generator.integers(2, size=num_rows)
    size = np.where(species, 3.0, 1.0) + 0.5 * generator.normal(size=num_rows)
    colors = np.array(["red", "white", "blue"])
    color = np.where(generator.uniform(size=num_rows) < 0.8, species, 2)
    return polars.DataFrame(
        {
            "size": [f"{value:.3f}" for value in size],
            "color": colors[color],
            "species": np.array(["rose", "lily"])[species],
        }
    )


def with_gaps(frame):
    size = frame["size"].to_list()
    size[3], size[10] = "", "NA"
    return frame.with_columns(polars.Series("size", size))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on a table with missing cells."""
    folder = tmp_path_factory.mktemp("own")
    with_gaps(flowers(300)).write_csv(folder / "flowers.csv")
    config = configure(
        classification,
        data=folder / "flowers.csv",
        label="species",
        impute="median",
        out=folder / "run",
        num_epochs=20,
        num_seeds=3,
        hidden_dims=(16,),
        dropout=0.0,
    )
    summary = classification.run(config)
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    assert summary["dataset"] == "flowers"
    return folder / "run"


def write(frame, path):
    frame.write_csv(path)
    return path


def predicted(run, data):
    """The predictions of a run, as a table."""
    return polars.DataFrame(predict.run(predict.Config(run=run, data=data)))


def test_predictions_hold_class_probability_and_decision(trained, tmp_path):
    new = with_gaps(flowers(100, seed=1))
    data = write(new, tmp_path / "new.csv")
    table = predicted(trained, data)
    written = polars.read_csv(tmp_path / "new.predictions.csv")
    assert written.columns == [
        "class",
        "probability",
        "decision",
        "probability of lily",
        "probability of rose",
        "note",
    ]
    assert len(written) == 100
    assert written["class"].to_list() == table["class"].to_list()
    right = [a == b for a, b in zip(table["class"], new["species"], strict=True)]
    assert np.mean(right) > 0.9
    rose = table["probability of rose"].to_numpy()
    np.testing.assert_allclose(rose + table["probability of lily"].to_numpy(), 1, rtol=1e-5)
    np.testing.assert_allclose(table["probability"], np.maximum(rose, 1 - rose), rtol=1e-5)
    threshold = json.loads((trained / "model.json").read_text())["threshold"]
    decided = ["rose" if p >= threshold else "lily" for p in rose]
    assert table["decision"].to_list() == decided


def test_order_of_columns_and_presence_of_the_label_do_not_matter(trained, tmp_path):
    new = flowers(50, seed=2)
    tables = [
        predicted(trained, write(frame, tmp_path / f"{name}.csv"))
        for name, frame in {
            "all": new,
            "reordered": new.select("color", "species", "size"),
            "unlabelled": new.drop("species"),
        }.items()
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_what_does_not_match_is_named(trained, tmp_path, capsys):
    new = flowers(20, seed=3)
    spoiled = new["size"].to_list()
    spoiled[4] = "large"
    cases = {
        "missing": (new.drop("color"), "columns are missing: 'color'"),
        "category": (
            new.with_columns(color=polars.lit("green")),
            "column 'color' holds 'green' in row 1 .* known: blue, red, white",
        ),
        "text": (
            new.with_columns(polars.Series("size", spoiled)),
            "column 'size' holds text in a column of numbers: .*row 5: 'large'",
        ),
    }
    for name, (frame, message) in cases.items():
        data = write(frame, tmp_path / f"{name}.csv")
        options = [str(trained), "--data", str(data), "--unseen", "reject"]
        assert main(predict, options) == 2
        error = capsys.readouterr().err
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(error)
        assert not data.with_name(f"{name}.predictions.csv").exists()


def test_identifiers_and_notes_are_columns_of_the_output(trained, tmp_path, capsys):
    new = polars.DataFrame(
        {
            "id": ["007", "008", "009"],
            "SIZE": ["3,25", "NA", "1,5"],
            "Color": ["RED", "red", "green"],
            "extra": [1, 2, 3],
        }
    )
    data = write(new, tmp_path / "new.csv")
    assert main(predict, [str(trained), "--data", str(data), "--id", "id"]) == 0
    output = capsys.readouterr().out
    for note in ("are ignored: 'extra'", "not in the training data ('green')", "missing, "):
        assert output.count(note) == 1
    table = polars.read_csv(tmp_path / "new.predictions.csv", infer_schema=False)
    assert table.columns[:2] == ["id", "class"] and table.columns[-1] == "note"
    assert table["id"].to_list() == ["007", "008", "009"]
    assert table["note"][0] is None and table["note"][2] == "color: not in the training data"
    assert table["note"][1].startswith("size: missing, ")
    plain = polars.DataFrame({"size": [3.25], "color": ["red"]})
    plain.write_parquet(tmp_path / "plain.parquet")
    first = predicted(trained, tmp_path / "plain.parquet")["probability"][0]
    assert float(table["probability"][0]) == pytest.approx(first, rel=1e-6)
    clash = write(new.rename({"id": "class"}), tmp_path / "clash.csv")
    assert main(predict, [str(trained), "--data", str(clash), "--id", "class"]) == 2
    assert "column 'class' is called like a prediction" in capsys.readouterr().err


def test_mistakes_of_prediction(trained, tmp_path, capsys):
    data = write(flowers(5), tmp_path / "new.csv")
    other = tmp_path / "other"
    other.mkdir()
    folded, speed = tmp_path / "folded", tmp_path / "speed"
    for path, options in (
        (other, {"experiment": "classification", "dataset": "iris"}),
        (folded, {"experiment": "classification", "cross_validate": 3}),
        (speed, {"experiment": "speed"}),
    ):
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text(json.dumps(add_hash(options)))
    (tmp_path / "taken.csv").write_text("mine")
    for options, message in [
        ([tmp_path, "--data", data], "config.json does not exist"),
        ([other, "--data", data], "holds no model, since the run is not finished"),
        ([folded, "--data", data], "was a cross-validation, which trains a network for each fold"),
        ([speed, "--data", data], "a run of 'speed', from which nothing is predicted"),
        ([trained, "--data", data, "--out", tmp_path / "x.npz"], "predictions are a .csv file"),
        ([trained, "--data", tmp_path / "none.csv"], "there is no such file"),
        ([trained, "--data", data, "--out", tmp_path / "taken.csv"], "exists already"),
        ([trained, "--data", data, "--out", tmp_path / "no" / "x.csv"], "there is no folder"),
    ]:
        assert main(predict, list(map(str, options))) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "taken.csv").read_text() == "mine"


def test_a_damaged_model_is_refused(trained, tmp_path, capsys):
    data = write(flowers(5), tmp_path / "new.csv")
    for name, damage in {
        "model.safetensors": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        "model.json": lambda content: content.replace(b'"in_shape"', b'"shape"'),
    }.items():
        run = tmp_path / name
        run.mkdir()
        shutil.copytree(trained, run, dirs_exist_ok=True)
        for file in ("config.json", "model.json", "model.safetensors"):
            content = (trained / file).read_bytes()
            (run / file).write_bytes(damage(content) if file == name else content)
        assert main(predict, [str(run), "--data", str(data)]) == 2
        assert f"{run / name}" in capsys.readouterr().err


def test_a_regression_predicts_numbers_in_their_unit(tmp_path, rendered_figures):
    generator = np.random.default_rng(0)
    area = generator.uniform(20, 200, size=200)
    price = 3000 * area + 50_000 + 1000 * generator.normal(size=200)
    frame = polars.DataFrame({"area": area, "price": price})
    frame.write_parquet(tmp_path / "homes.parquet")
    config = configure(
        regression,
        data=tmp_path / "homes.parquet",
        label="price",
        num_seeds=2,
        optimizer="adam",
        learning_rate=0.1,
        num_epochs=150,
        out=tmp_path / "run",
    )
    with rendered_figures():
        assert regression.run(config)["metrics"]["r2"]["mean"] > 0.999
    assert (tmp_path / "run" / "figures" / "fit.png").exists(), "of the one feature"
    new = write(polars.DataFrame({"area": [50.0, 100.0]}), tmp_path / "new.csv")
    table = predicted(tmp_path / "run", new)
    np.testing.assert_allclose(table["prediction"], [200_000, 350_000], rtol=0.01)
    assert table.columns == ["prediction", "std"]


def test_named_tables_and_images_predict_too(tmp_path):
    from experiments.data import load

    options = {"dataset": "iris", "num_epochs": 40, "num_seeds": 2, "learning_rate": 0.05}
    classification.run(configure(classification, "linear", out=tmp_path / "iris", **options))
    iris = load("iris")
    new = polars.DataFrame(dict(zip(iris.feature_names, iris.x.T, strict=True)))
    data = write(new, tmp_path / "iris.csv")
    table = predicted(tmp_path / "iris", data)
    labels = np.array(iris.class_names)[iris.y]
    assert (table["class"].to_numpy() == labels).mean() > 0.85

    digits = load("digits")
    options = {"num_seeds": 2, "hidden_dims": (), "channels": (4,), "dropout": 0.0}
    options |= {"num_epochs": 6, "learning_rate": 2e-2}
    config = configure(classification, "cnn", out=tmp_path / "cnn", **options)
    assert classification.run(config)["metrics"]["accuracy"]["mean"] > 0.7
    np.savez(tmp_path / "digits.npz", x=digits.x[:200, ..., 0])
    table = predicted(tmp_path / "cnn", tmp_path / "digits.npz")
    assert (table["class"].cast(int).to_numpy() == digits.y[:200]).mean() > 0.8
    np.savez(tmp_path / "bytes.npz", x=(16 * digits.x[:5]).astype(np.uint8))
    with pytest.raises(ValueError, match=r"uint8 from 0 to 16, .* in \[0, 1\]"):
        predict.run(predict.Config(run=tmp_path / "cnn", data=tmp_path / "bytes.npz"))
    # Options that say nothing about the data of a run are not left out in silence.
    of_both: dict[str, Any] = {"top": 3, "user": ("ann",), "resample": True}
    of_tables: dict[str, Any] = {"id": ("x",), "ignore": ("x",), "unseen": "other"}
    of_tables |= {"missing": ("?",), "encoding": "latin1"}
    for name, value in {**of_tables, **of_both}.items():
        given = predict.Config(run=tmp_path / "cnn", data=tmp_path / "digits.npz", **{name: value})
        with pytest.raises(ValueError, match=rf"^{name}: .*cnn was trained on images"):
            predict.run(given)
    for name, value in of_both.items():
        given = predict.Config(run=tmp_path / "iris", data=data, **{name: value})
        with pytest.raises(ValueError, match=rf"^{name}: .*iris was trained on a table"):
            predict.run(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "flowers.csv"}, "data needs --label"),
        ({"label": "species"}, "label is for a user's table, found data set digits"),
        ({"data": "flowers.csv", "label": "specie"}, "did you mean 'species'"),
        ({"data": "none.csv", "label": "species"}, "there is no such file"),
        ({"data": "flowers.csv", "label": "species"}, r"2 cells are missing: \(row 4"),
        (
            {"data": "flowers.csv", "label": "species", "impute": "median", "cross_validate": 3},
            "impute takes medians from the training rows of one split",
        ),
        (
            {"data": "flowers.csv", "label": "species", "impute": "median", "method": "cnn"},
            "model cnn needs images",
        ),
    ],
)
def test_mistakes_in_the_options_of_a_table(options, message, tmp_path):
    with_gaps(flowers(100)).write_csv(tmp_path / "flowers.csv")
    if "data" in options:
        options = options | {"data": tmp_path / options["data"]}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        classification.run(configure(classification, out=tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rows", [12_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_tables_of_many_rows_train(rows, tmp_path):
    flowers(rows).write_csv(tmp_path / "large.csv")
    options = ["linear", "--label", "species", "--num-epochs", "4", "--num-seeds", "1"]
    options += ["--batch-size", "256", "--learning-rate", "5e-2"]
    options += ["--data", str(tmp_path / "large.csv"), "--out", str(tmp_path / "run")]
    assert main(classification, options) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert sum(summary["num_examples"].values()) == rows
    assert summary["metrics"]["accuracy"]["mean"] > 0.95
