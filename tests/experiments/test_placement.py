"""Commands on several devices: options, the numbers of one device, resuming on another mesh."""

import contextlib
import io
import json
import os
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments import replay
from experiments.classification import experiment as classification
from experiments.classification.config import Config
from experiments.clustering import experiment as clustering
from experiments.command import main
from experiments.placement import num_devices, place, start_devices
from tests.devices import needs_two_devices

QUICK = ["linear", "--num-seeds", "2", "--dataset", "iris", "--batch-size", "32"]
QUICK += ["--num-epochs", "1"]


def run(*arguments, experiment=classification):
    return main(experiment, list(map(str, arguments)))


def params_of(out):
    return [array for _, array in sorted(load_file(out / "model.safetensors").items())]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a finished run on one device."""
    out = tmp_path_factory.mktemp("placement") / "run"
    assert run(*QUICK, "--out", out) == 0
    config = json.loads((out / "config.json").read_text())
    assert (config["num_devices"], config["mesh"], config["shard_params"]) == (None, None, False)
    return out


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """The directory of a finished run of two networks on two devices, and what it printed."""
    out = tmp_path_factory.mktemp("placement") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert run(*QUICK, "--num-devices", 2, "--out", out) == 0
    return out, printed.getvalue()


def require_equal(out, text, mesh, finished):
    """The run was placed on a mesh of two devices, and its networks are those of one device."""
    assert f"2 devices, mesh {mesh}\n" in text
    config = json.loads((out / "config.json").read_text())
    assert (config["num_devices"], config["mesh"]) == (2, mesh)
    for found, expected in zip(params_of(out), params_of(finished), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-devices", "0"], "num_devices must be at least 1, or None, found 0"),
        (["--num-devices", "1000"], "num_devices 1000 are more than the \\d+ devices of platform"),
        (["--mesh", "run=2x"], "mesh must be text such as run=4,data=2, found 'run=2x'"),
        (["--mesh", "run=0"], "mesh must be text such as run=4,data=2, found 'run=0'"),
        (["--mesh", "run=2,run=2"], "mesh must be text such as run=4,data=2"),
        (["--mesh", "model=2"], "mesh must be text such as .*; the axes are run and data"),
        (
            ["--mesh", "run=2", "--num-devices", "4"],
            "mesh run=2 has 2 devices, found num_dev",
        ),
        (["--shard-params"], "shard_params needs several devices along data, found 1"),
        (["--shard-params", "--mesh", "run=2"], "shard_params needs .* found mesh run=2,data=1"),
        (
            ["--mesh", "run=2", "--num-seeds", "3"],
            "3 networks cannot be spread evenly",
        ),
        (
            ["--mesh", "data=2", "--batch-size", "31"],
            "batches of 31 examples cannot be cut",
        ),
        (["--mesh", "run=2", "--cross-validate", "3"], "3 networks cannot be spread evenly"),
    ],
)
@needs_two_devices
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert run(*QUICK, *options, "--out", out) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{message}.*\n", error), error
    assert not out.exists()


@needs_two_devices
def test_two_devices_train_the_networks_of_one(finished, spread):
    require_equal(*spread, "run=2,data=1", finished)


@needs_two_devices
@pytest.mark.parametrize("options", [[], ["--shard-params"]])
def test_two_devices_share_the_batches_of_one(options, finished, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(*QUICK, "--mesh", "data=2", *options, "--out", out) == 0
    require_equal(out, capsys.readouterr().out, "run=1,data=2", finished)


@needs_two_devices
def test_a_run_is_replayed_on_its_mesh_and_continued_on_another(spread, tmp_path, capsys):
    out = shutil.copytree(spread[0], tmp_path / "run")
    assert run(out, experiment=replay) == 0
    assert "identical" in capsys.readouterr().out
    # Nothing is left to compute, wherever it would be.
    assert run("--resume", out, "--num-devices", 1) == 0
    assert "the run is finished" in capsys.readouterr().out
    assert run("--resume", out, "--mesh", "data=2", "--num-epochs", 2) == 0
    text = capsys.readouterr().out
    assert "the run began on run=2,data=1, so its result will be equal within rounding" in text
    assert "2 devices, mesh run=1,data=2" in text
    config = json.loads((out / "config.json").read_text())
    assert (config["mesh"], config["phases"]) == ("run=2,data=1", [1])


@needs_two_devices
def test_clusters_are_those_of_one_device(tmp_path):
    options = ["kmeans", "--dataset", "iris", "--num-seeds", "2", "--num-restarts", "2"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(*options, "--out", one, experiment=clustering) == 0
    assert run(*options, "--mesh", "data=2", "--out", two, experiment=clustering) == 0
    assert (one / "clusters.csv").read_text() == (two / "clusters.csv").read_text()
    for found, expected in zip(params_of(two), params_of(one), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@needs_two_devices
def test_the_pool_has_threads_for_all_devices(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NPROC", "1")
    start_devices(Config(num_devices=2))
    assert os.environ["NPROC"] == "4"
    options = ["--num-devices", "2", "--num-threads", "3", "--out", tmp_path / "run"]
    assert run(*QUICK, *options) == 2
    assert "num_threads must be at least 4 for 2 devices, found 3" in capsys.readouterr().err


@needs_two_devices
def test_the_default_mesh_puts_the_divisors_of_the_networks_along_run():
    config, placement = place(Config(num_seeds=3, num_devices=2), 3, [64])
    assert config.mesh == "run=1,data=2" and placement.shape("data") == 2
    config, placement = place(Config(num_seeds=4, num_devices=2), 4, [64])
    assert config.mesh == "run=2,data=1" and placement.shape("run") == 2
    # With one device nothing is placed.
    config, placement = place(Config(), 10, [64])
    assert placement.mesh is None and config.mesh is None
    data = {"x": np.ones(3)}
    assert placement.everywhere(data) is data and placement.over_runs(data) is data
    assert num_devices(Config(mesh="run=3,data=5")) == 15


@pytest.mark.crash
def test_devices_are_simulated_in_a_new_process(command, finished, tmp_path):
    for options, mesh in (
        (["--num-devices", 4], "run=2,data=2"),
        (["--mesh", "run=2,data=4", "--shard-params"], "run=2,data=4"),
    ):
        out = tmp_path / mesh
        text = command("classification", *QUICK, *options, "--out", out)
        assert f"devices, mesh {mesh}\n" in text
        for found, expected in zip(params_of(out), params_of(finished), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert "identical: parameters" in command("replay", out)
