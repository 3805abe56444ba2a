"""Classification of series of the user's, and of tables whose rows are grouped."""

import re

import numpy as np
import polars
import pytest
from scipy.io import wavfile

from experiments import predict, replay
from experiments.classification import experiment as classification
from experiments.clustering import experiment as clustering
from experiments.command import main
from experiments.protocol import configure

HEAD = "@classLabel true up down\n@data\n"


def waves(num_series, seed=0):
    """Series of two channels and 5 to 9 steps that rise or fall."""
    generator = np.random.default_rng(seed)
    lines = []
    for index in range(num_series):
        steps = np.arange(generator.integers(5, 10)) / 4
        sign = 1 if index % 2 else -1
        channels = sign * steps + generator.normal(size=(2, len(steps))) / 5
        text = ":".join(",".join(f"{value:.3f}" for value in channel) for channel in channels)
        lines.append(f"{text}:{'up' if sign > 0 else 'down'}")
    return HEAD + "\n".join(lines)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    (folder / "waves.ts").write_text(waves(60))
    config = configure(
        classification,
        "rnn",
        data=folder / "waves.ts",
        out=folder / "run",
        num_seeds=2,
        num_epochs=12,
        hidden_dims=(8,),
        learning_rate=0.02,
    )
    return folder, classification.run(config)


def test_a_users_series_are_classified(trained):
    _, summary = trained
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    assert summary["data"] == {"rows": 60, "steps": "5 to 9", "channels": 2, "classes": 2}


def test_new_series_are_predicted_one_by_one_as_together(trained, tmp_path):
    folder, _ = trained
    lines = waves(8, seed=1).splitlines()
    tables = []
    for name, chosen in (("all", lines[2:]), ("one", lines[4:5])):
        path = tmp_path / f"{name}.ts"
        path.write_text(HEAD + "\n".join(chosen))
        predict.run(predict.Config(run=folder / "run", data=path))
        tables.append(polars.read_csv(tmp_path / f"{name}.predictions.csv"))
    assert (tables[0]["class"] == np.array(["down", "up"] * 4)).mean() > 0.8
    np.testing.assert_allclose(tables[1]["probability"][0], tables[0]["probability"][2], rtol=1e-6)


def test_a_run_of_series_is_replayed(trained, capsys):
    folder, _ = trained
    assert main(replay, [str(folder / "run")]) == 0
    assert "identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["mlp"], "model mlp needs series of one length, .* have 5 to 9 steps; use rnn"),
        (["cnn"], "model cnn needs images, waves is series; use rnn"),
        (["--label", "y"], "label: the classes of .*waves.ts are in its last field"),
        (["--impute", "median"], "impute is for a table, and .*waves.ts holds series"),
        (["--group", "speaker"], "group 'speaker' is not a grouping of waves, found none"),
        (["--validation-fraction", "0", "--patience", "3"], "patience 3 needs validation data"),
    ],
)
def test_mistakes_are_named(trained, options, message, capsys, tmp_path):
    folder, _ = trained
    arguments = [*options, "--data", str(folder / "waves.ts"), "--out", str(tmp_path / "run")]
    assert main(classification, arguments) == 2
    assert not (tmp_path / "run").exists()
    assert re.search(message, capsys.readouterr().err)


def test_new_series_of_other_channels_are_rejected(trained, capsys, tmp_path):
    folder, _ = trained
    (tmp_path / "new.ts").write_text(HEAD + "1,2,3:up\n")
    arguments = [str(folder / "run"), "--data", str(tmp_path / "new.ts")]
    assert main(predict, arguments) == 2
    assert "the series have 1 channels, expected 2 as in the run" in capsys.readouterr().err


