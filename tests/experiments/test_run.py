"""What all experiments share: recipes, options and their checks, names of data, the report."""

import dataclasses
import json
import re
import types

import jax
import numpy as np
import pytest
import tyro

from experiments.classification import experiment as classification
from experiments.clustering import experiment as clustering
from experiments.command import main, statistics
from experiments.config import OptimizerOptions, RunOptions, methods
from experiments.data import load
from experiments.facts import facts_of, named_facts
from experiments.protocol import EXPERIMENTS, configure, find_experiment
from experiments.reconstruction import experiment as reconstruction
from experiments.regression import experiment as regression
from experiments.report.report import write_report
from experiments.training import open_directory, seed_keys

IMAGES = ("digits", "mnist", "fashion_mnist")
TABLES = ("breast_cancer", "wine", "iris")
DATASETS = {
    "classification": (*IMAGES, *TABLES, "emails"),
    "clustering": (*IMAGES, *TABLES, "emails", "mnist_test"),
    "reconstruction": (*IMAGES, *TABLES),
    "regression": ("line", "crop_yield", "diabetes"),
    "semi_supervised": (*IMAGES, *TABLES, "nsmc"),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_recipe_is_a_config_of_its_data_set_and_method(name):
    experiment = find_experiment(name)
    for dataset in DATASETS[name]:
        assert configure(experiment, dataset=dataset).dataset == dataset
        for method, kind in methods(experiment.Config).items():
            config = configure(experiment, method, dataset=dataset)
            assert config.dataset == dataset
            chosen = config.model if hasattr(config, "model") else config.method
            assert type(chosen) is kind and chosen.name == method
            # As it is written to a run and read again.
            record = json.loads(json.dumps(dataclasses.asdict(config)))
            assert configure(experiment, method, **record_options(record, chosen)) == config


def record_options(record, chosen):
    """The options of a record, those of the method included, for `configure`."""
    options = {name: value for name, value in record.items() if name not in ("model", "method")}
    inner = record["model" if "model" in record else "method"]
    assert inner.pop("name") == chosen.name
    return options | inner


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "line", "diabetes"])
def test_facts_known_in_advance_are_those_of_the_data(name):
    assert named_facts(name) == facts_of(load(name))


def test_the_default_of_python_is_that_of_the_command_line():
    assert classification.Config() == configure(classification)
    assert regression.Config() == configure(regression)
    assert clustering.Config() == configure(clustering)
    assert reconstruction.Config() == configure(reconstruction)


