"""Training scripts as a user runs them, in processes of their own."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Process(subprocess.Popen):
    """A process whose output goes to a file, since a full pipe would stop it."""

    def __init__(self, arguments, environment, folder: Path, output: Path):
        self._output = output
        with open(output, "w", encoding="utf-8") as file:
            super().__init__(
                arguments, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=folder
            )

    def output(self):
        """What it has printed."""
        return self._output.read_text(encoding="utf-8")

    def wait_until(self, condition, seconds=100):
        """Wait until a condition holds, while the process runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.002)

    def end(self):
        """Kill it with signal 9."""
        self.kill()
        self.wait()


class Scripts:
    """Runs a script in a folder; compiled programs are kept between processes.

    Args:
        cache: folder for the compiled programs.
        flags: XLA_FLAGS.
    """

    def __init__(self, cache: Path, flags: str) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._cache = cache
        self._outputs = (cache / f"output-{number}" for number in itertools.count())
        self.environment = os.environ | {
            "PYTHONPATH": path,
            "XLA_FLAGS": flags,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            # Each program that is read from the cache would be a long warning.
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def start(self, script: str, folder: Path, **environment):
        """A process that may be killed, and so writes no compiled programs: JAX does in place."""
        folder.mkdir(exist_ok=True)
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"} | environment
        arguments = [sys.executable, "-c", script]
        return Process(arguments, self.environment | environment, folder, next(self._outputs))

    def __call__(self, script: str, folder: Path, *, status=0, **environment):
        """What a process printed, once it has ended with the expected status."""
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment
        process = self.start(script, folder, **environment)
        try:
            process.wait(timeout=120)
        finally:
            process.kill()
        assert process.returncode == status, process.output()
        return process.output()


@pytest.fixture(scope="session")
def scripts(tmp_path_factory, user_flags):
    """Runs a training script in a process of its own."""
    return Scripts(tmp_path_factory.mktemp("compiled"), user_flags)
