"""The run directory: what a run leaves behind, and nothing before it is certain to start."""

import contextlib
import dataclasses
import datetime
import json
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from jaxnet._files import atomic_write, tidy
from jaxnet.doctor import require_sound_backend
from jaxnet.runs.environment import cache_folder, differences, manifest

_LOCK, _PID = "run.lock", "run.pid"
# A run that ended before its `config.json` was written has left nothing else.
_BEGINNINGS = {_LOCK, _PID, "figures", "manifest.json"}


class RunDirectory:
    """A directory that belongs to one run, and to one process at a time.

    `manifest.json` and `config.json` are written when it is made, `metrics.jsonl` line by line,
    `checkpoints/` while it trains, `summary.json`, `figures/` and `report.html` when it ends. Use
    it as a context, which holds its lock.

    Attributes:
        path: where it is.
        experiment: name of the experiment.
        resumed: whether an interrupted run continues in it.
        run_path: the directory of the run of which this is a part; `path` where it is the whole.
    """

    def __init__(
        self,
        path: Path,
        experiment: str,
        *,
        resumed: bool,
        lock: filelock.BaseFileLock,
        run_path: Path | None = None,
    ) -> None:
        self.path = path
        self.run_path = path if run_path is None else run_path
        self.experiment = experiment
        self.resumed = resumed
        self._lock = lock

    @classmethod
    def check(cls, config: Any) -> None:
        """Refuse a directory that cannot become a run's, without making it.

        Raises:
            ValueError: it is a file, holds something already, or cannot be written.
        """
        out = config.out
        if out is None or getattr(config, "resume", None) is not None:
            return
        if out.exists() and not out.is_dir():
            raise ValueError(f"out: {out} is a file; name a new or empty directory")
        if out.is_dir():
            _require_empty(out)
        parent = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not parent.is_dir() or not _is_writable(parent):
            raise ValueError(f"out: {out} cannot be written, because {parent} cannot")

    @classmethod
    def open(cls, config: Any, data_sha256: str) -> "RunDirectory":
        """Make the directory of a new run, or open that of an interrupted one.

        The backend is examined first: one that computes wrong sums trains nothing.

        Args:
            config: the resolved config, a dataclass with `experiment`, `dataset`, `out` and, where
                it can be resumed, `resume`.
            data_sha256: hash of the data set.

        Raises:
            ValueError: as `check`; another process has it open; the data are not those that the
                interrupted run had.
            jaxnet.doctor.UnsoundBackendError: a backend that computes wrong results.
        """
        require_sound_backend(cache=cache_folder() / "doctor")
        current = manifest(data_sha256)
        resume = getattr(config, "resume", None)
        if resume is not None:
            directory = cls(resume, config.experiment, resumed=True, lock=_lock(resume))
            with _released_on_error(directory):
                directory._continue(current)
            return directory
        cls.check(config)
        out = config.out or _new_default(f"{config.experiment}-{config.dataset}")
        try:
            out.mkdir(parents=True, exist_ok=True)
            directory = cls(out, config.experiment, resumed=False, lock=_lock(out))
        except OSError as error:
            raise ValueError(f"out: {out} cannot be made: {error.strerror or error}") from error
        with _released_on_error(directory):
            _require_empty(out)
            directory._begin(config, current)
        return directory

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        (self.path / _PID).unlink(missing_ok=True)
        self._lock.release()

    def part(self, name: str) -> "RunDirectory":
        """A directory in it for a part of the run that is a training of its own."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return RunDirectory(
            path, self.experiment, resumed=self.resumed, lock=self._lock, run_path=self.run_path
        )

    def write_log(self, records: list[dict[str, Any]]) -> None:
        """Write `metrics.jsonl` anew, with records of `metrics_record`."""
        self.write_text("metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))

    def log(self, record: dict[str, Any]) -> None:
        """Append a record to `metrics.jsonl`."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()

    def save_figure(self, name: str, figure: Any) -> None:
        """Write a Matplotlib figure to `figures/NAME.png`."""
        (self.path / "figures").mkdir(exist_ok=True)
        figure.savefig(self.path / "figures" / f"{name}.png", dpi=120, bbox_inches="tight")

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a file of this name."""
        self.write_text(name, json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file of this name, whole or not at all."""
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _begin(self, config: Any, current: dict[str, Any]) -> None:
        self.write_json("manifest.json", current | {"started": _now()})
        # Last: a directory with a config is one that can be resumed.
        options = dataclasses.asdict(config)
        options = {name: options[name] for name in options if name not in ("out", "resume")}
        self.write_json("config.json", {"experiment": self.experiment} | options)

    def _continue(self, current: dict[str, Any]) -> None:
        recorded = read_json(self.path / "manifest.json")
        if recorded.get("data_sha256") != current["data_sha256"]:
            raise ValueError(
                f"resume: the data have changed since {self.path} was started: SHA-256 "
                f"{current['data_sha256']}, expected {recorded.get('data_sha256')}; "
                "restore them, or start a new run"
            )
        changed = differences(recorded, current)
        if changed:
            print(
                "the environment has changed since the run was started, so its last bits may be "
                f"others than without the interruption: {'; '.join(changed)}",
                file=sys.stderr,
                flush=True,
            )
        sessions = [*recorded.get("resumed", []), {"at": _now(), "differences": changed}]
        self.write_json("manifest.json", recorded | {"resumed": sessions})


