"""The text files of a checkpoint: `checkpoint.json` describes leaves, `SHA256SUMS` files.

Their content is used only after it has been checked: no file that they name is opened, and the
names of files are compared with the content of the directory.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.leaves import Container, Leaf, first_repeated, summarize

# Of checkpoints without leaves in parts, and of those with some.
_FORMAT, _FORMAT_OF_PARTS = 2, 3
SUMS = "SHA256SUMS"
_INDEX = "checkpoint.json"
_MAX_BYTES = 64 << 20
# Errors of the machine, not of the checkpoint.
_NOT_CORRUPT = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Shard(NamedTuple):
    """A part of a leaf that spans processes.

    Attributes:
        file: number of the process whose file holds it.
        start: where it begins along each axis of the leaf.
        shape: shape of its values; of keys with that of their data.
        sha256: its hash.
    """

    file: int
    start: tuple[int, ...]
    shape: tuple[int, ...]
    sha256: str


class Entry(NamedTuple):
    """A leaf as it was saved.

    Attributes:
        leaf: its description.
        key_shape: shape of the data of one typed PRNG key; empty for other leaves.
        weak_type: whether it was weakly typed.
        sha256: `leaf_sha256` of it; of a leaf in parts, the hash of their descriptions.
        shards: the parts of a leaf that spans processes; empty for other leaves.
    """

    leaf: Leaf
    key_shape: tuple[int, ...]
    weak_type: bool
    sha256: str
    shards: tuple[Shard, ...] = ()


class Index(NamedTuple):
    """Content of `checkpoint.json`.

    Attributes:
        entries: the leaves in their order.
        containers: the inner nodes of the pytree.
        metric: the metric that was saved with them.
    """

    entries: list[Entry]
    containers: list[Container]
    metric: float | None


def write_index(directory: Path, index: Index) -> None:
    """Write both text files of a checkpoint whose arrays are written.

    Raises:
        OSError: a file cannot be written.
    """
    has_parts = any(entry.shards for entry in index.entries)
    content = {
        "format": _FORMAT_OF_PARTS if has_parts else _FORMAT,
        "metric": index.metric,
        "containers": index.containers,
        "leaves": [
            entry.leaf._asdict()
            | {
                "key_shape": entry.key_shape,
                "weak_type": entry.weak_type,
                "sha256": entry.sha256,
            }
            | ({"shards": entry.shards} if has_parts else {})
            for entry in index.entries
        ],
    }
    (directory / _INDEX).write_bytes(json.dumps(content, indent=1).encode() + b"\n")
    sums = "".join(f"{sha256}  {name}\n" for name, sha256 in _file_sums(directory).items())
    (directory / SUMS).write_bytes(sums.encode())


def read_index(path: Path) -> Index:
    """Read `checkpoint.json` and verify it by its hash.

    Raises:
        CorruptCheckpointError: it differs from what was saved.
        CheckpointError: another version of jaxnet saved it in another format.
    """
    with corrupt_if_unreadable(path):
        content = _read(path / _INDEX)
        if hashlib.sha256(content).hexdigest() != _read_sums(path).get(_INDEX):
            raise ValueError(f"{_INDEX} is not what was saved")
        index = json.loads(content)
        known = (_FORMAT, _FORMAT_OF_PARTS)
        found = index.get("format") if type(index) is dict else None
        if type(found) is int and found not in known:
            raise CheckpointError(
                f"checkpoint {path} has format {found}, expected {_FORMAT} or {_FORMAT_OF_PARTS}; "
                "another version of jaxnet saved it: restore it with that version, or train again"
            )
        return _parse(index)


def verify_files(path: Path) -> None:
    """Compare every file of a checkpoint with `SHA256SUMS`.

    Raises:
        CorruptCheckpointError: a file is missing, was not saved, or has another content.
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
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to read; links are not followed, and pipes not waited for.

    Raises:
        ValueError: it is not a regular file.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise ValueError(f"{path.name!r} is a link or not a regular file")
    with open(path, "rb") as file:
        yield file


@contextlib.contextmanager
def corrupt_if_unreadable(path: Path) -> Iterator[None]:
    """Raise `CorruptCheckpointError`, with the reason, for an error while a checkpoint is read."""
    try:
        yield
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_CORRUPT:
            raise
        # A ValueError of this package is a full sentence; of any other error, the type says most.
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        reason = " ".join(reason.split())[:600]
        raise CorruptCheckpointError(f"checkpoint {path} is corrupt: {reason}") from error


