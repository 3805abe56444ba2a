"""The files of a finished run belong together: edited or exchanged ones are rejected by name."""

import json
import shutil

import numpy as np
import pytest

from experiments import predict, replay
from experiments.classification import experiment as classification
from experiments.command import main
from experiments.model import load_model
from jaxnet.runs import read_hashed_json, verify_run
from jaxnet.runs.records import add_hash

QUICK = ["--num-seeds", "1", "--num-epochs", "1", "--batch-size", "8", "--num-threads", "1"]


def run(*arguments, experiment=classification):
    return main(experiment, list(map(str, arguments)))


def write_table(path, num_rows=40):
    rows = [f"{index},{('no', 'yes')[index % 2]},{'ab'[index % 2]}" for index in range(num_rows)]
    path.write_text("\n".join(["x,alive,label", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory, monkeypatch_module):
    """Two runs with networks of the same shapes."""
    folder = tmp_path_factory.mktemp("runs")
    table = write_table(folder / "table.csv")
    for seed in (0, 1):
        options = [*QUICK, "--data", table, "--label", "label", "--seed", seed]
        assert run("linear", *options, "--out", folder / str(seed)) == 0
    return folder


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NPROC", "1")
        yield patch


@pytest.fixture
def copied(runs_folder, tmp_path):
    return shutil.copytree(runs_folder / "0", tmp_path / "run")


def rejected(out, capsys, data):
    """The messages of all commands that read a finished run."""
    messages = []
    for experiment, options in (
        (predict, [out, "--data", data, "--out", out.parent / "new.csv"]),
        (classification, ["--resume", out]),
        (replay, [out]),
    ):
        capsys.readouterr()
        assert run(*options, experiment=experiment) == 2
        messages.append(capsys.readouterr().err)
    return messages


def test_a_column_that_says_the_label_is_named_in_the_result(runs_folder):
    summary, other = (verify_run(runs_folder / seed) for seed in "01")
    assert not {*summary["params_sha256"]} & {*other["params_sha256"]}, "another seed"
    assert summary["notes"][0].startswith("column 'alive' alone predicts the label of every row")
    assert summary["baseline"]["metrics"]["accuracy"] == 0.5
    assert {"class", "recall"} <= set(summary["tables"]["Classes"][0])
    assert "column &#x27;alive&#x27; alone" in (runs_folder / "0" / "report.html").read_text()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_files_of_another_run_are_rejected(name, runs_folder, copied, capsys):
    shutil.copy(runs_folder / "1" / name, copied / name)
    for message in rejected(copied, capsys, runs_folder / "table.csv"):
        assert f"{name} has been changed since the run was finished" in message


@pytest.mark.parametrize(
    ("name", "change"),
    [("config.json", {"learning_rate": 0.5}), ("model.json", {"threshold": 0.4})],
)
def test_edited_files_are_rejected(name, change, runs_folder, copied, capsys):
    path = copied / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for message in rejected(copied, capsys, runs_folder / "table.csv"):
        assert name in message and "has been changed since" in message


@pytest.mark.parametrize("threshold", [5.5, -0.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_rejected(threshold, copied):
    content = read_hashed_json(copied / "model.json") | {"threshold": threshold}
    (copied / "model.json").write_text(json.dumps(add_hash(content)))
    with pytest.raises(ValueError, match=f"threshold {threshold} for 2 classes"):
        load_model(copied, lambda in_shape, num_classes: {})


def test_no_flipped_bit_of_a_model_or_a_config_changes_what_is_read(copied):
    generator = np.random.default_rng(0)
    for name in ("model.json", "config.json"):
        path = copied / name
        content, expected = path.read_bytes(), repr(read_hashed_json(path))
        for place in generator.choice(8 * len(content), 800, replace=False):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            try:
                found = repr(read_hashed_json(path))
            except ValueError:
                continue
            assert found == expected, (name, place)
        path.write_bytes(content)


def test_a_run_whose_file_has_moved_is_given_it_again(runs_folder, copied, capsys, tmp_path):
    moved = shutil.copy(runs_folder / "table.csv", tmp_path / "moved.csv")
    config = (copied / "config.json").read_text()
    (copied / "summary.json").unlink()
    assert run("--resume", copied, "--data", moved) == 0
    assert "the data of the run are read from" in capsys.readouterr().out
    assert (copied / "config.json").read_text() == config
    other = write_table(tmp_path / "other.csv", 41)
    (copied / "summary.json").unlink()
    assert run("--resume", copied, "--data", other) == 2
    assert "the data have changed" in capsys.readouterr().err
    assert run(copied, "--data", moved, experiment=replay) == 2
    assert "is not finished" in capsys.readouterr().err
