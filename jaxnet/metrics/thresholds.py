"""Choice of the threshold of a binary decision.

A label is positive if it is 1, and the decision is positive if `score >= threshold`.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike, Shaped

from jaxnet._checks import require_range
from jaxnet.metrics.curves import ThresholdCounts, threshold_counts
from jaxnet.metrics.weighting import BinaryLabels, as_float


def cost_threshold(
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    false_positive_cost: ScalarLike,
    false_negative_cost: ScalarLike,
    weight: Shaped[Array, " n"] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The threshold with the smallest expected cost per example.

    `argmin_t (false_positive_cost FP(t) + false_negative_cost FN(t)) / sum_i w_i`. All thresholds
    between two adjacent scores give the same decisions; their midpoint is returned, which leaves
    new data a margin on both sides (the upper score if no float lies between them).

    Args:
        scores: logits or probabilities of label 1, finite, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        false_positive_cost: cost of each false positive, finite, at least 0; may be traced.
        false_negative_cost: cost of each false negative, finite, at least 0; may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The threshold, in the unit of the scores, and its cost, two scalars. Of thresholds of equal
        cost the highest finite one. If every finite threshold costs more, as with a single class,
        +inf (never positive) or, if that costs more too, -inf (always positive). NaN without
        examples.

    Raises:
        ValueError: a cost is negative or not finite (traced costs are not checked); shapes do not
            match.

    >>> scores, labels = jnp.array([0.25, 0.5, 0.75, 1.0]), jnp.array([0, 1, 0, 1])
    >>> threshold, cost = cost_threshold(
    ...     scores, labels, false_positive_cost=1.0, false_negative_cost=10.0
    ... )
    >>> float(threshold), float(cost)
    (0.375, 0.25)

    Source: Provost and Fawcett (2001), "Robust Classification for Imprecise Environments";
    the costs are those of Elkan (2001), "The Foundations of Cost-Sensitive Learning".
    """
    for name, cost in (
        ("false_positive_cost", false_positive_cost),
        ("false_negative_cost", false_negative_cost),
    ):
        require_range(
            "cost_threshold",
            name,
            cost,
            0.0,
            math.inf,
            include_high=False,
            remedy="state costs relative to a correct decision, which costs nothing",
        )
    counts = threshold_counts("cost_threshold", scores, labels, weight)
    return _cheapest(counts, false_positive_cost, false_negative_cost)


@jax.jit
def _cheapest(
    counts: ThresholdCounts, false_positive_cost: ScalarLike, false_negative_cost: ScalarLike
) -> tuple[Array, Array]:
    positives, negatives = counts.true_positives[-1], counts.false_positives[-1]
    false_negatives = positives - counts.true_positives
    costs = false_positive_cost * counts.false_positives + false_negative_cost * false_negatives
    costs = as_float(costs) / (positives + negatives)

    last = len(counts.thresholds) - 1
    splits = (jnp.arange(last + 1) > 0) & (counts.group_end < last)
    split_costs = jnp.where(splits, costs, jnp.inf)
    split = jnp.argmin(split_costs)
    extreme = jnp.where(costs[0] <= costs[-1], 0, last)
    best = jnp.where(split_costs[split] <= costs[extreme], split, extreme)

    upper = counts.thresholds[best]
    lower = counts.thresholds[jnp.minimum(counts.group_end[best] + 1, last)]
    midpoint = upper / 2 + lower / 2  # halves first: the sum of two large scores may overflow
    midpoint = jnp.where((lower < midpoint) & (midpoint <= upper), midpoint, upper)
    extreme_threshold = jnp.where(extreme == 0, jnp.inf, -jnp.inf)
    threshold = jnp.where(best == extreme, extreme_threshold, midpoint)
    return jnp.where(jnp.isnan(costs[best]), jnp.nan, threshold), costs[best]


def threshold_at_false_positive_rate(
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    budget: ScalarLike,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """The lowest threshold whose false positive rate does not exceed a budget.

    `min {t in threshold_curve : FPR(t) <= budget}`: the point of highest recall within the budget.
    A rate that exceeds the budget by at most 4 units in the last place is within it.

    Args:
        scores: logits or probabilities of label 1, finite, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        budget: highest allowed false positive rate, in [0, 1]; may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        One of the scores in JAX's default float type, a scalar; +inf if the highest score already
        exceeds the budget, NaN without negative examples.

    Raises:
        ValueError: the budget is outside [0, 1] (a traced one is not checked); shapes do not match.

    >>> scores, labels = jnp.array([0.25, 0.5, 0.75, 1.0]), jnp.array([0, 1, 0, 1])
    >>> float(threshold_at_false_positive_rate(scores, labels, budget=0.5))
    0.5

    Source: Neyman and Pearson (1933), "On the Problem of the Most Efficient Tests of Statistical
    Hypotheses": a test of given size, applied to the empirical distribution.
    """
    require_range(
        "threshold_at_false_positive_rate", "budget", budget, 0.0, 1.0, remedy="5 per cent is 0.05"
    )
    counts = threshold_counts("threshold_at_false_positive_rate", scores, labels, weight)
    false_positives = counts.false_positives
    # 0.07 * 100 examples are 7 examples, although both operations round.
    slack = 1 + 4 * jnp.finfo(false_positives.dtype).eps
    within = false_positives <= budget * false_positives[-1] * slack
    # The first point has no positive decisions, and their number never decreases after it.
    threshold = counts.thresholds[jnp.sum(within) - 1]
    return jnp.where(false_positives[-1] > 0, threshold, jnp.nan)
