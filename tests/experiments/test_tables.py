"""Default networks beside scikit-learn's classifiers on tables; defaults for users' tables."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from experiments.classification.config import Config as Network
from experiments.classification.config import Linear
from experiments.classification.recipes import recipe
from experiments.command import main
from experiments.data import split
from experiments.facts import Facts
from experiments.tables import experiment as tables
from experiments.tables.classifiers import PEERS, divide, score_peer
from experiments.tables.config import Config
from experiments.tables.inputs import TABLES, load_tables
from jaxnet.runs import verify_run


def test_there_are_at_least_eight_tables_and_users_add_theirs(tmp_path):
    assert len(TABLES) >= 8
    rows = [f"{index},{index % 5},{'ab'[index % 2]}" for index in range(30)]
    (tmp_path / "mine.csv").write_text("\n".join(["x,y,kind", *rows]))
    mine = {"data": (tmp_path / "mine.csv",), "label": ("kind",)}
    assert [table.name for table in load_tables(Config(**mine))] == ["mine"]
    both = load_tables(Config(tables=("iris", "noisy"), **mine))
    assert [table.name for table in both] == ["iris", "noisy", "mine"]
    assert not any(table.is_named or table.published for table in both)
    for options, message in (
        ({"tables": ("irs",)}, "unknown table 'irs'; known: iris"),
        ({"data": (tmp_path / "mine.csv",)}, "1 files of --data need one --label each, found 0"),
    ):
        with pytest.raises(ValueError, match=message):
            load_tables(Config(**options))


def test_peers_learn_from_the_training_rows_of_each_split():
    (iris,) = load_tables(Config(tables=("iris",)))
    parts = [split(iris, seed=seed) for seed in range(2)]
    table = divide(tables.default_network(iris), iris, parts)
    scores = score_peer("LogisticRegression", table, 0)
    for part, accuracy in zip(parts, scores["accuracy"], strict=True):
        scaler = StandardScaler().fit(iris.x[part.train])
        model = LogisticRegression(max_iter=1000)
        model.fit(scaler.transform(iris.x[part.train]), iris.y[part.train])
        expected = model.score(scaler.transform(iris.x[part.test]), iris.y[part.test])
        assert accuracy == pytest.approx(expected)


def test_the_command_compares_on_each_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NPROC", "1")
    network = Network(model=Linear(), label_smoothing=0.0, num_epochs=1, batch_size=16)
    monkeypatch.setattr(tables, "default_network", lambda dataset: network)
    # A few trees: the threads of 300 small ones wait for each other on busy cores.
    boosting = HistGradientBoostingClassifier(max_iter=3, random_state=0)
    monkeypatch.setitem(PEERS, "HistGradientBoosting", lambda seed: boosting)
    out = tmp_path / "run"
    options = ["--tables", "iris", "--num-seeds", "1", "--num-threads", "1", "--out", str(out)]
    assert main(tables, options) == 0
    summary = verify_run(out)
    metrics = summary["metrics"]
    assert len(metrics["iris: accuracy of jaxnet"]["values"]) == 4
    header, row = summary["tables"]["Test accuracy"]
    cells = dict(zip(header, row, strict=True))
    assert (cells["table"], cells["rows"], cells["splits"]) == ("iris", "150", "4")
    ours, theirs = (
        np.array(metrics[f"iris: accuracy of {name}"]["values"])
        for name in ("jaxnet", "MLPClassifier")
    )
    difference = ours - theirs
    error = difference.std(ddof=1) / 2
    assert cells["minus MLP"] == f"{difference.mean():+.4f} ± {error:.4f}"
    # One epoch of a linear model is worse, which is said.
    assert "iris: the network is less accurate than MLPClassifier" in summary["notes"][0]
    assert "Default networks beside scikit-learn" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [18, 150, 5000, 100_000])
def test_defaults_for_a_users_table_fit_its_rows(rows):
    facts = Facts(rows, (4,), 2)
    config = recipe(facts, given={})
    assert isinstance(config.batch_size, int) and config.batch_size <= 0.6 * rows
    assert config.patience is not None and config.optimizer == "adamw"
    assert recipe(facts, given={"cross_validate": 5}).patience is None
