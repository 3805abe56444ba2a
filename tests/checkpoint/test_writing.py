"""Where checkpoints are written: unusual paths, full disks, read-only directories, leftovers."""

import os
import tempfile
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest

from jaxnet.checkpoint import CorruptCheckpointError, params_sha256, restore, save

STATE = {
    "a": np.arange(6.0, dtype=np.float32),
    "b": -np.arange(6.0, dtype=np.float32),
    "key": jax.random.key(3),
    "half": np.ones(3, ml_dtypes.bfloat16),
}


def test_leftovers_of_dead_processes_are_removed_and_those_of_others_kept(dead_pid, tmp_path):
    pid = os.getpid()
    gone = [f".one.jaxnet-tmp-{dead_pid}-0123abcd", f".other.jaxnet-tmp-{pid}-0123abcd"]
    stay = [f".one.jaxnet-tmp-{os.getppid()}-0123abcd", ".mine.tmp-1", ".jaxnet-tmp-1-0123abcd"]
    for act in (
        lambda: save(tmp_path / "one", STATE),
        lambda: restore(tmp_path / "one", like=STATE),
    ):
        for name in [*gone, *stay]:
            (tmp_path / name / "arrays").mkdir(parents=True, exist_ok=True)
        act()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*stay, "one"])


def test_unusual_paths_work(tmp_path, monkeypatch):
    path = tmp_path / "한글 폴더 with spaces [1] *"
    path.mkdir()
    monkeypatch.chdir(path)
    for name in ("상태 하나", "a?b", "b%20c", "-d"):
        save(name, STATE)
        assert params_sha256(restore(path / name, like=STATE)) == params_sha256(STATE)
        file = path / name / "checkpoint.json"
        file.write_bytes(file.read_bytes() + b" ")
        with pytest.raises(CorruptCheckpointError, match="has SHA-256"):
            restore(name, like=STATE)


PRELUDE = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from jaxnet.checkpoint import Checkpoints, export_params, import_params, restore, save
folder = Path(sys.argv[1])
small, big = {"a": np.ones(3)}, {"a": np.ones(500_000)}
checkpoints = Checkpoints(folder / "run")
checkpoints.save(1, small)
save(folder / "one", small)
export_params(folder / "one.safetensors", small)
before = sorted(folder.rglob("*"))
def fails():
    acts = {
        "two": lambda: save(folder / "two", big),
        "00000001": lambda: checkpoints.save(1, big),
        "00000002": lambda: checkpoints.save(2, big),
        "one.safetensors": lambda: export_params(folder / "one.safetensors", big),
    }
    for name, act in acts.items():
        try:
            act()
        except OSError as error:
            assert f"{name} could not be written (" in str(error), error
            assert len(str(error).splitlines()) == 1
            print(error)
        else:
            raise AssertionError(name)
    assert sorted(folder.rglob("*")) == before
    assert restore(folder / "one", like=small)["a"].tolist() == [1, 1, 1]
    assert checkpoints.restore(small).state["a"].tolist() == [1, 1, 1]
    assert import_params(folder / "one.safetensors", like=small)["a"].tolist() == [1, 1, 1]
"""


@pytest.mark.crash
def test_a_full_disk_is_one_clear_error(tmp_path, python):
    code = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
fails()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
checkpoints.save(2, big)
assert checkpoints.restore(big).step == 2
"""
    done = python(PRELUDE + code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("could not be written") == 4


@pytest.mark.crash
def test_a_read_only_directory_is_one_clear_error(python):
    code = """
for path in [folder, *folder.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.getuid() == 0:
    # Permissions do not apply to root.
    os.setuid(65534)
fails()
"""
    # Not below the directory of pytest, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        done = python(PRELUDE + code, folder)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Permission denied") == 4
