"""Texts from a user's table to predictions, and the comparison with linear classifiers."""

import dataclasses
from typing import Any

import numpy as np
import polars
import pytest

from experiments import predict, topic_clusters, topics
from experiments.classification import experiment as classification
from experiments.clustering import experiment as clustering
from experiments.data import Dataset
from experiments.data.texts.text_format import TextFormat
from experiments.data.texts.text_table import text_dataset
from experiments.protocol import configure

WORDS = {"card": ("card", "카드를"), "pin": ("pin", "비밀번호를"), "fee": ("fee", "수수료가")}


def calls(num_rows: int) -> polars.DataFrame:
    """Sentences with a word of their topic among others."""
    generator = np.random.default_rng(num_rows)
    others = np.array(["please", "my", "now", "today", "제발", "오늘"])
    topic = [list(WORDS)[index % 3] for index in range(num_rows)]
    said = [
        " ".join([*generator.choice(others, 3), generator.choice(WORDS[name])]) for name in topic
    ]
    return polars.DataFrame({"id": range(num_rows), "said": said, "topic": topic})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    calls(90).write_csv(folder / "calls.csv")
    calls(30).drop("topic").write_csv(folder / "new.csv")
    return folder


def predicted(run, table, name):
    config = predict.Config(run=run, data=table / "new.csv", id=("id",), out=table / name)
    predict.run(config)
    return polars.read_csv(table / name)


def test_classes_of_texts(table):
    given = {"data": table / "calls.csv", "text": "said", "label": "topic"}
    sizes: dict[str, Any] = {
        "num_seeds": 2,
        "num_epochs": 20,
        "embedding_dim": 8,
        "learning_rate": 3e-2,
    }
    config = configure(classification, **given, **sizes, out=table / "classes")
    summary = classification.run(config)
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    written = predicted(table / "classes", table, "classes.csv")
    assert list(map(int, written["id"])) == list(range(30))
    assert np.mean(written["class"].to_numpy() == calls(30)["topic"].to_numpy()) > 0.9


def test_clusters_of_texts(table):
    given = {"data": table / "calls.csv", "text": "said", "label": "topic"}
    sizes: dict[str, Any] = {"num_seeds": 1, "num_clusters": 3, "num_restarts": 2}
    config = configure(clustering, "kmeans", **given, **sizes, out=table / "clusters")
    summary = clustering.run(config)
    assert np.isfinite(summary["metrics"]["nmi"]["mean"])
    written = predicted(table / "clusters", table, "clusters.csv")
    assert set(written["cluster"].to_list()) <= {0, 1, 2}


def test_peers_learn_from_the_rows_of_the_networks(table, monkeypatch):
    frame = calls(60)
    labels = np.array([list(WORDS).index(topic) for topic in frame["topic"]], np.int32)
    texts, fitted = frame["said"].to_list(), TextFormat(class_names=tuple(WORDS))
    folded = text_dataset("banking77", texts, labels, fitted)
    outside = ("vim emacs", "nano sed")
    official = {"num_official_test": 12, "out_of_scope": fitted.tokens(outside)}
    data = {
        "banking77": folded,
        "clinc150": dataclasses.replace(folded, name="clinc150", **official),
        "digits": Dataset("digits", np.zeros((2, 1), np.float32), np.zeros(2, np.int32)),
    }
    trained = []

    def run(config):
        trained.append(config)
        accuracy = {"mean": 1.0, "std": 0.0, "values": [1.0, 1.0]}
        return {"metrics": {"accuracy": accuracy}, "seconds": {"total": 0.0}}

    monkeypatch.setattr(topics, "load", lambda name, **_: data[name])
    monkeypatch.setattr(topics, "load_out_of_scope", lambda _: outside)
    monkeypatch.setattr(topics.classification, "run", run)
    results = topics.run(topics.Config(num_seeds=2))
    assert [(c.dataset, c.cross_validate, c.repeats) for c in trained] == [
        ("banking77", 5, 2),
        ("clinc150", 0, 1),
    ]
    for name, num_values in (("banking77", 5), ("clinc150", 1)):
        peer = results[name]["linear SVM, words"]
        assert len(peer["accuracy"]["values"]) == num_values
        assert peer["accuracy"]["mean"] > 0.9
    assert results["clinc150"]["linear SVM, words"]["out_of_scope_auc_decision_value"]["mean"] > 0.9
    with pytest.raises(ValueError, match="datasets: digits is not a data set of texts"):
        topics.run(topics.Config(datasets=("digits",)))


def test_topics_are_found_without_labels(table, monkeypatch):
    frame = calls(96)
    labels = np.array([list(WORDS).index(topic) for topic in frame["topic"]], np.int32)
    fitted = TextFormat(class_names=tuple(WORDS), num_tokens=512)
    data = text_dataset("calls", frame["said"].to_list(), labels, fitted)
    monkeypatch.setattr(topic_clusters, "load", lambda *_, **__: data)
    config = topic_clusters.Config(
        dataset="calls", embedding_dim=8, batch_size=32, num_seeds=2, num_epochs=2
    )
    codes = np.asarray(topic_clusters.learn_codes(config, data))
    assert codes.shape == (2, 96, 8)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=-1), 1, rtol=1e-5)
    targets = topic_clusters.word_distributions(data.titles)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="batch_size is 256 for 96 texts"):
        topic_clusters.run(topic_clusters.Config(dataset="calls"))