def test_each_group_of_a_table_is_left_out_once(tmp_path):
    generator = np.random.default_rng(0)
    person = np.repeat(["ann", "bob", "cid"], [30, 20, 10])
    kind = generator.integers(2, size=60)
    frame = polars.DataFrame({"person": person, "size": kind + generator.normal(size=60) / 5})
    frame.with_columns(kind=np.array(["a", "b"])[kind]).write_csv(tmp_path / "people.csv")
    config = configure(
        classification,
        "linear",
        data=tmp_path / "people.csv",
        label="kind",
        group="person",
        repeats=2,
        out=tmp_path / "run",
        num_epochs=5,
    )
    summary = classification.run(config)
    assert summary["num_seeds"] == 6
    assert summary["data"]["features"] == 1
    head, *rows = summary["tables"]["Groups"]
    assert head == ("person", "test examples", "accuracy")
    assert [row[:2] for row in rows] == [("ann", "30"), ("bob", "20"), ("cid", "10")]


def test_series_are_clustered_and_new_ones_get_their_clusters(trained, tmp_path):
    folder, _ = trained
    config = configure(
        clustering, data=folder / "waves.ts", out=tmp_path / "run", num_seeds=2, num_clusters=2
    )
    summary = clustering.run(config)
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    clusters = np.genfromtxt(tmp_path / "run" / "clusters.csv", delimiter=",", names=True)
    predictions = predict.run(
        predict.Config(run=tmp_path / "run", data=folder / "waves.ts", out=tmp_path / "new.csv")
    )
    np.testing.assert_array_equal(predictions["cluster"], clusters["network_0"])


def tone(path, frequency, seed):
    """A WAV file of a tone in noise, 0.2 to 0.3 seconds at 8 kHz."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(8000 * generator.uniform(0.2, 0.3))) / 8000
    signal = np.sin(2 * np.pi * frequency * time) + generator.normal(size=len(time)) / 10
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, 8000, np.int16(8000 * signal))


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "tones"
    for index in range(24):
        name, frequency = ("low", 300) if index % 2 else ("high", 1500)
        tone(folder / name / f"group{index % 3}" / f"{index}.wav", frequency, index)
    return folder


def test_recordings_are_classified_and_new_ones_predicted(tones, tmp_path):
    config = configure(
        classification,
        "rnn",
        data=tones,
        out=tmp_path / "run",
        num_seeds=2,
        num_epochs=20,
        hidden_dims=(8,),
        learning_rate=0.02,
    )
    summary = classification.run(config)
    assert summary["metrics"]["roc_auc"]["mean"] == 1
    tone(tmp_path / "new" / "some.wav", 290, seed=99)
    predictions = predict.run(
        predict.Config(run=tmp_path / "run", data=tmp_path / "new", out=tmp_path / "new.csv")
    )
    assert predictions["class"].tolist() == ["low"]


def test_each_group_of_recordings_is_left_out_once(tones, tmp_path):
    config = configure(
        classification,
        "rnn",
        data=tones,
        group="group",
        out=tmp_path / "run",
        num_epochs=2,
        hidden_dims=(4,),
    )
    head, *rows = classification.run(config)["tables"]["Groups"]
    assert head[0] == "group"
    assert [row[:2] for row in rows] == [(f"group{index}", "8") for index in range(3)]


def test_a_users_texts_are_classified_and_new_ones_predicted(tmp_path):
    topics = {"card": ("my card is lost", "block the card"), "rain": ("will it rain", "rain again")}
    rows = [
        {"said": f"{text} {number}", "topic": topic}
        for topic, texts in topics.items()
        for text in texts
        for number in ("today", "now", "please", "soon", "sir", "then", "here", "there")
    ]
    polars.DataFrame(rows).write_csv(tmp_path / "calls.csv")
    config = configure(
        classification,
        data=tmp_path / "calls.csv",
        text="said",
        label="topic",
        out=tmp_path / "run",
        num_seeds=2,
        num_epochs=10,
        embedding_dim=8,
    )
    assert classification.run(config)["metrics"]["accuracy"]["mean"] == 1
    polars.DataFrame({"id": [7], "said": ["Rain tomorrow?"]}).write_csv(tmp_path / "new.csv")
    predictions = predict.run(
        predict.Config(run=tmp_path / "run", data=tmp_path / "new.csv", id=("id",))
    )
    assert predictions["class"].tolist() == ["rain"]
    assert predictions["id"].tolist() == ["7"]
