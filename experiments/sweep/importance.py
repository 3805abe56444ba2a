"""How much each setting matters: functional analysis of variance of a random forest."""

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import RandomForestRegressor

_NUM_TREES = 64


def marginal_importance(
    positions: Float[np.ndarray, "n dims"], scores: Float[np.ndarray, " n"], *, seed: int = 0
) -> Float[np.ndarray, "trees dims"]:
    """The fraction of the variance of the scores that each setting explains by itself.

    A random forest is fitted to the scores. For each tree f over the unit cube, the fraction of
    dimension j is `Var(a_j) / Var(f)`, where `a_j(x_j)` is the mean of f over all other dimensions:
    the unary marginals of Hutter, Hoos and Leyton-Brown (2014), "An efficient approach for
    assessing hyperparameter importance", algorithm 2. What is left to 1 is due to interactions.

    Args:
        positions: of the settings, in [0, 1].
        scores: finite.
        seed: of the forest.

    Returns:
        The fraction of each dimension, by each tree that is not constant; none where all scores
        are equal.

    >>> x = np.random.default_rng(0).random((200, 2))
    >>> first, second = marginal_importance(x, x[:, 0]).mean(axis=0)
    >>> bool(first > 0.9), bool(second < 0.02)
    (True, True)
    """
    forest = RandomForestRegressor(_NUM_TREES, min_samples_leaf=2, random_state=seed)
    forest.fit(positions, scores)
    fractions = [tree_importance(tree.tree_, positions.shape[1]) for tree in forest.estimators_]
    return np.array([each for each in fractions if each is not None]).reshape(
        -1, positions.shape[1]
    )


def tree_importance(tree: Any, num_dims: int) -> Float[np.ndarray, " dims"] | None:
    """The fraction of the variance of a regression tree that each dimension explains by itself.

    Args:
        tree: the `tree_` of a regression tree of scikit-learn.
        num_dims: number of dimensions.

    Returns:
        The fractions; None for a constant tree.
    """
    low, high, values = _leaves(tree, num_dims)
    widths = high - low
    volumes = widths.prod(axis=1)
    mean = volumes @ values
    total = volumes @ (values - mean) ** 2
    if total <= 1e-12 * max(1.0, mean**2):
        return None
    fractions = np.zeros(num_dims)
    for dim in range(num_dims):
        edges = np.unique(np.concatenate([low[:, dim], high[:, dim]]))
        middles = (edges[1:] + edges[:-1]) / 2
        inside = (low[:, dim] <= middles[:, None]) & (middles[:, None] < high[:, dim])
        others = np.delete(widths, dim, axis=1).prod(axis=1)
        marginal = inside @ (others * values)
        fractions[dim] = np.diff(edges) @ (marginal - mean) ** 2 / total
    return fractions


def _leaves(tree: Any, num_dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The boxes of the leaves inside the unit cube, and their values."""
    boxes: list[tuple[np.ndarray, np.ndarray, float]] = []
    todo = [(0, np.zeros(num_dims), np.ones(num_dims))]
    while todo:
        node, low, high = todo.pop()
        left, right = tree.children_left[node], tree.children_right[node]
        if left == right:
            boxes.append((low, high, float(tree.value[node, 0, 0])))
            continue
        dim, threshold = tree.feature[node], float(np.clip(tree.threshold[node], 0, 1))
        below, above = high.copy(), low.copy()
        below[dim], above[dim] = min(high[dim], threshold), max(low[dim], threshold)
        todo += [(left, low, below), (right, above, high)]
    lows, highs, values = zip(*boxes, strict=True)
    return np.array(lows), np.array(highs), np.array(values)
