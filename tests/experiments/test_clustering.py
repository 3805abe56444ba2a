"""The clustering command: what it leaves behind, what it refuses, that it resumes to the bit."""

import csv
import dataclasses
import importlib.machinery
import importlib.util
import json
import re
import shutil
import sys
import types

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from experiments.clustering.experiment import Config, load_data, run
from experiments.command import main
from experiments.data import load
from experiments.options import seed_keys

DEEP = {"hidden_dims": (8,), "code_dim": 3, "pretrain_epochs": 1, "num_epochs": 2}
METHODS = {
    "kmeans": {"query": 5},
    "gmm": {"covariance": "diagonal"},
    "autoencoder_kmeans": DEEP,
    "dec": DEEP | {"reset": True, "reset_every": 1, "augment": True, "query": 0},
    "idec": DEEP | {"refresh_every": 3},
    "dcn": DEEP | {"augment": True},
    "vade": DEEP | {"reset": True, "reset_every": 1},
}
SCORES = ("accuracy", "nmi", "adjusted_rand_index", "homogeneity", "completeness")


@pytest.mark.parametrize("method", METHODS)
def test_the_run_directory_keeps_the_contract(method, tmp_path):
    out, trained = tmp_path / "run", method in ("dec", "idec", "dcn", "vade")
    options = {"num_seeds": 2, "num_restarts": 2} | METHODS[method]
    summary = run(Config(method=method, out=out, **options))
    assert json.loads((out / "summary.json").read_text()) == summary
    assert len(set(summary["params_sha256"])) == 2
    expected = {*SCORES, "agreement_of_networks", "silhouette_of_codes"}
    assert set(summary["metrics"]) == expected | (
        {"accuracy_before_clustering"} if trained else set()
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == ([1, 2] if trained else [])
    figures = {"clusters", "codes", "contingency"}
    figures |= {"learning_curves", "codes_before"} if trained else set()
    figures |= {"neighbors"} if "query" in options else set()
    assert {path.stem for path in (out / "figures").iterdir()} == figures
    saved = load_file(out / "model.safetensors")
    assert any("centers" in name or "means" in name for name in saved)
    with open(out / "clusters.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["example", "network_0", "network_1"]
    found, labels = np.array(rows, int).T, load("digits").y
    assert found[0].tolist() == list(range(1797))
    nmi = [normalized_mutual_info_score(labels, each) for each in found[1:]]
    assert summary["metrics"]["nmi"]["values"] == pytest.approx(nmi)
    agreement = summary["metrics"]["agreement_of_networks"]["values"]
    assert agreement == pytest.approx([adjusted_rand_score(*found[1:])] * 2)
    if trained:
        last = lines[-1]["validation"]
        assert last["accuracy"] == pytest.approx(summary["metrics"]["accuracy"]["values"])


def test_an_interrupted_run_ends_with_the_same_bits_and_replays(command, tmp_path):
    options = ["--method", "dcn", "--hidden-dims", 8, "--code-dim", 3, "--num-seeds", 2]
    options += ["--pretrain-epochs", 2, "--num-epochs", 3, "--reset", True, "--reset-every", 1]
    whole = tmp_path / "whole"
    command("clustering", *options, "--checkpoint-every", 5, "--out", whole)
    first = json.loads((whole / "summary.json").read_text())
    for part in ("checkpoints", "pretraining/checkpoints"):
        other = tmp_path / part.replace("/", "-")
        shutil.copytree(whole, other)
        (other / "summary.json").unlink()
        if part.startswith("pretraining"):
            shutil.rmtree(other / "checkpoints")
        newest = max((other / part).iterdir(), key=lambda path: int(path.name))
        shutil.rmtree(newest)
        output = command("clustering", "--resume", other)
        assert re.search(r"resuming at step [1-9]", output)
        second = json.loads((other / "summary.json").read_text())
        for name in ("params_sha256", "state_sha256", "metrics"):
            assert first[name] == second[name]
    assert "identical: parameters, state and metrics" in command("replay", whole)


def test_autoencoder_and_clusters_never_share_their_random_numbers():
    config = Config(num_seeds=3)
    streams = (None, "start", "clustering")
    keys = np.concatenate([jax.random.key_data(seed_keys(config, each)) for each in streams])
    assert len({tuple(key) for key in keys.tolist()}) == 9


def test_a_table_without_labels_gets_clusters_and_what_marks_them(tmp_path):
    table, out = tmp_path / "own.csv", tmp_path / "run"
    rows = [f"{10 * (i % 2) + i / 100},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    table.write_text("\n".join(["size,rest,kind", *rows]))
    summary = run(Config(data=table, method="kmeans", num_clusters=2, num_seeds=1, out=out))
    assert set(summary["metrics"]) == {"silhouette_of_codes"}
    found = np.loadtxt(out / "clusters.csv", delimiter=",", skiprows=1, dtype=int)[:, 1]
    assert len(set(found[::2])) == len(set(found[1::2])) == 1
    _, *marks = summary["tables"]["Clusters"]
    assert [size for _, size, _ in marks] == ["20", "20"]
    assert sorted(marked.split(", ")[0] for *_, marked in marks) == ["kind=a", "kind=b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "digit"], "unknown data set 'digit'.*digits"),
        (["--num-clusters", "1"], "num_clusters must lie from 2 to the 1797 examples, found 1"),
        (["--num-clusters", "1798"], "num_clusters must lie from 2 to the 1797 examples"),
        (["--method", "kmeans", "--hidden-dims", "8"], "hidden_dims is for method .*found method"),
        (["--method", "kmeans", "--reset", "True"], "reset is for method dec or idec or dcn or "),
        (["--method", "dec", "--strength", "1"], "strength is for method idec or dcn"),
        (["--method", "idec", "--strength", "-1"], "strength must be at least 0"),
        (["--dataset", "wine", "--method", "dec", "--augment", "True"], "augment needs pictures"),
        (["--reset-factor", "2", "--method", "dec"], r"reset_factor must lie in \[0, 1\], found 2"),
        (["--pretrain-epochs", "0", "--method", "dec"], "pretrain_epochs must be at least 1"),
        (["--pretrain-rate", "-1", "--method", "dec"], "pretrain_rate must be greater than 0"),
        (["--refresh-every", "0", "--method", "dec"], "refresh_every must be at least 1, found 0"),
        (["--num-restarts", "0"], "num_restarts must be at least 1, found 0"),
        (["--method", "gmm", "--min-variance", "-1"], "min_variance must be at least 0"),
        (["--method", "vade", "--output-std", "-1"], "output_std must be at least 0 and finite"),
        (["--method", "dec", "--output-std", "1"], "output_std is for method vade, found method"),
        (["--method", "n2d", "--num-neighbors", "1"], "num_neighbors must lie from 2 to 1796"),
        (["--query", "1797"], "query must lie from 0 to 1796, found 1797"),
        (["--patience", "3"], "patience needs a validation loss, and clustering has none"),
        (["--batch-size", "2000"], "batch_size must not exceed the 1797 training examples"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(Config, run, [*options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{message}.*\n", error), error
    assert not out.exists()


def test_data_that_no_clustering_can_split_are_refused(tmp_path, capsys):
    out = tmp_path / "run"
    table = tmp_path / "same.csv"
    table.write_text("a,b\n" + "1,2\n" * 30)
    options = ["--data", str(table), "--method", "kmeans", "--out", str(out)]
    assert main(Config, run, [*options, "--num-clusters", "3"]) == 2
    assert "all 30 rows are the same; they cannot be 3 clusters" in capsys.readouterr().err
    assert main(Config, run, options) == 2
    assert "num_clusters is needed where the data have no labels" in capsys.readouterr().err
    assert not out.exists()


class PlainUMAP:
    """Stands in for that of umap-learn, which is optional: the first columns of the codes."""

    def __init__(self, *, n_components, random_state, **options):
        self.num_columns = n_components
        assert options == {"n_neighbors": 7, "min_dist": 0.0, "n_jobs": 1}
        assert random_state >= 0

    def fit_transform(self, codes):
        return codes[:, : self.num_columns]


def test_n2d_clusters_what_umap_makes_of_the_codes(tmp_path, monkeypatch):
    module = types.ModuleType("umap")
    module.__spec__ = importlib.machinery.ModuleSpec("umap", None)
    module.UMAP = PlainUMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    config = Config(method="n2d", num_seeds=1, hidden_dims=(8,), code_dim=3, pretrain_epochs=1)
    config = dataclasses.replace(config, num_restarts=1, num_neighbors=7, out=tmp_path / "run")
    summary = run(config)
    assert summary["metrics"]["accuracy"]["mean"] > 0.15


def test_n2d_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(Config, run, ["--method", "n2d", "--out", str(tmp_path / "run")]) == 2
    assert "pip install 'functional-jaxnet[umap]'" in capsys.readouterr().err


def test_mnist_test_is_the_test_part_of_mnist():
    try:
        whole = load("mnist")
    except ValueError as error:
        pytest.skip(str(error))
    test = load_data(Config(dataset="mnist_test"))
    assert test.name == "mnist_test"
    np.testing.assert_array_equal(test.x, whole.x[60_000:])
    np.testing.assert_array_equal(test.y, whole.y[60_000:])
