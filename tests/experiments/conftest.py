"""Commands as a user runs them, in processes with a time limit; tables as a user has them."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest

from experiments.data import load_table

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900


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
        flags: XLA_FLAGS.
    """

    def __init__(self, cache: Path, flags: str) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._outputs = (cache / f"output-{number}" for number in itertools.count())
        self.environment = os.environ | {
            "PYTHONPATH": path,
            "XLA_FLAGS": flags,
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
def command(tmp_path_factory, user_flags):
    """Runs an experiment in a process of its own."""
    return Command(tmp_path_factory.mktemp("compiled"), user_flags)


@pytest.fixture
def file(tmp_path):
    """Write a table or text under a name and return the path."""

    def write(content: polars.DataFrame | str, name: str = "fruit.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        elif name.endswith(".csv"):
            content.write_csv(path)
        elif name.endswith(".parquet"):
            content.write_parquet(path)
        else:
            np.savez(path, **{c.name: np.array(c.to_list()) for c in content.get_columns()})
        return path

    return write


@pytest.fixture
def load():
    """Loads a table of fruit: the kind is to be told, the weight is ignored."""

    def load(path, **options):
        arguments = {"label": "kind", "task": "classification", "seed": 3, "ignore": ["weight"]}
        return load_table(path, **(arguments | options))

    return load


@pytest.fixture
def refused(load):
    """Loads a table that is refused with a message that holds some parts, each once."""

    def refused(path, *expected: str, **options) -> None:
        with pytest.raises(ValueError) as caught:
            load(path, **options)
        for part in (f"{path}: ", *expected):
            assert str(caught.value).count(part) == 1, str(caught.value)

    return refused
