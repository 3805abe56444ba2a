"""Errors of scores of blocks, and the choice of a threshold."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxnet import metrics

_roc_auc = jax.jit(metrics.roc_auc)


def score_metrics(
    scores: Float[np.ndarray, " n"],
    is_other: Bool[np.ndarray, " n"],
    false_alarm_cost: float,
    threshold: float | None = None,
) -> dict[str, float]:
    """Area under the ROC curve, and costs `misses + false_alarm_cost * false alarms` in percent.

    Args:
        scores: one for each block, higher where someone else is more likely.
        is_other: which blocks someone else made; both kinds occur.
        false_alarm_cost: cost of a rate of false alarms relative to the rate of misses.
        threshold: chosen without these blocks; None leaves its metrics out.

    Returns:
        `roc_auc`; `cost` of the threshold where it is lowest on these blocks, as it is published
        (Maxion, Townsend 2002), with its `hit_rate` and `false_alarm_rate`; and
        `cost_at_chosen_threshold` with its rates.

    >>> found = score_metrics(np.array([3.0, 1.0, 2.0]), np.array([True, False, False]), 6.0, 1.5)
    >>> found["roc_auc"], found["cost"], found["cost_at_chosen_threshold"]
    (1.0, 0.0, 300.0)
    """
    best = chosen_threshold(scores, is_other, false_alarm_cost)
    hits, alarms = _rates(scores, is_other, best)
    values = {
        "roc_auc": float(_roc_auc(scores, is_other)),
        "cost": 100 * (1 - hits + false_alarm_cost * alarms),
        "hit_rate": hits,
        "false_alarm_rate": alarms,
    }
    if threshold is not None:
        hits, alarms = _rates(scores, is_other, threshold)
        values |= {
            "cost_at_chosen_threshold": 100 * (1 - hits + false_alarm_cost * alarms),
            "hit_rate_at_chosen_threshold": hits,
            "false_alarm_rate_at_chosen_threshold": alarms,
        }
    return values


def chosen_threshold(
    scores: Float[np.ndarray, " n"], is_other: Bool[np.ndarray, " n"], false_alarm_cost: float
) -> float:
    """The threshold with the lowest cost; a score that reaches it is an alarm.

    Args:
        scores: one for each block.
        is_other: which blocks someone else made; both kinds occur.
        false_alarm_cost: as in `score_metrics`.
    """
    threshold, _ = metrics.cost_threshold(
        jnp.asarray(scores, jnp.float32),
        jnp.asarray(is_other),
        false_positive_cost=false_alarm_cost / float((~is_other).sum()),
        false_negative_cost=1 / float(is_other.sum()),
    )
    return float(threshold)


def _rates(scores: np.ndarray, is_other: np.ndarray, threshold: float) -> tuple[float, float]:
    """Fractions of the blocks of someone else, and of the user's own, that are alarms."""
    is_alarm = np.asarray(scores, np.float32) >= threshold
    return float(is_alarm[is_other].mean()), float(is_alarm[~is_other].mean())
