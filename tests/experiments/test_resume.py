"""Interrupted runs end with the bits of the uninterrupted one, whenever and however they stop."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.classification import experiment as classification
from experiments.command import main
from experiments.regression import experiment as regression
from jaxnet.checkpoint import Checkpoints

NETWORK = ["--hidden-dims", "16", "--num-seeds", "2", "--patience", "1000"]
STEPS_PER_EPOCH = 17
NUM_EPOCHS = 14


def training(out, *options, num_epochs=NUM_EPOCHS):
    return [*NETWORK, "--num-epochs", num_epochs, "--out", out, *options]


def result(out):
    """All that must not depend on interruptions; the checkpoint holds optimizer and history."""
    summary = json.loads((out / "summary.json").read_text())
    log = (out / "metrics.jsonl").read_text()
    return (summary["params_sha256"], summary["state_sha256"], summary["metrics"], log)


def steps(out):
    return Checkpoints(out / "checkpoints").steps()


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The run that nothing interrupted, which saves at its end only."""
    out = tmp_path_factory.mktemp("whole") / "run"
    command("classification", *training(out, "--checkpoint-every", 0))
    assert steps(out) == [NUM_EPOCHS * STEPS_PER_EPOCH]
    return result(out)


@pytest.mark.parametrize("interval", [1, 7, 50])
def test_the_checkpoint_interval_changes_no_bit(interval, whole, command, tmp_path):
    out = tmp_path / "run"
    command("classification", *training(out, "--checkpoint-every", interval))
    assert result(out) == whole


def test_kill_9_at_20_random_moments(whole, command, tmp_path):
    generator = random.Random(0)
    out = tmp_path / "한글 run"
    start = training(out, "--checkpoint-every", 1)
    interrupted = set()
    for kill in range(20):
        begun = (out / "config.json").exists()
        before = (steps(out) or [0])[-1] if begun else 0
        process = command.start("classification", *(["--resume", out] if begun else start))
        try:
            if kill % 4 == 0:
                # Before or at the beginning of the training.
                time.sleep(generator.uniform(0.0, 5.0))
            else:
                target = before + generator.randrange(8)
                deadline = time.monotonic() + 100
                while (steps(out) or [0])[-1] <= target and time.monotonic() < deadline:
                    assert process.poll() is None, process.output()
                    time.sleep(0.001)
                # Inside a step, inside a save, between the two.
                time.sleep(generator.uniform(0.0, 0.06))
        finally:
            process.kill()
            process.wait()
        interrupted.add((steps(out) or [0])[-1])
    assert not (out / "summary.json").exists()
    assert len(interrupted) >= 12
    assert any(step % STEPS_PER_EPOCH for step in interrupted), "inside an epoch"
    command("classification", "--resume", out)
    assert result(out) == whole
    hidden = [path.name for path in (out / "checkpoints").iterdir() if path.name[0] == "."]
    assert not hidden, "leftovers of the killed saves are gone"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_exits(number, status, whole, command, tmp_path):
    out = tmp_path / "run"
    # Saved so often, the run is slow enough to be stopped.
    process = command.start("classification", *training(out, "--checkpoint-every", 5))
    wait_for(process, lambda: len(steps(out)) > 1)
    process.send_signal(number)
    assert process.wait(timeout=60) == status, process.output()
    output = process.output()
    step = steps(out)[-1]
    assert f"interrupted at step {step}; continue with --resume" in output
    assert 0 < step < NUM_EPOCHS * STEPS_PER_EPOCH
    output = command("classification", "--resume", out)
    assert f"resuming at step {step}" in output
    assert result(out) == whole
    assert "the run is finished" in command("classification", "--resume", out)


