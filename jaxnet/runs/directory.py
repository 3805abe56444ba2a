"""The run directory: the files that a run leaves, and the lock that makes it its own."""

import contextlib
import datetime
import json
import os
import re
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxnet._files import atomic_write, tidy
from jaxnet.doctor import require_sound_backend
from jaxnet.hosts import Processes, current
from jaxnet.runs._lock import LOCK, PID, acquire_lock
from jaxnet.runs.environment import cache_folder, differences, manifest
from jaxnet.runs.integrity import file_hashes, verify_run
from jaxnet.runs.names import new_directory
from jaxnet.runs.records import HASH, add_hash, flatten, json_values, read_hashed_json, read_json
from jaxnet.runs.shared import find_run, require_same_run, tell_run

# A run that ended before its `config.json` was written has left nothing else.
_BEGINNINGS = {LOCK, PID, "figures", "manifest.json"}
_RESERVED_STAGES = {"checkpoints", "figures", "tensorboard"}


class RunDirectory:
    """A directory that belongs to one run, and to one process at a time.

    `manifest.json` (environment) and `config.json` (options) are written when it is made,
    `metrics.jsonl` line by line and `checkpoints/` during training, `summary.json` when the run
    is finished. Use it as a context: it holds a lock, which the operating system releases when the
    process ends. Made by `RunDirectory.open`. Of several processes (`jaxnet.hosts`) process 0 alone
    writes; the others see the same directory, and what they write is left out.

    Attributes:
        path: the directory, or that of a stage in it.
        run_path: the directory of the whole run.
        name: name of the run, such as that of the experiment.
        config: the options, as `config.json` holds them.
        resumed: whether it holds an interrupted or finished run that is continued.
        phases: the values of the option `num_epochs` in the earlier phases of a run that was
            continued for more epochs.
        processes: the processes that share the run.
        is_writer: whether this process writes its files.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "run")
    ...     options = {"config": {"rate": 0.1}, "data_sha256": "abc"}
    ...     with RunDirectory.open(path, name="example", **options) as directory:
    ...         print(directory.resumed, sorted(file.name for file in path.glob("*.json")))
    False ['config.json', 'manifest.json']
    """

    def __init__(
        self,
        path: Path,
        name: str,
        config: Mapping[str, Any],
        *,
        resumed: bool,
        lock: Any,
        run_path: Path | None = None,
        phases: tuple[int, ...] = (),
        processes: Processes | None = None,
    ) -> None:
        self.path = path
        self.run_path = path if run_path is None else run_path
        self.name = name
        self.config = dict(config)
        self.resumed = resumed
        self.phases = phases
        self.processes = current() if processes is None else processes
        self.is_writer = self.processes.is_first
        self._lock = lock

    @classmethod
    def check(cls, path: str | os.PathLike[str] | None, *, resume: bool | None = False) -> None:
        """Check that a directory can become that of a run, without making it.

        Args:
            path: the directory; None passes, as the default name is always new.
            resume: as in `open`.

        Raises:
            ValueError: it is a file, cannot be written, or holds something already.
        """
        if path is None or resume:
            return
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file; name a new or empty directory")
        if path.is_dir() and not (resume is None and (path / "config.json").exists()):
            _require_empty(path)
        parent = next(above for above in (path, *path.absolute().parents) if above.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ValueError(f"{path} cannot be written, because {parent} cannot")

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None,
        *,
        name: str,
        config: Mapping[str, Any],
        data_sha256: str,
        resume: bool | None = False,
    ) -> "RunDirectory":
        """Make the directory of a new run, or open that of an interrupted or finished one.

        The backend is checked first (`jaxnet.doctor`): one that computes wrong sums trains nothing.
        Inside of `jaxnet.hosts.connect` all processes call it, with the same arguments.

        Args:
            path: the directory; None makes `runs/NAME-TIME`.
            name: name of the run, recorded as `experiment` in `config.json`.
            config: the options that decide the result, as `json_values` takes them. Of a finished
                run that is continued, `num_epochs` may be larger: `config.json` then holds the new
                number, and the earlier ones as `phases`.
            data_sha256: hash of the data, such as `jaxnet.checkpoint.params_sha256(data)`.
            resume: False makes a new run, and the directory must be new or empty; True continues
                the run in the directory; None does the one or the other.

        Returns:
            The directory, locked.

        Raises:
            ValueError: as `check`; another process has it open; the name, an option or the data
                are not those of the run that is continued, which is named.
            TypeError: an option that JSON cannot hold.
            jaxnet.doctor.UnsoundBackendError: a backend that computes wrong results.
        """
        options = json_values(config)
        for reserved in ("experiment", "phases", HASH):
            if reserved in options:
                raise ValueError(f"config: the name {reserved!r} is reserved; rename the option")
        require_sound_backend(cache=cache_folder() / "doctor")
        processes = current()
        require_same_run(processes, path, resume, {"experiment": name} | options, data_sha256)
        if not processes.is_first:
            found = find_run(processes)
            path, facts = Path(found["path"]), {"resumed": found["resumed"]}
            return cls(path, name, options, lock=None, phases=tuple(found["phases"]), **facts)
        directory = cls._open(path, name, options, manifest(data_sha256), resume)
        with _released_on_error(directory):
            facts = {"resumed": directory.resumed, "phases": list(directory.phases)}
            tell_run(processes, directory.path, facts)
        return directory

    @classmethod
    def _open(
        cls,
        path: str | os.PathLike[str] | None,
        name: str,
        options: dict[str, Any],
        environment: dict[str, Any],
        resume: bool | None,
    ) -> "RunDirectory":
        if resume is None:
            resume = path is not None and (Path(path) / "config.json").exists()
        if resume and path is None:
            raise ValueError("resume: name the directory of the run to continue")
        if resume:
            path = Path(path or "")
            read_hashed_json(path / "config.json")
            directory = cls(path, name, options, resumed=True, lock=acquire_lock(path))
            with _released_on_error(directory):
                directory._continue(environment)
            return directory
        cls.check(path)
        path = new_directory(name) if path is None else Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            directory = cls(path, name, options, resumed=False, lock=acquire_lock(path))
        except OSError as error:
            raise ValueError(f"{path} cannot be made: {error.strerror or error}") from error
        with _released_on_error(directory):
            _require_empty(path)
            directory.write_json("manifest.json", environment | {"started": _now()})
            # Last: a directory with a config is one that can be resumed.
            directory.write_json("config.json", add_hash({"experiment": name} | options))
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
        """Release the lock."""
        if self._lock is None:
            return
        (self.run_path / PID).unlink(missing_ok=True)
        self._lock.release()

    def stage(self, name: str) -> "RunDirectory":
        """The directory of a named stage of the run, such as pretraining: a folder in it.

        Args:
            name: letters, digits, `-`, `_` and `.`; the same name gives the same folder.

        Returns:
            A directory with metrics and checkpoints of its own, under the same lock.

        Raises:
            ValueError: another name, or one of `checkpoints`, `figures` and `tensorboard`.
        """
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name in _RESERVED_STAGES:
            raise ValueError(
                f"name: a stage must be named by letters, digits, '-', '_' and '.', and not "
                f"{', '.join(sorted(_RESERVED_STAGES))}, found {name!r}"
            )
        path = self.path / name
        if self.is_writer:
            path.mkdir(exist_ok=True)
        return RunDirectory(
            path,
            self.name,
            self.config,
            resumed=self.resumed,
            lock=self._lock,
            run_path=self.run_path,
            phases=self.phases,
            processes=self.processes,
        )

    def write_log(self, records: list[dict[str, Any]]) -> None:
        """Write `metrics.jsonl` from records of `metrics_record`; an earlier one is replaced."""
        self.write_text("metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a record to `metrics.jsonl`."""
        if not self.is_writer:
            return
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()

    def save_figure(self, name: str, figure: Any) -> None:
        """Write a Matplotlib figure to `figures/NAME.png`."""
        if not self.is_writer:
            return
        (self.path / "figures").mkdir(exist_ok=True)
        figure.savefig(self.path / "figures" / f"{name}.png", dpi=120, bbox_inches="tight")

    def write_summary(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write `summary.json`, which marks the run as finished, with hashes of all its files.

        Args:
            summary: the result.

        Returns:
            The summary with `files_sha256`, which `jaxnet.runs.verify_run` checks.
        """
        hashes = self.processes.from_first("files", lambda: file_hashes(self.path))
        summary = {**summary, "files_sha256": hashes}
        self.write_json("summary.json", add_hash(summary))
        return summary

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON object to the file of this name, whole or not at all."""
        self.write_text(name, json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write text to the file of this name, whole or not at all."""
        if not self.is_writer:
            return
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _continue(self, current: dict[str, Any]) -> None:
        if (self.path / "summary.json").exists():
            verify_run(self.path)
        recorded = read_json(self.path / "manifest.json")
        if recorded.get("data_sha256") != current["data_sha256"]:
            raise ValueError(
                f"resume: the data have changed since {self.path} was started: SHA-256 "
                f"{current['data_sha256']}, expected {recorded.get('data_sha256')}; "
                "restore them, or start a new run"
            )
        self._compare_config()
        changed = differences(recorded, current)
        if changed:
            print(
                "warning: the environment has changed since the run was started, so its result "
                f"may differ in the last bits: {'; '.join(changed)}",
                file=sys.stderr,
                flush=True,
            )
        sessions = [*recorded.get("resumed", []), {"at": _now(), "differences": changed}]
        self.write_json("manifest.json", recorded | {"resumed": sessions})

    def _compare_config(self) -> None:
        """Raise unless the options are those of the run; a finished one may get more epochs."""
        recorded = read_hashed_json(self.path / "config.json")
        self.phases = tuple(recorded.pop("phases", ()))
        current = {"experiment": self.name} | self.config
        before, now = flatten(recorded), flatten(current)
        differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if not differing:
            return
        summary, option = self.path / "summary.json", differing[0]
        if summary.exists() and len(differing) == 1 and option.split(".")[-1] == "num_epochs":
            num_before, num_now = before.get(option), now.get(option)
            if isinstance(num_before, int) and isinstance(num_now, int) and num_now > num_before:
                self.phases = (*self.phases, num_before)
                # First: without it the run is an unfinished one, whichever config it has.
                summary.unlink()
                self.write_json("config.json", add_hash(current | {"phases": list(self.phases)}))
                return
        values = [flat.get(option, "not given") for flat in (before, now)]
        raise ValueError(
            f"resume: the run in {self.path} has {option} {values[0]}, found {values[1]}; give the "
            "options of that run, or name another directory"
        )


@contextlib.contextmanager
def _released_on_error(directory: RunDirectory) -> Iterator[None]:
    try:
        yield
    except BaseException:
        directory.close()
        raise


def _require_empty(path: Path) -> None:
    tidy(path)
    others = sorted({file.name for file in path.iterdir()} - _BEGINNINGS)
    if others:
        raise ValueError(
            f"{path} already holds {others[0]}, perhaps another run; name a new or empty "
            "directory, or continue an interrupted run (resume)"
        )


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat()
