"""Experiments on emails; decision thresholds within a rate of false positives, out of fold."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.classification import cross_validation, evaluation
from experiments.classification import experiment as classification
from experiments.classification.experiment import run
from experiments.clustering import experiment as clustering
from experiments.protocol import configure

CORPUS = Path(os.environ.get("JAXNET_DATA") or "missing", "spamassassin", "corpus.tar.xz")
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_file(), reason="JAXNET_DATA names no folder that holds spamassassin/corpus.tar.xz"
)


def test_classification_of_a_few_emails(tmp_path, corpus):
    corpus.write(tmp_path)
    options = {"dataset": "emails", "data_dir": tmp_path, "num_epochs": 8}
    options |= {"max_false_positive_rate": 0.05, "learning_rate": 0.05, "batch_size": 16}

    def config(name, **more):
        return configure(classification, "linear", out=tmp_path / name, **options | more)

    nested = run(config("nested", cross_validate=3))
    assert len(nested["params_sha256"]) == 6 and nested["num_seeds"] == 3
    found = {name: value["mean"] for name, value in nested["metrics"].items()}
    assert found["pooled_recall"] > 0.9 and found["recall"] > 0.9
    assert found["false_positive_rate"] <= 0.05 and "cost" not in found
    single = run(config("single", max_false_positive_rate=0.1))
    assert single["metrics"]["recall"]["mean"] > 0.9


def test_clustering_of_a_few_emails_describes_the_clusters(tmp_path, corpus):
    corpus.write(tmp_path)
    options = {"dataset": "emails", "data_dir": tmp_path}
    options |= {"num_clusters": 2, "code_dim": 2, "batch_size": 16, "num_seeds": 1}
    config = configure(clustering, "autoencoder_kmeans", out=tmp_path / "run", **options)
    summary = clustering.run(config)
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    assert 0 <= summary["metrics"]["nmi_of_groups"]["mean"] <= 1
    header, *groups = summary["tables"]["Clusters"]
    assert header == ("cluster", "examples", "marked by", "typical")
    assert sum(int(size) for _, size, *_ in groups) == summary["num_examples"]["all"]
    assert all(marks and subjects for *_, marks, subjects in groups)


@needs_corpus
@pytest.mark.slow
def test_spam_is_found_within_the_budget(tmp_path):
    options = {"dataset": "emails", "max_false_positive_rate": 0.003, "cross_validate": 5}
    found = run(configure(classification, out=tmp_path / "run", **options))["metrics"]
    assert found["false_positive_rate"]["mean"] <= 0.003
    assert found["recall"]["mean"] >= 0.9
    assert found["roc_auc"]["mean"] > 0.995


# --- thresholds


def test_a_budget_is_that_of_new_examples():
    for negatives, rate, allowed in ((999, 0.01, 9), (332, 0.003, -1), (333, 0.003, 0)):
        if allowed < 0:
            with pytest.raises(ValueError, match="at least 333 negative examples"):
                evaluation.budget_on(rate, negatives)
        else:
            assert int(evaluation.budget_on(rate, negatives) * negatives) == allowed
    # In the mean over many samples, the rate on new data is (m + 1) / (n + 1).
    rng = np.random.default_rng(0)
    scores = np.sort(rng.uniform(size=(4000, 99)))
    allowed = int(evaluation.budget_on(0.05, 99) * 99)
    assert np.mean(1 - scores[:, -1 - allowed]) == pytest.approx(0.05, abs=0.002)


def test_thresholds_never_see_their_test_fold():
    labels = np.tile([0, 0, 1], 40).astype(np.int32)
    plan = cross_validation.plan(labels, num_folds=4, num_repeats=2, seed=0, nested=True)
    assert len(plan.pairs) == 12 and plan.rows(0).shape == (20, 90)
    for (one, other), train in zip(plan.pairs, plan.trains[8:], strict=True):
        assert not {*train} & {*plan.tests[one], *plan.tests[other]} and len(train) == 60
    indices, _ = cross_validation.padded(plan.evaluated)
    outputs = (np.arange(12)[:, None] * 1000 + indices)[..., None].astype(np.float32)
    values, weights = cross_validation.out_of_fold(plan, outputs, 120)
    for fold, test in enumerate(plan.tests):
        rest = np.setdiff1d(np.arange(120), test)
        assert weights[fold].sum() == len(rest) and not weights[fold, test].any()
        pair, example = np.divmod(values[fold, rest, 0].astype(int), 1000)
        assert example.tolist() == rest.tolist()
        assert all(fold in plan.pairs[index] for index in pair), "trained without the test fold"
        own = [set(plan.trains[8 + index]) for index in pair]
        assert not any(row in train for row, train in zip(rest, own, strict=True))


def test_a_threshold_within_a_budget_of_none_is_finite():
    outputs, labels = jnp.array([[9.0], [1.0]]), jnp.array([0, 1])
    threshold = jax.jit(evaluation.threshold_within)(outputs, labels, 0.5)
    assert 1 < threshold < 1.001


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_false_positive_rate": 1.0}, r"a number in \(0, 1\), or None, found 1"),
        ({"max_false_positive_rate": 0.1, "dataset": "iris"}, "for two classes, iris has 3"),
        ({"max_false_positive_rate": 0.1, "cross_validate": 2}, "at least 3 folds"),
        (
            {"max_false_positive_rate": 0.1, "false_positive_cost": 2.0},
            "and so do costs; leave one out",
        ),
        ({"max_false_positive_rate": 0.001}, "at least 999 negative examples"),
    ],
)
def test_rates_that_do_not_fit_leave_nothing(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        options = {"dataset": "breast_cancer"} | options
        run(configure(classification, out=tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()
