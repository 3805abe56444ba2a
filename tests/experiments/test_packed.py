"""Packing a user's data, and classifications that read packed data while they train."""

import itertools
import json
import os
import re

import numpy as np
import polars
import pytest
from PIL import Image

from experiments import pack, predict, replay
from experiments.classification import experiment as classification
from experiments.command import main
from experiments.data.streams.packed import load_packed, pass_over, scaler, split_packed, unscaled
from experiments.protocol import configure
from experiments.regression import experiment as regression
from jaxnet import streams
from jaxnet.runs import Interrupted, compare_runs

N = 3000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table as CSV and as Parquet, and images by class."""
    folder = tmp_path_factory.mktemp("packed")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(N, 3))
    color = generator.choice(["red", "green", "blue"], N)
    frame = polars.DataFrame(
        {
            "length": x[:, 0] * 10 + 5,
            "width": x[:, 1].astype(np.float32),
            "color": color,
            "seconds": 1.7e9 + generator.integers(0, 900, N),
            "is big": x[:, 2] > 1,
            "kind": np.where(x[:, 0] + x[:, 1] + (color == "red") > 0.3, "yes", "no"),
        }
    )
    frame.write_csv(folder / "table.csv")
    frame.write_parquet(folder / "table.parquet", row_group_size=700)
    for index in range(120):
        name = folder / "images" / "abc"[index % 3] / f"{index:03d}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 60, (6, 6)) + 80 * (index % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(name)
    options = ["--examples-per-record", "50"]
    table = [str(folder / "table.csv"), str(folder / "t"), "--label", "kind"]
    assert main(pack, [*table, *options]) == 0
    assert main(pack, [str(folder / "images"), str(folder / "i"), *options]) == 0
    return folder


def read_all(path):
    source = streams.array_record_source(path)
    return source.read_range(0, len(source))


def test_a_packed_table_holds_the_features_of_the_table_in_memory(folder, tmp_path):
    packed = load_packed(folder / "t")
    loaded = configure(classification, data=folder / "table.csv", label="kind")
    table = classification.load_data(loaded)
    content = read_all(folder / "t")
    assert packed.feature_names == table.feature_names
    assert packed.class_names == table.class_names == ("no", "yes")
    assert np.array_equal(content["y"], table.y)
    np.testing.assert_allclose(content["x"], table.x, rtol=1e-6, atol=1e-6)
    assert main(pack, [str(folder / "table.parquet"), str(tmp_path / "p"), "--label", "kind"]) == 0
    assert load_packed(tmp_path / "p").sha256 == packed.sha256


def test_packed_images_are_those_of_the_folder(folder):
    content, source = read_all(folder / "i"), streams.image_source(folder / "images")
    expected = source.read_range(0, len(source))
    assert np.array_equal(content["x"], expected["x"])
    assert np.array_equal(content["y"], expected["y"])
    assert load_packed(folder / "i").class_names == ("a", "b", "c")


def test_one_pass_finds_mean_and_scale(folder, monkeypatch):
    monkeypatch.setattr("experiments.data.streams.packed._EXAMPLES_AT_ONCE", 37)
    for name, axis in (("t", 0), ("i", None)):
        dataset = load_packed(folder / name)
        parts = split_packed(dataset, seed=3, validation_fraction=0.2)
        found = pass_over(dataset, parts)
        train = parts.train.read_range(0, len(parts.train))
        x = unscaled(train["x"]).astype(np.float64)
        np.testing.assert_allclose(found.inputs.mean, x.mean(axis=axis), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.inputs.scale, x.std(axis=axis), rtol=1e-5)
        assert np.array_equal(found.class_counts, np.bincount(train["y"]))
        content, rows = read_all(folder / name), []
        for part, given in ((parts.validation, found.validation), (parts.test, found.test)):
            whole = part.read_range(0, len(part))
            assert all(np.array_equal(whole[column], given[column]) for column in whole)
            rows.append(whole["x"])
        everything = np.concatenate([train["x"], *rows]).reshape(len(content["x"]), -1)
        expected = content["x"].reshape(len(content["x"]), -1)
        assert np.array_equal(np.unique(everything, axis=0), np.unique(expected, axis=0))
        scaled = scaler(found.inputs, content["x"].dtype)(content["x"])
        by_hand = (unscaled(content["x"]) - found.inputs.mean) / found.inputs.scale
        np.testing.assert_allclose(scaled, by_hand, rtol=1e-5, atol=1e-5)


@pytest.mark.crash
def test_a_run_resumes_replays_and_predicts(folder, tmp_path, monkeypatch):
    # Many small windows, so that the run is interrupted while one is read.
    monkeypatch.setattr("experiments.streamed._BYTES_OF_A_BLOCK", 1)
    monkeypatch.setattr("experiments.streamed._BYTES_OF_A_WINDOW", 10_000)
    options = {"data": folder / "t", "num_seeds": 2, "num_epochs": 3, "batch_size": 64}
    options |= {"checkpoint_every": 10, "learning_rate": 0.1}
    summary = classification.run(
        configure(classification, "linear", **options, out=tmp_path / "whole")
    )
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    assert summary["num_examples"] == {"train": 1920, "validation": 480, "test": 600}
    assert summary["baseline"]["metrics"]["accuracy"] < 0.8
    read, reads = streams.ArrayRecordSource.read_into, itertools.count()

    def interrupted(*arguments):
        if next(reads) == 40:
            raise Interrupted(2)
        return read(*arguments)

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(streams.ArrayRecordSource, "read_into", interrupted)
        classification.run(configure(classification, "linear", **options, out=tmp_path / "run"))
    assert not (tmp_path / "run" / "summary.json").exists()
    assert main(classification, ["--resume", str(tmp_path / "run")]) == 0
    assert compare_runs(tmp_path / "whole", tmp_path / "run") == ()
    # Raises where a bit differs.
    replay.run(replay.Config(run=tmp_path / "whole"))
    new = polars.read_csv(folder / "table.csv").head(20)
    new.drop("kind").write_csv(tmp_path / "new.csv")
    predictions = predict.run(predict.Config(run=tmp_path / "whole", data=tmp_path / "new.csv"))
    assert (predictions["class"] == new["kind"].to_numpy()).mean() > 0.8


def test_images_are_classified(folder, tmp_path, capsys):
    arguments = ["cnn", "--data", str(folder / "i"), "--num-epochs", "15", "--num-seeds", "1"]
    sizes = ["--channels", "4", "--hidden-dims", "8", "--batch-size", "8"]
    sizes += ["--learning-rate", "0.02", "--dropout", "0"]
    assert main(classification, [*arguments, *sizes, "--out", str(tmp_path / "run")]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["accuracy"]["mean"] > 0.8
    assert (tmp_path / "run" / "report.html").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "kind"], "label is not for packed data"),
        (["--batch-size", "all"], "batch_size all needs the data in memory"),
        (["cnn"], "model cnn takes images, and t holds a table"),
        (["--cross-validate", "3"], "cross_validate is not for packed data"),
        (["--batch-size", "99999"], "batch_size must not exceed the 1920 training examples"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(arguments, message, folder, tmp_path, capsys):
    method = [argument for argument in arguments if not argument.startswith("-")][:1]
    method = method if method == ["cnn"] else []
    rest = arguments[len(method) :]
    command = [*method, "--data", str(folder / "t"), *rest, "--out", str(tmp_path / "run")]
    assert main(classification, command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/table.csv", "{folder}/t"], "output: .*t exists already"),
        (["{folder}/table.csv", "{out}/a/b"], "output: there is no folder .*a; make it first"),
        (["{folder}/none.csv", "{out}/a"], "there is no such file"),
        (["{folder}/table.csv", "{out}/a", "--label", "knd"], "label: there is no column 'knd'"),
        (["{folder}/table.csv", "{out}/a", "--label", "length"], "label 'length' holds fractions"),
        (["{folder}/table.csv", "{out}/a", "--regression"], "regression needs --label"),
        (["{folder}/table.csv", "{out}/a", "--size", "3", "3"], "size is not for a table"),
        (["{folder}/images", "{out}/a", "--label", "x"], "label is not for images"),
        (["{folder}/t", "{out}/a"], "holds no images"),
        (["{out}/gap.csv", "{out}/a"], "column 'b' has 1 missing cells"),
        (["{out}/dates.parquet", "{out}/a"], "column 'day' holds Date"),
        (["{out}/many.csv", "{out}/a"], r"column 'id' has \d+ different texts"),
        (["{out}/ragged.csv", "{out}/a"], "ragged.csv cannot be read"),
    ],
)
def test_data_that_cannot_be_packed_leave_nothing(arguments, message, folder, tmp_path, capsys):
    (tmp_path / "gap.csv").write_text("a,b\n1,2\n3,NA\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n")
    polars.DataFrame({"id": [f"id{i}" for i in range(20_000)]}).write_csv(tmp_path / "many.csv")
    polars.DataFrame({"day": [0, 1]}).select(polars.col("day").cast(polars.Date)).write_parquet(
        tmp_path / "dates.parquet"
    )
    before = sorted(os.listdir(tmp_path))
    given = [text.format(folder=folder, out=tmp_path) for text in arguments]
    assert main(pack, given) == 2
    assert re.search(message, capsys.readouterr().err)
    assert sorted(os.listdir(tmp_path)) == before


def test_arrays_are_packed_by_class_and_by_number(tmp_path):
    (tmp_path / "arrays").mkdir()
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    np.save(tmp_path / "arrays" / "x.npy", x)
    np.save(tmp_path / "arrays" / "y.npy", np.arange(300) % 4)
    assert main(pack, [str(tmp_path / "arrays"), str(tmp_path / "a")]) == 0
    assert load_packed(tmp_path / "a").class_names == ("0", "1", "2", "3")
    assert np.array_equal(read_all(tmp_path / "a")["x"], x)
    np.save(tmp_path / "arrays" / "y.npy", np.arange(300) % 4 * 2)
    assert main(pack, [str(tmp_path / "arrays"), str(tmp_path / "b")]) == 2
    assert main(pack, [str(tmp_path / "arrays"), str(tmp_path / "b"), "--regression"]) == 0
    with pytest.raises(ValueError, match="holds targets, for another experiment"):
        load_packed(tmp_path / "b")


def test_a_number_is_predicted(tmp_path, capsys):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 2))
    columns = {"a": x[:, 0], "b": x[:, 1], "price": 1e4 + 30 * x[:, 0] - 20 * x[:, 1]}
    polars.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    arguments = [str(tmp_path / "t.parquet"), str(tmp_path / "t"), "--label", "price"]
    assert main(pack, [*arguments, "--regression"]) == 0
    command = ["--data", str(tmp_path / "t"), "--out", str(tmp_path / "run"), "--num-seeds", "2"]
    assert main(regression, command) == 2
    assert "batch_size all needs the data in memory" in capsys.readouterr().err
    options = ["--batch-size", "64", "--optimizer", "adam", "--learning-rate", "0.05"]
    command += [*options, "--num-epochs", "5"]
    assert main(regression, command) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["r2"]["mean"] > 0.999
    assert summary["baseline"]["metrics"]["r2"] < 0.01
    assert main(replay, [str(tmp_path / "run")]) == 0
    polars.DataFrame(columns).head(9).drop("price").write_csv(tmp_path / "new.csv")
    config = predict.Config(run=tmp_path / "run", data=tmp_path / "new.csv")
    np.testing.assert_allclose(predict.run(config)["prediction"], columns["price"][:9], atol=3)
    with pytest.raises(ValueError, match="holds targets, for another experiment"):
        classification.load_data(configure(regression, data=tmp_path / "t"))
