"""Split conformal prediction: MAPIE, the definitions of the papers, and the law of the coverage.

The numbers of MAPIE are those of version 1.6.0 (NumPy 2.4.6, scikit-learn 1.9.1) for the data of
`examples`, with estimators that return columns of their inputs:
`SplitConformalClassifier(confidence_level=0.8, conformity_score=..., prefit=True)`, for APS with
`conformity_score_params={"include_last_label": True}`, whose threshold is random;
`SplitConformalRegressor`; and `ConformalizedQuantileRegressor` with `symmetric_correction=True`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxnet import calibration

LAC = [5, 8, 12, 13, 8, 10, 2, 4]  # bit k says whether class k is in the set
APS, APS_THRESHOLD = [5, 9, 13, 13, 8, 11, 3, 4], 0.83040837
RESIDUAL = [
    [-1.546897508561356, 2.2719025069434515],
    [-1.4654086081057347, 2.353391407399073],
    [-2.269840178743302, 1.5489598367615058],
]
QUANTILE = [
    [-1.1617180707035308, 1.8867230690856263],
    [-1.1209736204757201, 2.008956419769058],
    [-1.8836295767854019, 1.1627492348036057],
]

conformal_quantile = jax.jit(calibration.conformal_quantile)
adaptive_scores = jax.jit(calibration.adaptive_scores)
prediction_sets = jax.jit(calibration.prediction_sets)


class Examples(NamedTuple):
    """Sixty calibration examples, then eight new ones."""

    probabilities: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    targets: np.ndarray


def examples():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(68, 4))
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    uniform = generator.uniform(size=(68, 1))
    labels = (probabilities.cumsum(axis=1) < uniform).sum(axis=1)
    x = generator.normal(size=68)
    targets = x + (0.5 + np.abs(x)) * generator.normal(size=68)
    half = 0.8 + np.abs(x) / 2
    return Examples(probabilities, labels, x, x - half, x + half, targets)


@jax.jit
def of_new_examples(data):
    """Sets by LAC and APS and intervals of residuals and of quantiles."""
    old, new = (Examples(*(array[rows] for array in data)) for rows in np.s_[:60, 60:])
    quantile = functools.partial(calibration.conformal_quantile, coverage=0.8)
    scores = calibration.least_ambiguous_scores(data.probabilities)
    true = quantile(calibration.true_class_scores(scores[:60], old.labels))
    ranks = calibration.adaptive_scores(data.probabilities)[60:]
    width = quantile(calibration.absolute_residuals(old.predictions, old.targets))
    more = quantile(calibration.quantile_scores(old.lower, old.upper, old.targets))
    return (
        calibration.prediction_sets(scores[60:], true),
        calibration.prediction_sets(ranks, jnp.array(APS_THRESHOLD)),
        jnp.stack(calibration.residual_intervals(new.predictions, width), axis=1),
        jnp.stack(calibration.quantile_intervals(new.lower, new.upper, more), axis=1),
    )


def test_sets_and_intervals_are_those_of_mapie(x64):
    *sets, residual, quantile = jax.device_get(of_new_examples(examples()))
    assert [(each @ (1, 2, 4, 8)).tolist() for each in sets] == [LAC, APS]
    np.testing.assert_allclose(residual[:3], RESIDUAL, rtol=1e-12)
    np.testing.assert_allclose(quantile[:3], QUANTILE, rtol=1e-12)


def paper_set(p, u, threshold):
    """Equations 3 to 5 of Romano, Sesia and Candès, as they stand."""
    order = sorted(range(len(p)), key=lambda k: (-p[k], k))
    ranked = np.array([p[k] for k in order])
    if threshold > ranked.sum():
        return set(order)
    size = int(np.argmax(ranked.cumsum() >= threshold)) + 1  # L: the first to reach it
    excess = (ranked[:size].sum() - threshold) / ranked[size - 1]
    return set(order[: size - 1] if u <= excess else order[:size])


def test_randomized_sets_are_those_of_the_paper(x64, key):
    p = examples().probabilities
    scores = adaptive_scores(p, key)
    uniform = np.asarray(jax.random.uniform(key, (len(p), 1), jnp.float64))[:, 0]
    for threshold in (0.05, 0.5, 0.8, 0.99):
        sets = np.asarray(prediction_sets(scores, np.array(threshold)))
        for row, u, chosen in zip(p, uniform, sets, strict=True):
            # The paper has 1 - u where the score here has u: both are uniform.
            assert set(np.flatnonzero(chosen)) == paper_set(row, 1 - u, threshold)


def test_sets_without_randomization_hold_the_most_probable_class():
    # The last row is tied.
    p = np.float32([*examples().probabilities, np.full(4, 0.25)])
    scores = np.asarray(adaptive_scores(p))
    assert (scores.min(axis=1) == 0).all()
    sets = np.asarray(prediction_sets(scores, np.float32(0)))
    np.testing.assert_array_equal(sets.argmax(axis=1), p.argmax(axis=1))
    np.testing.assert_allclose(scores[-1], [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_the_quantile_is_an_order_statistic_at_every_size(coverage):
    scores = np.random.default_rng(1).permutation(40).astype(np.float32)
    for size in range(1, 41):
        # Exact arithmetic of tenths and twentieths.
        rank = -(-(size + 1) * round(coverage * 20) // 20)
        expected = np.sort(scores[:size])[rank - 1] if rank <= size else np.inf
        weight = np.arange(40) < size
        assert conformal_quantile(scores, coverage=coverage, weight=weight) == expected
        assert (size >= calibration.min_calibration_size(coverage)) == np.isfinite(expected)


def test_weights_are_relative_to_the_new_example_and_mask():
    scores = np.float32([3, 1, np.nan, 2])
    weight = np.float32([2, 3, 0, 4])
    for coverage, expected in ((0.3, 1.0), (0.31, 2.0), (0.7, 2.0), (0.9, 3.0), (0.91, np.inf)):
        found = conformal_quantile(scores, coverage=coverage, weight=weight)
        assert found == expected
    assert np.isnan(conformal_quantile(scores, coverage=0.5))
    assert conformal_quantile(scores[:0], coverage=0.5) == np.inf


def test_crossed_quantiles_give_a_point():
    ends = np.float32([0]), np.float32([1])
    found = jax.jit(calibration.quantile_intervals)(*ends, np.float32(-2))
    assert (found.lower.item(), found.upper.item()) == (0.5, 0.5)


NUM_CALIBRATION, NUM_NEW, COVERAGE, NUM_SPLITS = 99, 151, 0.9, 1000


def covered_classes(scores_of):
    """From a key to whether new examples are covered, for a random split of one set of examples."""
    generator = np.random.default_rng(2)
    logits = 2 * generator.normal(size=(NUM_CALIBRATION + NUM_NEW, 5))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
    probabilities = scipy.special.softmax(logits.astype(np.float32), axis=1)

    def covered(key):
        split, draw = jax.random.split(key)
        order = jax.random.permutation(split, len(labels))
        scores, y = scores_of(jnp.array(probabilities), draw)[order], jnp.array(labels)[order]
        true = calibration.true_class_scores(scores, y)
        quantile = calibration.conformal_quantile(true[:NUM_CALIBRATION], coverage=COVERAGE)
        sets = calibration.prediction_sets(scores[NUM_CALIBRATION:], quantile)
        return sets[jnp.arange(NUM_NEW), y[NUM_CALIBRATION:]]

    return covered


def covered_targets(fit, intervals):
    """The same for intervals, of `fit(data)` scores and `intervals(data, quantile)`."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=NUM_CALIBRATION + NUM_NEW)
    y = x + np.exp(x) * generator.normal(size=len(x))
    data = np.stack([x - 1, x + 2, x, y]).astype(np.float32)

    def covered(key):
        shuffled = jnp.array(data)[:, jax.random.permutation(key, data.shape[1])]
        known, new = shuffled[:, :NUM_CALIBRATION], shuffled[:, NUM_CALIBRATION:]
        quantile = calibration.conformal_quantile(fit(known), coverage=COVERAGE)
        lower, upper = intervals(new, quantile)
        return (lower <= new[3]) & (new[3] <= upper)

    return covered


