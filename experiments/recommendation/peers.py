"""What methods are compared with, in NumPy: biases, neighbors of items, and popularity."""

import numpy as np
from jaxtyping import Bool, Float

# Koren (2010), "Factor in the neighbors", section 2.1: how many ratings a bias of 0 counts as.
_ITEM_DAMPING, _USER_DAMPING = 25.0, 10.0
_NUM_NEIGHBORS, _SHRINKAGE = 40, 25.0


def damped_biases(
    ratings: Float[np.ndarray, "users items"], known: Bool[np.ndarray, "users items"]
) -> tuple[float, Float[np.ndarray, " users"], Float[np.ndarray, " items"]]:
    """The mean rating, and biases that are shrunk to 0 where there are few ratings.

    `b_i = sum_u (r_ui - m) / (25 + n_i)` and `b_u = sum_i (r_ui - m - b_i) / (10 + n_u)`. Koren
    (2010), "Factor in the neighbors: scalable and accurate collaborative filtering", section 2.1.

    Args:
        ratings: of users for items, anything where they are not known.
        known: which are known.

    Returns:
        Mean, biases of users and biases of items.
    """
    mean = float(ratings[known].mean())
    residual = np.where(known, ratings - mean, 0)
    of_items = residual.sum(axis=0) / (_ITEM_DAMPING + known.sum(axis=0))
    residual = np.where(known, residual - of_items, 0)
    of_users = residual.sum(axis=1) / (_USER_DAMPING + known.sum(axis=1))
    return mean, of_users, of_items


def bias_ratings(
    ratings: Float[np.ndarray, "users items"], known: Bool[np.ndarray, "users items"]
) -> Float[np.ndarray, "users items"]:
    """Ratings of all pairs by `damped_biases` alone."""
    mean, of_users, of_items = damped_biases(ratings, known)
    return mean + of_users[:, None] + of_items


def neighbor_ratings(
    ratings: Float[np.ndarray, "users items"],
    known: Bool[np.ndarray, "users items"],
    wanted: Bool[np.ndarray, "users items"],
) -> Float[np.ndarray, "users items"]:
    """Ratings by the 40 most similar items that the user has rated, and by biases.

    `r_ui = b_ui + sum_j s_ij (r_uj - b_uj) / sum_j |s_ij|`, where `s_ij` is the cosine of the
    residuals of two items, times `n_ij / (n_ij + 25)` for `n_ij` users who rated both. Koren
    (2010), section 2.2, with cosines instead of correlations.

    Args:
        ratings: of users for items, anything where they are not known.
        known: which are known.
        wanted: which are computed; the others are those of the biases.
    """
    predicted = bias_ratings(ratings, known)
    residual = np.where(known, ratings - predicted, 0).astype(np.float32)
    rated, result = known.astype(np.float32), predicted.copy()
    norms = np.sqrt((residual**2).sum(axis=0)) + 1e-9
    for user in range(len(ratings)):
        own, others = np.flatnonzero(known[user]), np.flatnonzero(wanted[user])
        if not len(own) or not len(others):
            continue
        similar = residual[:, others].T @ residual[:, own]
        similar /= norms[others, None] * norms[None, own]
        common = rated[:, others].T @ rated[:, own]
        similar *= common / (common + _SHRINKAGE)
        if len(own) > _NUM_NEIGHBORS:
            last = np.partition(similar, -_NUM_NEIGHBORS, axis=1)[:, [-_NUM_NEIGHBORS]]
            similar = np.where(similar >= last, similar, 0)
        similar = np.maximum(similar, 0)
        total = similar.sum(axis=1)
        change = similar @ residual[user, own] / np.where(total > 0, total, 1)
        result[user, others] += change
    return result


def popularity(known: Bool[np.ndarray, "users items"]) -> Float[np.ndarray, "users items"]:
    """Scores of all items by the number of users who chose them."""
    counts = known.sum(axis=0).astype(np.float32)
    return np.broadcast_to(counts, known.shape)


def neighbor_scores(known: Bool[np.ndarray, "users items"]) -> Float[np.ndarray, "users items"]:
    """Scores by the cosines of items: `sum_j x_uj cos(i, j)` over the other items of the user.

    Sarwar et al. (2001), "Item-based collaborative filtering recommendation algorithms".
    """
    x = known.astype(np.float32)
    normalized = x / np.sqrt(np.maximum(x.sum(axis=0), 1))
    return (x @ normalized.T) @ normalized - x
