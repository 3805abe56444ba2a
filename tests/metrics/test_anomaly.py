"""Metrics of anomalies in series: NAB, volumes under surfaces, hits at a budget."""

import math

import numpy as np
import pytest

from jaxnet import metrics
from jaxnet.metrics import NAB_PROFILES, NabProfile

# Of the package vus 0.0.6 (`RangeAUC_volume_opt`) on `golden_data`: ROC and PR.
GOLDEN = {
    0: (0.7966033009136458, 0.4637673399047604),
    7: (0.8368548699923575, 0.512899110372086),
    20: (0.876201787960562, 0.5617532534649672),
}


def golden_data():
    generator = np.random.default_rng(7)
    labels = np.zeros(200, int)
    labels[30:45] = labels[50:51] = labels[190:] = 1
    return np.round(labels * 0.8 + generator.normal(size=200), 1), labels


@pytest.mark.parametrize("max_buffer", GOLDEN)
def test_volumes_equal_the_package_of_the_authors(max_buffer):
    scores, labels = golden_data()
    actual = [
        function(scores, labels, max_buffer=max_buffer)
        for function in (metrics.vus_roc, metrics.vus_pr)
    ]
    np.testing.assert_allclose(actual, GOLDEN[max_buffer], rtol=1e-12)


def test_volumes_follow_from_the_order_of_scores_alone():
    scores, labels = golden_data()
    for function in (metrics.vus_roc, metrics.vus_pr):
        value = function(scores, labels, max_buffer=10)
        assert function(np.exp(scores), labels, max_buffer=10) == value
        assert math.isnan(function(scores, np.zeros(200), max_buffer=10))


def sigmoid(position):
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def nab_sum(scores, windows, threshold, weights, probation=0.15):
    """The sum for one threshold, row by row."""
    total = 0.0
    for rows, bounds in zip(scores, windows, strict=True):
        start = min(math.floor(probation * len(rows)), probation * 5000)
        best = {(first, last): -weights.false_negative for first, last in bounds if last >= start}
        for row, score in enumerate(rows):
            if row < start or score < threshold:
                continue
            inside = [(first, last) for first, last in bounds if first <= row <= last]
            before = [(first, last) for first, last in bounds if last < row]
            if inside:
                first, last = inside[0]
                reward = sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1)
                best[inside[0]] = max(best[inside[0]], weights.true_positive * reward)
            elif before:
                first, last = before[-1]
                total += weights.false_positive * sigmoid((row - last) / (last - first))
            else:
                total -= weights.false_positive
        total += sum(best.values())
    return total


@pytest.fixture(scope="module")
def nab_data():
    generator = np.random.default_rng(0)
    # The second window of the first series lies in part, the window of the third wholly, in the
    # probationary period; scores have ties.
    windows = [[(3, 9), (25, 40), (44, 80)], [], [(2, 8)], [(30, 59)]]
    scores = [np.round(generator.uniform(size=n), 1) for n in (190, 50, 70, 60)]
    return scores, windows


@pytest.mark.parametrize("profile", NAB_PROFILES)
def test_nab_score_is_that_of_a_loop_over_rows_and_thresholds(nab_data, profile):
    scores, windows = nab_data
    weights = NAB_PROFILES[profile]
    thresholds = [math.inf, *np.unique(np.concatenate(scores))]
    sums = [nab_sum(scores, windows, threshold, weights) for threshold in thresholds]
    result = metrics.nab_score(scores, windows, profile=profile)
    assert result.num_windows == 3
    np.testing.assert_allclose(result.raw, max(sums), rtol=1e-12)
    null, perfect = -3 * weights.false_negative, 3 * weights.true_positive
    expected = 100 * (max(sums) - null) / (perfect - null)
    np.testing.assert_allclose(result.score, expected, rtol=1e-12, atol=1e-12)
    for threshold, value in zip(thresholds, sums, strict=True):
        at = metrics.nab_score(scores, windows, profile=profile, threshold=threshold)
        np.testing.assert_allclose(at.raw, value, rtol=1e-12, atol=1e-12)
        assert at.threshold == threshold


