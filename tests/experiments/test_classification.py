"""The classification command: the files of a run, mistakes, and repeated runs."""

import gzip
import json
import re

import numpy as np
import pytest

from experiments.classification import experiment as classification
from experiments.classification.experiment import run
from experiments.command import main
from experiments.protocol import configure

QUICK = ["--num-epochs", "2", "--num-seeds", "2", "--hidden-dims", "16", "--dropout", "0"]


@pytest.fixture(scope="module")
def first(tmp_path_factory, rendered_figures):
    out = tmp_path_factory.mktemp("classification") / "first"
    with rendered_figures():
        assert main(classification, [*QUICK, "--out", str(out)]) == 0
    return out, json.loads((out / "summary.json").read_text())


def test_the_run_directory_keeps_the_contract(first):
    out, summary = first
    assert (summary["experiment"], summary["dataset"], summary["num_seeds"]) == (
        "classification",
        "digits",
        2,
    )
    assert len(set(summary["params_sha256"])) == 2
    assert {"compile", "train", "total"} == set(summary["seconds"])
    assert summary["device"]
    for metric in summary["metrics"].values():
        assert metric["mean"] == pytest.approx(np.mean(metric["values"]))
        assert metric["std"] == pytest.approx(np.std(metric["values"], ddof=1))
    config = json.loads((out / "config.json").read_text())
    assert config["num_epochs"] == 2
    assert config["learning_rate"] > 0, "what the recipe filled in is recorded"
    manifest = json.loads((out / "manifest.json").read_text())
    assert {"packages", "device", "data_sha256", "git_commit", "started"} <= set(manifest)
    assert {"jax", "jaxlib", "optax"} <= set(manifest["packages"])
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["data_sha256"])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for part in ("train", "validation"):
        assert len(lines[0][part]["accuracy"]) == 2
    for name in ("learning_curves", "confusion", "mistakes"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 1000
    page = (out / "report.html").read_text()
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)


def test_cross_validation_trains_every_fold_of_every_repeat(tmp_path):
    options = {"dataset": "iris", "cross_validate": 3, "repeats": 2, "num_epochs": 30}
    summary = run(configure(classification, out=tmp_path / "run", **options))
    assert len(summary["metrics"]["accuracy"]["values"]) == 6
    assert len(set(summary["params_sha256"])) == 6
    assert summary["metrics"]["accuracy"]["mean"] > 0.85