def _parse(index: Any) -> Index:
    """Check every type and range.

    Raises:
        ValueError: a value that `write_index` does not write.
    """
    _expect(index, {"format": int, "metric": (float, int, type(None)), "containers": list})
    _expect(index, {"leaves": list}, 4)
    entries = []
    has_parts = index["format"] == _FORMAT_OF_PARTS
    for entry in index["leaves"]:
        _expect(entry, {"path": str, "shape": list, "dtype": str, "weak_type": bool})
        _expect(entry, {"sha256": str, "key_shape": list}, 7 if has_parts else 6)
        if not all(
            type(length) is int and length >= 0 for length in entry["shape"] + entry["key_shape"]
        ):
            raise ValueError(f"{_INDEX} has a shape that is not one")
        leaf = Leaf(entry["path"], tuple(entry["shape"]), entry["dtype"])
        key_shape = tuple(entry["key_shape"])
        if key_shape and not leaf.dtype.startswith("key<"):
            raise ValueError(f"{_INDEX} has the shape of a key for {leaf.dtype}")
        shards = _parse_shards(entry["shards"], leaf, key_shape) if has_parts else ()
        entries.append(Entry(leaf, key_shape, entry["weak_type"], entry["sha256"], shards))
    if (repeated := first_repeated([entry.leaf.path for entry in entries])) is not None:
        raise ValueError(f"{_INDEX} has two leaves {repeated}")
    containers = []
    for pair in index["containers"]:
        if type(pair) is not list or [type(part) for part in pair] != [str, str]:
            raise ValueError(f"{_INDEX} has a container that is not one")
        containers.append(Container(*pair))
    metric = index["metric"]
    return Index(entries, containers, None if metric is None else float(metric))


def _parse_shards(found: Any, leaf: Leaf, key_shape: tuple[int, ...]) -> tuple[Shard, ...]:
    """Check that each part lies inside of its leaf."""
    shards = []
    for part in found if type(found) is list else [None]:
        if type(part) is not list or [type(each) for each in part] != [int, list, list, str]:
            raise ValueError(f"{_INDEX} has a part that is not one")
        file, start, shape, sha256 = part
        fits = len(start) == len(leaf.shape) and tuple(shape[len(start) :]) == key_shape
        for begin, size, length in zip(start, shape, leaf.shape, strict=False):
            fits = fits and type(begin) is type(size) is int and begin >= 0 <= size
            fits = fits and begin + size <= length
        if not fits or file < 0:
            raise ValueError(f"{_INDEX} has a part of {leaf.path} outside of it")
        shards.append(Shard(file, tuple(start), tuple(shape), sha256))
    return tuple(shards)


def _expect(content: Any, types: dict[str, type | tuple[type, ...]], size: int = 0) -> None:
    if type(content) is not dict or (size and len(content) != size):
        raise ValueError(f"{_INDEX} has other entries than expected")
    for name, kind in types.items():
        # Not isinstance, to which True is an integer.
        if name not in content or type(content[name]) not in (
            kind if isinstance(kind, tuple) else (kind,)
        ):
            raise ValueError(f"{_INDEX} has no valid {name!r}")


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {_MAX_BYTES} bytes")
    return content


def _read_sums(path: Path) -> dict[str, str]:
    *lines, end = _read(path / SUMS).decode().split("\n")
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None or match[2] in sums:
            raise ValueError(f"{SUMS} is not what was saved")
        sums[match[2]] = match[1]
    if end:
        raise ValueError(f"{SUMS} is not what was saved")
    return sums


def _file_sums(directory: Path) -> dict[str, str]:
    """SHA-256 of every file except `SHA256SUMS`, by name.

    Raises:
        OSError: a file cannot be read.
        ValueError: a link, a pipe or another file that is not a regular one.
    """
    sums = {}
    for parent, directories, files in os.walk(directory, onerror=_raise):
        for name in directories:
            if os.path.islink(os.path.join(parent, name)):
                raise ValueError(f"{name!r} is a link, expected a directory")
        for name in files:
            path = Path(parent, name)
            with open_regular(path) as file:
                sums[path.relative_to(directory).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    sums.pop(SUMS, None)
    return dict(sorted(sums.items()))


def _raise(error: OSError) -> None:
    raise error
