"""The environment of a run: fixed, recorded, compared; progress on a terminal and elsewhere."""

import os
import subprocess
import sys

import numpy as np
import pytest

from jaxnet.runs import Progress, available_threads, differences, fix_environment, manifest


def test_the_environment_is_fixed_and_compared(monkeypatch):
    monkeypatch.setenv("NPROC", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    fix_environment(None)
    assert os.environ["NPROC"] == "3"
    assert os.environ["XLA_FLAGS"].split() == [
        "--xla_gpu_autotune_level=4",
        "--xla_gpu_deterministic_ops=true",
    ]
    fix_environment(5)
    assert available_threads() == 5
    now = manifest("abc")
    assert differences(now, now) == []
    then = now | {"packages": now["packages"] | {"jaxlib": "0.9.0"}, "num_threads": 64}
    jaxlib = now["packages"]["jaxlib"]
    assert differences(then, now) == [
        f"jaxlib: 0.9.0 then, {jaxlib} now",
        "num_threads: 64 then, 5 now",
    ]
    monkeypatch.setenv("NPROC", "many")
    with pytest.raises(ValueError, match="NPROC must be a positive integer, found 'many'"):
        available_threads()


def test_the_package_imports_nothing_heavy():
    code = """
import sys, jaxnet.runs
names = ["matplotlib", "sklearn", "tyro", "pydantic", "experiments", "rich", "pooch"]
print([name for name in names if name in sys.modules])
from jaxnet.runs import *
print([name for name in names[:5] if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n[]\n", done.stderr


def test_progress_is_plain_lines_without_a_terminal(capsys):
    with Progress(2, 10, 100) as progress:
        progress.step(5)
        progress.epoch(10, {"train": {"loss": np.array([1.0, 3.0])}})
        progress.epoch(20, {"train": {"loss": np.array([1.0, 2.0])}})
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2")
    assert "train loss 2" in lines[0]
    assert "\x1b" not in "".join(lines)
