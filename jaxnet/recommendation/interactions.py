"""Interactions of users with items: as matrices, and the items to recommend."""

import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Integer, Shaped

from jaxnet._checks import require_integer, require_positive
from jaxnet.objectives.weighting import require_shape


class TopItems(NamedTuple):
    """The items with the highest scores, returned by `top_items`.

    Attributes:
        items: numbers of items, best first, `(*batch, k)`; -1 where fewer are left.
        scores: their scores, `(*batch, k)`; -inf where fewer are left.
    """

    items: Int[Array, "*batch k"]
    scores: Float[Array, "*batch k"]


def rating_matrix(
    pairs: Integer[np.ndarray, "n 2"],
    ratings: Shaped[np.ndarray, " n"],
    num_users: int,
    num_items: int,
    *,
    missing: ArrayLike = 0,
) -> Shaped[np.ndarray, "num_users num_items"]:
    """A matrix of ratings with a row for each user and a column for each item, on the host.

    Args:
        pairs: a user and an item for each rating, `(n, 2)`.
        ratings: the ratings, `(n,)`; ones for items that were chosen.
        num_users: number of users.
        num_items: number of items.
        missing: the entry of all other pairs.

    Returns:
        The matrix, of the type of the ratings.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; a pair that is out of range, or occurs twice.

    >>> pairs = np.array([[0, 1], [1, 0]])
    >>> rating_matrix(pairs, np.array([4.0, 2.5]), 2, 3).tolist()
    [[0.0, 4.0, 0.0], [2.5, 0.0, 0.0]]
    """
    require_positive("rating_matrix", num_users=num_users, num_items=num_items)
    pairs, shape = np.asarray(pairs), (operator.index(num_users), operator.index(num_items))
    ratings = np.asarray(ratings)
    require_shape("rating_matrix", "ratings", ratings, pairs.shape[:1])
    outside = ((pairs < 0) | (pairs >= np.array(shape))).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"rating_matrix: pairs hold {pairs[row].tolist()} in row {row}, expected a user in "
            f"[0, {shape[0]}) and an item in [0, {shape[1]})"
        )
    flat = pairs[:, 0].astype(np.int64) * shape[1] + pairs[:, 1]
    unique, counts = np.unique(flat, return_counts=True)
    if (counts > 1).any():
        twice = divmod(int(unique[np.argmax(counts > 1)]), shape[1])
        raise ValueError(
            f"rating_matrix: pairs hold {list(twice)} more than once, expected one rating of each "
            "user for an item; keep the last one, or their mean"
        )
    matrix = np.full(shape, missing, ratings.dtype)
    matrix[pairs[:, 0], pairs[:, 1]] = ratings
    return matrix


def top_items(
    scores: Float[Array, "*batch items"],
    k: int,
    *,
    excluded: Bool[Array, "*batch items"] | None = None,
) -> TopItems:
    """The `k` items with the highest scores; of equal scores the first items.

    Args:
        scores: a score of each item, `(*batch, items)`.
        k: number of items, from 1 to `items`; static.
        excluded: items that are not recommended, such as those that the user has, of the same
            shape; None for none.

    Returns:
        Items and scores, `(*batch, k)`.

    Raises:
        TypeError: a `k` that is not an integer.
        ValueError: `k` is outside 1 to `items`; shapes do not match.

    >>> scores = jnp.array([0.5, 0.9, 0.7])
    >>> top_items(scores, 2, excluded=jnp.array([False, True, False])).items.tolist()
    [2, 0]
    """
    remedy = "choose a smaller k, or check that the last axis of scores is the items"
    require_integer("top_items", "k", k, 1, scores.shape[-1], remedy=remedy)
    if excluded is not None:
        require_shape("top_items", "excluded", excluded, scores.shape)
        scores = jnp.where(excluded, -jnp.inf, scores)
    values, items = jax.lax.top_k(scores, operator.index(k))
    return TopItems(jnp.where(values > -jnp.inf, items, -1), values)
