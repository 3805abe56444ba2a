"""No damage and no forgery of a checkpoint is accepted."""

import hashlib
import json
import os
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest

from jaxnet.checkpoint import CheckpointError, CorruptCheckpointError, params_sha256, restore, save

STATE = {
    "a": np.arange(6.0, dtype=np.float32),
    "b": -np.arange(6.0, dtype=np.float32),
    "key": jax.random.key(3),
    "half": np.ones(3, ml_dtypes.bfloat16),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A checkpoint that tests copy."""
    path = tmp_path_factory.mktemp("good") / "one"
    save(path, STATE)
    return path


def seal(path):
    """Make the sums agree with the files, as a forger would."""
    files = [each for each in path.rglob("*") if each.is_file() and each.name != "SHA256SUMS"]
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(path).as_posix()}\n"
        for file in sorted(files)
    ]
    (path / "SHA256SUMS").write_text("".join(lines))


def corrupt(path, kind, generator):
    """Damage a checkpoint somewhere."""
    files = sorted(each for each in path.rglob("*") if each.is_file())
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
        other = next(each for each in reversed(files) if each.read_bytes() != content)
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
        with pytest.raises(CorruptCheckpointError, match=f"checkpoint {path} is corrupt: .") as why:
            restore(path, like=STATE)
        assert "\n" not in str(why.value)
    assert params_sha256(restore(good, like=STATE)) == params_sha256(STATE)


def test_every_bit_of_the_sums_counts(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    sums = (path / "SHA256SUMS").read_bytes()
    for position in range(0, len(sums)):
        content = bytearray(sums)
        content[position] ^= 1 << (position % 8)
        (path / "SHA256SUMS").write_bytes(content)
        with pytest.raises(CorruptCheckpointError):
            restore(path, like=STATE)


def test_swapped_leaves_with_matching_sums_are_refused(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    save(tmp_path / "two", STATE | {"a": STATE["b"], "b": STATE["a"]})
    shutil.rmtree(path / "arrays")
    shutil.move(tmp_path / "two" / "arrays", path / "arrays")
    seal(path)
    with pytest.raises(CorruptCheckpointError, match=r"leaf \['a'\] is not what was saved"):
        restore(path, like=STATE)


@pytest.mark.parametrize("other", [{"a": np.ones(9)}, {"a": np.zeros((1 << 10, 1 << 10))}])
def test_other_arrays_with_matching_sums_are_refused_unread(other, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    save(tmp_path / "two", other)
    shutil.rmtree(path / "arrays")
    shutil.move(tmp_path / "two" / "arrays", path / "arrays")
    seal(path)
    with pytest.raises(CorruptCheckpointError, match="other arrays than those of its index"):
        restore(path, like=STATE)


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
    "leaf more": lambda index: leaf(index, more=1),
    "path number": lambda index: leaf(index, path=1),
    "shape true": lambda index: leaf(index, shape=[True]),
    "shape negative": lambda index: leaf(index, shape=[-6]),
    "shape float": lambda index: leaf(index, shape=[6.0]),
    "shape text": lambda index: leaf(index, shape="6"),
    "dtype none": lambda index: leaf(index, dtype=None),
    "weak number": lambda index: leaf(index, weak_type=0),
    "sha none": lambda index: leaf(index, sha256=None),
    "sha other": lambda index: leaf(index, sha256="0" * 64),
    "container": lambda index: index | {"containers": [["", "dict", "more"]]},
    "container number": lambda index: index | {"containers": [["", 1]]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_refused(name, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps(HOSTILE[name](index)))
    seal(path)
    with pytest.raises(CorruptCheckpointError):
        restore(path, like=STATE)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 200_000, b"{" * 9, b"1" * 10_000, b"NaN", b"null", b'"x"'],
    ids=lambda content: content[:3].hex(),
)
def test_an_index_that_is_no_json_is_refused(content, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    (path / "checkpoint.json").write_bytes(content)
    seal(path)
    with pytest.raises(CorruptCheckpointError):
        restore(path, like=STATE)


def test_a_huge_index_is_not_read(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    with open(path / "SHA256SUMS", "r+b") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CorruptCheckpointError, match="SHA256SUMS is larger than"):
        restore(path, like=STATE)


def test_another_format_is_no_corruption(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    index = json.loads((path / "checkpoint.json").read_text()) | {"format": 2}
    (path / "checkpoint.json").write_text(json.dumps(index))
    seal(path)
    with pytest.raises(CheckpointError, match="format 2, expected 1; restore it with") as refused:
        restore(path, like=STATE)
    assert not isinstance(refused.value, CorruptCheckpointError)


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


@pytest.mark.parametrize("kind", ["file", "index", "sums", "folder", "dangling", "pipe"])
def test_links_and_pipes_are_refused(kind, good, tmp_path):
    path = shutil.copytree(good, tmp_path / "one")
    data = next(each for each in (path / "arrays").iterdir() if each.is_file())
    old = {"file": data, "index": path / "checkpoint.json", "sums": path / "SHA256SUMS"}.get(kind)
    if kind == "folder":
        shutil.move(path / "arrays", tmp_path / "arrays")
        (path / "arrays").symlink_to(tmp_path / "arrays")
    elif kind == "dangling":
        (path / "more").symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path / "more")
    else:
        shutil.move(old, tmp_path / "moved")
        old.symlink_to(tmp_path / "moved")
    with pytest.raises(CorruptCheckpointError, match="is a link"):
        restore(path, like=STATE)
