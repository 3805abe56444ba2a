"""Logs of users: blocks, scores, alarms, and a whole run on a user's file."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from experiments import predict
from experiments.data.logs import Logs
from experiments.logs import experiment, models
from experiments.logs.blocks import Blocks, cut, known_tokens, masquerades
from experiments.logs.config import Config
from experiments.logs.scores import chosen_threshold, score_metrics
from jaxnet.runs import verify_run

SIZE, NUM_EVENTS, USERS = 20, 240, ("ann", "bob", "cid", "dot")


def events_of(user: int, generator: np.random.Generator, number: int) -> list[str]:
    """Events of a user who prefers three of twelve."""
    weights = np.full(12, 0.2)
    weights[3 * user : 3 * user + 3] = 3.0
    return [f"event{i}" for i in generator.choice(12, number, p=weights / weights.sum())]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file of four users; in the log of ann bob's events follow, then unknown ones."""
    generator = np.random.default_rng(0)
    logs = {name: events_of(i, generator, NUM_EVENTS) for i, name in enumerate(USERS)}
    labels = {name: [0] * NUM_EVENTS for name in USERS}
    logs["ann"][160:180], labels["ann"][160:180] = events_of(1, generator, 20), [1] * 20
    logs["dot"][200:220], labels["dot"][200:220] = ["never seen"] * 20, [1] * 20
    path = tmp_path_factory.mktemp("table") / "some.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["at", "account", "action", "other"])
        # The users take turns, and the last event comes first.
        for step in reversed(range(NUM_EVENTS)):
            for name in USERS:
                writer.writerow([step, name, logs[name][step], labels[name][step]])
    return path


@pytest.fixture(scope="module")
def config(table, tmp_path_factory):
    return Config(
        data=table,
        user="account",
        event="action",
        time="at",
        label="other",
        train_fraction=0.5,
        block_size=SIZE,
        stride=4,
        hidden_dims=(),
        dropout=0.0,
        num_folds=2,
        num_epochs=20,
        batch_size=32,
        learning_rate=0.02,
        num_seeds=2,
        out=tmp_path_factory.mktemp("run") / "run",
    )


@pytest.fixture(scope="module")
def summary(config):
    return experiment.run(config)


def test_a_run_finds_the_blocks_of_others(config, summary):
    assert verify_run(config.out)["experiment"] == "logs"
    assert summary["data"]["blocks"] == 24 and summary["data"]["blocks of someone else"] == 2
    assert summary["metrics"]["roc_auc"]["mean"] > 0.95
    assert summary["metrics"].keys() == summary["baseline"]["metrics"].keys()
    assert "not in any training part" in summary["notes"][0]
    with open(config.out / "alarms.csv", encoding="utf-8") as file:
        alarms = list(csv.DictReader(file))
    [found] = [row for row in alarms if row["user"] == "ann" and row["is_masquerade"] == "1"]
    assert (found["first_event"], found["last_event"]) == ("161", "180")
    # The first event behind it is one of bob's, in a row of the file that holds it.
    event, _, where = found["behind_1"].partition(" (")
    row = int(where.split("row ")[1].split(")")[0])
    with open(config.data, encoding="utf-8") as file:
        assert list(csv.DictReader(file))[row - 1]["action"] == event
    assert event in ("event3", "event4", "event5")


def test_a_saved_run_names_users_events_and_threshold(config, summary):
    model = json.loads((config.out / "model.json").read_text(encoding="utf-8"))
    assert model["users"] == list(USERS) and model["block_size"] == SIZE
    assert len(model["vocabulary"]) == 12 and model["threshold"] == summary["threshold"]


def test_labels_change_nothing_but_the_metrics(config, summary, tmp_path):
    """A second run lists the same alarms; its networks are bitwise identical."""
    again = experiment.run(dataclasses.replace(config, label=None, out=tmp_path / "run"))
    assert again["metrics"].keys() == {"alarm_rate"}
    assert again["params_sha256"] == summary["params_sha256"]
    alarms = [
        (path / "alarms.csv").read_text(encoding="utf-8") for path in (config.out, tmp_path / "run")
    ]
    first, second = ([row[:4] for row in csv.reader(text.splitlines())] for text in alarms)
    assert first == second


