"""Random convolutions beside ROCKET: one program for all seeds of a set, on official splits."""

import sys
import types

import numpy as np
import pytest

import jaxnet as jn
from experiments.command import main
from experiments.data.series import series_dataset
from experiments.data.ts_files import LabeledSeries
from experiments.timeseries import classifiers, experiment
from experiments.timeseries.config import Config
from jaxnet.runs import verify_run


def waves(name, num_classes):
    """Sines of one frequency for each class, of different lengths; half of them for the test."""
    generator = np.random.default_rng(0)
    labels = np.arange(24) % num_classes
    values = [
        np.float32(np.sin(np.arange(generator.integers(30, 40)) * (label + 1) / 2))[:, None]
        for label in labels
    ]
    names = tuple("abc"[:num_classes])
    return series_dataset(name, LabeledSeries(values, labels.astype(np.int32), names, 12))


@pytest.fixture
def sets(monkeypatch):
    datasets = {"GunPoint": waves("GunPoint", 2)}
    monkeypatch.setattr(experiment, "load", lambda name, data_dir: datasets[name])
    monkeypatch.setenv("NPROC", "1")
    return datasets


def test_official_parts_are_standardized_by_the_training_series(sets):
    parts = classifiers.divide(sets["GunPoint"])
    assert len(parts.y_train) == len(parts.y_test) == 12
    steps = parts.train.values[np.asarray(jn.nn.time_mask(parts.train))]
    assert abs(steps.mean()) < 1e-6 and abs(steps.std() - 1) < 1e-5
    beyond = parts.test.values[~np.asarray(jn.nn.time_mask(parts.test))]
    assert not beyond.any()


class FakeRocket:
    """Predicts the first class, and remembers what it was given."""

    shapes: list = []  # noqa: RUF012

    def __init__(self, random_state):
        self.random_state = random_state

    def fit(self, x, y):
        self.shapes.append(x.shape)
        return self

    def predict(self, x):
        return np.zeros(len(x), np.int32)


def test_the_command_compares_on_each_set(sets, tmp_path, monkeypatch, capsys):
    module = types.ModuleType("aeon.classification.convolution_based")
    module.RocketClassifier = FakeRocket
    for name in ("aeon", "aeon.classification"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(experiment, "has_rocket", lambda: True)
    out = tmp_path / "run"
    sizes = ["--num-seeds", "2", "--num-features", "84", "--num-epochs", "5"]
    options = ["--sets", "gun_point", *sizes, "--num-threads", "1", "--out", str(out)]
    assert main(experiment, options) == 0
    metrics = verify_run(out)["metrics"]
    assert metrics["mean accuracy of jaxnet"]["mean"] > 0.95
    assert metrics["GunPoint: accuracy of ROCKET"]["values"] == [0.5, 0.5]
    assert len(FakeRocket.shapes) == 2 and FakeRocket.shapes[0][:2] == (12, 1)
    header, row = verify_run(out)["tables"]["Test accuracy"]
    cells = dict(zip(header, row, strict=True))
    assert (cells["set"], cells["classes"], cells["majority"]) == ("GunPoint", "2", "0.500")
    assert cells["InceptionTime (published)"] == "1.000"
    assert "mean accuracy of ROCKET" in capsys.readouterr().out


def test_unknown_sets_are_rejected():
    with pytest.raises(ValueError, match="unknown set 'nothing'; known: ACSF1"):
        experiment.run(Config(sets=("nothing",)))