def test_two_classes_have_a_threshold_that_follows_the_costs(tmp_path, rendered_figures):
    options = {"dataset": "breast_cancer", "num_epochs": 20, "num_seeds": 2}
    config = configure(
        classification, "linear", out=tmp_path / "run", false_negative_cost=50.0, **options
    )
    with rendered_figures():
        metrics = run(config)["metrics"]
    assert (tmp_path / "run" / "figures" / "threshold.png").exists()
    threshold = json.loads((tmp_path / "run" / "model.json").read_text())["threshold"]
    assert threshold == pytest.approx(metrics["threshold"]["mean"], rel=1e-5)
    # That of the costs is 1 / 51.
    assert 0 < threshold < 0.1
    assert metrics["false_negative_rate"]["mean"] < metrics["false_positive_rate"]["mean"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "digit"], "unknown data set 'digit'.*digits"),
        (["--dataset", "diabetes"], "diabetes.*regression"),
        (["--optimizer", "adma"], "unknown optimizer 'adma'; did you mean adam"),
        (["--schedule", "cosin"], "unknown schedule 'cosin'; did you mean cosine"),
        (["--learning-rate", "0"], "learning_rate must be greater than 0 and finite, .*found 0"),
        (["--learning-rate", "-1"], "learning_rate must be greater than 0 and finite, .*found -1"),
        (
            ["--learning-rate", "nan"],
            "learning_rate must be greater than 0 and finite, .*found nan",
        ),
        (
            ["--learning-rate", "inf"],
            "learning_rate must be greater than 0 and finite, .*found inf",
        ),
        (["--weight-decay", "-1"], "weight_decay must be at least 0 and finite, or None, found -1"),
        (["--clip-norm", "0"], "clip_norm must be greater than 0 and finite, or None, found 0"),
        (["--num-epochs", "0"], "num_epochs must be at least 1, found 0"),
        (["--batch-size", "0"], "batch_size must be at least 1, or all, found 0"),
        (["--batch-size", "100000"], "batch_size must not exceed the 1149 training examples"),
        (["--num-seeds", "0"], "num_seeds must be at least 1, found 0"),
        (["--seed", "-1"], r"seed must be an integer in \[0, 4294967296\), found -1"),
        (["cnn", "--dataset", "wine"], "model cnn needs images, wine is a table"),
        (["cnn", "--channels", "8", "8", "8", "8"], "4 stages halve an image of 8x8"),
        (["--cross-validate", "1"], "cross_validate must be 0 or at least 2, found 1"),
        (["--cross-validate", "5000"], "5000"),
        (["--cross-validate", "3", "--repeats", "0"], "repeats must be at least 1, found 0"),
        (["--dropout", "1.5"], "dropout.* found 1.5"),
        (["--hidden-dims", "0"], "hidden_dims must be a list in which each is at least 1, found 0"),
        (["--false-positive-cost", "0"], "false_positive_cost must be greater than 0"),
        (["--label-smoothing", "1"], r"label_smoothing must be a number in \[0, 1\), found 1"),
        (["--l2-weight", "-1"], "l2_weight must be at least 0 and finite, found -1"),
        (["--patience", "0"], "patience must be at least 1, or None, found 0"),
        (["--patience", "3", "--cross-validate", "3"], "patience 3 needs validation data"),
        (["--checkpoint-every", "-1"], "checkpoint_every must be at least 0, or None, found -1"),
        (["--num-threads", "0"], "num_threads must be at least 1, or None, found 0"),
        (["--label", "y"], "label is for a user's table, found data set digits; .*--data"),
        (["--impute", "median"], "impute is for a user's table"),
        (["--data", "none.csv"], "data needs --label"),
        (["--data", "none.csv", "--dataset", "iris"], "leave one of the two out"),
        (["mpl"], "unknown model 'mpl'; did you mean mlp"),
        (["linear", "--hidden-dims", "8"], "unrecognized options: --hidden-dims, 8"),
        (["--num-epoch", "3"], "did you mean --num-epochs"),
        (["--num-epochs", "many"], "--num-epochs: invalid literal .* 'many'"),
        (["--dataset", "breast_cancer", "--label-smoothing", "0.1"], "needs more than two classes"),
        (["--max-false-positive-rate", "1"], r"must be a number in \(0, 1\), or None, found 1"),
        (["--data", "none.csv", "--label", "y"], "none.csv: there is no such file"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(classification, [*options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{message}.*\n", error), error
    assert not out.exists()


def test_a_directory_of_another_run_stays_as_it_is(first, capsys):
    out, _ = first
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(classification, [*QUICK, "--out", str(out)]) == 2
    assert "already holds" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_corrupt_data_file_is_named_with_both_hashes(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"not the digits"))
    monkeypatch.setenv("JAXNET_DATA", str(tmp_path / "data"))
    out = tmp_path / "run"
    assert main(classification, ["--dataset", "mnist", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert len(re.findall(r"[0-9a-f]{64}", error)) == 2
    assert "ubyte.gz" in error
    assert not out.exists()


def test_a_diverging_training_says_where(tmp_path, capsys):
    options = ["--optimizer", "sgd", "--learning-rate", "1e30", "--schedule", "constant"]
    assert main(classification, [*QUICK, *options, "--out", str(tmp_path / "run")]) == 1
    message = r"loss of run 0 became (nan|inf) in epoch 1 at step \d+ \(none is saved\); try"
    assert re.search(message, capsys.readouterr().err)


def test_help_shows_what_applies_with_the_values_that_a_run_would_use(capsys):
    def shown(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(classification, [*arguments, "--help"])
        assert stop.value.code == 0
        return " ".join(re.sub("[│\n]", " ", capsys.readouterr().out).split())

    text = shown("cnn", "--dataset", "mnist")
    assert "--channels [INT [INT ...]] Channels of each stage" in text
    assert re.search(r"Channels of each stage[^(]*\(default: 16 32 64\)", text)
    assert re.search(r"--num-epochs INT Passes over the training data. \(default: 15\)", text)
    assert "--input-dropout" not in text
    text = shown("linear", "--optimizer", "sgd")
    assert "--hidden-dims" not in text and "--dropout" not in text
    assert re.search(r"--learning-rate [^(]*\(default: 0.1\)", text)
    for name in ("linear: Logistic regression", "mlp: ", "cnn: "):
        assert name in text
