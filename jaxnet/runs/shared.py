"""The directory and the checkpoints of a run that several processes share."""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxnet._global_arrays import is_spread
from jaxnet.checkpoint import BackgroundSaver, CheckpointError, Checkpoints, Restored, restore
from jaxnet.hosts import Processes

_SECONDS_TO_APPEAR = 20.0


def require_same_run(
    processes: Processes, path: Any, resume: bool | None, options: Mapping[str, Any], data: str
) -> None:
    """Raise, on all processes, where one begins another run than process 0.

    Args:
        processes: which share the run.
        path: its directory, or None.
        resume: whether it is continued.
        options: its options.
        data: hash of its data.

    Raises:
        ValueError: another directory, option or hash.

    >>> require_same_run(Processes(), "runs/first", False, {"rate": 0.1}, "abc")
    """
    where = {"path": None if path is None else os.fspath(path), "resume": resume}
    processes.require_same("run", where, remedy="name the same directory on all processes")
    processes.require_same("options", dict(options), remedy="give all processes the same options")
    processes.require_same("data", data, remedy="give all processes the same data")


def tell_run(processes: Processes, path: Path, facts: Mapping[str, Any]) -> None:
    """Tell the other processes which directory process 0 has opened; they call `find_run`.

    Args:
        processes: which share the run.
        path: the directory.
        facts: what else they need to know.
    """
    digest = hashlib.sha256((path / "config.json").read_bytes()).hexdigest()
    told = {"path": str(path.absolute()), "sha256": digest} | dict(facts)
    processes.gather("directory", told)


def find_run(processes: Processes) -> dict[str, Any]:
    """The directory that process 0 has opened, as another process sees it.

    Args:
        processes: which share the run.

    Returns:
        `path`, and what `tell_run` was given.

    Raises:
        ValueError: this process does not see it.
    """
    told = processes.gather("directory", None)[0]
    # Network file systems show new files after some seconds.
    deadline = time.monotonic() + _SECONDS_TO_APPEAR
    while True:
        with contextlib.suppress(OSError):
            content = Path(told["path"], "config.json").read_bytes()
            if hashlib.sha256(content).hexdigest() == told["sha256"]:
                return told
        if time.monotonic() > deadline:
            raise ValueError(
                f"{told['path']}: process {processes.index} does not see the run that process 0 "
                "has there; name a directory that all processes share"
            )
        time.sleep(0.1)


class SharedSaver:
    """Saves the states of a run: process 0 alone, or all together what spans processes.

    Together they save in the background, while they train on.

    Args:
        checkpoints: of the run, in a directory that all processes see.
        processes: which share the run.
    """

    def __init__(self, checkpoints: Checkpoints, processes: Processes) -> None:
        self._checkpoints, self._processes = checkpoints, processes
        self._background = BackgroundSaver(processes)

    def save(self, step: int, state: Any, *, metric: float | None) -> None:
        """Save a state; all processes call it.

        Args:
            step: number of the step.
            state: a pytree of arrays.
            metric: as of `Checkpoints.save`.

        Raises:
            OSError: it cannot be written, or the one before could not.
        """
        if not any(is_spread(leaf) for leaf in jax.tree.leaves(state)):
            if self._processes.is_first:
                self._checkpoints.save(step, state, metric=metric)
            return
        path = self._checkpoints.path(step)
        if self._processes.is_first:
            path.parent.mkdir(parents=True, exist_ok=True)
        value = None if metric is None or not math.isfinite(metric) else metric
        self._background.save(path, state, metric=value, then=lambda: self._checkpoints.prune(step))

    def check(self) -> None:
        """Raise the error of a save in the background, if there was one."""
        self._background.check()

    def wait(self) -> None:
        """Wait until all that was saved is written; raises as `check`."""
        self._background.wait()


def restore_shared(
    checkpoints: Checkpoints, like: Callable[[int], Any], processes: Processes
) -> Restored | None:
    """Restore the newest good checkpoint, the same on all processes.

    Args:
        checkpoints: of the run, in a directory that all processes see.
        like: from a step to the structure of the state.
        processes: which share the run.

    Returns:
        As `Checkpoints.restore`; what was rejected is known to process 0 only.

    Raises:
        CheckpointError: as `Checkpoints.restore`; a process that does not see the checkpoint of
            process 0, or another one.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder)
    ...     checkpoints.save(3, {"x": np.ones(2)})
    ...     restored = restore_shared(checkpoints, lambda step: {"x": np.zeros(2)}, Processes())
    >>> restored.step, restored.state["x"].tolist()
    (3, [1.0, 1.0])
    """
    restored = checkpoints.restore(like=like) if processes.is_first else None
    step = processes.gather("checkpoint", None if restored is None else restored.step)[0]
    if step is None:
        return None
    if restored is None:
        try:
            restored = Restored(step, restore(checkpoints.path(step), like=like(step)), ())
        except FileNotFoundError as error:
            raise CheckpointError(
                f"process {processes.index} does not see the checkpoint of step {step}, which "
                f"process 0 has ({error}); name a directory that all processes share"
            ) from error
    hashes = checkpoints.digest(step)
    processes.require_same("checkpoint", hashes, remedy="name a directory that they share")
    return restored