LAWS = {
    "lac": covered_classes(lambda p, key: calibration.least_ambiguous_scores(p)),
    "aps": covered_classes(lambda p, key: calibration.adaptive_scores(p, key)),
    "residual": covered_targets(
        lambda data: calibration.absolute_residuals(data[2], data[3]),
        lambda data, quantile: calibration.residual_intervals(data[2], quantile),
    ),
    "quantile": covered_targets(
        lambda data: calibration.quantile_scores(data[0], data[1], data[3]),
        lambda data, quantile: calibration.quantile_intervals(data[0], data[1], quantile),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_coverage_of_a_thousand_splits_follows_its_beta_distribution(name, key):
    """The number of covered examples of random splits is beta-binomial, whatever the examples."""

    @jax.jit
    def run(key):
        return jax.vmap(lambda key: LAWS[name](key).sum())(jax.random.split(key, NUM_SPLITS))

    counts = np.asarray(run(key))
    a, b = calibration.coverage_distribution(NUM_CALIBRATION, COVERAGE)
    assert (a, b) == (90, 10)
    law = scipy.stats.betabinom(NUM_NEW, a, b)
    error = law.std() / np.sqrt(NUM_SPLITS)
    assert abs(counts.mean() - law.mean()) < 3.5 * error
    assert 0.85 < counts.var() / law.var() < 1.15

    def uniformity(law):
        """The p-value of the distribution function at the counts, made continuous by chance."""
        draws = np.random.default_rng(4).uniform(size=NUM_SPLITS)
        values = law.cdf(counts - 1) + draws * law.pmf(counts)
        return scipy.stats.kstest(values, "uniform").pvalue

    assert uniformity(law) > 0.01
    # One rank more or less would be seen.
    for shift in (-1, 1):
        assert uniformity(scipy.stats.betabinom(NUM_NEW, a + shift, b - shift)) < 1e-6
