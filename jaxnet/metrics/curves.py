"""Rates of a binary decision over all thresholds, and areas under their curves.

A label is positive if it is 1, and the decision is positive if `score >= threshold`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, Shaped

from jaxnet.metrics.weighting import BinaryLabels, as_float, example_weights, require_vectors
from jaxnet.objectives.weighting import require_shape


class ThresholdCurve(NamedTuple):
    """Rates of a binary decision at every threshold, returned by `threshold_curve`.

    Attributes:
        thresholds: thresholds in decreasing order, the first is +inf, `(points,)`.
        false_positive_rate: `FP / (FP + TN)`, `(points,)`.
        false_negative_rate: `FN / (TP + FN)`, `(points,)`.
        precision: `TP / (TP + FP)`, 1 without positive decisions, `(points,)`.
        recall: `TP / (TP + FN)`, `(points,)`.
    """

    thresholds: Float[Array, " points"]
    false_positive_rate: Float[Array, " points"]
    false_negative_rate: Float[Array, " points"]
    precision: Float[Array, " points"]
    recall: Float[Array, " points"]


class ThresholdCounts(NamedTuple):
    """Weighted counts at each threshold of the curve.

    Attributes:
        thresholds: thresholds in decreasing order, the first is +inf.
        group_end: last position with the same threshold.
        true_positives: sum of the weights of positive examples with a positive decision.
        false_positives: sum of the weights of negative examples with a positive decision.
    """

    thresholds: Float[Array, " points"]
    group_end: Integer[Array, " points"]
    true_positives: Float[Array, " points"]
    false_positives: Float[Array, " points"]


def threshold_counts(
    function: str,
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    weight: Shaped[Array, " n"] | None,
) -> ThresholdCounts:
    """Counts at the points of `threshold_curve`; `function` is named in error messages."""
    require_vectors(function, scores=scores)
    require_shape(function, "labels", labels, scores.shape)
    weight = example_weights(function, len(scores), weight)
    return _count(scores, jnp.asarray(labels), weight)


@jax.jit
def _count(scores: Array, labels: Array, weight: Array) -> ThresholdCounts:
    exists = weight > 0
    # NaN sorts last, as if it were the lowest score.
    weight = jnp.where(jnp.any(exists & jnp.isnan(scores)), jnp.nan, weight)

    negated = -as_float(scores)
    # Masked examples get the lowest score: they repeat the last point of the curve.
    negated = jnp.where(exists, negated, jnp.max(negated, initial=-jnp.inf, where=exists))
    order = jnp.argsort(negated)
    negated = negated[order]
    zero = jnp.zeros(1, negated.dtype)
    ends = jnp.searchsorted(negated, negated, side="right")
    ends = jnp.concatenate([jnp.zeros(1, ends.dtype), ends])

    def cumulative(member: Bool[Array, " n"]) -> Float[Array, "n+1"]:
        sums = jnp.cumsum(jnp.where(exists & member, weight, 0)[order])
        # Parallel partial sums of fractional weights may decrease by rounding; rates must not.
        return jax.lax.cummax(jnp.concatenate([zero, sums]))[ends]

    positive = labels == 1
    return ThresholdCounts(
        thresholds=jnp.concatenate([zero + jnp.inf, -negated]),
        group_end=ends,
        true_positives=cumulative(positive),
        false_positives=cumulative(~positive),
    )


def _rate(counts: Float[Array, " points"]) -> Float[Array, " points"]:
    # XLA divides an array by a scalar by multiplying with the rounded reciprocal: 49 / 49 is not 1
    # in float32. The last point of the curve must be exact.
    total = counts[-1]
    return jnp.where(counts == total, total / total, jnp.minimum(counts / total, 1))


def threshold_curve(
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> ThresholdCurve:
    """Rates of a binary decision at every threshold, in decreasing order of the threshold.

    With the weighted counts TP, FP, TN, FN of the decision `score >= threshold`: false positive
    rate `FP / (FP + TN)`, false negative rate `FN / (TP + FN)`, precision `TP / (TP + FP)`, recall
    `TP / (TP + FN)`. Shapes are static: each of several equal scores has a point with the values of
    the group, and masked examples repeat the last point. The curve is that of the distinct scores
    with repeated points.

    Args:
        scores: logits or probabilities of label 1, finite, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        `ThresholdCurve`, five arrays `(n + 1,)`. Precision is 1 without positive decisions. With a
        single class, rates whose denominator counts the missing class are NaN.

    Raises:
        ValueError: shapes do not match.

    >>> curve = threshold_curve(jnp.array([0.25, 0.75, 0.5]), jnp.array([0, 1, 0]))
    >>> curve.thresholds.tolist()
    [inf, 0.75, 0.5, 0.25]
    >>> curve.false_positive_rate.tolist()
    [0.0, 0.0, 0.5, 1.0]
    >>> curve.recall.tolist()
    [0.0, 1.0, 1.0, 1.0]

    Source: Fawcett (2006), "An introduction to ROC analysis", algorithm 1; precision without
    positives as in `sklearn.metrics.precision_recall_curve`.
    """
    counts = threshold_counts("threshold_curve", scores, labels, weight)
    true_positives, false_positives = counts.true_positives, counts.false_positives
    decided = true_positives + false_positives
    recall = _rate(true_positives)
    return ThresholdCurve(
        thresholds=counts.thresholds,
        false_positive_rate=_rate(false_positives),
        false_negative_rate=1 - recall,
        precision=jnp.where(decided == 0, 1, true_positives / decided),
        recall=recall,
    )


def roc_auc(
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Area under the receiver operating characteristic: recall over false positive rate.

    `P(s+ > s-) + P(s+ = s-) / 2` for the scores `s+` of a positive and `s-` of a negative example,
    drawn with probabilities proportional to the weights.

    Args:
        scores: logits or probabilities of label 1, finite, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The area in [0, 1], a scalar; NaN with a single class.

    Raises:
        ValueError: shapes do not match.

    >>> float(roc_auc(jnp.array([0.1, 0.4, 0.4, 0.8]), jnp.array([0, 0, 1, 1])))
    0.875

    Source: Hanley and McNeil (1982), "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve"; `sklearn.metrics.roc_auc_score`.
    """
    counts = threshold_counts("roc_auc", scores, labels, weight)
    true_positives, false_positives = counts.true_positives, counts.false_positives
    area = jnp.trapezoid(true_positives, false_positives)
    return area / (true_positives[-1] * false_positives[-1])


def average_precision(
    scores: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean precision over recall, without interpolation.

    `sum_k (R_k - R_(k-1)) P_k` with the precision `P_k` and the recall `R_k` at the k-th highest
    distinct score.

    Args:
        scores: logits or probabilities of label 1, finite, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The average precision in [0, 1], a scalar; NaN without positive examples (scikit-learn
        warns and returns 0).

    Raises:
        ValueError: shapes do not match.

    >>> float(average_precision(jnp.array([0.9, 0.8, 0.7, 0.6]), jnp.array([1, 0, 0, 1])))
    0.75

    Source: `sklearn.metrics.average_precision_score`; Manning et al. (2008), "Introduction to
    Information Retrieval", section 8.4.
    """
    counts = threshold_counts("average_precision", scores, labels, weight)
    true_positives, false_positives = counts.true_positives, counts.false_positives
    decided = true_positives + false_positives
    # Without positive decisions the recall does not increase either.
    precision = true_positives / jnp.where(decided == 0, 1, decided)
    return jnp.sum(jnp.diff(true_positives) * precision[1:]) / true_positives[-1]
