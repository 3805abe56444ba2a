"""The training script of the README, killed and stopped at random moments, and run again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import jaxnet as jn
from jaxnet.checkpoint import Checkpoints, params_sha256, restore, save
from jaxnet.runs import RunDirectory, compare_runs

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Your own training script")[2]
SCRIPT = SECTION.partition("```python\n")[2].partition("```")[0]
RUN = "digits-run"
STEPS_PER_EPOCH = 28

pytestmark = pytest.mark.crash


def steps(folder):
    return Checkpoints(folder / RUN / "checkpoints").steps() or [0]


@pytest.fixture(scope="module")
def whole(scripts, tmp_path_factory):
    """The run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    scripts(SCRIPT, folder)
    return folder / RUN


def test_kill_9_at_random_moments(whole, scripts, tmp_path):
    generator = random.Random(0)
    interrupted = set()
    for kill in range(6):
        before = steps(tmp_path)[-1]
        process = scripts.start(SCRIPT, tmp_path)
        if kill % 3 == 0:
            # Before or at the beginning of the training.
            time.sleep(generator.uniform(0.0, 2.0))
        else:
            process.wait_until(lambda before=before: steps(tmp_path)[-1] > before)
            # Inside a step, inside a save, between the two.
            time.sleep(generator.uniform(0.0, 0.03))
        process.end()
        interrupted.add(steps(tmp_path)[-1])
    assert not (tmp_path / RUN / "summary.json").exists()
    assert len(interrupted) >= 3
    assert any(step % STEPS_PER_EPOCH for step in interrupted), "inside an epoch"
    assert "resuming at step" in scripts(SCRIPT, tmp_path)
    assert compare_runs(whole, tmp_path / RUN) == ()
    hidden = [
        path.name for path in (tmp_path / RUN / "checkpoints").iterdir() if path.name[0] == "."
    ]
    assert not hidden, "leftovers of the killed saves are gone"


def test_a_signal_saves_and_exits(whole, scripts, tmp_path):
    """One after the other in one run, which then ends."""
    last = 0
    for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
        process = scripts.start(SCRIPT, tmp_path)
        process.wait_until(lambda last=last: steps(tmp_path)[-1] > last)
        process.send_signal(number)
        assert process.wait(timeout=60) == status, process.output()
        assert not last or f"resuming at step {last}" in process.output()
        last = steps(tmp_path)[-1]
        assert f"interrupted at step {last}; run the script again to continue" in process.output()
    assert f"resuming at step {last}" in scripts(SCRIPT, tmp_path)
    assert compare_runs(whole, tmp_path / RUN) == ()


# Imports once, and each case has a child of its own.
SIGNALS = """
import os, signal
from jaxnet.runs import Interrupted, deferred_interruption, immediate_interruption

def signals(context, number):
    with context():
        try:
            signal.raise_signal(number)
        except Interrupted:
            pass
        print("saving", flush=True)
        signal.raise_signal(number)
        print("not reached", flush=True)

for context in (deferred_interruption, immediate_interruption):
    for number in (signal.SIGINT, signal.SIGTERM):
        child = os.fork()
        if child == 0:
            signals(context, number)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(context.__name__, int(number), status, flush=True)
"""


def test_a_second_signal_exits_at_once():
    command = [sys.executable, "-W", "ignore", "-c", SIGNALS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    expected = [
        f"saving\n{context} {number} {status}\n"
        for context in ("deferred_interruption", "immediate_interruption")
        for number, status in ((2, 130), (15, 143))
    ]
    assert (done.returncode, done.stdout) == (0, "".join(expected)), done.stderr


def test_processes_do_not_share_a_run_and_a_corrupt_checkpoint_is_named(whole, scripts, tmp_path):
    process = scripts.start(SCRIPT, tmp_path)
    process.wait_until(lambda: len(steps(tmp_path)) > 1)
    with pytest.raises(ValueError, match=f"is in use by process {process.pid}"):
        RunDirectory.open(tmp_path / RUN, name="training", config={}, data_sha256="", resume=True)
    # The lock of a dead process is taken over.
    process.end()
    newest = tmp_path / RUN / "checkpoints" / f"{steps(tmp_path)[-1]:08d}"
    file = max((path for path in newest.rglob("*") if path.is_file()), key=os.path.getsize)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    output = scripts(SCRIPT, tmp_path)
    assert f"checkpoints/{newest.name} is corrupt" in output
    assert "an older one is used" in output
    assert "resuming at step" in output
    assert compare_runs(whole, tmp_path / RUN) == ()


FULL_DISK = """
import resource, signal
import jaxnet as jn
from jaxnet.checkpoint import Checkpoints, params_sha256, restore, save

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save, saved = Checkpoints.save, []

def limited(*arguments, **options):
    if len(saved) == NUM_SAVES:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
    save(*arguments, **options)
    saved.append(arguments)

Checkpoints.save = limited
"""


def test_a_full_disk_costs_no_checkpoint(whole, scripts, tmp_path):
    for num_saves in (0, 5):
        full = FULL_DISK.replace("NUM_SAVES", str(num_saves))
        output = scripts(
            full + SCRIPT, tmp_path, status=1, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="1e9"
        )
        assert "could not be written" in output
        assert bool(steps(tmp_path)[-1]) == bool(num_saves)
    scripts(SCRIPT, tmp_path)
    assert compare_runs(whole, tmp_path / RUN) == ()


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_resume_under_every_optimizer(digits, tmp_path):
    """Saved inside the first epoch, and inside a cycle of lookahead or SAM."""
    data = jax.tree.map(lambda leaf: leaf[:192], digits["train"])
    network = jn.mlp([64, 8, 10], dropout=0.2)
    names = jn.optimizer_names()
    assert len(names) >= 40
    for name in names:
        learner = jn.gradient_learner(
            network.init,
            jn.classification(network),
            lambda key, name=name: jn.optimizer(name, key=key),
        )
        states = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(1), 2))
        start = (states, jn.training.begin_epoch(learner, states, data, batch_size=32))

        def advance(state, *pieces, learner=learner):
            for num_steps in pieces:
                state = jn.training.advance(
                    learner, *state, data, batch_size=32, num_steps=num_steps
                )
            return state

        begun = advance(start, 3)
        whole = advance(begun, 3, 3)
        save(tmp_path / name, begun)
        resumed = advance(restore(tmp_path / name, like=start), 3, 3)
        assert params_sha256(begun) != params_sha256(whole), name
        assert params_sha256(resumed) == params_sha256(whole), name