def test_nab_score_of_no_alarms_is_0_and_of_first_rows_100(nab_data):
    _, windows = nab_data
    silent = [np.zeros(n) for n in (190, 50, 70, 60)]
    result = metrics.nab_score(silent, windows)
    assert (result.score, result.threshold) == (0.0, math.inf)
    first = [rows.copy() for rows in silent]
    for rows, bounds in zip(first, windows, strict=True):
        for start, _ in bounds:
            rows[start] = 1.0
    # The second window of the first series begins in the probationary period, at row 28.
    first[0][28] = 1.0
    result = metrics.nab_score(first, windows, profile=NabProfile(2.0, 1.0, 3.0), probation=0.0)
    assert (result.score, result.num_windows) == (100.0, 5)
    assert 90 < metrics.nab_score(first, windows).score < 100
    assert math.isnan(metrics.nab_score([np.ones(9)], [[]]).score)


def test_the_probationary_period_has_at_most_750_rows():
    scores = np.zeros(20_000)
    scores[800] = 1.0
    assert metrics.nab_score([scores], [[(800, 900)]]).score == 100.0


def test_hits_at_every_budget_are_those_of_a_loop():
    generator = np.random.default_rng(1)
    labels = [np.repeat([0, 1, 0, 1, 0], [9, 4, 5, 1, 6]), np.repeat([1, 0, 1], [3, 8, 2])]
    scores = [np.round(generator.normal(size=len(rows)) + rows, 1) for rows in labels]
    events = [scores[0][9:13], scores[0][18:19], scores[1][:3], scores[1][11:]]
    outside = np.concatenate([s[y == 0] for s, y in zip(scores, labels, strict=True)])
    for budget in range(30):
        allowed = [
            threshold
            for threshold in np.unique(np.concatenate(scores))
            if (outside >= threshold).sum() <= budget
        ]
        threshold = min(allowed, default=math.inf)
        result = metrics.hits_at_false_alarms(scores, labels, budget=budget)
        expected = np.mean([event.max() >= threshold for event in events])
        assert result == (expected, 4, threshold, (outside >= threshold).sum())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.nab_score([[0.0]], [[]], profile="fast"), r"profile must be one of stan"),
        (lambda: metrics.nab_score([[0.0]], []), r"scores holds 1 series and windows 0; pass"),
        (lambda: metrics.nab_score([[math.nan]], [[]]), r"scores\[0\] must be a vector of finite"),
        (
            lambda: metrics.nab_score([[0.0, 1.0]], [[(1, 2)]]),
            r"windows\[0\] must be rows .* from 0 to 1, in order .* found \(1, 2\)",
        ),
        (lambda: metrics.nab_score([[0.0] * 9], [[(3, 5), (5, 6)]]), r"without overlap, found"),
        (lambda: metrics.nab_score([[0.0]], [[]], probation=1.0), r"probation must lie in \[0, 1"),
        (lambda: metrics.vus_pr([0.0, 1.0], [0], max_buffer=2), r"vus_pr: .* one length, found"),
        (lambda: metrics.vus_pr([0.0, math.inf], [0, 1], max_buffer=2), r"scores must be finite"),
        (lambda: metrics.vus_roc([0.0, 1.0], [0, 2], max_buffer=2), r"labels must be 0 or 1"),
        (lambda: metrics.vus_roc([0.0, 1.0], [0, 1], max_buffer=-1), r"max_buffer must be at lea"),
        (
            lambda: metrics.hits_at_false_alarms([[0.0]], [[0]], budget=-1),
            r"budget must be at least 0, found -1",
        ),
        (
            lambda: metrics.hits_at_false_alarms([[0.0]], [[0, 1]], budget=1),
            r"scores\[0\] and labels\[0\] must be vectors of one length",
        ),
        (lambda: metrics.hits_at_false_alarms([[0.0]], [[3]], budget=1), r"labels\[0\] must be 0"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