def test_another_optimizer_has_its_own_rate_and_weight_decay():
    adam = configure(reconstruction)
    assert (adam.optimizer, adam.learning_rate, adam.weight_decay) == ("adamw", 4e-3, 0.3)
    sgd = configure(reconstruction, optimizer="sgd")
    assert (sgd.optimizer, sgd.learning_rate, sgd.weight_decay) == ("sgd", 0.1, None)
    assert sgd.num_epochs == adam.num_epochs
    given = configure(reconstruction, optimizer="sgd", learning_rate=0.5)
    assert given.learning_rate == 0.5
    assert configure(clustering, "dec", optimizer="sgd").method.learning_rate == 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimizerOptions(num_epochs=0), "num_epochs must be at least 1, found 0"),
        (lambda: OptimizerOptions(batch_size="most"), "batch_size must be .* or all, found most"),
        (lambda: OptimizerOptions(learning_rate=float("nan")), "learning_rate must be .*found nan"),
        (lambda: configure(classification, hidden_dims=(8, 0)), "hidden_dims must be .*found 8 0"),
        (lambda: configure(classification, "mpl"), "unknown method 'mpl'; known: linear, mlp, cnn"),
        (lambda: configure(classification, "linear", dropout=0.1), "dropout is not an option of"),
        (lambda: configure(regression, num_epoch=3), "num_epoch is not an option of"),
    ],
)
def test_options_are_checked_in_python_too(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_users_table_decides_what_depends_on_its_size(tmp_path):
    rows = [f"{index},{index % 7},{'ab'[index % 2]}" for index in range(60)]
    (tmp_path / "small.csv").write_text("\n".join(["x,y,kind", *rows]))
    (tmp_path / "large.csv").write_text("\n".join(["x,y,kind", *rows * 400]))
    small, large = (
        configure(classification, data=tmp_path / name, label="kind")
        for name in ("small.csv", "large.csv")
    )
    assert (small.batch_size, small.num_epochs, small.num_seeds) == (8, 120, 10)
    assert (large.batch_size, large.num_epochs, large.num_seeds) == (256, 20, 3)
    unlabelled = configure(clustering, data=tmp_path / "small.csv", label="kind")
    assert unlabelled.num_clusters == 2
    assert configure(clustering, data=tmp_path / "small.csv").num_clusters is tyro.MISSING


def test_a_users_data_have_their_own_name_and_no_published_figures(tmp_path, capsys, monkeypatch):
    """Also where the file is called as a data set is."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).uniform(size=(60, 4, 4))
    np.savez("mnist.npz", x=images)
    options = ["--num-seeds", "1", "--num-epochs", "1", "--hidden-dims", "4", "--code-dim", "2"]
    assert main(reconstruction, ["--data", "mnist.npz", *options]) == 0
    output = capsys.readouterr().out
    assert "Reconstruction on mnist: one seed" in output
    assert "published" not in output
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("reconstruction-mnist-")
    assert "Hinton" not in (run / "report.html").read_text()
    assert json.loads((run / "summary.json").read_text())["published"] is None

    table = [
        "size,color",
        *[f"{10 * (index % 2) + index / 100},{index % 3}" for index in range(40)],
    ]
    (tmp_path / "gardens.csv").write_text("\n".join(table))
    options = ["--num-seeds", "1", "--num-clusters", "2", "--num-restarts", "1"]
    assert main(clustering, ["kmeans", "--data", "gardens.csv", *options]) == 0
    assert "Clustering on gardens: one seed" in capsys.readouterr().out
    (run,) = (tmp_path / "runs").glob("clustering-*")
    assert run.name.startswith("clustering-gardens-")
    assert "Clustering on gardens" in (run / "report.html").read_text()
    assert "digits" not in (run / "report.html").read_text()
    assert "<p>One seed.</p>" in (run / "report.html").read_text()


def test_published_figures_stand_beside_their_data_set(tmp_path):
    assert "Simard" in load_published("mnist", "classification", tmp_path)
    assert "Hinton" in load_published("mnist", "reconstruction", tmp_path)


def load_published(name, experiment, tmp_path):
    try:
        return load(name).published[experiment]
    except ValueError as error:
        pytest.skip(str(error))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FakeConfig(RunOptions):
    """Count."""

    experiment = "fake"
    error: str = ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 0),
        (ValueError("a mistake"), 2),
        (OSError("a full disk"), 2),
        (FloatingPointError("a divergence"), 1),
    ],
)
def test_the_exit_status_tells_mistakes_from_numerical_failures(error, status, capsys):
    def run(config):
        if error is not None:
            raise error

    assert main(types.SimpleNamespace(Config=FakeConfig, run=run), ["--num-seeds", "3"]) == status
    assert capsys.readouterr().err == ("" if error is None else f"error: {error}\n")


@pytest.mark.parametrize(
    ("experiment", "options", "message"),
    [
        (classification, {"hidden_dims": (10**6, 10**6)}, r"hidden_dims 1000000 1000000: .* TiB"),
        (classification, {"num_seeds": 10**9}, "num_seeds 1000000000, hidden_dims 512: .* need"),
        (classification, {"num_epochs": 10**9}, "num_epochs 1000000000 are 17000000000 steps"),
        (regression, {"num_epochs": 2 * 10**9}, "num_epochs 2000000000: the metrics .* GiB"),
        (reconstruction, {"hidden_dims": (10**7, 10**7)}, "hidden_dims 10000000 10000000"),
        (clustering, {"hidden_dims": (10**7, 10**7)}, "hidden_dims 10000000 10000000"),
    ],
)
def test_options_that_do_not_fit_into_memory_are_named(experiment, options, message, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        experiment.run(configure(experiment, out=out, **options))
    assert not out.exists()


def test_statistics_are_those_of_a_sample():
    values = np.random.default_rng(0).normal(size=9)
    computed = statistics(values)
    assert computed["mean"] == pytest.approx(np.mean(values))
    assert computed["std"] == pytest.approx(np.std(values, ddof=1))
    assert statistics(np.array([2.0]))["std"] is None


def test_every_network_has_a_key_of_its_own():
    def keys(seed, num_seeds, name=None):
        config = classification.Config(seed=seed, num_seeds=num_seeds)
        return jax.random.key_data(seed_keys(config, name)).tolist()

    few, many = keys(0, 3), keys(0, 5)
    assert many[:3] == few
    uses = many + keys(1, 5) + keys(0, 5, "probe") + keys(0, 5, "start")
    assert len({*map(tuple, uses)}) == 20


def test_the_report_shows_text_as_text(tmp_path):
    config = classification.Config(dataset="<b>digits</b>", out=tmp_path / "run")
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
    assert re.search(r"<h1>A &amp; B</h1>", page)
