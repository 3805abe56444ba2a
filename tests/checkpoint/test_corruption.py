"""Every corruption and every forgery of a checkpoint is rejected."""

import hashlib
import json
import os
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest

from jaxnet.checkpoint import (
    CheckpointError,
    CorruptCheckpointError,
    params_sha256,
    read,
    restore,
    save,
)

ARRAYS = "arrays.safetensors"
STATE = {
    "a": np.arange(6.0, dtype=np.float32),
    "b": -np.arange(6.0, dtype=np.float32),
    "key": jax.random.key(3),
    "half": np.ones(3, ml_dtypes.bfloat16),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A checkpoint, which tests copy."""
    path = tmp_path_factory.mktemp("good") / "one"
    save(path, STATE)
    return path


def seal(path):
    """Make the hashes agree with the files, as a forger would."""
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "SHA256SUMS"]
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(path).as_posix()}\n"
        for file in sorted(files)
    ]
    (path / "SHA256SUMS").write_text("".join(lines))


def corrupt(path, kind, generator):
    """Damage a checkpoint at a random place."""
    files = sorted(path.iterdir())
    file = files[generator.integers(len(files))]
    content = bytearray(file.read_bytes())
    if kind == "flip":
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        file.write_bytes(content)
    elif kind == "truncate":
        file.write_bytes(content[: generator.integers(len(content))])
    elif kind == "append":
        file.write_bytes(content + b"\n")
    elif kind == "delete":
        file.unlink()
    elif kind == "add":
        (file.parent / f"added-{generator.integers(1000)}").write_bytes(content)
    elif kind == "swap":
        other = next(other for other in reversed(files) if other.read_bytes() != content)
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)


@pytest.mark.parametrize(
    "kind, count",
    [("flip", 110), ("truncate", 30), ("append", 15), ("delete", 15), ("add", 15), ("swap", 15)],
)
def test_no_corruption_is_accepted(kind, count, good, tmp_path):
    generator = np.random.default_rng(count)
    for number in range(count):
        path = shutil.copytree(good, tmp_path / str(number))
        corrupt(path, kind, generator)
        message = f"checkpoint {path} is corrupt: ."
        with pytest.raises(CorruptCheckpointError, match=message) as error:
            restore(path, like=STATE)
        assert "\n" not in str(error.value)
        with pytest.raises(CorruptCheckpointError, match=message):
            read(path)
    assert params_sha256(restore(good, like=STATE)) == params_sha256(STATE)


def test_a_flip_in_any_byte_of_the_sums_is_rejected(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    sums = (path / "SHA256SUMS").read_bytes()
    for position in range(len(sums)):
        content = bytearray(sums)
        content[position] ^= 1 << (position % 8)
        (path / "SHA256SUMS").write_bytes(content)
        with pytest.raises(CorruptCheckpointError):
            restore(path, like=STATE)


def test_swapped_leaves_with_matching_sums_are_rejected(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    save(tmp_path / "two", STATE | {"a": STATE["b"], "b": STATE["a"]})
    shutil.move(tmp_path / "two" / ARRAYS, path / ARRAYS)
    seal(path)
    for act in (lambda: restore(path, like=STATE), lambda: read(path)):
        with pytest.raises(CorruptCheckpointError, match=r"leaf \['a'\] is not what was saved"):
            act()


@pytest.mark.parametrize("other", [{"a": np.ones(9)}, {"a": np.zeros((1 << 10, 1 << 10))}])
def test_other_arrays_with_matching_sums_are_rejected_unread(other, good, tmp_path, monkeypatch):
    path = shutil.copytree(good, tmp_path / "one")
    save(tmp_path / "two", other)
    shutil.move(tmp_path / "two" / ARRAYS, path / ARRAYS)
    seal(path)
    monkeypatch.setattr(np, "empty", lambda *arguments: pytest.fail("memory is allocated"))
    for act in (lambda: restore(path, like=STATE), lambda: read(path)):
        with pytest.raises(CorruptCheckpointError, match="other arrays than its index says"):
            act()


def test_a_header_that_claims_other_types_with_matching_sums_is_rejected(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    content = (path / ARRAYS).read_bytes()
    for old, new in ((b'"F32"', b'"I32"'), (b"[6]", b"[3]"), (b"\"['a']\"", b"\"['z']\"")):
        assert old in content
        (path / ARRAYS).write_bytes(content.replace(old, new, 1))
        seal(path)
        with pytest.raises(CorruptCheckpointError, match="other arrays than its index says"):
            restore(path, like=STATE)


def test_a_forged_index_allocates_no_memory(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text())
    index["leaves"][0]["shape"] = [10**15]
    (path / "checkpoint.json").write_text(json.dumps(index))
    seal(path)
    with pytest.raises(CorruptCheckpointError, match="other arrays than its index says"):
        read(path)


def leaf(index, **changes):
    leaves = [index["leaves"][0] | changes, *index["leaves"][1:]]
    return index | {"leaves": leaves}


HOSTILE = {
    "list": lambda index: [index],
    "empty": lambda index: {},
    "format true": lambda index: index | {"format": True},
    "format text": lambda index: index | {"format": "1"},
    "metric text": lambda index: index | {"metric": "0.5"},
    "metric true": lambda index: index | {"metric": True},
    "metric huge": lambda index: index | {"metric": 10**400},
    "another entry": lambda index: index | {"more": 1},
    "no leaves": lambda index: {name: index[name] for name in index if name != "leaves"},
    "leaves object": lambda index: index | {"leaves": {}},
    "leaf list": lambda index: index | {"leaves": [[]]},
    "leaf missing": lambda index: index | {"leaves": [{}]},
    "leaf twice": lambda index: index | {"leaves": [index["leaves"][0]] * 4},
    "leaf more": lambda index: leaf(index, more=1),
    "path number": lambda index: leaf(index, path=1),
    "shape true": lambda index: leaf(index, shape=[True]),
    "shape negative": lambda index: leaf(index, shape=[-6]),
    "shape float": lambda index: leaf(index, shape=[6.0]),
    "shape text": lambda index: leaf(index, shape="6"),
    "key shape": lambda index: leaf(index, key_shape=[2]),
    "key shape none": lambda index: leaf(index, key_shape=None),
    "key shape of a key": lambda index: (
        index | {"leaves": [*index["leaves"][:3], index["leaves"][3] | {"key_shape": [4]}]}
    ),
    "dtype none": lambda index: leaf(index, dtype=None),
    "weak number": lambda index: leaf(index, weak_type=0),
    "sha none": lambda index: leaf(index, sha256=None),
    "sha other": lambda index: leaf(index, sha256="0" * 64),
    "container": lambda index: index | {"containers": [["", "dict", "more"]]},
    "container number": lambda index: index | {"containers": [["", 1]]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_rejected(name, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps(HOSTILE[name](index)))
    seal(path)
    for act in (lambda: restore(path, like=STATE), lambda: read(path)):
        with pytest.raises(CorruptCheckpointError):
            act()


def test_an_unknown_type_is_rejected(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps(leaf(index, dtype="object")))
    seal(path)
    with pytest.raises(CheckpointError, match=r"expected float32 \(6,\), found object \(6,\)"):
        restore(path, like=STATE)
    with pytest.raises(CheckpointError, match="'object' is not a type of numbers"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 200_000, b"{" * 9, b"1" * 10_000, b"NaN", b"null", b'"x"'],
    ids=lambda content: content[:3].hex(),
)
def test_an_index_that_is_not_json_is_rejected(content, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    (path / "checkpoint.json").write_bytes(content)
    seal(path)
    with pytest.raises(CorruptCheckpointError):
        restore(path, like=STATE)


def test_a_huge_text_file_is_not_read(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    with open(path / "SHA256SUMS", "r+b") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CorruptCheckpointError, match="SHA256SUMS is larger than"):
        restore(path, like=STATE)


@pytest.mark.parametrize("number", [1, 4])
def test_another_format_is_named_and_not_called_corrupt(number, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text()) | {"format": number}
    if number == 1:
        # As the first format was: a directory of arrays, and an index without shapes of keys.
        for entry in index["leaves"]:
            del entry["key_shape"]
        (path / ARRAYS).unlink()
        (path / "arrays").mkdir()
        (path / "arrays" / "manifest.ocdbt").write_bytes(b"data")
    (path / "checkpoint.json").write_text(json.dumps(index))
    seal(path)
    for act in (lambda: restore(path, like=STATE), lambda: read(path)):
        with pytest.raises(
            CheckpointError, match=f"has format {number}, expected 2 or 3; another version"
        ) as error:
            act()
        assert not isinstance(error.value, CorruptCheckpointError)


def test_names_outside_are_never_opened(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    (tmp_path / "x").write_bytes(b"secret")
    # A pipe that nobody writes to: opening it would wait forever.
    os.mkfifo(tmp_path / "pipe")
    sums = (path / "SHA256SUMS").read_text()
    for name in ("../x", "../pipe", str(tmp_path / "x")):
        line = f"{hashlib.sha256(b'secret').hexdigest()}  {name}\n"
        (path / "SHA256SUMS").write_text(sums + line)
        with pytest.raises(CorruptCheckpointError, match=f"file '{name}' is missing"):
            restore(path, like=STATE)


@pytest.mark.parametrize("kind", ["file", "index", "sums", "directory", "dangling", "pipe"])
def test_links_and_pipes_are_rejected(kind, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    files = {"file": ARRAYS, "index": "checkpoint.json", "sums": "SHA256SUMS"}
    if kind == "directory":
        (path / "more").symlink_to(tmp_path)
    elif kind == "dangling":
        (path / "more").symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path / "more")
    else:
        shutil.move(path / files[kind], tmp_path / "moved")
        (path / files[kind]).symlink_to(tmp_path / "moved")
    with pytest.raises(CorruptCheckpointError, match="is a link"):
        restore(path, like=STATE)
