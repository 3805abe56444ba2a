"""Temporary names beside a final one, so that what has its final name is whole.

What a process leaves that dies while it writes is told from what a live one is writing by the
process's id and a token drawn when this module is imported: an id alone comes again, above all in
containers, where each start has the same few.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import psutil

# A limit for one file need not be one for all; Orbax's files are smaller than this.
_MAX_FILE_BYTES = 1 << 30
_TOKEN = secrets.token_hex(4)
_LEFTOVER = re.compile(
    r"\.(?P<name>.+)\.jaxnet-(?P<kind>tmp|replaced)-(?P<pid>\d{1,9})-(?P<token>[0-9a-f]{8})",
    re.DOTALL,
)
# Some file systems have no fsync of folders; that is no reason not to save.
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}


def temporary_name(path: Path, kind: Literal["tmp", "replaced"] = "tmp") -> Path:
    """A name beside the path, which tells whose it is.

    >>> temporary_name(Path("runs/first")).name.startswith(".first.jaxnet-tmp-")
    True
    """
    return path.with_name(f".{path.name}.jaxnet-{kind}-{os.getpid()}-{_TOKEN}")


def tidy(folder: Path) -> None:
    """Undo what saves left in a folder whose processes ended before they were done.

    Half-written things are removed. One that was put aside to be replaced gets its name back,
    unless its successor has it. Where nothing may be changed, nothing is.

    Args:
        folder: where to look; not below it.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            leftover = _LEFTOVER.fullmatch(path.name)
            if leftover is None or path.is_symlink() or _is_live(leftover):
                continue
            final = folder / leftover["name"]
            if leftover["kind"] == "replaced" and not os.path.lexists(final):
                os.rename(path, final)
            else:
                remove(path)


def require_space(folder: Path, num_bytes: int) -> None:
    """Ask the disk for the space that is about to be needed, and give it back.

    Orbax writes from threads, and where these find a full disk it prints a traceback for each.

    Args:
        folder: where it is needed.
        num_bytes: how much.

    Raises:
        OSError: there is not so much, or the process may not have it.

    >>> require_space(Path("."), 1000)
    """
    if not hasattr(os, "posix_fallocate"):
        if shutil.disk_usage(folder).free < num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    files = []
    try:
        for start in range(0, num_bytes, _MAX_FILE_BYTES):
            files.append(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
            os.posix_fallocate(files[-1].fileno(), 0, min(num_bytes - start, _MAX_FILE_BYTES))
    finally:
        for file in files:
            file.close()


def publish(temporary: Path, path: Path, *, replace: bool) -> None:
    """Give a whole file or folder its final name, and see to it that the disk holds the name.

    Args:
        temporary: what is whole.
        path: the final name.
        replace: whether there may be one of that name; a crash leaves the one or the other.

    Raises:
        OSError: it cannot be done; the one before it has its name.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(f"{path} exists already")
    old = temporary_name(path, "replaced")
    try:
        # A folder cannot be renamed onto another, so there are two steps; `tidy` undoes the first.
        if os.path.lexists(path):
            os.rename(path, old)
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            os.rename(old, path)
        raise
    flush(path.parent)
    remove(old)


def discard(path: Path) -> None:
    """Remove a folder that has its final name, which must not be seen half removed.

    Raises:
        OSError: it cannot be removed; it is whole.
    """
    temporary = temporary_name(path)
    remove(temporary)
    os.rename(path, temporary)
    remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or folder as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def flush(path: Path) -> None:
    """Ask the disk to hold a file or folder, so that a power cut cannot take it back.

    Raises:
        OSError: the disk could not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_FSYNC):
            raise
    finally:
        os.close(descriptor)


def unwritable(what: str, path: Path, error: Exception) -> OSError:
    """One clear line for an error while something was written, whatever its type."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    else:
        # Storage libraries raise errors of many types and lines when a disk is full.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return OSError(
        f"{what} {path} could not be written ({reason}); nothing is left of it, and what was "
        "saved before is as it was; is the disk full, or the folder read-only?"
    )


def _is_live(leftover: re.Match[str]) -> bool:
    if int(leftover["pid"]) == os.getpid():
        return leftover["token"] == _TOKEN
    return psutil.pid_exists(int(leftover["pid"]))
