"""Files and directories that are complete under their final name, or absent.

Content is written under a temporary name beside the final one, flushed to the disk and renamed. A
process that dies while it writes leaves a temporary name, which carries the id of the process and a
token drawn when this module is imported: an id alone is reused, above all in containers, where
each start assigns the same few.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

_TOKEN = secrets.token_hex(4)
_LEFTOVER = re.compile(
    r"\.(?P<name>.+)\.jaxnet-(?P<kind>tmp|replaced)-(?P<pid>\d{1,9})-(?P<token>[0-9a-f]{8})",
    re.DOTALL,
)
# Some file systems cannot flush directories; this is not a reason to fail.
_NO_DIRECTORY_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}
_NO_FALLOCATE = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name to write to; it becomes `path` when the block ends without an error.

    A crash at any moment leaves the old file or the new one under `path`.

    Args:
        path: the file; an existing one is replaced. Its directory must exist.

    Raises:
        OSError: the file cannot be written; an existing one is unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with atomic_write(Path(directory, "some.txt")) as temporary:
    ...         _ = temporary.write_text("content")
    ...     [path.name for path in Path(directory).iterdir()]
    ['some.txt']
    """
    tidy(path.parent)
    temporary = temporary_name(path)
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    finally:
        remove(temporary)


@contextlib.contextmanager
def atomic_directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary directory to fill; it becomes `path` when the block ends without an error.

    A crash at any moment leaves the old directory or the new one, under `path` once `tidy` has
    been called.

    Args:
        path: the directory; its parent must exist.
        replace: whether an existing directory is replaced.

    Raises:
        OSError: the directory cannot be written, or exists; an existing one is unchanged.
    """
    tidy(path.parent)
    temporary = temporary_name(path)
    try:
        remove(temporary)
        temporary.mkdir()
        yield temporary
        for written in [*temporary.rglob("*"), temporary]:
            flush(written)
        _publish(temporary, path, replace=replace)
    finally:
        remove(temporary)


def discard(path: Path) -> None:
    """Remove a directory such that a crash leaves all of it or nothing under its name.

    Raises:
        OSError: it cannot be removed; it is unchanged.
    """
    temporary = temporary_name(path)
    remove(temporary)
    os.rename(path, temporary)
    remove(temporary)


def tidy(directory: Path) -> None:
    """Remove what processes that died left in a directory, and undo their half-done replacements.

    Incomplete files and directories are removed. A directory that was put aside to be replaced
    gets its name back unless its successor has it. A directory that cannot be changed is left as
    it is.

    Args:
        directory: where to look; subdirectories are not searched.
    """
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            leftover = _LEFTOVER.fullmatch(path.name)
            if leftover is None or path.is_symlink() or _belongs_to_running(leftover):
                continue
            final = directory / leftover["name"]
            if leftover["kind"] == "replaced" and not os.path.lexists(final):
                os.rename(path, final)
            else:
                remove(path)


def temporary_name(path: Path, kind: Literal["tmp", "replaced"] = "tmp") -> Path:
    """A name beside the path, which says which process made it.

    >>> temporary_name(Path("runs/first")).name.startswith(".first.jaxnet-tmp-")
    True
    """
    return path.with_name(f".{path.name}.jaxnet-{kind}-{os.getpid()}-{_TOKEN}")


def remove(path: Path) -> None:
    """Remove a file or directory as far as possible; errors are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def flush(path: Path) -> None:
    """Write a file or directory through to the disk, so that it survives a power failure.

    Raises:
        OSError: the disk reports an error.
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows does not open directories.
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_DIRECTORY_FSYNC):
            raise
    finally:
        os.close(descriptor)


def reserve(file: IO[Any], num_bytes: int) -> None:
    """Allocate disk space for a new file before it is written.

    Args:
        file: an open, empty file.
        num_bytes: its final size.

    Raises:
        OSError: the disk has less space, or the process may not use it.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     reserve(file, 1000)
    """
    if num_bytes == 0:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, num_bytes)
            return
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
    if shutil.disk_usage(Path(file.name).parent).free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _publish(temporary: Path, path: Path, *, replace: bool) -> None:
    """Give a complete directory its final name, and write the name through to the disk."""
    if not replace and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    old = temporary_name(path, "replaced")
    try:
        # A directory cannot be renamed onto another, so there are two steps; `tidy` undoes the
        # first.
        if os.path.lexists(path):
            os.rename(path, old)
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            os.rename(old, path)
        raise
    flush(path.parent)
    remove(old)


def _belongs_to_running(leftover: re.Match[str]) -> bool:
    """Whether the process that made a temporary name may still be writing to it."""
    pid = int(leftover["pid"])
    if pid == os.getpid():
        return leftover["token"] == _TOKEN
    if os.name == "nt":
        return True  # There, os.kill would end the process.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # Another user's process.
    return True
