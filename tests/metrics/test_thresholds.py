"""Chosen thresholds against all possible thresholds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import metrics

COSTS = {"false_positive_cost": 2.0, "false_negative_cost": 3.0}


def brute_force_cost(threshold, scores, labels, weight, costs):
    decision = np.asarray(scores) >= threshold
    false_positive = decision & (np.asarray(labels) == 0)
    false_negative = ~decision & (np.asarray(labels) == 1)
    total = costs["false_positive_cost"] * (weight * false_positive).sum()
    total += costs["false_negative_cost"] * (weight * false_negative).sum()
    return total / weight.sum()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ratio", [0.0, 0.02, 0.5, 1.0, 3.0, 100.0])
def test_cost_threshold_is_the_best_of_all_thresholds(
    compiled, binary_data, assert_close, ratio, weighted, ties
):
    costs = {"false_positive_cost": ratio, "false_negative_cost": 1.0}
    choose = compiled.cost_threshold
    for seed in range(4):
        scores, labels, weight = binary_data(seed, ties=ties)
        weight = weight if weighted else np.ones(60)
        threshold, cost = choose(scores, labels, weight=weight, **costs)
        # Distinct decisions: each score, one above all of them, one below.
        candidates = np.concatenate([scores, [-np.inf, np.inf]])
        brute = [brute_force_cost(t, scores, labels, weight, costs) for t in candidates]
        assert_close(cost, min(brute))
        assert_close(brute_force_cost(threshold, scores, labels, weight, costs), min(brute))


@pytest.mark.parametrize(
    "labels, false_positive_cost, false_negative_cost, expected",
    [
        ([0, 0, 1, 1], 1.0, 1.0, (2.5, 0.0)),  # separable: the middle of the gap
        ([0, 1, 0, 1], 1.0, 1.0, (3.5, 0.25)),  # tie with 1.5: the higher threshold
        ([1, 0, 0, 0], 1.0, 1.0, (np.inf, 0.25)),  # never positive
        ([1, 1, 1, 0], 1.0, 1.0, (-np.inf, 0.25)),  # always positive
        ([0, 1, 1, 0], 1.0, 1.0, (1.5, 0.25)),  # better than both extremes
        ([1, 0, 1, 0], 1.0, 2.0, (-np.inf, 0.5)),
        ([1, 0, 0, 1], 1.0, 1.0, (3.5, 0.25)),
        ([0, 1, 0, 0], 1.0, 2.0, (1.5, 0.5)),  # tie with "never": the finite one
        ([1, 0, 0, 1], 1.0, 3.0, (-np.inf, 0.5)),
        ([0, 0, 0, 0], 1.0, 1.0, (np.inf, 0.0)),  # one class only
        ([1, 1, 1, 1], 1.0, 1.0, (-np.inf, 0.0)),
        ([0, 0, 1, 1], 0.0, 0.0, (3.5, 0.0)),  # every threshold alike
    ],
)
def test_cost_threshold_choice(
    compiled, labels, false_positive_cost, false_negative_cost, expected
):
    actual = compiled.cost_threshold(
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.array(labels),
        false_positive_cost=false_positive_cost,
        false_negative_cost=false_negative_cost,
    )
    assert tuple(map(float, actual)) == expected


@pytest.mark.parametrize(
    "low, high",
    [
        (1.0, np.nextafter(np.float32(1), np.float32(2))),
        (-3.0e38, 3.3e38),
        (2.5e38, 3.3e38),
        (-np.inf, 1.0),
        (1.0, np.inf),
        (-np.inf, np.inf),
    ],
)
def test_cost_threshold_separates_neighbours_at_the_limits_of_floats(compiled, low, high):
    with jax.enable_x64(False):
        scores = np.array([low, high], np.float32)
        outcome = compiled.cost_threshold(scores, np.array([0, 1], np.int32), **COSTS)
        threshold, cost = jax.device_get(outcome)
        assert cost == 0
        np.testing.assert_array_equal(scores >= threshold, [False, True])


@pytest.mark.parametrize("ties", [False, True])
def test_threshold_at_false_positive_rate_is_the_lowest_within_the_budget(
    compiled, binary_data, ties
):
    scores, labels, weight = binary_data(6, ties=ties)
    choose = compiled.threshold_at_false_positive_rate
    for budget in [0.0, 0.01, 0.1, 0.33, 0.8, 1.0]:
        threshold = choose(scores, labels, budget=budget, weight=weight)
        negative_weight = np.where(labels == 0, weight, 0)
        allowed = [
            candidate
            for candidate in [np.inf, *np.asarray(scores)]
            if negative_weight[scores >= candidate].sum() <= budget * negative_weight.sum() + 1e-12
        ]
        assert threshold == min(allowed)


def test_a_budget_that_is_a_possible_rate_is_used_up(compiled):
    num_negatives = 49  # float32(1 / 49) * 49 is less than 1
    with jax.enable_x64(False):
        scores = np.arange(num_negatives + 1, 0, -1, dtype=np.float32)
        labels = np.array([0] * num_negatives + [1], np.int32)
        budgets = [count / num_negatives for count in range(1, num_negatives)]
        choose = functools.partial(compiled.threshold_at_false_positive_rate, scores, labels)
        thresholds = jax.jit(jax.vmap(lambda budget: choose(budget=budget)))(np.float32(budgets))
        np.testing.assert_array_equal(thresholds, scores[: num_negatives - 1])


def test_costs_and_budgets_may_be_swept(compiled, binary_data):
    scores, labels, _ = binary_data(12)

    def at_cost(cost):
        costs = {"false_positive_cost": cost, "false_negative_cost": 1.0}
        return compiled.cost_threshold(scores, labels, **costs)[0]

    thresholds = jax.jit(jax.vmap(at_cost))(np.array([0.1, 1.0, 10.0]))
    assert np.all(np.diff(thresholds) >= 0)

    def at_rate(budget):
        return compiled.threshold_at_false_positive_rate(scores, labels, budget=budget)

    thresholds = np.asarray(jax.jit(jax.vmap(at_rate))(np.array([0.0, 0.1, 0.5, 1.0])))
    assert np.all(np.diff(thresholds) <= 0) and thresholds[-1] == scores.min()


@pytest.mark.parametrize("scalar", [float, np.float32, np.int64, jnp.float32, jnp.asarray])
def test_scalars_of_all_kinds_are_checked(scalar):
    scores, labels = jnp.zeros(2), jnp.zeros(2, int)
    with pytest.raises(ValueError, match="budget must lie in"):
        metrics.threshold_at_false_positive_rate(scores, labels, budget=scalar(5))
    with pytest.raises(ValueError, match="false_negative_cost must not be negative"):
        metrics.cost_threshold(
            scores, labels, false_positive_cost=scalar(1), false_negative_cost=scalar(-1)
        )
