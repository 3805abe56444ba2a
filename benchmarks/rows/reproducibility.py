"""Rows of what must hold on every device: known answers, and runs that are killed and resumed."""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Clock


def known_answers(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """All checks of `jaxnet.doctor` on this device."""
    from jaxnet import doctor

    findings = doctor.examine(quick=smoke)
    failed = [f"{finding.name}: {finding.detail}" for finding in findings if not finding.passed]
    return {"passed": len(findings) - len(failed), "failed": failed}


def kill_and_resume(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Train in processes that are killed at random moments; compare with the uninterrupted run."""
    num_kills, num_epochs = (1, 3) if smoke else (5, 40)
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:

        def command(name: str) -> list[str]:
            options = [str(Path(folder) / name), str(num_epochs)]
            return [sys.executable, "-m", "benchmarks.resumed_run", *options]

        start = time.perf_counter()
        expected = subprocess.run(
            command("whole"), check=True, capture_output=True, text=True
        ).stdout.split()
        whole = time.perf_counter() - start
        kills = 0
        while kills < num_kills:
            process = subprocess.Popen(
                command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                # Any moment: before the first step, inside an epoch, inside a save.
                process.wait(timeout=generator.uniform(0.3, 0.9) * whole)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        resumed = subprocess.run(
            command("killed"), check=True, capture_output=True, text=True
        ).stdout.split()
    return {
        "kills": kills,
        "identical": resumed[-1] == expected[-1],
        "state_sha256": expected[-1],
        "seconds_of_whole_run": round(whole, 1),
    }
