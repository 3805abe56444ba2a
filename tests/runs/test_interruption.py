"""The training script of the README, killed at random moments and run again."""

import random
import signal
import time
from pathlib import Path

import pytest

from jaxnet.checkpoint import Checkpoints
from jaxnet.runs import compare_runs
from jaxnet.runs.__main__ import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Your own training script")[2]
SCRIPT = SECTION.partition("```python\n")[2].partition("```")[0]
RUN = "digits-run"

pytestmark = pytest.mark.crash


def steps(folder):
    return Checkpoints(folder / RUN / "checkpoints").steps() or [0]


@pytest.fixture(scope="module")
def whole(scripts, tmp_path_factory):
    """The folder of the run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    scripts(SCRIPT, folder)
    return folder


def test_kill_9_at_random_moments(whole, scripts, tmp_path):
    generator = random.Random(0)
    interrupted = set()
    for kill in range(8):
        before = steps(tmp_path)[-1]
        process = scripts.start(SCRIPT, tmp_path)
        if kill % 4 == 0:
            time.sleep(generator.uniform(0.0, 4.0))
        else:
            process.wait_until(lambda before=before: steps(tmp_path)[-1] > before)
            # Inside a step, inside a save, between the two.
            time.sleep(generator.uniform(0.0, 0.1))
        process.end()
        interrupted.add(steps(tmp_path)[-1])
    assert not (tmp_path / RUN / "summary.json").exists()
    assert len(interrupted) >= 4
    assert any(step % 28 for step in interrupted), "inside an epoch"
    output = scripts(SCRIPT, tmp_path)
    assert "resuming at step" in output
    assert compare_runs(whole / RUN, tmp_path / RUN) == ()
    assert main([str(whole / RUN), str(tmp_path / RUN)]) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_exits(number, status, whole, scripts, tmp_path):
    process = scripts.start(SCRIPT, tmp_path)
    process.wait_until(lambda: steps(tmp_path)[-1] > 0)
    process.send_signal(number)
    assert process.wait(timeout=60) == status, process.output()
    last = steps(tmp_path)[-1]
    assert f"interrupted at step {last}; run the script again to continue" in process.output()
    assert f"resuming at step {last}" in scripts(SCRIPT, tmp_path)
    assert compare_runs(whole / RUN, tmp_path / RUN) == ()
