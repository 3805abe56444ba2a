"""Commands as a user runs them: in processes of their own, each with a time limit."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120


class Process(subprocess.Popen):
    """A process whose output goes to a file: nobody reads along, and a full pipe would stop it."""

    def __init__(self, arguments, environment, output: Path):
        self._output = output
        with open(output, "w", encoding="utf-8") as file:
            super().__init__(arguments, stdout=file, stderr=subprocess.STDOUT, env=environment)

    def output(self):
        """What it has printed."""
        return self._output.read_text(encoding="utf-8")


class Command:
    """Runs `python -m experiments.NAME`; compiled programs are kept between processes.

    Args:
        cache: folder for the compiled programs.
    """

    def __init__(self, cache: Path) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._outputs = (cache / f"output-{number}" for number in itertools.count())
        self.environment = os.environ | {
            "PYTHONPATH": path,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            # Each program that is read from the cache would be a long warning.
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def start(self, name, *options, **environment):
        """A process that runs, and may be killed: it writes no compiled program.

        JAX writes these in place, and what a killed process leaves is not whole.
        """
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"} | environment
        arguments = [sys.executable, "-m", f"experiments.{name}", *map(str, options)]
        return Process(arguments, self.environment | environment, next(self._outputs))

    def __call__(self, name, *options, status=0, **environment):
        """What a process printed, once it has ended with the status that is expected."""
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment
        process = self.start(name, *options, **environment)
        try:
            process.wait(timeout=SECONDS)
        finally:
            process.kill()
        output = process.output()
        assert process.returncode == status, output
        return output


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """Runs an experiment in a process of its own."""
    return Command(tmp_path_factory.mktemp("compiled"))