def wait_for(process, condition, seconds=100):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.output()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("context", ["deferred_interruption", "immediate_interruption"])
def test_a_second_signal_exits_at_once(context, number, status):
    code = f"""
import signal, time
from experiments.interruption import Interrupted, {context}
with {context}():
    try:
        signal.raise_signal({int(number)})
    except Interrupted:
        pass
    print("saving", flush=True)
    signal.raise_signal({int(number)})
    print("not reached", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, "saving\n"), done.stderr


EVERY_OPTIMIZER = """
import hashlib, json, sys, warnings
import jax, numpy as np
import jaxnet as jn
from jaxnet.checkpoint import params_sha256, restore, save
from sklearn.datasets import load_digits

mode, folder = sys.argv[1:]
warnings.filterwarnings("ignore", ".*deprecated", DeprecationWarning)
images, labels = load_digits(return_X_y=True)
data = {"x": images[:192].astype("float32") / 16, "y": labels[:192].astype("int32")}
network = jn.mlp([64, 8, 10], dropout=0.2)
hashes = {}
for name in jn.optimizer_names():
    learner = jn.gradient_learner(
        network.init, jn.classification(network), lambda key: jn.optimizer(name, key=key)
    )
    start = jax.vmap(learner.init)(jax.random.split(jax.random.key(1), 2))
    start = (start, jn.training.begin_epoch(learner, start, data, batch_size=32))

    def advance(state, *pieces):
        for num_steps in pieces:
            state = jn.training.advance(learner, *state, data, batch_size=32, num_steps=num_steps)
        return state

    if mode == "begun":
        begun, whole = advance(start, 3), advance(start, 6, 6)
        save(f"{folder}/{name}", begun)
        hashes[name] = params_sha256(begun), params_sha256(whole)
    else:
        # Saved by another process, inside the first epoch and inside a cycle of lookahead or SAM.
        hashes[name] = params_sha256(advance(restore(f"{folder}/{name}", like=start), 3, 6))
print(json.dumps(hashes))
"""


def test_resume_under_every_optimizer(command, tmp_path):
    def run(mode):
        done = subprocess.run(
            [sys.executable, "-c", EVERY_OPTIMIZER, mode, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=400,
            # Compiled as fast as programs of the tests themselves: there are hundreds.
            env=command.environment
            | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
            | {"XLA_FLAGS": os.environ["XLA_FLAGS"]},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    begun, resumed = run("begun"), run("resumed")
    assert len(begun) >= 40
    first, whole = ({name: pair[index] for name, pair in begun.items()} for index in range(2))
    assert not {name for name in whole if whole[name] == first[name]}
    assert whole == resumed


FULL_DISK = """
import resource, signal, sys
from experiments.classification import Config, main, run
from jaxnet.checkpoint import Checkpoints

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit, num_saves = int(sys.argv[1]), int(sys.argv[2])
save, saved = Checkpoints.save, []

def limited(*arguments, **options):
    if len(saved) == num_saves:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    save(*arguments, **options)
    saved.append(arguments)

