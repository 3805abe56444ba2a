"""The texts of a checkpoint: `checkpoint.json` describes its leaves, `SHA256SUMS` its files.

What they say is believed only after it was checked: nothing that they name is opened, and the
names of the files are compared with what is in the folder.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.leaves import Container, Leaf, summarize

_FORMAT = 1
_SUMS = "SHA256SUMS"
_INDEX = "checkpoint.json"
_MAX_BYTES = 64 << 20
# The machine's fault, not the checkpoint's.
_NOT_CORRUPT = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Entry(NamedTuple):
    """A leaf as it was saved.

    Attributes:
        leaf: its description.
        weak_type: whether it was weakly typed.
        sha256: `leaf_sha256` of it.
    """

    leaf: Leaf
    weak_type: bool
    sha256: str


class Index(NamedTuple):
    """What `checkpoint.json` says.

    Attributes:
        entries: the leaves in their order.
        containers: what holds them.
        metric: the number that was saved with them.
    """

    entries: list[Entry]
    containers: list[Container]
    metric: float | None


def write_index(folder: Path, index: Index) -> None:
    """Write both files of a checkpoint whose arrays are there."""
    content = {
        "format": _FORMAT,
        "metric": index.metric,
        "containers": index.containers,
        "leaves": [
            entry.leaf._asdict() | {"weak_type": entry.weak_type, "sha256": entry.sha256}
            for entry in index.entries
        ],
    }
    (folder / _INDEX).write_bytes(json.dumps(content, indent=1).encode() + b"\n")
    sums = "".join(f"{sha256}  {name}\n" for name, sha256 in _file_sums(folder).items())
    (folder / _SUMS).write_bytes(sums.encode())


def read_index(path: Path) -> Index:
    """Read `checkpoint.json`, which must be the one that was saved.

    Raises:
        CorruptCheckpointError: it is not.
        CheckpointError: it was saved by another version of jaxnet.
    """
    with corrupt_if_unreadable(path):
        content = _read(path / _INDEX)
        if hashlib.sha256(content).hexdigest() != _read_sums(path).get(_INDEX):
            raise ValueError(f"{_INDEX} is not what was saved")
        index = json.loads(content)
        if type(index) is dict and type(index.get("format")) is int and index["format"] != _FORMAT:
            raise CheckpointError(
                f"checkpoint {path} has format {index['format']}, expected {_FORMAT}; "
                "restore it with the version of jaxnet that saved it"
            )
        return _parse(index)


def verify_files(path: Path) -> None:
    """Compare every file of a checkpoint with `SHA256SUMS`.

    Raises:
        CorruptCheckpointError: a file that is missing, or was not saved, or not like this.
    """
    with corrupt_if_unreadable(path):
        expected, found = _read_sums(path), _file_sums(path)
        lines = [f"file {name!r} is missing" for name in expected if name not in found]
        lines += [f"file {name!r} was not saved" for name in found if name not in expected]
        lines += [
            f"file {name!r} has SHA-256 {found[name]}, expected {sha256}"
            for name, sha256 in expected.items()
            if name in found and found[name] != sha256
        ]
        if lines:
            raise ValueError(summarize(lines))


@contextlib.contextmanager
def corrupt_if_unreadable(path: Path) -> Iterator[None]:
    """Whatever keeps a checkpoint from being read, it is corrupt, and the reason is said."""
    try:
        yield
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_CORRUPT:
            raise
        # A ValueError of ours has said all; of any other error, its type says most.
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        reason = " ".join(reason.split())[:600]
        raise CorruptCheckpointError(f"checkpoint {path} is corrupt: {reason}") from error


def _parse(index: Any) -> Index:
    """Every type and range, so that nothing after this meets another."""
    _expect(index, {"format": int, "metric": (float, int, type(None)), "containers": list})
    _expect(index, {"leaves": list}, 4)
    entries = []
    for entry in index["leaves"]:
        _expect(entry, {"path": str, "shape": list, "dtype": str, "weak_type": bool})
        _expect(entry, {"sha256": str}, 5)
        if not all(type(length) is int and length >= 0 for length in entry["shape"]):
            raise ValueError(f"{_INDEX} has a shape that is none")
        leaf = Leaf(entry["path"], tuple(entry["shape"]), entry["dtype"])
        entries.append(Entry(leaf, entry["weak_type"], entry["sha256"]))
    containers = []
    for pair in index["containers"]:
        if type(pair) is not list or [type(part) for part in pair] != [str, str]:
            raise ValueError(f"{_INDEX} has a container that is none")
        containers.append(Container(*pair))
    metric = index["metric"]
    return Index(entries, containers, None if metric is None else float(metric))


def _expect(content: Any, types: dict[str, type | tuple[type, ...]], size: int = 0) -> None:
    if type(content) is not dict or (size and len(content) != size):
        raise ValueError(f"{_INDEX} has other entries than expected")
    for name, kind in types.items():
        # Not isinstance, to which True is an integer.
        if name not in content or type(content[name]) not in (
            kind if isinstance(kind, tuple) else (kind,)
        ):
            raise ValueError(f"{_INDEX} has no good {name!r}")


def _read(path: Path) -> bytes:
    with _open(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {_MAX_BYTES} bytes")
    return content


def _read_sums(path: Path) -> dict[str, str]:
    *lines, end = _read(path / _SUMS).decode().split("\n")
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None or match[2] in sums:
            raise ValueError(f"{_SUMS} is not what was saved")
        sums[match[2]] = match[1]
    if end:
        raise ValueError(f"{_SUMS} is not what was saved")
    return sums


def _file_sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but `SHA256SUMS`, by name.

    Raises:
        OSError: a file that cannot be read.
        ValueError: a link, or what else is no plain file.
    """
    sums = {}
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                raise ValueError(f"{name!r} is a link, expected a folder")
        for name in files:
            path = Path(parent, name)
            with _open(path) as file:
                sums[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    sums.pop(_SUMS, None)
    return dict(sorted(sums.items()))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a plain file to read; a link is not followed, and a pipe not waited for."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise ValueError(f"{path.name!r} is a link or no plain file")
    with open(path, "rb") as file:
        yield file


def _raise(error: OSError) -> None:
    raise error
