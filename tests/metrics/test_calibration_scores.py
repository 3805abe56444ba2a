"""Scores of probabilities, sets and intervals against scikit-learn, SciPy and their definitions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics as oracle

from jaxnet import metrics


def softmax_data(multiclass_data, seed, n=200):
    logits, labels, weight = multiclass_data(seed, n)
    return scipy.special.softmax(logits, axis=1), labels, weight


def test_brier_score(compiled, multiclass_data, assert_close):
    p, y, w = softmax_data(multiclass_data, 0)
    expected = oracle.brier_score_loss(y, p, sample_weight=w, labels=range(5), scale_by_half=False)
    assert_close(compiled.brier_score(p, y, weight=w), expected)


def test_the_parts_of_the_brier_score_are_those_of_each_class_and_add_up(
    compiled, multiclass_data, assert_close
):
    p, y, w = (np.asarray(each) for each in softmax_data(multiclass_data, 1))
    parts = compiled.brier_decomposition(p, jnp.array(y), weight=jnp.array(w))
    assert_close(parts.score, compiled.brier_score(p, jnp.array(y), weight=jnp.array(w)))
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert_close(total, parts.score)
    expected = np.zeros(4)
    for k in range(5):
        o, f = (y == k).astype(float), w / w.sum()
        base = np.average(o, weights=w)
        expected[2] += base * (1 - base)
        for m in range(10):
            rows = (p[:, k] > m / 10) & (p[:, k] <= (m + 1) / 10)
            if not rows.any():
                continue
            q, t, v = p[rows, k], o[rows], w[rows]
            size, mean, rate = f[rows].sum(), np.average(q, weights=v), np.average(t, weights=v)
            expected[0] += size * (mean - rate) ** 2
            expected[1] += size * (rate - base) ** 2
            covariance = np.cov(q, t, aweights=v, ddof=0)
            expected[3] += size * (covariance[0, 0] - 2 * covariance[0, 1])
    assert_close(parts[1:], tuple(expected))
    # Murphy's own case: few different forecasts, one for each bin.
    rounded = np.array([0.05, 0.35, 0.75])[np.arange(200) % 3]
    forecasts = np.stack([1 - rounded, rounded], axis=1)
    found = compiled.brier_decomposition(forecasts, jnp.array(y % 2))
    assert_close(found.within_bins, 0.0)
    assert_close(found.reliability - found.resolution + found.uncertainty, found.score)


def bins_by(confidence, binning, num_bins):
    if binning == "width":
        return np.clip(np.ceil(confidence * num_bins) - 1, 0, num_bins - 1).astype(int)
    rank = np.argsort(np.argsort(confidence))
    return rank * num_bins // len(confidence)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_debiased_calibration_error(compiled, multiclass_data, assert_close, binning):
    p, y, _ = (np.asarray(each) for each in softmax_data(multiclass_data, 2))
    confidence, hits = p.max(axis=1), p.argmax(axis=1) == y
    bins, expected = bins_by(confidence, binning, 10), 0.0
    for m in range(10):
        rows = bins == m
        if rows.sum() >= 2:
            gap = confidence[rows].mean() - hits[rows].mean()
            expected += rows.mean() * (gap**2 - hits[rows].var() / (rows.sum() - 1))
    assert expected > 0
    found = compiled.debiased_calibration_error(p, jnp.array(y), num_bins=10, binning=binning)
    assert_close(found, np.sqrt(expected))


def test_calibrated_probabilities_have_a_floor_and_no_debiased_error(compiled, key):
    """500 draws of 360 labels from the probabilities themselves: the plain error is not 0."""

    @jax.jit
    def draws(key):
        logits, keys = 2 * jax.random.normal(key, (360, 3)), jax.random.split(key, 500)
        labels = jax.vmap(lambda key: jax.random.categorical(key, logits))(keys)
        # The second probabilities are wrong: of half the logits.
        return jax.nn.softmax(logits), jax.nn.softmax(logits / 2), labels

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def errors(p, labels):
        """The plain error, and the squares of the debiased one and of it without correction."""
        diagram = metrics.reliability_diagram(p, labels, binning="mass")
        biased = jnp.nansum(diagram.weight * (diagram.confidence - diagram.accuracy) ** 2) / 360
        debiased = metrics.debiased_calibration_error(p, labels) ** 2
        return metrics.expected_calibration_error(p, labels), debiased, biased

    p, flat, labels = draws(key)
    plain, debiased, biased = (np.mean(values) for values in errors(p, labels))
    assert plain > 0.04
    floor = compiled.calibration_error_floor(p, key, num_draws=2000)
    np.testing.assert_allclose(floor, plain, rtol=0.03)
    # Roots of negative squares are 0, so that a part of the noise is left.
    assert debiased < 0.25 * biased
    # A real error is kept.
    _, debiased, biased = (np.mean(values) for values in errors(flat, labels))
    many = np.tile(flat, (500, 1)), np.asarray(labels).reshape(-1)
    truth = float(compiled.debiased_calibration_error(*map(jnp.asarray, many))) ** 2
    assert abs(debiased - truth) < 0.05 * truth < 0.5 * abs(biased - truth)


def test_reliability_diagram(compiled, multiclass_data, assert_close):
    p, y, _ = (np.asarray(each) for each in softmax_data(multiclass_data, 3))
    diagram = compiled.reliability_diagram(p, jnp.array(y), num_bins=8)
    confidence, hits = p.max(axis=1), p.argmax(axis=1) == y
    bins = bins_by(confidence, "width", 8)
    for m in range(8):
        rows = bins == m
        assert diagram.weight[m] == rows.sum()
        if not rows.any():
            assert all(np.isnan(part[m]) for part in diagram[:4])
            continue
        interval = scipy.stats.binomtest(int(hits[rows].sum()), int(rows.sum()))
        ends = interval.proportion_ci(0.95, method="wilson")
        expected = (confidence[rows].mean(), hits[rows].mean(), ends.low, ends.high)
        assert_close(tuple(part[m] for part in diagram[:4]), expected, atol=1e-10)
    gaps = np.abs(np.subtract(diagram.confidence, diagram.accuracy))
    plain = np.nansum(diagram.weight * gaps) / 200
    assert_close(compiled.expected_calibration_error(p, jnp.array(y), num_bins=8), plain)


def test_bins_of_equal_mass_keep_ties_together(compiled):
    p = np.array([0.6] * 5 + [0.7, 0.8, 0.9])
    diagram = compiled.reliability_diagram(
        np.stack([p, 1 - p], axis=1), np.zeros(8, int), num_bins=4, binning="mass"
    )
    assert diagram.weight.tolist() == [5, 0, 1, 2]


def test_intervals_and_quantiles(compiled, binary_data, assert_close):
    y, _, w = binary_data(4)
    generator = np.random.default_rng(5)
    lower = np.asarray(y) - generator.uniform(-0.2, 1, len(y))
    upper = lower + generator.uniform(0, 2, len(y))
    for level in (0.1, 0.75):
        expected = oracle.mean_pinball_loss(y, lower, alpha=level, sample_weight=w)
        assert_close(compiled.pinball_loss(lower, y, level=level, weight=w), expected)
    inside = (lower <= y) & (upper >= y)
    assert_close(
        compiled.interval_coverage(lower, upper, y, weight=w), np.average(inside, weights=w)
    )
    # The interval score is the sum of two pinball losses, times 2 / alpha.
    losses = oracle.mean_pinball_loss(y, lower, alpha=0.1) + oracle.mean_pinball_loss(
        y, upper, alpha=0.9
    )
    assert_close(compiled.interval_score(lower, upper, y, coverage=0.8), losses * 2 / 0.2)
    missing = np.append(np.nan, lower[1:])
    assert np.isnan(compiled.interval_coverage(missing, upper, y))


def test_set_coverage(compiled, assert_close):
    sets = jnp.array([[True, False, True], [False, True, False], [False, False, False]])
    labels, weight = jnp.array([2, 0, 1]), jnp.array([3.0, 1.0, 0.0])
    assert_close(compiled.set_coverage(sets, labels, weight=weight), 0.75)
