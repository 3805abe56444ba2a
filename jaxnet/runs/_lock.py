"""The lock of a run directory, which belongs to one process at a time."""

import contextlib
import os
from pathlib import Path
from typing import Any

LOCK, PID = "run.lock", "run.pid"


def acquire_lock(path: Path) -> Any:
    """Lock a directory; the operating system releases the lock of a process that ends.

    Raises:
        ValueError: another process holds it.
    """
    try:
        import filelock
    except ImportError as error:
        raise ImportError(
            "jaxnet.runs needs the package filelock; run: pip install 'functional-jaxnet[runs]'"
        ) from error
    lock = filelock.FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        with contextlib.suppress(OSError):
            owner = (path / PID).read_text(encoding="utf-8").strip()
            raise ValueError(
                f"{path} is in use by process {owner}; wait for it, or name another directory"
            ) from error
        raise ValueError(f"{path} is in use; name another directory") from error
    (path / PID).write_text(f"{os.getpid()}\n", encoding="utf-8")
    return lock
