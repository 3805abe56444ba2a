"""`python -m jaxnet.doctor`: output and exit status, also with a jaxlib that sums wrongly."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnet import doctor

ROOT = Path(__file__).resolve().parent.parent
FLAG = "--xla_cpu_experimental_ynn_fusion_type=-reduce"
VERSIONS = "'jaxlib>=0.10.1,!=0.10.2,!=0.11.0,!=0.11.1,!=0.11.2'"
WRONG_SUMS = os.environ.get("JAXNET_WRONG_SUMS", "")
WRONG = doctor.Finding("sums of rows", False, "3, expected 4", "another jaxlib")
RIGHT = doctor.Finding("sums of rows", True, "4, expected 4", "")


def run(*arguments, first="", **environment):
    path = os.pathsep.join(filter(None, [first, str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "jaxnet.doctor", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": ""} | environment,
    )


def test_the_command_line_names_failure_and_remedy(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda *, quick: (RIGHT, WRONG))
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "ok     sums of rows: 4, expected 4",
        "FAILED sums of rows: 3, expected 4",
        "       remedy: another jaxlib",
    ]


def test_the_command_line_passes_on_this_backend(capsys):
    assert doctor.main(["--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"jax       {jax.__version__}" in lines
    assert f"numpy     {np.__version__}" in lines
    assert [line[:7] for line in lines[-4:]] == ["ok     "] * 4


@pytest.mark.crash
def test_the_command_names_threads_and_flags():
    done = run("--quick", NPROC="2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "threads   2" in lines
    assert "XLA_FLAGS not set" in lines
    assert [line[:7] for line in lines[-4:]] == ["ok     "] * 4


@pytest.mark.crash
def test_help_needs_no_backend():
    done = run("--help", JAX_PLATFORMS="no")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m jaxnet.doctor [-h] [--quick]")


def test_the_command_line_rejects_unknown_options(capsys):
    with pytest.raises(SystemExit) as stopped:
        doctor.main(["--slow"])
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("unrecognized arguments: --slow\n")


@pytest.mark.crash
@pytest.mark.parametrize("name", ["no", "cuda"])
def test_a_backend_that_does_not_start_is_one_line(name):
    if name == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    done = run(JAX_PLATFORMS=name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: no JAX backend starts with JAX_PLATFORMS='{name}' (")


@pytest.mark.crash
@pytest.mark.skipif(
    not WRONG_SUMS,
    reason="JAXNET_WRONG_SUMS is not set to FOLDER, made by "
    "pip install --no-deps --target FOLDER jaxlib==0.10.2",
)
@pytest.mark.parametrize("arguments", [[], ["--quick"]])
def test_a_jaxlib_with_wrong_sums_is_found_and_its_remedy_works(arguments):
    done = run(*arguments, first=WRONG_SUMS, JAX_PLATFORMS="cpu")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "jaxlib    0.10.2" in done.stdout
    assert "FAILED sums of rows: the last of 32769 in float32" in done.stdout
    assert "FAILED sums of rows: the last of 16385 in float64" in done.stdout
    assert VERSIONS in done.stdout
    assert FLAG in done.stdout
    done = run(*arguments, first=WRONG_SUMS, JAX_PLATFORMS="cpu", XLA_FLAGS=FLAG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "jaxlib    0.10.2" in done.stdout
    assert "FAILED" not in done.stdout
