"""Buy or not: features of skewed numbers, scores, and a whole run on a small table."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from experiments.purchase import experiment
from experiments.purchase.config import Config
from experiments.purchase.features import fit_features
from jaxnet.runs import compare_runs, verify_run


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Visits whose duration, which is skewed, and page decide about a purchase."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "visits.csv"
    duration = np.exp(generator.normal(3, 1.5, 240)) * (generator.random(240) < 0.7)
    page = generator.choice(["home", "cart"], 240)
    odds = np.log1p(duration) - 3 + 2 * (page == "cart")
    bought = generator.random(240) < 1 / (1 + np.exp(-2 * odds))
    rows = zip(duration.round(3), page, np.where(bought, "yes", "no"), strict=True)
    path.write_text("seconds,page,bought\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    return path


@pytest.fixture(scope="module")
def config(table, tmp_path_factory):
    return Config(
        data=table,
        label="bought",
        num_folds=3,
        hidden_dims=(8,),
        dropout=0.0,
        batch_size=40,
        num_epochs=30,
        learning_rate=0.02,
        num_seeds=2,
        out=tmp_path_factory.mktemp("run") / "run",
    )


@pytest.fixture(scope="module")
def summary(config):
    return experiment.run(config)


def test_a_run_compares_networks_with_boosting(config, summary):
    assert verify_run(config.out)["experiment"] == "purchase"
    values = summary["metrics"]
    assert len(values["roc_auc"]["values"]) == 3 and values["roc_auc"]["mean"] > 0.8
    assert values.keys() == summary["baseline"]["metrics"].keys()
    [rows] = summary["tables"].values()
    assert [row[0] for row in rows[1:]] == [
        "ensemble of 2 networks",
        "one network",
        "HistGradientBoosting",
    ]


def test_a_second_run_is_bitwise_identical(config, summary, tmp_path):
    experiment.run(dataclasses.replace(config, out=tmp_path / "run"))
    assert not compare_runs(config.out, tmp_path / "run")


def test_features_are_normal_scores_logarithms_and_zeros():
    generator = np.random.default_rng(0)
    train = np.stack([np.exp(generator.normal(size=300)), generator.random(300) < 0.5], axis=1)
    train[:30, 0] = 0
    features = fit_features(train)
    values = features(train)
    assert values.shape == (300, 4)
    np.testing.assert_array_equal(values[:, 0], train[:, 1])
    np.testing.assert_array_equal(values[:, 3], train[:, 0] == 0)
    ranks = np.argsort(np.argsort(train[30:, 0]))
    scores = norm.ppf((ranks + 30.5) / 300)
    np.testing.assert_allclose(values[30:, 1], np.clip(scores, -3, 3), atol=0.25)
    size = np.median(train[30:, 0])
    logs = np.log1p(train[:, 0] / size)
    np.testing.assert_allclose(values[:, 2], (logs - logs.mean()) / logs.std(), atol=1e-5)
    # New rows, beyond all that was seen, are finite.
    assert np.isfinite(features(np.array([[1e9, 0], [-5.0, 1]]))).all()
    assert fit_features(train[:, 1:])(train[:, 1:]).shape == (300, 1)


def test_scores_are_those_of_scikit_learn_and_cost_is_that_of_the_decisions():
    generator = np.random.default_rng(1)
    p, y = generator.random(200).astype(np.float32), generator.integers(2, size=200)
    scores = experiment._scores(Config(), [p], [y])
    assert scores["average_precision"][0] == pytest.approx(average_precision_score(y, p), abs=1e-5)
    assert scores["roc_auc"][0] == pytest.approx(roc_auc_score(y, p), abs=1e-5)
    costs = [
        5 if a < 1 / 6 and b else float(a >= 1 / 6 and not b) for a, b in zip(p, y, strict=True)
    ]
    assert scores["cost"][0] == pytest.approx(np.mean(costs))


def test_mistakes_are_rejected(config, tmp_path, monkeypatch):
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    with pytest.raises(ValueError, match="is not in a folder that JAXNET_DATA names"):
        experiment.load_data(Config())
    with pytest.raises(ValueError, match="unknown data set 'shop' of purchases"):
        experiment.load_data(Config(dataset="shop"))
    other = tmp_path / "three.csv"
    other.write_text("size,kind\n" + "".join(f"{n},{'abc'[n % 3]}\n" for n in range(30)))
    wrong = dataclasses.replace(config, data=other, label="kind", out=tmp_path / "run")
    with pytest.raises(ValueError, match="the table has 3 classes, expected two"):
        experiment.run(wrong)
    assert not (tmp_path / "run").exists()
