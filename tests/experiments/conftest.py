"""Commands as a user runs them: in processes of their own, each with a time limit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120


class Command:
    """Runs `python -m experiments.NAME`; compiled programs are kept between processes.

    Args:
        cache: folder for the compiled programs.
    """

    def __init__(self, cache: Path) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = os.environ | {
            "PYTHONPATH": path,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
        }

    def start(self, name, *options, **environment):
        """A process that runs, and may be killed: it writes no compiled program.

        JAX writes these in place, and half of one hangs the next process that reads it.
        """
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"} | environment
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{name}", *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment | environment,
        )

    def __call__(self, name, *options, status=0, **environment):
        """What a process printed, once it has ended with the status that is expected."""
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment
        process = self.start(name, *options, **environment)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        assert process.returncode == status, output
        return output


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """Runs an experiment in a process of its own."""
    return Command(tmp_path_factory.mktemp("compiled"))
