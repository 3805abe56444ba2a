"""Commands as a user runs them, in processes with a time limit; a small corpus of emails."""

import bz2
import contextlib
import hashlib
import io
import itertools
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pooch
import pytest

from experiments import replay
from experiments.command import main
from experiments.data.named import emails
from experiments.protocol import find_experiment
from experiments.report import drawing
from experiments.report.drawing import render

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900


class Process(subprocess.Popen):
    """A process whose output goes to a file: nobody reads along, and a full pipe would stop it."""

    def __init__(self, arguments, environment, output: Path, cwd: Path | None = None):
        self._output = output
        with open(output, "w", encoding="utf-8") as file:
            super().__init__(
                arguments, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=cwd
            )

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

    def start(self, name, *options, cwd=None, **environment):
        """A process that runs, and may be killed: it writes no compiled program.

        JAX writes these in place, and what a killed process leaves is not whole.
        """
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"} | environment
        arguments = [sys.executable, "-m", f"experiments.{name}", *map(str, options)]
        return Process(arguments, self.environment | environment, next(self._outputs), cwd)

    def __call__(self, name, *options, status=0, cwd=None, **environment):
        """What a process printed, once it has ended with the status that is expected."""
        environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment
        process = self.start(name, *options, cwd=cwd, **environment)
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


@pytest.fixture(scope="session", autouse=True)
def blank_figures():
    """Figures of runs are made, but not rendered; `test_figures.py` looks at what they show."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_DPI", 30)
        patch.setattr(drawing, "render", lambda figure: b"\x89PNG\r\n\x1a\n")
        yield


@pytest.fixture(scope="session")
def rendered_figures():
    """Makes a context in which figures of runs are rendered as users see them, in few pixels."""

    @contextlib.contextmanager
    def rendered():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drawing, "render", render)
            yield

    return rendered


@pytest.fixture
def call(capsys):
    """Runs an experiment as `command` does, but in this process: returns what it printed."""

    def call(name, *options, status=0):
        module = find_experiment(name) if name != "replay" else replay
        capsys.readouterr()
        assert main(module, list(map(str, options))) == status, capsys.readouterr().err
        return capsys.readouterr().out

    return call


class Corpus:
    """A few emails in place of the SpamAssassin corpus.

    Attributes:
        files: folder -> name -> content.
    """

    def __init__(self) -> None:
        self.files = {folder: self._emails(folder) for folder in emails.FOLDERS}

    @staticmethod
    def _emails(folder: str) -> dict[str, bytes]:
        rng = np.random.default_rng(list(emails.FOLDERS).index(folder))
        words = ["meeting", "kernel", "patch"] if "ham" in folder else ["free", "MONEY", "click!"]
        contents = [
            b"Received: here\nSubject: %d\n\n%s"
            % (number, " ".join(rng.choice([*words, "the", "to"], 12)).encode())
            for number in range(40)
        ]
        contents[-1] = contents[0]
        names = [f"{i:05d}.{hashlib.md5(text).hexdigest()}" for i, text in enumerate(contents)]
        return dict(zip(names, contents, strict=True))

    def folders(self) -> dict[str, emails.Folder]:
        """What `emails.FOLDERS` says of them."""
        return {
            folder: emails.FOLDERS[folder]._replace(
                num_emails=len(files),
                sha256=hashlib.sha256(
                    b"".join(name.encode() + files[name] for name in sorted(files))
                ).hexdigest(),
            )
            for folder, files in self.files.items()
        }

    def write(self, data_dir: Path, change: dict[str, bytes] | None = None) -> Path:
        """Write one archive of all folders and return the data folder."""
        members = {
            f"./{folder}/{name}.txt": content
            for folder, files in self.files.items()
            for name, content in files.items()
        }
        self._pack(data_dir, "corpus.tar.xz", members | (change or {}), lzma.compress)
        return data_dir

    def write_archives(self, data_dir: Path) -> Path:
        """Write the archives of the authors, one for each folder, and return the data folder."""
        for folder, files in self.files.items():
            members = {f"{folder}/{name}": content for name, content in files.items()}
            members[f"{folder}/cmds"] = b"mv"
            self._pack(data_dir, emails.FOLDERS[folder].archive, members, bz2.compress)
        return data_dir

    @staticmethod
    def _pack(
        data_dir: Path, name: str, files: dict[str, bytes], compress: Callable[[bytes], bytes]
    ) -> None:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for member_name, content in files.items():
                member = tarfile.TarInfo(member_name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        (data_dir / "spamassassin").mkdir(parents=True, exist_ok=True)
        (data_dir / "spamassassin" / name).write_bytes(compress(file.getvalue()))


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Corpus:
    """A small corpus that is not written yet, an empty cache, and JAXNET_DATA unset."""
    corpus = Corpus()
    monkeypatch.setattr(emails, "FOLDERS", corpus.folders())
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    return corpus
