"""Recommendation: splits, peers, whole runs on small data, and predictions from them."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import predict
from experiments.data.interactions import Interactions
from experiments.data.named.generated_ratings import generate_ratings
from experiments.protocol import configure
from experiments.recommendation import evaluation, experiment, models, peers
from experiments.recommendation.config import Config
from experiments.recommendation.prediction import chosen
from experiments.recommendation.splits import NOTHING, Split, split_interactions
from jaxnet.runs import verify_run
from jaxnet.runs.compare import compare_runs


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Ratings of 24 users for 12 items in two groups: users like the items of their own group."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "shop.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["customer", "product", "stars", "at"])
        for user in range(24):
            for item in generator.permutation(12)[: 9 if user else 4]:
                stars = (5 if user % 2 == item % 2 else 1) + generator.choice([0, 0, 1, -1])
                writer.writerow([f"c{user}", f"p{item}", np.clip(stars, 1, 5), 10 * user + item])
    return path


def options(table, method, out, **given):
    columns = {"user": "customer", "item": "product", "rating": "stars", "time": "at"}
    given = {"num_folds": 3, "num_seeds": 2, "num_epochs": 20, "batch_size": 8} | given
    return configure(experiment, method, data=table, out=out, **columns, **given)


METHODS = {
    "factorization": {"factor_dim": 2, "row_sparse": True, "learning_rate": 0.03},
    "item_autorec": {"hidden_dim": 4, "learning_rate": 0.03, "num_epochs": 40, "batch_size": 3},
    "user_autorec": {"hidden_dim": 4, "learning_rate": 0.03},
    "rbm": {"hidden_dim": 3, "learning_rate": 0.3},
    "ease": {"num_seeds": 1, "strength": 1.0},
    "mult_vae": {"hidden_dims": (8,), "code_dim": 2, "learning_rate": 0.01},
}


@pytest.fixture(scope="module", params=METHODS)
def finished(request, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    config = options(table, request.param, out, **METHODS[request.param])
    return config, experiment.run(config)


def test_every_method_finds_the_groups(finished):
    config, summary = finished
    assert verify_run(config.out)["experiment"] == "recommendation"
    metrics = summary["metrics"]
    if "rmse" in metrics:
        # The standard deviation of the ratings is 2.
        assert metrics["rmse"]["mean"] < 1.2
        assert metrics["rmse"]["mean"] < summary["baseline"]["metrics"]["rmse"]
    else:
        assert metrics["ndcg_at_10"]["mean"] > summary["baseline"]["metrics"]["ndcg_at_10"]
    assert len(metrics[next(iter(metrics))]["values"]) == config.num_seeds
    [rows] = summary["tables"].values()
    assert rows[1][0] == config.method.name and len(rows) == 4
    assert (config.out / "report.html").exists()


def test_predict_recommends_items_of_the_group_that_the_user_does_not_have(
    finished, table, tmp_path, capsys
):
    config, _ = finished
    found = predict.run(predict.Config(run=config.out, user=("c0", "nobody"), top=3))
    assert "user 'nobody' is not known to the run" in capsys.readouterr().out
    items = found["item"][found["user"] == "c0"]
    with open(table, encoding="utf-8") as file:
        own = {row["product"] for row in csv.DictReader(file) if row["customer"] == "c0"}
    assert not own & set(items)
    # c0 has rated 4 items; two of those left in the group come first.
    assert all(int(item[1:]) % 2 == 0 for item in items[:2])
    assert found["rank"][found["user"] == "nobody"].tolist() == [1, 2, 3]
    value = found["rating" if "rating" in found else "score"][found["user"] == "c0"]
    assert (np.diff(value) <= 0).all()
    new = tmp_path / "new.csv"
    new.write_text("id,customer,product\n7,c1,p1\n8,c1,p2\n9,nobody,p3\n10,c1,unheard\n")
    rated = predict.run(predict.Config(run=config.out, data=new, id=("id",)))
    values = rated["rating" if "rating" in rated else "score"]
    assert values[0] > values[1]
    assert rated["note"].tolist()[2:] == [
        "user 'nobody' is not known",
        "item 'unheard' is not known",
    ]
    with open(tmp_path / "new.predictions.csv", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["7", "8", "9", "10"]
    with pytest.raises(ValueError, match="name one of the two"):
        predict.run(predict.Config(run=config.out))


def test_a_run_does_not_see_what_it_is_tested_on(table):
    """Other ratings in a part change neither the networks without it nor their scores."""
    config = options(table, "factorization", None)
    data = experiment.load_data(config)
    split = split_interactions(config, data)
    changed = np.where(split.code == 1, 4, given_ratings(data)).astype(np.float32)
    others = dataclasses.replace(data, ratings=changed)
    for method in METHODS:
        config = options(table, method, None, **METHODS[method])
        results = []
        for interactions in (data, others):
            if isinstance(config.method, models.RANKING):
                kept = np.ones(len(split.code), bool)
                if interactions is others:
                    kept = split.code != 1
                    kept[np.flatnonzero(split.code == 1)[:3]] = True
                interactions = dataclasses.replace(
                    interactions, pairs=interactions.pairs[kept], ratings=None
                )
                parts = Split(split.code[kept], split.num_parts)
            else:
                parts = split
            model = models.build_model(config, interactions, parts)
            # Rows of the data differ in their order of parts, not in what is known.
            size = len(split.code) if method == "factorization" else 12

            @jax.jit
            def learned(state, arrays, model=model, size=size):
                params = {}
                if model.step is not None:
                    step, batch = model.step, jax.tree.map(lambda leaf: leaf[:size], arrays)
                    state = jax.lax.fori_loop(0, 2, lambda _, state: step(state, batch)[0], state)
                    params = state.params
                return params, model.scores(params, 1, arrays)

            state = None if model.init is None else jax.jit(model.init)(jax.random.key(0), 1)
            results.append(learned(state, model.data))
        jax.tree.map(np.testing.assert_array_equal, *results)


def test_splits_hold_out_each_row_once_the_last_rows_or_the_last_of_each_user():
    pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]], np.int32)
    times = np.array([5.0, 1.0, 2.0, 3.0, 9.0])
    data = Interactions("some", ("a", "b", "c"), ("x", "y"), pairs, np.ones(5), times)
    random = split_interactions(Config(num_folds=2), data)
    assert np.bincount(random.code).tolist() == [3, 2] and random.num_parts == 2
    by_time = split_interactions(Config(split="time", test_fraction=0.4), data)
    assert by_time.code.tolist() == [0, 1, 1, 1, 0] and by_time.num_parts == 1
    last = split_interactions(Config(split="last"), data)
    # The single row of c stays.
    assert last.code.tolist() == [0, 1, 1, 0, 1]
    folds = dataclasses.replace(data, folds=np.array([1, 0, 1, 0, 2]))
    assert split_interactions(Config(), folds).num_parts == 3
    with pytest.raises(ValueError, match="split last needs times, which the data do not have"):
        split_interactions(Config(split="last"), dataclasses.replace(data, times=None))


def given_ratings(data):
    assert data.ratings is not None
    return data.ratings


def test_what_counts_as_chosen():
    data = generate_ratings()
    ratings = given_ratings(data)
    ease = configure(experiment, "ease", dataset="generated")
    few = chosen(ease, data)
    assert len(few.pairs) == (ratings >= 4).sum() and few.ratings is None
    first = few.pairs[0]
    pair = (few.users[first[0]], few.items[first[1]])
    index = np.argmax(ratings >= 4)
    assert pair == (data.users[data.pairs[index, 0]], data.items[data.pairs[index, 1]])
    assert len(chosen(dataclasses.replace(ease, relevant_rating=2.0), data).pairs) > len(few.pairs)
    with pytest.raises(ValueError, match="with a rating of at least 6, expected at least 2"):
        chosen(dataclasses.replace(ease, relevant_rating=6.0), data)


def test_peers_are_their_formulas():
    generator = np.random.default_rng(0)
    ratings = generator.integers(1, 6, (6, 5)).astype(np.float32)
    known = generator.random((6, 5)) < 0.7
    mean, of_users, of_items = peers.damped_biases(ratings, known)
    assert mean == pytest.approx(ratings[known].mean())
    for item in range(5):
        residual = ratings[known[:, item], item] - mean
        assert of_items[item] == pytest.approx(residual.sum() / (25 + len(residual)), abs=1e-6)
    for user in range(6):
        residual = ratings[user, known[user]] - mean - of_items[known[user]]
        assert of_users[user] == pytest.approx(residual.sum() / (10 + len(residual)), abs=1e-6)
    biases = peers.bias_ratings(ratings, known)
    residual = np.where(known, ratings - biases, 0)
    found = peers.neighbor_ratings(ratings, known, ~known)
    user, item = np.argwhere(~known)[0]
    top, total = 0.0, 0.0
    for other in np.flatnonzero(known[user]):
        norms = np.linalg.norm(residual[:, item]) * np.linalg.norm(residual[:, other])
        common = (known[:, item] & known[:, other]).sum()
        similar = residual[:, item] @ residual[:, other] / norms * common / (common + 25)
        if similar > 0:
            top, total = top + similar * residual[user, other], total + similar
    assert found[user, item] == pytest.approx(biases[user, item] + top / (total or 1), abs=1e-4)
    scores = peers.neighbor_scores(known)
    norms = np.sqrt(known.sum(axis=0))
    cosines = known.T.astype(float) @ known / np.outer(norms, norms)
    np.fill_diagonal(cosines, 0)
    np.testing.assert_allclose(scores, known @ cosines, rtol=1e-4, atol=1e-5)


def test_errors_are_those_of_what_is_held_out():
    ratings = np.array([[1.0, 5.0, 2.0], [4.0, 3.0, 1.0]], np.float32)
    known = np.array([[1, 1, 0], [0, 1, 0]], bool)
    held_out = np.array([[0, 0, 1], [1, 0, 0]], bool)
    scores = np.array([[0, 0, 2.5], [9, 0, 0]], np.float32)
    values, curve = evaluation._test_ratings(scores, ratings, known, held_out)
    # 9 is cut to 5, the largest known rating.
    assert values["rmse"] == pytest.approx(np.sqrt((0.5**2 + 1) / 2))
    assert values["mae"] == pytest.approx(0.75)
    assert curve[0] == pytest.approx(0.5) and curve[1] == pytest.approx(1)
    values, recall = evaluation._test_ranking(scores, ratings, known, held_out)
    assert values == {"ndcg_at_10": 1.0, "recall_at_20": 1.0} and recall[0] == 1


def test_mistakes_are_rejected_before_anything_is_written(table, tmp_path):
    out = tmp_path / "run"
    for given, message in (
        ({"rating": None}, "method factorization predicts ratings, which the data do not have"),
        ({"precision": "bfloat16"}, "precision bfloat16 is not for recommendation"),
        ({"num_folds": 10_000}, "num_folds 10000 must not exceed the number of rows"),
    ):
        config = dataclasses.replace(options(table, "factorization", out), **given)
        with pytest.raises(ValueError, match=message):
            experiment.run(config)
    with pytest.raises(ValueError, match="unknown data set 'movielens' of interactions; known"):
        experiment.load_data(Config(dataset="movielens"))
    assert not out.exists()


def test_implicit_feedback_is_ranked_and_replayed_bit_for_bit(table, tmp_path):
    outs = [tmp_path / "first", tmp_path / "second"]
    for out in outs:
        config = options(
            table, "mult_vae", out, num_epochs=2, num_seeds=1, split="last", hidden_dims=()
        )
        summary = experiment.run(dataclasses.replace(config, rating=None))
    assert not compare_runs(*outs)
    assert "Last row of each user" in summary["tables"]


@pytest.mark.parametrize("part", [0, NOTHING])
def test_weights_leave_out_the_part_and_what_is_missing(part):
    code = jnp.array([0, 1, 0, models._MISSING])
    expected = [part != 0, 1, part != 0, 0]
    assert models._weight(code, part).tolist() == expected
