"""Few labels: draws, variances, inputs, and the command with its run directory."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from scipy import stats
from sklearn.feature_extraction.text import TfidfTransformer

from experiments import predict
from experiments.command import main
from experiments.data import Dataset, load
from experiments.protocol import configure
from experiments.semi_supervised import experiment as semi_supervised
from experiments.semi_supervised.config import Config
from experiments.semi_supervised.draws import UNLABELED, divide
from experiments.semi_supervised.inputs import apply_directions, fit_directions, token_counts
from experiments.semi_supervised.peers import peers_for, score_peer
from experiments.semi_supervised.variance import paired_difference, variance_components
from jaxnet.checkpoint import Checkpoints
from jaxnet.nn.sequences import pad_sequences
from jaxnet.runs import compare_runs, verify_run

SMALL: dict[str, Any] = {
    "num_draws": 2,
    "num_epochs": 2,
    "supervised_epochs": 2,
    "hidden_dims": (16,),
}


def results(rng, num_draws, num_seeds, *, std_draws, std_seeds):
    draws = rng.normal(0, std_draws, (num_draws, 1))
    return 5 + draws + rng.normal(0, std_seeds, (num_draws, num_seeds))


def test_variances_are_those_of_an_analysis_of_variance():
    values = results(np.random.default_rng(0), 6, 4, std_draws=1.0, std_seeds=0.5)
    parts = variance_components(values)
    assert parts.std_draws is not None and parts.std_seeds is not None
    ratio = 4 * parts.std_draws**2 / parts.std_seeds**2 + 1
    np.testing.assert_allclose(ratio, stats.f_oneway(*values).statistic)
    np.testing.assert_allclose(parts.standard_error, stats.sem(values.mean(axis=1)))


def test_variances_are_unbiased():
    rng, estimates = np.random.default_rng(1), []
    for _ in range(2000):
        parts = variance_components(results(rng, 5, 3, std_draws=2.0, std_seeds=1.0))
        assert parts.std_draws is not None and parts.std_seeds is not None
        estimates.append((parts.std_draws**2, parts.std_seeds**2))
    # Six standard errors of 2 000 means; the variance of draws is hardly ever cut at 0 here.
    np.testing.assert_allclose(np.mean(estimates, axis=0), (4.0, 1.0), rtol=0.12)


def test_one_draw_or_one_seed_leaves_a_variance_open():
    values = results(np.random.default_rng(2), 5, 1, std_draws=1.0, std_seeds=1.0)
    parts = variance_components(values)
    assert parts.std_seeds is None and parts.std_draws is not None
    np.testing.assert_allclose(parts.std_draws, values.std(ddof=1))
    parts = variance_components(values.T)
    assert parts.std_draws is None and parts.standard_error is None
    assert parts.std_seeds is not None
    np.testing.assert_allclose(parts.std_seeds, values.std(ddof=1))


def test_a_paired_difference_is_that_of_a_paired_test():
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(size=(7, 3)), rng.normal(size=(7, 1))
    mean, error = paired_difference(ours, theirs)
    assert error is not None
    expected = stats.ttest_rel(ours.mean(axis=1), theirs[:, 0]).statistic
    np.testing.assert_allclose(mean / error, expected)


def test_draws_are_stratified_and_no_part_overlaps():
    digits = load("digits")
    options: dict[str, Any] = {"test_size": 500, "labels_per_class": 5, "seed": 3}
    parts = divide(digits, num_draws=3, **options)
    assert len(parts.held_out) == 500 and len(parts.train) == 1297
    assert not set(parts.train) & set(parts.held_out)
    assert set(parts.labeled.ravel()) <= set(parts.train)
    for draw in parts.labeled:
        assert np.bincount(digits.y[draw]).tolist() == [5] * 10
    assert len({tuple(draw) for draw in parts.labeled}) == 3
    # A draw does not depend on how many there are.
    np.testing.assert_array_equal(divide(digits, num_draws=1, **options).labeled, parts.labeled[:1])


def test_settings_are_chosen_without_the_test_part():
    digits = load("digits")
    options: dict[str, Any] = {"labels_per_class": 5, "num_draws": 2, "seed": 0}
    test = set(divide(digits, test_size=500, **options).held_out)
    parts = divide(digits, test_size=500, on_validation=True, **options)
    assert len(parts.held_out) == 1297 // 4
    assert not test & {*parts.train, *parts.held_out, *parts.labeled.ravel()}


def test_labels_that_are_missing_are_only_learned_from():
    y = np.array([0, 1] * 20 + [UNLABELED] * 60, np.int32)
    dataset = Dataset("some", np.zeros((100, 1), np.float32), y, class_names=("a", "b"))
    parts = divide(dataset, test_size=None, labels_per_class=None, num_draws=1, seed=0)
    assert len(parts.held_out) == 8 and parts.labeled.shape == (1, 32)
    assert set(range(40, 100)) <= set(parts.train) and (y[parts.held_out] >= 0).all()


def test_what_cannot_be_drawn_is_rejected():
    iris = load("iris")
    options: dict[str, Any] = {"num_draws": 2, "seed": 0}
    with pytest.raises(ValueError, match="labels_per_class 41: class 'setosa' has 40"):
        divide(iris, test_size=None, labels_per_class=41, **options)
    with pytest.raises(ValueError, match="num_draws 2 needs --labels-per-class"):
        divide(iris, test_size=None, labels_per_class=None, **options)
    with pytest.raises(ValueError, match="test_size 149 leaves fewer"):
        divide(iris, test_size=149, labels_per_class=1, **options)


def test_inputs_of_texts_are_principal_directions_of_tf_idf():
    rng = np.random.default_rng(0)
    tokens = pad_sequences([rng.integers(1, 30, rng.integers(3, 20)) for _ in range(60)])
    counts = token_counts(tokens, 40).toarray()
    for row, values, length in zip(counts, tokens.values, tokens.length, strict=True):
        np.testing.assert_array_equal(row, np.bincount(values[:length], minlength=40))
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts).toarray()
    directions = fit_directions(tokens, 40, 5, seed=0)
    inputs = apply_directions(directions, tokens)
    np.testing.assert_allclose(np.mean(inputs**2), 1, rtol=1e-4)
    left, singular, _ = np.linalg.svd(weights, full_matrices=False)
    expected = left[:, :5] * singular[:5]
    # Up to signs and the scale, by the products of all pairs of texts.
    products = inputs @ inputs.T
    scale = np.mean(expected**2)
    np.testing.assert_allclose(products, expected @ expected.T / scale, atol=0.02 * products.max())


def test_peers_do_not_see_labels_that_are_not_drawn():
    digits = load("digits")
    x = digits.x.reshape(len(digits.x), -1)
    parts = divide(digits, test_size=500, labels_per_class=5, num_draws=2, seed=0)
    hidden = np.setdiff1d(parts.train, parts.labeled)
    changed = digits.y.copy()
    changed[hidden] = np.random.default_rng(0).permutation(changed[hidden])
    for name, peer in peers_for(len(parts.train), is_text=False).items():
        errors = score_peer(peer, x, digits.y, parts)
        assert errors.shape == (2,) and (errors < 0.25).all(), name
        np.testing.assert_array_equal(score_peer(peer, x, changed, parts), errors)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, rendered_figures):
    """The directory of a finished run of two methods on digits, and its summary."""
    out = tmp_path_factory.mktemp("semi") / "run"
    methods = ("supervised", "mean_teacher")
    config = configure(
        semi_supervised, dataset="digits", methods=methods, num_seeds=2, out=out, **SMALL
    )
    with rendered_figures():
        return out, semi_supervised.run(config)


def test_the_run_directory_keeps_the_contract(finished):
    out, summary = finished
    assert verify_run(out) == json.loads(json.dumps(summary))
    assert summary["num_seeds"] == 4
    assert summary["num_examples"] == {"labelled": 100, "training": 1297, "held out": 500}
    assert list(summary["state_sha256"]) == ["labels", "supervised", "mean_teacher"]
    errors = summary["metrics"]["error of mean_teacher"]["values"]
    assert len(errors) == 4 and len(summary["params_sha256"]["mean_teacher"]) == 4
    assert len(set(summary["params_sha256"]["mean_teacher"])) == 4
    shown = variance_components(np.reshape(errors, (2, 2)))._asdict()
    assert shown.items() <= summary["variance"]["mean_teacher"].items()
    table = summary["tables"]["Errors"]
    assert [row[0] for row in table[1:3]] == ["supervised", "mean teacher"]
    assert {"LabelSpreading, 7 neighbors", "logistic regression"} <= {row[0] for row in table}
    for name in ("labels", "supervised", "mean_teacher"):
        assert (out / name / "metrics.jsonl").read_text().count("\n") == 2
    assert {path.stem for path in (out / "figures").iterdir()} == {"errors", "curves"}


def test_the_networks_of_all_methods_predict(finished, tmp_path):
    out, summary = finished
    digits = load("digits")
    parts = divide(digits, test_size=500, labels_per_class=10, num_draws=2, seed=0)
    np.savez(tmp_path / "new.npz", x=digits.x[parts.held_out])
    config = predict.Config(run=out, data=tmp_path / "new.npz", out=tmp_path / "new.csv")
    predictions = predict.run(config)
    assert "class by supervised" in predictions
    wrong = np.mean(predictions["class"] != digits.y[parts.held_out].astype(str))
    # The mean of the probabilities of four networks errs no more than the worst of them.
    assert 0 < wrong <= max(summary["metrics"]["error of mean_teacher"]["values"])
    total = sum(predictions[f"probability of {name}"] for name in digits.class_names)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def steps(out: Path):
    return Checkpoints(out / "checkpoints").steps()


@pytest.mark.crash
def test_an_interrupted_method_continues_and_a_replay_is_identical(call, tmp_path):
    methods = ("supervised", "fixmatch", "ladder", "autoencoder", "rbm")
    options = ["--methods", *methods, "--num-draws", 2, "--num-epochs", 2, "--hidden-dims", 8]
    options += ["--supervised-epochs", 1, "--pretrain-epochs", 1, "--checkpoint-every", 10]
    whole, out = tmp_path / "whole", tmp_path / "run"
    call("semi_supervised", *options, "--out", whole)
    # As if killed while it trained the ladder network.
    shutil.copytree(whole, out)
    (out / "summary.json").unlink()
    for name in ("autoencoder_pretraining", "autoencoder", "rbm_pretraining", "rbm"):
        shutil.rmtree(out / name)
    ladder = out / "ladder"
    shutil.rmtree(ladder / "checkpoints" / f"{max(steps(ladder)):08d}")
    assert steps(ladder)
    first = (out / "fixmatch" / "metrics.jsonl").read_text()
    assert re.search(r"resuming at step [1-9]", call("semi_supervised", "--resume", out))
    assert (out / "fixmatch" / "metrics.jsonl").read_text() == first
    assert compare_runs(whole, out) == ()
    assert "identical: parameters, state and metrics" in call("replay", whole)


def test_a_table_with_missing_labels_is_learned_and_predicted(tmp_path):
    rng = np.random.default_rng(0)
    kind = np.repeat(["left", "right"], 60)
    size = rng.normal(np.where(kind == "left", -2, 2), 1)
    known = np.where(np.arange(120) % 3 == 0, kind, "")
    table = polars.DataFrame({"size": size, "weight": rng.normal(size=120), "kind": known})
    table.write_csv(tmp_path / "some.csv")
    config = configure(
        semi_supervised,
        data=tmp_path / "some.csv",
        label="kind",
        methods=("supervised", "pseudo_labels"),
        num_seeds=2,
        out=tmp_path / "run",
        num_epochs=60,
        hidden_dims=(32,),
    )
    summary = semi_supervised.run(config)
    assert summary["num_examples"] == {"labelled": 32, "training": 112, "held out": 8}
    assert "80 of 120 rows have no kind" in summary["data"]["as read from the file"]
    table.drop("kind").write_csv(tmp_path / "new.csv")
    predictions = predict.run(
        predict.Config(run=tmp_path / "run", data=tmp_path / "new.csv", out=tmp_path / "p.csv")
    )
    assert np.mean(predictions["class"] == kind) > 0.9


def test_texts_are_learned_and_predicted(tmp_path):
    rng = np.random.default_rng(0)
    others = np.array(["please", "my", "now", "today", "제발", "오늘"])
    topic = ["card", "핀번호"] * 50
    said = [" ".join([*rng.choice(others, 3), name]) for name in topic]
    table = polars.DataFrame({"said": said, "topic": topic})
    table.write_csv(tmp_path / "calls.csv")
    config = configure(
        semi_supervised,
        data=tmp_path / "calls.csv",
        text="said",
        label="topic",
        methods=("supervised", "pseudo_labels"),
        labels_per_class=5,
        num_draws=2,
        num_features=10,
        num_epochs=40,
        batch_size=32,
        out=tmp_path / "run",
    )
    summary = semi_supervised.run(config)
    assert summary["num_examples"] == {"labelled": 10, "training": 80, "held out": 20}
    assert "error of logistic regression, TF-IDF of characters" in summary["metrics"]
    table.drop("topic").write_csv(tmp_path / "new.csv")
    predictions = predict.run(
        predict.Config(run=tmp_path / "run", data=tmp_path / "new.csv", out=tmp_path / "p.csv")
    )
    assert np.mean(predictions["class"] == np.array(topic)) > 0.9


def test_mistakes_are_rejected_before_anything_is_written(tmp_path, capsys):
    def rejected(*options):
        arguments = [*map(str, options), "--out", str(tmp_path / "run")]
        assert main(semi_supervised, arguments) == 2
        assert not (tmp_path / "run").exists()
        return capsys.readouterr().err

    assert "fixmatch moves images, and iris holds none" in rejected(
        "--dataset", "iris", "--methods", "fixmatch"
    )
    assert "method ladder computes in float32" in rejected("--precision", "bfloat16")
    assert "predictor rbm is not one of the methods" in rejected(
        "--methods", "ladder", "--predictor", "rbm"
    )


def test_series_are_rejected():
    length = np.full(4, 3, np.int32)
    series = Dataset("some", np.zeros((4, 3, 1), np.float32), length, length=length)
    with pytest.raises(ValueError, match="takes images, tables and texts"):
        semi_supervised.check(Config(), series)


def test_supervised_training_is_always_among_the_methods():
    assert Config(methods=("rbm",)).methods == ("supervised", "rbm")
    with pytest.raises(ValueError, match="methods must be different"):
        Config(methods=("rbm", "rbm"))
