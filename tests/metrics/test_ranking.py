"""Metrics of rankings against scikit-learn and loops over users."""

import jax
import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from jaxnet import metrics

USERS, ITEMS = 12, 15


def data(seed=0, density=0.3):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(USERS, ITEMS)).astype(np.float32)
    relevance = generator.integers(1, 5, size=scores.shape) * (
        generator.random(scores.shape) < density
    )
    excluded = generator.random(scores.shape) < 0.3
    return scores, relevance, excluded


def by_loops(scores, relevance, excluded, k):
    """NDCG and recall of each user with a relevant item, and of others NaN."""
    gains, recalls = [], []
    for row, relevant, out in zip(scores, relevance, excluded, strict=True):
        left = [item for item in range(len(row)) if not out[item]]
        order = sorted(left, key=lambda item: -row[item])[:k]
        ideal = sorted((relevant[item] for item in left), reverse=True)[:k]
        dcg = sum(relevant[item] / np.log2(rank + 2) for rank, item in enumerate(order))
        best = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(ideal))
        count = sum(relevant[item] > 0 for item in left)
        hits = sum(relevant[item] > 0 for item in order)
        gains.append(dcg / best if best else np.nan)
        recalls.append(hits / min(k, count) if count else np.nan)
    return np.array(gains), np.array(recalls)


@pytest.mark.parametrize("k", [1, 4, ITEMS])
def test_rankings_equal_loops_over_users(compiled, k):
    scores, relevance, excluded = data()
    gains, recalls = by_loops(scores, relevance, excluded, k)
    weight = np.random.default_rng(1).uniform(0.5, 2, USERS).astype(np.float32)
    for metric, expected in ((compiled.ndcg_at_k, gains), (compiled.recall_at_k, recalls)):
        value = metric(scores, relevance, k=k, excluded=excluded)
        np.testing.assert_allclose(value, np.nanmean(expected), rtol=1e-5)
        known = ~np.isnan(expected)
        value = metric(scores, relevance, k=k, excluded=excluded, weight=weight)
        mean = np.average(expected[known], weights=weight[known])
        np.testing.assert_allclose(value, mean, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 5, ITEMS])
def test_ndcg_is_that_of_scikit_learn(compiled, k):
    scores, relevance, _ = data(density=0.6)
    assert relevance.any(axis=1).all()
    value = compiled.ndcg_at_k(scores, relevance, k=k)
    np.testing.assert_allclose(value, ndcg_score(relevance, scores, k=k), rtol=1e-5)


def test_users_that_are_masked_or_have_nothing_relevant_change_nothing(compiled):
    scores, relevance, excluded = data()
    relevance[3] = 0
    relevance[4, ~excluded[4]] = 0
    kept = [user for user in range(USERS) if user not in (3, 4, 7)]
    weight = np.ones(USERS, np.float32)
    weight[7] = 0
    spoiled = scores.copy()
    spoiled[7] = np.nan
    spoiled[excluded] = np.nan
    with_nan = scores.copy()
    with_nan[0, excluded[0].argmin()] = np.nan
    for metric in (compiled.ndcg_at_k, compiled.recall_at_k):
        expected = metric(scores[kept], relevance[kept], k=4, excluded=excluded[kept])
        value = metric(spoiled, relevance, k=4, excluded=excluded, weight=weight)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        assert np.isnan(metric(scores, np.zeros_like(relevance), k=4))
        assert np.isnan(metric(with_nan, relevance, k=4))


def test_a_batch_of_runs_is_mapped_and_mistakes_are_named(compiled, as_users_run):
    cases = [data(seed) for seed in range(2)]
    scores, relevance, excluded = map(np.stack, zip(*cases, strict=True))
    for metric, program in (
        (metrics.ndcg_at_k, compiled.ndcg_at_k),
        (metrics.recall_at_k, compiled.recall_at_k),
    ):

        def run(scores, relevance, excluded, program=program):
            return program(scores, relevance, k=4, excluded=excluded)

        values = jax.jit(jax.vmap(run))(scores, relevance, excluded)
        single = [run(*(each[index] for each in (scores, relevance, excluded))) for index in (0, 1)]
        np.testing.assert_allclose(values, single, rtol=1e-6)
        with pytest.raises(ValueError, match=r"relevance has shape \(12, 3\), expected \(12, 15\)"):
            metric(scores[0], relevance[0, :, :3], k=3)
        with pytest.raises(ValueError, match="k must lie between 1 and 15, found 16; choose"):
            metric(scores[0], relevance[0], k=16)
