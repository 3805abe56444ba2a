"""Metrics of rankings over all items: no sampled candidates.

Sampled metrics, which rank the relevant items among a few random ones, may order two methods in the
opposite way: Krichene and Rendle (2020), "On sampled metrics for item recommendation".
"""

import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxnet._checks import require_integer
from jaxnet.metrics.weighting import as_float, example_weights, weighted_mean
from jaxnet.objectives.weighting import require_shape


def ndcg_at_k(
    scores: Float[Array, "users items"],
    relevance: Shaped[Array, "users items"],
    *,
    k: int,
    excluded: Bool[Array, "users items"] | None = None,
    weight: Shaped[Array, " users"] | None = None,
) -> Float[Array, ""]:
    """Normalized discounted cumulative gain of the `k` items with the highest scores.

    `DCG = sum_(r=1..k) relevance(r) / log2(r + 1)`, with the relevance of the item at rank `r`,
    divided by the largest DCG that any order of the items reaches, and averaged over the users who
    have a relevant item. Of equal scores the first items are ranked first.

    Args:
        scores: a score of each item for each user, `(users, items)`.
        relevance: how relevant each item is, at least 0, `(users, items)`; 1 and 0 for items that
            the user chose, and others.
        k: number of ranks, from 1 to `items`; static.
        excluded: items that are not ranked, such as those that the user is known to have chosen,
            `(users, items)`; None for none. Their relevance is ignored.
        weight: one weight of at least 0 for each user, `(users,)`, or None for ones.

    Returns:
        The mean in [0, 1], a scalar; NaN where no user has a relevant item.

    Raises:
        TypeError: a `k` that is not an integer.
        ValueError: `k` is outside 1 to `items`; shapes do not match.

    >>> scores = jnp.array([[0.9, 0.8, 0.1]])
    >>> round(float(ndcg_at_k(scores, jnp.array([[0, 1, 0]]), k=2)), 4)
    0.6309
    >>> float(ndcg_at_k(scores, jnp.array([[0, 1, 0]]), k=2, excluded=scores > 0.85))
    1.0

    Source: Järvelin and Kekäläinen (2002), "Cumulated gain-based evaluation of IR techniques",
    with the logarithmic discount of `sklearn.metrics.ndcg_score`, which averages over the orders of
    equal scores.
    """
    gains, ideal, weight = _ranked("ndcg_at_k", scores, relevance, k, excluded, weight)
    discount = 1 / jnp.log2(jnp.arange(2, gains.shape[1] + 2, dtype=gains.dtype))
    largest = ideal @ discount
    has_relevant = largest > 0
    values = (gains @ discount) / jnp.where(has_relevant, largest, 1)
    return weighted_mean(values, weight * has_relevant)


def recall_at_k(
    scores: Float[Array, "users items"],
    relevance: Shaped[Array, "users items"],
    *,
    k: int,
    excluded: Bool[Array, "users items"] | None = None,
    weight: Shaped[Array, " users"] | None = None,
) -> Float[Array, ""]:
    """Fraction of the relevant items that are among the `k` items with the highest scores.

    `hits / min(k, number of relevant items)`, so that the best ranking has 1, averaged over the
    users who have a relevant item. Of equal scores the first items are ranked first.

    Args:
        scores: a score of each item for each user, `(users, items)`.
        relevance: greater than 0 for relevant items, `(users, items)`.
        k: number of ranks, from 1 to `items`; static.
        excluded: items that are not ranked, `(users, items)`; None for none. Their relevance is
            ignored.
        weight: one weight of at least 0 for each user, `(users,)`, or None for ones.

    Returns:
        The mean in [0, 1], a scalar; NaN where no user has a relevant item.

    Raises:
        TypeError: a `k` that is not an integer.
        ValueError: `k` is outside 1 to `items`; shapes do not match.

    >>> scores = jnp.array([[0.9, 0.8, 0.1, 0.3]])
    >>> float(recall_at_k(scores, jnp.array([[1, 0, 1, 0]]), k=2))
    0.5

    Source: Liang et al. (2018), "Variational autoencoders for collaborative filtering", section
    4.
    """
    binary = jnp.asarray(relevance) > 0
    hits, ideal, weight = _ranked("recall_at_k", scores, binary, k, excluded, weight)
    best = ideal.sum(axis=1)
    has_relevant = best > 0
    values = hits.sum(axis=1) / jnp.where(has_relevant, best, 1)
    return weighted_mean(values, weight * has_relevant)


def _ranked(
    function: str,
    scores: Array,
    relevance: Array,
    k: int,
    excluded: Array | None,
    weight: Array | None,
) -> tuple[Array, Array, Array]:
    """Relevance at the first ranks, the same in the best order, and the weights of the users."""
    if scores.ndim != 2:
        raise ValueError(
            f"{function}: scores has shape {scores.shape}, expected (users, items); use "
            "scores[None] for a single user, and jax.vmap for a batch of runs"
        )
    require_shape(function, "relevance", relevance, scores.shape)
    remedy = "choose a smaller k, or check that the last axis of scores is the items"
    require_integer(function, "k", k, 1, scores.shape[1], remedy=remedy)
    weight = example_weights(function, len(scores), weight)
    k, gains = operator.index(k), as_float(relevance)
    # A masked user counts nothing, whatever the row holds.
    gains = jnp.where(weight[:, None] > 0, gains, 0)
    undefined = jnp.isnan(scores)
    if excluded is not None:
        require_shape(function, "excluded", excluded, scores.shape)
        gains = jnp.where(excluded, 0, gains)
        undefined &= ~excluded
        # Below every score: fewer than k items may be left, and then these have no gain.
        scores = jnp.where(excluded, -jnp.inf, scores)
    _, order = jax.lax.top_k(scores, k)
    ranked = jnp.take_along_axis(gains, order, axis=1)
    # A NaN has no rank.
    ranked = jnp.where(undefined.any(axis=1, keepdims=True), jnp.nan, ranked)
    return ranked, jax.lax.top_k(gains, k)[0], weight
