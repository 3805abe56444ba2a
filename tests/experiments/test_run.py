"""What every experiment shares: options, run directory, progress, report."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.classification.experiment import Config
from experiments.command import statistics
from experiments.directory import open_directory
from experiments.options import TrainingConfig, resolve, seed_keys
from experiments.recipes import classification_recipe
from experiments.report.report import write_report

RECIPE = {
    "optimizer": "adam",
    "learning_rate": 0.5,
    "schedule": "cosine",
    "weight_decay": 0.25,
    "num_epochs": 7,
    "batch_size": 8,
    "num_seeds": 2,
}


def test_a_recipe_fills_only_what_is_open():
    config = resolve(TrainingConfig(dataset="digits", num_epochs=3), RECIPE)
    assert (config.num_epochs, config.batch_size, config.learning_rate) == (3, 8, 0.5)
    other = resolve(TrainingConfig(dataset="digits", optimizer="sgd"), RECIPE)
    assert (other.learning_rate, other.weight_decay, other.batch_size) == (None, None, 8)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_every_recipe_is_complete(model):
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    for dataset in ("digits", "breast_cancer", "wine", "iris", "mnist", "fashion_mnist"):
        recipe = classification_recipe(dataset, model)
        assert {*RECIPE} <= {*recipe}
        needed = {name: recipe[name] for name in RECIPE if name in names}
        resolve(TrainingConfig(dataset=dataset), needed)


def test_statistics_are_those_of_a_sample():
    values = np.random.default_rng(0).normal(size=9)
    found = statistics(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    assert statistics(np.array([2.0]))["std"] == 0.0


def test_every_network_has_a_key_of_its_own():
    def keys(seed, num_seeds):
        config = TrainingConfig(dataset="digits", seed=seed, num_seeds=num_seeds)
        return jax.random.key_data(seed_keys(config)).tolist()

    few, many = keys(0, 3), keys(0, 5)
    assert many[:3] == few
    assert len({*map(tuple, many + keys(1, 5))}) == 10


def test_the_report_shows_text_as_text(tmp_path):
    config = Config(dataset="<b>digits</b>", out=tmp_path / "run")
    summary = {
        "metrics": {"accuracy": {"mean": 0.5, "std": 0.1}},
        "num_seeds": 2,
        "published": "1 < 2 & so on",
        "seconds": {"total": 1.0},
    }
    with open_directory(config, "abc") as directory:
        write_report(directory, title="A & B", summary=summary, captions={})
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<b>digits" not in page
    assert "&lt;b&gt;digits" in page
    assert "1 &lt; 2 &amp; so on" in page
    assert "0.5000" in page