def test_later_logs_are_scored_as_the_run_scored_them(config, summary, tmp_path, capsys):
    with open(config.data, encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    later = [row for row in rows if int(row[0]) >= NUM_EVENTS // 2]
    later += [["0", "eve", "event1", "0"]] * SIZE + [["0", "cid", "event6", "0"]]
    later = [row for row in later if row[1] != "bob"] + [["0", "bob", "event3", "0"]]
    path = tmp_path / "later.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *later])
    table = predict.run(predict.Config(run=config.out, data=path))
    printed = capsys.readouterr().out
    assert "the run does not know are left out: 'eve'" in printed
    assert "fewer than 20 events, a block, are left out: 'bob'" in printed
    with open(tmp_path / "later.predictions.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(table["user"]) == 6 + 7 + 6
    # An event more at the beginning moves the blocks of cid.
    kept = np.isin(table["user"], ["ann", "dot"])
    with open(config.out / "alarms.csv", encoding="utf-8") as file:
        alarms = [row for row in csv.DictReader(file) if row["user"] in ("ann", "dot")]
    assert table["alarm"][kept].sum() == len(alarms) > 0
    np.testing.assert_array_equal(table["alarm"], table["score"] >= np.float32(model_of(config)))
    for alarm in alarms:
        (row,) = np.flatnonzero(
            (table["user"] == alarm["user"])
            & (np.abs(table["score"] - float(alarm["score"])) < 2e-4)
        )
        first, last = later[table["first_row"][row] - 1], later[table["last_row"][row] - 1]
        assert first[1] == last[1] == alarm["user"]
        assert (int(first[0]) + 1, int(last[0]) + 1) == (
            int(alarm["first_event"]),
            int(alarm["last_event"]),
        )
        assert table["behind_1"][row].split(" (")[0] == alarm["behind_1"].split(" (")[0]


def model_of(config):
    return json.loads((config.out / "model.json").read_text(encoding="utf-8"))["threshold"]


def test_mistakes_of_later_logs_are_named(config, summary, tmp_path):
    path = tmp_path / "later.csv"
    path.write_text("at,account,action\n" + "1,eve,event1\n" * SIZE, encoding="utf-8")
    with pytest.raises(ValueError, match="holds no user of the run with at least 20 events"):
        predict.run(predict.Config(run=config.out, data=path))
    path.write_text("at,action\n1,event1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="account"):
        predict.run(predict.Config(run=config.out, data=path))
    with pytest.raises(ValueError, match="trained on logs and recommends nothing"):
        predict.run(predict.Config(run=config.out, user=("ann",)))
    with pytest.raises(ValueError, match=r"id: .* was trained on logs, for which it means nothing"):
        predict.run(predict.Config(run=config.out, data=path, id=("at",)))
    with pytest.raises(ValueError, match="data: name the file of the new logs"):
        predict.run(predict.Config(run=config.out))
    assert not (tmp_path / "later.predictions.csv").exists()


def test_naive_bayes_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    logs = generator.integers(9, size=(3, 50))
    train = Blocks(logs.reshape(30, 5), np.repeat([0, 1, 2], 10), np.zeros(30))
    blocks = Blocks(generator.integers(10, size=(8, 5)), np.arange(8) % 3, np.zeros(8))
    tokens = known_tokens(train, 10)
    scores = models.bayes_scores(dict(enumerate(logs)), tokens, blocks)

    def counts(blocks):
        return np.array([np.bincount(tokens[row], minlength=10) for row in blocks.events])

    for user in range(3):
        bayes = MultinomialNB(alpha=models.PSEUDO_COUNT, fit_prior=False)
        bayes.fit(counts(train), train.user == user)
        rows = blocks.user == user
        log = np.asarray(bayes.predict_joint_log_proba(counts(blocks)[rows]))
        np.testing.assert_allclose(scores[rows], log[:, 0] - log[:, 1], rtol=1e-9)


def test_the_effect_of_an_event_is_the_fall_of_the_score_without_it(key):
    network = models.build_network(Config(hidden_dims=(4,)), 6, 3)
    params = jax.jit(jax.vmap(network.init))(jax.random.split(key, 2))
    tokens = np.array([1, 2, 2, 0, 5, 1, 1, 0], np.int32)
    run = models.logits_without(network)
    effects = models.event_effects(run, params, tokens, 1, 10)

    def score(tokens):
        return models.network_scores(network, params, tokens[None], np.array([1])).mean()

    fall = {2: score(tokens), 1: score(tokens), 5: score(tokens)}
    fall = {event: total - score(tokens[tokens != event]) for event, total in fall.items()}
    expected = sorted(((value, event) for event, value in fall.items() if value > 0), reverse=True)
    assert [int(tokens[position]) for position, _ in effects] == [event for _, event in expected]
    np.testing.assert_allclose([e for _, e in effects], [v for v, _ in expected], atol=1e-5)


def test_unknown_events_count_as_nothing(key):
    network = models.build_network(Config(hidden_dims=(4,)), 6, 3)

    @jax.jit
    def both(key):
        params = network.init(key)
        return [network.apply(params, jnp.array([row])) for row in ([1, 2, 3], [0, 1, 2, 0, 3])]

    known, found = both(key)
    np.testing.assert_allclose(found, known, 1e-6)


def test_cost_is_the_lowest_over_all_thresholds():
    generator = np.random.default_rng(0)
    scores, is_other = generator.normal(size=60).astype(np.float32), generator.random(60) < 0.3
    scores += is_other
    found = score_metrics(scores, is_other, 6.0)
    costs = [
        100 * (scores[is_other] < t).mean() + 600 * (scores[~is_other] >= t).mean()
        for t in [*scores, np.inf]
    ]
    assert found["cost"] == pytest.approx(min(costs))
    assert not (scores == chosen_threshold(scores, is_other, 6.0)).any()


def test_the_last_block_of_a_log_ends_with_it():
    log = np.arange(25, dtype=np.int32)
    label = np.arange(25) == 24
    logs = Logs("some", ("a", "b"), ("x",) * 25, (log, log[:9]), (4, 4), (label, label[:9]))
    blocks = cut(logs, [0, 1], [4, 4], [25, 9], block_size=10, stride=10)
    np.testing.assert_array_equal(blocks.start, [4, 14, 15])
    np.testing.assert_array_equal(masquerades(logs, blocks), [False, False, True])


def test_logs_that_are_too_short_and_too_few_users_are_rejected(config):
    log = np.zeros(100, np.int32)
    logs = Logs("some", USERS, ("x",), (log, log, log[:45], log), (40,) * 4)
    with pytest.raises(ValueError, match="user 'cid' has 40 events for training and 5 after"):
        experiment.check(config, logs)
    logs = Logs("some", USERS[:2], ("x",), (log, log), (40,) * 2)
    with pytest.raises(ValueError, match="of 2 users, expected at least 4"):
        experiment.check(config, logs)
    with pytest.raises(ValueError, match="unknown data set 'shonlau' of logs"):
        experiment.load_data(Config(dataset="shonlau"))
