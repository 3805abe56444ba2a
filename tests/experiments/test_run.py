"""What every experiment shares: options, run directory, progress, report."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.progress import Progress
from experiments.recipes import classification_recipe
from experiments.report import write_report
from experiments.run import TrainingConfig, resolve, seed_keys, statistics
from experiments.run_directory import RunDirectory, params_sha256

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


def test_a_run_directory_belongs_to_one_run(tmp_path):
    out = tmp_path / "deep" / "run"
    config = TrainingConfig(dataset="digits", out=out)
    RunDirectory.check(out)
    assert not out.exists()
    directory = RunDirectory.create("classification", config, "abc", out)
    directory.log(1, 28, {"train": {"loss": np.array([0.5, 0.25])}})
    directory.log(2, 56, {"train": {"loss": np.array([0.25, 0.125])}})
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[1] == {"epoch": 2, "step": 56, "train": {"loss": [0.25, 0.125]}}
    assert json.loads((out / "config.json").read_text())["dataset"] == "digits"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="already holds"):
        RunDirectory.create("classification", config, "abc", out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_what_cannot_become_a_run_directory_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        RunDirectory.check(file)
    with pytest.raises(ValueError, match="cannot be written"):
        RunDirectory.check(file / "run")
    assert file.read_text() == "mine"


def test_hash_of_parameters_sees_every_bit_name_type_and_shape():
    params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.zeros(2)}}
    bits = np.array(params["dense"]["kernel"]).view(np.int32)
    bits[0, 0] ^= 1
    others = [
        {"dense": params["dense"] | {"kernel": jnp.asarray(bits.view(np.float32))}},
        {"dense": params["dense"] | {"kernel": jnp.ones(4)}},
        {"dense": params["dense"] | {"bias": jnp.zeros(2, jnp.int32)}},
        {"other": params["dense"]},
    ]
    assert len({params_sha256(each) for each in [params, *others]}) == 5
    assert params_sha256(jax.tree.map(np.asarray, params)) == params_sha256(params)


def test_progress_is_plain_lines_without_a_terminal(capsys):
    with Progress(2, 100) as progress:
        progress.update(1, {"train": {"loss": np.array([1.0, 3.0])}})
        progress.update(2, {"train": {"loss": np.array([1.0, 2.0])}})
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2")
    assert "train loss 2" in lines[0]
    assert "\x1b" not in "".join(lines)


def test_the_report_shows_text_as_text(tmp_path):
    config = TrainingConfig(dataset="<b>digits</b>", out=tmp_path / "run")
    directory = RunDirectory.create("classification", config, "abc", config.out)
    summary = {
        "metrics": {"accuracy": {"mean": 0.5, "std": 0.1}},
        "num_seeds": 2,
        "published": "1 < 2 & so on",
        "seconds": {"total": 1.0},
    }
    write_report(directory.path, title="A & B", summary=summary, captions={})
    page = (directory.path / "report.html").read_text()
    assert "<b>digits" not in page
    assert "&lt;b&gt;digits" in page
    assert "1 &lt; 2 &amp; so on" in page
    assert "0.5000" in page
