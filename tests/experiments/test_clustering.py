"""The clustering command: the files of a run, predictions, mistakes, resumed runs."""

import contextlib
import csv
import importlib.machinery
import importlib.util
import json
import re
import shutil
import sys
import types

import jax
import numpy as np
import polars
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from experiments import predict
from experiments.clustering import experiment as clustering
from experiments.clustering.experiment import Config, load_data, run
from experiments.command import main
from experiments.data import load
from experiments.protocol import configure
from experiments.training import seed_keys
from jaxnet.runs import verify_run

PRETRAINED = {"hidden_dims": (8,), "code_dim": 3, "pretrain_epochs": 1}
DEEP = PRETRAINED | {"num_epochs": 2}
METHODS = {
    "kmeans": {"query": 5},
    "gmm": {"covariance": "diagonal"},
    "autoencoder_kmeans": PRETRAINED,
    "dec": DEEP | {"reset": True, "reset_every": 1, "query": 0},
    "idec": DEEP | {"refresh_every": 3},
    "dcn": DEEP | {"augment": True},
    "vade": DEEP | {"reset": True, "reset_every": 1},
}
SCORES = ("accuracy", "nmi", "adjusted_rand_index", "homogeneity", "completeness")


# Of those left out here, `tests/clustering` and `tests/contracts` test the learner, other tests of
# commands the mixture (N2D), clusters without a second training (emails) and DCN (marked crash).
SLOW = {"gmm", "autoencoder_kmeans", "idec", "dcn"}


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in METHODS],
)
def test_the_run_directory_keeps_the_contract_and_predicts(method, tmp_path, rendered_figures):
    out, trained = tmp_path / "run", method in ("dec", "idec", "dcn", "vade")
    options = {"num_seeds": 2, "num_restarts": 2} | METHODS[method]
    # The figures of the others are among those of DEC.
    with rendered_figures() if method == "dec" else contextlib.nullcontext():
        summary = run(configure(clustering, method, out=out, **options))
    assert verify_run(out) == json.loads(json.dumps(summary))
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
    found, digits = np.array(rows, int).T, load("digits")
    assert found[0].tolist() == list(range(1797))
    nmi = [normalized_mutual_info_score(digits.y, each) for each in found[1:]]
    assert summary["metrics"]["nmi"]["values"] == pytest.approx(nmi)
    agreement = summary["metrics"]["agreement_of_networks"]["values"]
    assert agreement == pytest.approx([adjusted_rand_score(*found[1:])] * 2)
    if trained:
        last = lines[-1]["validation"]
        assert last["accuracy"] == pytest.approx(summary["metrics"]["accuracy"]["values"])
    np.savez(tmp_path / "new.npz", x=digits.x[100:160])
    columns = predict.run(predict.Config(run=out, data=tmp_path / "new.npz"))
    assert polars.read_csv(tmp_path / "new.predictions.csv").columns == list(columns)
    assert columns["cluster"].tolist() == found[1, 100:160].tolist()
    assert columns["cluster by network 1"].tolist() == found[2, 100:160].tolist()
    memberships = np.stack([columns[f"membership in {index}"] for index in range(10)])
    np.testing.assert_allclose(memberships.sum(axis=0), 1, rtol=1e-5)
    assert memberships.argmax(axis=0).tolist() == columns["cluster"].tolist()
    np.testing.assert_allclose(columns["membership"], memberships.max(axis=0))


@pytest.mark.crash
def test_an_interrupted_run_ends_with_the_same_bits_and_replays(call, tmp_path):
    options = ["dcn", "--dataset", "iris", "--batch-size", 16, "--num-seeds", 2]
    options += ["--hidden-dims", 8, "--code-dim", 3]
    options += ["--pretrain-epochs", 2, "--num-epochs", 3, "--reset", "--reset-every", 1]
    whole = tmp_path / "whole"
    call("clustering", *options, "--checkpoint-every", 5, "--out", whole)
    first = json.loads((whole / "summary.json").read_text())
    for part in ("checkpoints", "pretraining/checkpoints"):
        other = tmp_path / part.replace("/", "-")
        shutil.copytree(whole, other)
        (other / "summary.json").unlink()
        if part.startswith("pretraining"):
            shutil.rmtree(other / "checkpoints")
        newest = max((other / part).iterdir(), key=lambda path: int(path.name))
        shutil.rmtree(newest)
        output = call("clustering", "--resume", other)
        assert re.search(r"resuming at step [1-9]", output)
        second = json.loads((other / "summary.json").read_text())
        for name in ("params_sha256", "state_sha256", "metrics"):
            assert first[name] == second[name]
    assert "identical: parameters, state and metrics" in call("replay", whole)


def test_autoencoder_and_clusters_never_share_their_random_numbers():
    config = Config(num_seeds=3)
    uses = (None, "start", "clustering")
    keys = np.concatenate([jax.random.key_data(seed_keys(config, each)) for each in uses])
    assert len({tuple(key) for key in keys.tolist()}) == 9