def metrics_record(epoch: int, step: int, parts: dict[str, dict[str, np.ndarray]]) -> dict:
    """A line of `metrics.jsonl`: the metrics of an epoch, one value for each seed.

    >>> metrics_record(1, 28, {"train": {"loss": np.array([0.5, 0.25])}})
    {'epoch': 1, 'step': 28, 'train': {'loss': [0.5, 0.25]}}
    """
    return {"epoch": epoch, "step": step} | {
        part: {name: np.asarray(values).tolist() for name, values in metrics.items()}
        for part, metrics in parts.items()
    }


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a `metrics.jsonl`; a last line that was torn while it was written is left out.

    Raises:
        ValueError: another line that is no JSON object.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line) if line else None
            if record is not None and not isinstance(record, dict):
                raise ValueError("no JSON object")
        except ValueError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: {error}; delete the line") from error
        if record is not None:
            records.append(record)
    return records


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run directory.

    Raises:
        ValueError: there is no such file, or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; is {path.parent} the directory of a run?") from (
            error
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content


@contextlib.contextmanager
def _released_on_error(directory: RunDirectory) -> Iterator[None]:
    try:
        yield
    except BaseException:
        directory.close()
        raise


def _lock(path: Path) -> filelock.BaseFileLock:
    """The lock of a directory; the operating system takes it from a process that dies.

    Raises:
        ValueError: another process has it.
    """
    lock = filelock.FileLock(path / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        with contextlib.suppress(OSError):
            owner = (path / _PID).read_text(encoding="utf-8").strip()
            raise ValueError(
                f"{path} is in use by process {owner}; wait for it, or name another directory"
            ) from error
        raise ValueError(f"{path} is in use; name another directory") from error
    (path / _PID).write_text(f"{os.getpid()}\n", encoding="utf-8")
    return lock


def _require_empty(path: Path) -> None:
    tidy(path)
    found = sorted(each.name for each in path.iterdir())
    if set(found) - _BEGINNINGS:
        name = next(name for name in found if name not in _BEGINNINGS)
        raise ValueError(
            f"out: {path} already holds {name}, perhaps another run; name a new or empty "
            "directory, or continue an interrupted run with --resume"
        )


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK)


def _new_default(name: str) -> Path:
    """A new directory below `runs`."""
    base = Path("runs") / f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    candidate, number = base, 2
    while True:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            candidate, number = base.with_name(f"{base.name}-{number}"), number + 1
        except OSError as error:
            raise ValueError(f"out: {candidate} cannot be made: {error.strerror}") from error


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat()
