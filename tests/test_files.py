"""Atomic writes: what is left under the final name after success, failure and a crash."""

import errno
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from jaxnet import _files


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "내 파일.txt"
    for content in ("old", "new"):
        with _files.atomic_write(path) as temporary:
            temporary.write_text(content)
            assert temporary.parent == tmp_path
            assert path.exists() == (content == "new")
        assert path.read_text() == content
        assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("failing", ["block", "fsync", "replace"])
def test_a_failing_write_leaves_the_old_file(failing, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    if failing != "block":
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="Input/output error"), _files.atomic_write(path) as temporary:
        temporary.write_text("new")
        if failing == "block":
            fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_the_content_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (events.append(os.fstat(number).st_ino), fsync(number))
    )
    monkeypatch.setattr(
        os, "replace", lambda old, new: (events.append("replace"), replace(old, new))
    )
    with _files.atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("new")
    file, directory = (tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino
    assert events == [file, "replace", directory]


def test_a_directory_exists_completely_or_not_at_all(tmp_path):
    path = tmp_path / "run"
    with _files.atomic_directory(path) as temporary:
        (temporary / "file").write_text("old")
        assert not path.exists()
    with pytest.raises(FileExistsError), _files.atomic_directory(path) as temporary:
        (temporary / "file").write_text("new")
    assert (path / "file").read_text() == "old"
    with (
        pytest.raises(ValueError, match="stop"),
        _files.atomic_directory(path, replace=True) as temporary,
    ):
        (temporary / "file").write_text("new")
        raise ValueError("stop")
    assert (path / "file").read_text() == "old"
    with _files.atomic_directory(path, replace=True) as temporary:
        (temporary / "file").write_text("new")
    assert (path / "file").read_text() == "new"
    assert names(tmp_path) == ["run"]
    _files.discard(path)
    assert names(tmp_path) == []


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    (tmp_path / f".file.jaxnet-tmp-{process.pid}-0123abcd").write_text("half")
    kept = [f".file.jaxnet-tmp-{os.getppid()}-0123abcd", ".file.tmp"]
    for name in kept:
        (tmp_path / name).write_text("another")
    with _files.atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("content")
    assert names(tmp_path) == sorted([*kept, "file"])


@pytest.mark.parametrize(
    ("error", "kept"), [(ProcessLookupError, False), (PermissionError, True), (None, True)]
)
def test_the_process_of_a_leftover_is_looked_up(error, kept, tmp_path, monkeypatch):
    calls = []

    def kill(pid, signal):
        calls.append((pid, signal))
        if error is not None:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    leftover = tmp_path / f".file.jaxnet-tmp-{os.getpid() + 1}-0123abcd"
    leftover.touch()
    _files.tidy(tmp_path)
    assert calls == [(os.getpid() + 1, 0)]
    assert leftover.exists() == kept


def test_space_is_allocated_before_writing(tmp_path, monkeypatch):
    with open(tmp_path / "file", "wb") as file:
        _files.reserve(file, 0)
        _files.reserve(file, 100_000)
        assert os.fstat(file.fileno()).st_size == 100_000
        assert os.fstat(file.fileno()).st_blocks * 512 >= 100_000


@pytest.mark.parametrize("support", ["none", "not here"])
def test_without_allocation_the_free_space_is_compared(support, tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if support == "none":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with open(tmp_path / "file", "wb") as file:
        _files.reserve(file, 1000)
        with pytest.raises(OSError, match="No space left on device"):
            _files.reserve(file, 1001)


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with open(tmp_path / "file", "wb") as file, pytest.raises(OSError, match="No space left"):
        _files.reserve(file, 1)