def test_a_table_without_labels_gets_clusters_what_marks_them_and_predictions(tmp_path):
    table, out = tmp_path / "own.csv", tmp_path / "run"
    rows = [f"{10 * (i % 2) + i / 100},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    table.write_text("\n".join(["size,rest,kind", *rows]))
    options = {"num_clusters": 2, "num_seeds": 1}
    summary = run(configure(clustering, "kmeans", data=table, out=out, **options))
    assert set(summary["metrics"]) == {"silhouette_of_codes"}
    found = np.loadtxt(out / "clusters.csv", delimiter=",", skiprows=1, dtype=int)[:, 1]
    assert len(set(found[::2])) == len(set(found[1::2])) == 1
    _, *marks = summary["tables"]["Clusters"]
    assert [size for _, size, _ in marks] == ["20", "20"]
    assert sorted(marked.split(", ")[0] for *_, marked in marks) == ["kind=a", "kind=b"]
    (tmp_path / "new.csv").write_text("rest,size,kind\n1,0.5,a\n0,10.5,b\n2,0.1,a\n")
    columns = predict.run(predict.Config(run=out, data=tmp_path / "new.csv"))
    assert columns["cluster"].tolist() == [found[0], found[1], found[0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "digit"], "unknown data set 'digit'.*digits"),
        (["--num-clusters", "1"], "num_clusters must be at least 2, found 1"),
        (["--num-clusters", "1798"], "num_clusters must lie from 2 to the 1797 examples"),
        (["kmeans", "--hidden-dims", "8"], "unrecognized options: --hidden-dims, 8"),
        (["kmeans", "--reset"], "unrecognized options: --reset"),
        (["dec", "--clustering-weight", "1"], "unrecognized options: --clustering-weight, 1"),
        (["idec", "--clustering-weight", "-1"], "clustering_weight must be at least 0"),
        (["dec", "--dataset", "wine", "--augment"], "augment needs images, and wine is a table"),
        (["dec", "--reset-factor", "2"], r"reset_factor must be a number in \[0, 1\], found 2"),
        (["dec", "--pretrain-epochs", "0"], "pretrain_epochs must be at least 1"),
        (["dec", "--pretrain-rate", "-1"], "pretrain_rate must be greater than 0"),
        (["dec", "--refresh-every", "0"], "refresh_every must be at least 1, found 0"),
        (["--num-restarts", "0"], "num_restarts must be at least 1, found 0"),
        (["gmm", "--min-variance", "-1"], "min_variance must be at least 0"),
        (["vade", "--output-std", "-1"], "output_std must be at least 0 and finite"),
        (["dec", "--output-std", "1"], "unrecognized options: --output-std, 1"),
        (["n2d", "--num-neighbors", "1"], "num_neighbors must be at least 2, found 1"),
        (["n2d", "--num-neighbors", "1797"], "num_neighbors must lie from 2 to 1796, .*found 1797"),
        (["dek"], "unknown method 'dek'; did you mean dec"),
        (["--query", "1797"], "query must lie from 0 to 1796, found 1797"),
        (["--patience", "3"], "unrecognized options: --patience, 3"),
        (["--batch-size", "2000"], "batch_size must not exceed the 1797 training examples"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(clustering, [*options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{message}.*\n", error), error
    assert not out.exists()


def test_data_that_no_clustering_can_split_are_rejected(tmp_path, capsys):
    out = tmp_path / "run"
    table = tmp_path / "same.csv"
    table.write_text("a,b\n" + "1,2\n" * 30)
    options = ["kmeans", "--data", str(table), "--out", str(out)]
    assert main(clustering, [*options, "--num-clusters", "3"]) == 2
    assert "all 30 rows are the same, expected at least 3 different rows" in capsys.readouterr().err
    assert main(clustering, options) == 2
    assert "--num-clusters is needed, and is not given" in capsys.readouterr().err
    assert not out.exists()


class PlainUMAP:
    """Stands in for that of umap-learn, which is optional: the first columns of the codes."""

    scale = 1.0

    def __init__(self, *, n_components, random_state, **options):
        self.num_columns = n_components
        assert options == {"n_neighbors": 7, "min_dist": 0.0, "n_jobs": 1}
        assert random_state >= 0

    def fit_transform(self, codes):
        return self.scale * self.transform(codes)

    def transform(self, codes):
        return codes[:, : self.num_columns]


def test_n2d_clusters_and_predicts_by_umap_or_says_that_it_is_another(
    tmp_path, monkeypatch, capsys
):
    module = types.ModuleType("umap")
    module.__spec__ = importlib.machinery.ModuleSpec("umap", None)
    module.UMAP = PlainUMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    options = PRETRAINED | {"num_seeds": 2, "num_restarts": 1, "num_neighbors": 7}
    options |= {"embedding_dim": 3}
    summary = run(configure(clustering, "n2d", out=tmp_path / "run", **options))
    assert summary["metrics"]["accuracy"]["mean"] > 0.15
    np.savez(tmp_path / "new.npz", x=load("digits").x[100:160])
    columns = predict.run(predict.Config(run=tmp_path / "run", data=tmp_path / "new.npz"))
    of_run = polars.read_csv(tmp_path / "run" / "clusters.csv")[100:160]
    assert columns["cluster"].tolist() == of_run["network_0"].to_list()
    assert columns["cluster by network 1"].tolist() == of_run["network_1"].to_list()
    monkeypatch.setattr(PlainUMAP, "scale", 2.0)
    arguments = [str(tmp_path / "run"), "--data", str(tmp_path / "new.npz")]
    assert main(predict, [*arguments, "--out", str(tmp_path / "again.csv")]) == 2
    assert "fitted again on the data of the run, differs" in capsys.readouterr().err


def test_n2d_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(clustering, ["n2d", "--out", str(tmp_path / "run")]) == 2
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
