"""Interrupted experiments end bitwise identical; finished ones are continued for more epochs."""

import json
import re
import shutil
import time

import pytest

from experiments import replay
from experiments.classification import experiment as classification
from experiments.command import main
from experiments.regression import experiment as regression
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs import compare_runs
from jaxnet.runs.records import add_hash

QUICK = ["linear", "--num-seeds", "2", "--dataset", "iris"]


def steps(out):
    return Checkpoints(out / "checkpoints").steps()


def run(*arguments, experiment=classification):
    return main(experiment, list(map(str, arguments)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a finished run of 2 epochs."""
    out = tmp_path_factory.mktemp("resume") / "run"
    assert run(*QUICK, "--num-epochs", 2, "--schedule", "cosine", "--out", out) == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


def test_what_cannot_be_resumed_is_rejected(out, tmp_path, capsys):
    def rejected(*options, experiment=classification):
        assert run(*options, experiment=experiment) == 2
        return capsys.readouterr().err

    for options, message in [
        (["--resume", tmp_path / "none"], "config.json does not exist"),
        (["--resume", out, "--num-epochs", 1], "has --num-epochs 2, found 1"),
        (["--resume", out, "--seed", 1], "has --seed 0, found 1"),
        (["--resume", out, "--out", tmp_path / "x"], "continues in"),
    ]:
        assert message in rejected(*options)
    message = rejected("--resume", out, experiment=regression)
    assert "holds a run of 'classification', expected 'regression'" in message
    (out / "summary.json").unlink()
    assert "has --num-epochs 2, found 3" in rejected("--resume", out, "--num-epochs", 3)
    config = json.loads((out / "config.json").read_text())
    for name, value, message in [
        ("num_epochs", "many", "option 'num_epochs'"),
        ("experiment", "../../evil", "holds a run of '../../evil'"),
        ("unknown", 1, "option 'unknown'"),
        ("optimizer", "sgd", "does not fit"),
    ]:
        # Whatever wrote the file, its options are checked too.
        (out / "config.json").write_text(json.dumps(add_hash(config | {name: value})))
        assert message in rejected("--resume", out)
    (out / "config.json").write_text(json.dumps(config | {"learning_rate": 0.5}))
    assert "config.json has been changed" in rejected("--resume", out)
    (out / "config.json").write_text("{")
    assert "cannot be read" in rejected("--resume", out)


def test_a_finished_run_is_continued_for_more_epochs_and_replayed(out, capsys):
    assert run("--resume", out) == 0
    assert "the run is finished" in capsys.readouterr().out
    assert run("--resume", out, "--num-epochs", 4) == 0
    output = capsys.readouterr().out
    assert "the schedule cosine now spans 4 epochs" in output
    jump = re.search(r"the learning rate goes from (\S+) to (\S+) after epoch 2", output)
    assert jump is not None and float(jump[1]) < float(jump[2])
    assert "continuing the finished training from epoch 2 to 4" in output
    config = json.loads((out / "config.json").read_text())
    assert (config["num_epochs"], config["phases"]) == (4, [2])
    assert (out / "metrics.jsonl").read_text().count("\n") == 4
    assert run("--resume", out, "--num-epochs", 5) == 0
    assert json.loads((out / "config.json").read_text())["phases"] == [2, 4]
    capsys.readouterr()
    assert run(out, experiment=replay) == 0
    assert "identical: parameters, state and metrics" in capsys.readouterr().out


@pytest.mark.crash
def test_killed_commands_resume(command, tmp_path):
    options = ["--dataset", "iris", "--cross-validate", "3", "--num-epochs", "20"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    command("classification", *options, "--out", whole)
    process = command.start("classification", *options, "--checkpoint-every", 1, "--out", out)
    wait_for(process, lambda: len(steps(out)) > 1)
    process.kill()
    process.wait()
    command("classification", "--resume", out)
    assert compare_runs(whole, out) == ()


@pytest.mark.crash
def test_a_killed_recommendation_resumes(command, tmp_path):
    """The part that a network does not see is in its state."""
    options = ["--dataset", "generated", "--num-epochs", "60", "--num-seeds", "2"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    command("recommendation", *options, "--out", whole)
    process = command.start("recommendation", *options, "--checkpoint-every", 1, "--out", out)
    wait_for(process, lambda: len(steps(out)) > 1)
    process.kill()
    process.wait()
    command("recommendation", "--resume", out)
    assert compare_runs(whole, out) == ()
    assert "bit for bit" in command("replay", out)
    assert "item" in command("predict", out, "--user", "user3", "--top", 2)


@pytest.mark.crash
def test_an_interrupted_comparison_of_optimizers_keeps_what_is_done(call, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    call(
        "optimizers", "--names", "adam", "sgd", "--num-epochs", 1, "--num-seeds", 2, "--out", whole
    )
    # As if killed after the first optimizer.
    shutil.copytree(whole, out)
    (out / "summary.json").unlink()
    done, _ = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    (out / "metrics.jsonl").write_text(done)
    call("optimizers", "--resume", out)
    assert (out / "metrics.jsonl").read_text().startswith(done)
    assert compare_runs(whole, out) == ()
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["params_sha256"]) == ["adam", "sgd"]


@pytest.mark.crash
def test_an_interrupted_pretraining_continues(call, tmp_path):
    options = ["deep_belief", "--num-seeds", 2, "--hidden-dims", 16, "--num-epochs", 1]
    options += ["--pretrain-epochs", 2, "--checkpoint-every", 5]
    whole, out = tmp_path / "whole", tmp_path / "run"
    call("reconstruction", *options, "--out", whole)
    # As if killed while it trained the second machine.
    shutil.copytree(whole, out)
    (out / "summary.json").unlink()
    shutil.rmtree(out / "checkpoints")
    machine = out / "rbm_1"
    (machine / "summary.json").unlink(missing_ok=True)
    assert len(steps(machine)) > 1
    shutil.rmtree(max((machine / "checkpoints").iterdir(), key=lambda path: int(path.name)))
    first = (out / "rbm_0" / "metrics.jsonl").read_text()
    assert re.search(r"resuming at step [1-9]", call("reconstruction", "--resume", out))
    assert (out / "rbm_0" / "metrics.jsonl").read_text() == first
    assert compare_runs(whole, out) == ()


def wait_for(process, condition, seconds=100):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.output()
        assert time.monotonic() < deadline
        time.sleep(0.005)
