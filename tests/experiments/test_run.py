"""What every experiment shares: options, run directory, progress, report."""

import dataclasses
import json
import os

import jax
import numpy as np
import pytest

from experiments.classification.experiment import Config
from experiments.command import statistics
from experiments.options import TrainingConfig, resolve, seed_keys
from experiments.recipes import classification_recipe
from experiments.report.report import write_report
from jaxnet.doctor import UnsoundBackendError
from jaxnet.runs.directory import RunDirectory, metrics_record, read_log
from jaxnet.runs.environment import available_threads, differences, fix_environment, manifest
from jaxnet.runs.progress import Progress

RECIPE = {
    "optimizer": "adam",
    "learning_rate": 0.5,
    "schedule": "cosine",
    "weight_decay": 0.25,
    "num_epochs": 7,
    "batch_size": 8,
    "num_seeds": 2,
}


def test_a_recipe_fills_only_what_is_open():
    config = resolve(TrainingConfig(dataset="digits", num_epochs=3), RECIPE)
    assert (config.num_epochs, config.batch_size, config.learning_rate) == (3, 8, 0.5)
    other = resolve(TrainingConfig(dataset="digits", optimizer="sgd"), RECIPE)
    assert (other.learning_rate, other.weight_decay, other.batch_size) == (None, None, 8)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_every_recipe_is_complete(model):
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    for dataset in ("digits", "breast_cancer", "wine", "iris", "mnist", "fashion_mnist"):
        recipe = classification_recipe(dataset, model)
        assert {*RECIPE} <= {*recipe}
        needed = {name: recipe[name] for name in RECIPE if name in names}
        resolve(TrainingConfig(dataset=dataset), needed)


def test_statistics_are_those_of_a_sample():
    values = np.random.default_rng(0).normal(size=9)
    found = statistics(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    assert statistics(np.array([2.0]))["std"] == 0.0


def test_every_network_has_a_key_of_its_own():
    def keys(seed, num_seeds):
        config = TrainingConfig(dataset="digits", seed=seed, num_seeds=num_seeds)
        return jax.random.key_data(seed_keys(config)).tolist()

    few, many = keys(0, 3), keys(0, 5)
    assert many[:3] == few
    assert len({*map(tuple, many + keys(1, 5))}) == 10


def test_a_run_directory_belongs_to_one_run(tmp_path):
    out = tmp_path / "deep" / "run"
    config = Config(out=out)
    RunDirectory.check(config)
    assert not out.exists()
    with RunDirectory.open(config, "abc") as directory:
        assert not directory.resumed
        directory.log(metrics_record(1, 28, {"train": {"loss": np.array([0.5, 0.25])}}))
        directory.log(metrics_record(2, 56, {"train": {"loss": np.array([0.25, 0.125])}}))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[1] == {"epoch": 2, "step": 56, "train": {"loss": [0.25, 0.125]}}
    assert json.loads((out / "config.json").read_text())["dataset"] == "digits"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"already holds .*--resume"):
        RunDirectory.open(config, "abc")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    resumed = dataclasses.replace(config, resume=out)
    with pytest.raises(ValueError, match="the data have changed"):
        RunDirectory.open(resumed, "other")
    with RunDirectory.open(resumed, "abc") as directory:
        assert directory.resumed
        with pytest.raises(ValueError, match="in use by process"):
            RunDirectory.open(resumed, "abc")
    manifest = json.loads((out / "manifest.json").read_text())
    assert [each["differences"] for each in manifest["resumed"]] == [[]]


def test_what_cannot_become_a_run_directory_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        RunDirectory.check(Config(out=file))
    with pytest.raises(ValueError, match="cannot be written"):
        RunDirectory.check(Config(out=file / "run"))
    assert file.read_text() == "mine"


def test_a_backend_that_computes_wrong_sums_trains_nothing(tmp_path, monkeypatch):
    def refuse(*, cache):
        raise UnsoundBackendError("wrong sums")

    monkeypatch.setattr("experiments.run_directory.require_sound_backend", refuse)
    with pytest.raises(UnsoundBackendError):
        RunDirectory.open(Config(out=tmp_path / "run"), "abc")
    assert not (tmp_path / "run").exists()


def test_a_torn_last_line_of_the_log_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert read_log(path) == [{"epoch": 1}, {"epoch": 2}]
    path.write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_log(path)


def test_the_environment_is_fixed_and_compared(monkeypatch):
    monkeypatch.setenv("NPROC", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    fix_environment(None)
    assert os.environ["NPROC"] == "3"
    assert os.environ["XLA_FLAGS"].split() == [
        "--xla_gpu_autotune_level=4",
        "--xla_gpu_deterministic_ops=true",
    ]
    fix_environment(5)
    assert available_threads() == 5
    now = manifest("abc")
    assert differences(now, now) == []
    then = now | {"packages": now["packages"] | {"jaxlib": "0.9.0"}, "num_threads": 64}
    jaxlib = now["packages"]["jaxlib"]
    assert differences(then, now) == [
        f"jaxlib: 0.9.0 then, {jaxlib} now",
        "num_threads: 64 then, 5 now",
    ]
    monkeypatch.setenv("NPROC", "many")
    with pytest.raises(ValueError, match="NPROC must be a positive integer, found 'many'"):
        available_threads()


def test_progress_is_plain_lines_without_a_terminal(capsys):
    with Progress(2, 10, 100) as progress:
        progress.step(5)
        progress.epoch(10, {"train": {"loss": np.array([1.0, 3.0])}})
        progress.epoch(20, {"train": {"loss": np.array([1.0, 2.0])}})
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2")
    assert "train loss 2" in lines[0]
    assert "\x1b" not in "".join(lines)


def test_the_report_shows_text_as_text(tmp_path):
    config = Config(dataset="<b>digits</b>", out=tmp_path / "run")
    summary = {
        "metrics": {"accuracy": {"mean": 0.5, "std": 0.1}},
        "num_seeds": 2,
        "published": "1 < 2 & so on",
        "seconds": {"total": 1.0},
    }
    with RunDirectory.open(config, "abc") as directory:
        write_report(directory, title="A & B", summary=summary, captions={})
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<b>digits" not in page
    assert "&lt;b&gt;digits" in page
    assert "1 &lt; 2 &amp; so on" in page
    assert "0.5000" in page