Checkpoints.save = limited
sys.exit(main(Config, run, sys.argv[3:]))
"""


@pytest.mark.parametrize(
    ("limit", "num_saves"),
    [(6_000, 0), (6_000, 5), (60_000, 5)],
    ids=["first checkpoint", "sixth checkpoint", "report"],
)
def test_a_full_disk_costs_no_checkpoint(limit, num_saves, whole, command, tmp_path):
    out = tmp_path / "run"
    options = map(str, training(out, "--checkpoint-every", 30))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(limit), str(num_saves), *options],
        capture_output=True,
        text=True,
        timeout=120,
        env=command.environment | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"},
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert not (out / "summary.json").exists()
    assert bool(steps(out)) == bool(num_saves)
    command("classification", "--resume", out)
    assert result(out) == whole


def test_an_older_checkpoint_is_used_and_the_corrupt_one_named(whole, command, tmp_path):
    out = tmp_path / "run"
    process = command.start("classification", *training(out, "--checkpoint-every", 5))
    wait_for(process, lambda: len(steps(out)) > 1)
    process.kill()
    process.wait()
    newest = out / "checkpoints" / f"{steps(out)[-1]:08d}"
    file = max((path for path in newest.rglob("*") if path.is_file()), key=os.path.getsize)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    output = command("classification", "--resume", out)
    assert f"{newest} is corrupt" in output
    assert "an older one is used" in output
    assert result(out) == whole


def test_what_cannot_be_resumed_is_refused(tmp_path, capsys):
    def refused(*options, experiment=classification):
        assert main(experiment.Config, experiment.run, list(map(str, options))) == 2
        return capsys.readouterr().err

    out = tmp_path / "run"
    options = map(str, training(out, num_epochs=1))
    assert main(classification.Config, classification.run, list(options)) == 0
    for options, message in [
        (["--resume", tmp_path / "none"], "config.json does not exist"),
        (["--resume", out, "--num-epochs", 3], "has --num-epochs 1, found 3"),
        (["--resume", out, "--out", tmp_path / "x"], "continues in"),
    ]:
        assert message in refused(*options)
    message = refused("--resume", out, experiment=regression)
    assert "holds a run of 'classification', expected 'regression'" in message
    (out / "summary.json").unlink()
    config = json.loads((out / "config.json").read_text())
    for name, value, message in [
        ("num_epochs", "many", "option 'num_epochs'"),
        ("experiment", "../../evil", "holds a run of '../../evil'"),
        ("unknown", 1, "unknown option 'unknown'"),
        ("hidden_dims", [8], "does not fit"),
        ("optimizer", "sgd", "does not fit"),
    ]:
        (out / "config.json").write_text(json.dumps(config | {name: value}))
        assert message in refused("--resume", out)
    (out / "config.json").write_text("{")
    assert "cannot be read" in refused("--resume", out)


def test_two_runs_do_not_share_a_directory(command, tmp_path):
    out = tmp_path / "run"
    first = command.start("classification", *training(out, "--checkpoint-every", 2))
    wait_for(first, lambda: steps(out))
    output = command("classification", "--resume", out, status=2)
    assert f"is in use by process {first.pid}" in output
    # The lock of a dead process is taken over.
    first.kill()
    first.wait()
    assert "resuming at step" in command("classification", "--resume", out)


def test_a_beginning_that_died_may_be_begun_again(tmp_path, capsys):
    out = tmp_path / "run"
    (out / "figures").mkdir(parents=True)
    (out / "run.lock").touch()
    (out / "manifest.json").write_text("{}")
    assert main(classification.Config, classification.run, ["--resume", str(out)]) == 2
    assert "config.json does not exist" in capsys.readouterr().err
    options = map(str, training(out, num_epochs=1))
    assert main(classification.Config, classification.run, list(options)) == 0
    assert (out / "summary.json").exists()


def test_cross_validation_and_optimizers_resume(command, tmp_path):
    options = ["--dataset", "iris", "--cross-validate", "3", "--num-epochs", "20"]
    whole = tmp_path / "whole"
    command("classification", *options, "--out", whole)
    out = tmp_path / "run"
    process = command.start("classification", *options, "--checkpoint-every", 1, "--out", out)
    wait_for(process, lambda: len(steps(out)) > 1)
    process.kill()
    process.wait()
    command("classification", "--resume", out)
    assert result(out) == result(whole)

    out = tmp_path / "optimizers"
    options = ["--names", "adam", "sgd", "lion", "--num-epochs", "1", "--num-seeds", "2"]
    process = command.start("optimizers", *options, "--out", out)
    log = out / "metrics.jsonl"
    wait_for(process, lambda: log.exists() and log.read_text().count("\n") >= 1)
    process.kill()
    process.wait()
    done = log.read_text().splitlines()[0]
    command("optimizers", "--resume", out)
    assert log.read_text().splitlines()[0] == done
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["params_sha256"]) == ["adam", "sgd", "lion"]
    assert np.isfinite([each["mean"] for each in summary["metrics"].values()]).all()
