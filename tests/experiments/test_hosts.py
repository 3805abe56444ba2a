"""Commands of several processes: equal to one process, and mistakes known on all."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments import hosts, placement
from experiments.command import main
from experiments.config import DataOptions, RunOptions
from experiments.regression import experiment as regression
from jaxnet.hosts import HostError, Processes, entered
from jaxnet.runs import compare_runs, read_json

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["experiments.regression", "mlp", "--num-threads", "4", "--num-epochs", "3"]
COMMAND += ["--num-seeds", "2"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(DataOptions, RunOptions):
    """Options of a run."""

    experiment = "example"


def test_without_the_options_there_is_one_process():
    for arguments in ([], ["--data", "num_processes.csv"], ["--coordinator", "a:1", "--help"]):
        with hosts.connected(Config, arguments) as processes:
            assert processes.count == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process-id", "1"], "process_id is 1, but coordinator is not given"),
        (["--coordinator=a:1", "--num_processes=2"], "process_id is needed beside coordinator"),
        (
            ["--coordinator", "a:1", "--num-processes", "2", "--process-id", "2"],
            r"process_id must be in \[0, 1\], one of the numbers of 2 processes, found 2",
        ),
        (["--coordinator", "a", "--num-processes", "2", "--process-id", "0"], "must be HOST:PORT"),
    ],
)
def test_mistakes_in_the_options_are_errors(arguments, message, capsys, tmp_path):
    with pytest.raises(ValueError, match=message):
        hosts.connected(Config, arguments).__enter__()
    out = tmp_path / "run"
    assert main(regression, [*arguments, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not out.exists()


class Two(Processes):
    """This process, beside another one with a value of its own."""

    def __init__(self, other):
        super().__init__()
        self.count, self._other = 2, other

    def gather(self, name, value, *, channel="main"):
        return [value, self._other(value)]


def test_other_options_are_named():
    def other(options):
        return options | {"seed": 4}

    with entered(Two(other)), pytest.raises(ValueError, match=r"seed: process 1 has 4.*0 has 0"):
        hosts.require_same_options(Config(process_id=0))
    with entered(Two(lambda options: options)):
        hosts.require_same_options(Config(process_id=0))


def test_devices_are_those_of_all_processes():
    with entered(Two(None)):
        assert placement.num_devices(Config()) == jax.device_count()
        with pytest.raises(ValueError, match="num_devices 3 cannot be spread evenly over 2"):
            placement.start_devices(Config(num_devices=3))
        with pytest.raises(ValueError, match=r"num_devices 64 are not the \d+ devices of 2"):
            placement.start_devices(Config(num_devices=64))


def test_an_error_of_another_process_is_one_line(monkeypatch, capsys):
    def run(config):
        raise HostError("process 1: there is no file", 2)

    monkeypatch.setattr(regression, "run", run)
    assert main(regression, []) == 2
    assert capsys.readouterr().err == "error: process 1: there is no file\n"


def processes(out, options, user_flags):
    """Exit statuses and errors of the command on two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    shared = ["--out", str(out), "--coordinator", address, "--num-processes", "2"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *COMMAND, *shared, "--process-id", str(index), *each],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": user_flags, "NPROC": "1"},
        )
        for index, each in enumerate(options)
    ]
    outputs = [process.communicate(timeout=150) for process in started]
    return [process.returncode for process in started], outputs


@pytest.mark.crash
def test_two_processes_run_the_command_as_one_with_two_devices(tmp_path, user_flags):
    mesh = ["--mesh", "data=2", "--batch-size", "16"]
    statuses, outputs = processes(tmp_path / "two", [mesh, mesh], user_flags)
    assert statuses == [0, 0], outputs
    assert "report: " in outputs[0][0]
    assert not [line for line in outputs[1][0].splitlines() if "[Gloo]" not in line]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run(
        [sys.executable, "-m", *COMMAND, "--out", str(tmp_path / "one"), *mesh],
        check=True,
        env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": user_flags, "NPROC": "1"},
    )
    # One process spreads what it evaluates over its devices, and sums in another order.
    evaluated = {"state_sha256", "metrics", "metrics.jsonl"}
    assert set(compare_runs(tmp_path / "one", tmp_path / "two")) <= evaluated
    files = [
        {str(file.relative_to(tmp_path / name)) for file in (tmp_path / name).rglob("*")}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    options = [read_json(tmp_path / name / "config.json") for name in ("one", "two")]
    assert options[0] == options[1]


@pytest.mark.crash
def test_other_options_end_all_before_anything_is_written(tmp_path, user_flags):
    statuses, outputs = processes(tmp_path / "run", [[], ["--seed", "3"]], user_flags)
    assert statuses == [2, 2], outputs
    message = "error: seed: process 1 has 3, and process 0 has 0; give all processes the same"
    assert all(message in errors for _, errors in outputs), outputs
    assert not (tmp_path / "run").exists()
