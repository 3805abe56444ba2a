"""The folds of a cross-validation as arrays of one shape; thresholds that are chosen out of fold.

Where a threshold is chosen for a budget of false positives, this is a nested cross-validation: each
pair of folds has a network that is trained without both, and its outputs for the one fold choose
the threshold that the other tests. So a network of each pair serves twice, K folds need
K (K - 1) / 2 of them, and each threshold is chosen on all examples outside of its test fold.

Source: Stone (1974), "Cross-Validatory Choice and Assessment of Statistical Predictions".
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.classification import evaluation
from experiments.data import Standardization, folds, standardize
from jaxnet import metrics


class Plan(NamedTuple):
    """What each network of a cross-validation is trained and judged on, as indices of examples.

    Attributes:
        trains: the training examples of each fold, then of each pair.
        tests: the test examples of each fold.
        pairs: the folds of each pair, of the same repeat.
    """

    trains: list[np.ndarray]
    tests: list[np.ndarray]
    pairs: list[tuple[int, int]]

    @property
    def judged(self) -> list[np.ndarray]:
        """The examples on which the network of each pair is judged: its first fold, its second."""
        return [np.concatenate([self.tests[one], self.tests[other]]) for one, other in self.pairs]

    def rows(self, seed: int) -> np.ndarray:
        """The training examples of all networks in one array `(networks, num_train)`.

        A network of a pair has fewer examples, which are repeated in turn, in random order. So all
        take as many steps.
        """
        rng = np.random.default_rng(seed)
        length = len(self.trains[0])
        rows = self.trains[: len(self.tests)]
        pairs = self.trains[len(self.tests) :]
        return np.stack([*rows, *(np.resize(rng.permutation(fold), length) for fold in pairs)])


def plan(labels: np.ndarray, *, num_folds: int, num_repeats: int, seed: int, nested: bool) -> Plan:
    """Plan a cross-validation.

    Args:
        labels: of all examples, `(n,)`.
        num_folds: folds of each repeat.
        num_repeats: repeats, each with other folds.
        seed: decides the folds.
        nested: whether there are pairs.

    Returns:
        The plan. Training folds are cut to the length of the shortest.

    Raises:
        ValueError: as `folds`.

    >>> three = plan(np.array([0, 1] * 6), num_folds=3, num_repeats=1, seed=0, nested=True)
    >>> three.pairs, [len(train) for train in three.trains], three.rows(0).shape
    ([(0, 1), (0, 2), (1, 2)], [8, 8, 8, 4, 4, 4], (6, 8))
    """
    trains, tests = folds(labels, num_folds=num_folds, num_repeats=num_repeats, seed=seed)
    pairs = [
        (first + one, first + other)
        for first in range(0, num_folds * num_repeats if nested else 0, num_folds)
        for one in range(num_folds)
        for other in range(one + 1, num_folds)
    ]
    length = min(map(len, trains))
    inner = [np.setdiff1d(trains[one], tests[other]) for one, other in pairs]
    return Plan([*(fold[:length] for fold in trains), *inner], tests, pairs)


def scaled(fitted: Sequence[Standardization], inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The inputs of each network in its own scale, `(networks, rows, ...)`, with no second copy."""
    x = np.empty((*rows.shape, *inputs.shape[1:]), np.float32)
    for index, scale in enumerate(fitted):
        x[index] = standardize(scale, inputs[rows[index]])
    return x


def padded(judged: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of one length, and their weights: 0 for those that only fill up.

    >>> padded([np.array([4, 5]), np.array([6])])[1].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    length = max(map(len, judged))
    weights = np.stack([np.arange(length) < len(rows) for rows in judged])
    indices = np.stack([np.pad(rows, (0, length - len(rows))) for rows in judged])
    return indices, weights.astype(np.float32)


def out_of_fold(
    nested: Plan, outputs: Float[np.ndarray, "pairs padded 1"], num_examples: int
) -> tuple[Float[np.ndarray, "folds n 1"], Float[np.ndarray, "folds n"]]:
    """For each test fold the outputs for all other examples, of networks that saw neither.

    Args:
        nested: the plan.
        outputs: of the network of each pair for `nested.judged`.
        num_examples: examples of the data set, n.

    Returns:
        The outputs, and their weights: 0 for the test fold, 1 for all others.
    """
    values = np.zeros((len(nested.tests), num_examples, 1), np.float32)
    weights = np.zeros((len(nested.tests), num_examples), np.float32)
    for (one, other), judged in zip(nested.pairs, outputs, strict=True):
        first, second = nested.tests[one], nested.tests[other]
        values[other, first], weights[other, first] = judged[: len(first)], 1
        values[one, second], weights[one, second] = judged[len(first) :][: len(second)], 1
    return values, weights


class HeldOut(NamedTuple):
    """The test folds, filled up to one length.

    Attributes:
        outputs: of the network of each fold, `(folds, padded, 1)`.
        labels: `(folds, padded)`.
        weights: 0 for examples that only fill up, `(folds, padded)`.
    """

    outputs: Array
    labels: Array
    weights: np.ndarray


def decide(
    pooled: tuple[Float[np.ndarray, "folds n 1"], Float[np.ndarray, "folds n"]],
    y: Int[np.ndarray, " n"],
    budgets: Float[np.ndarray, " folds"],
    tested: HeldOut,
) -> dict[str, Array]:
    """Metrics of the decisions in each test fold, at a threshold that was chosen without it.

    Args:
        pooled: of `out_of_fold`.
        y: labels of all examples.
        budgets: of `evaluation.budget_on` for the examples outside of each test fold.
        tested: the test folds.

    Returns:
        `(folds,)` each; there is no cost, as none has chosen the threshold.
    """

    @jax.jit
    @jax.vmap
    def judge(values: Array, weights: Array, budget: Array, tested: HeldOut) -> dict[str, Array]:
        threshold = evaluation.threshold_within(values, jnp.asarray(y), budget, weights)
        costs = evaluation.Costs(1.0, 1.0)
        outputs, labels, weight = map(jnp.asarray, tested)
        return evaluation.decision_metrics(outputs, labels, threshold, costs, weight)

    found = dict(judge(*pooled, budgets, tested))
    del found["cost"]
    return found


def pooled_metrics(
    tested: HeldOut, num_repeats: int, max_false_positive_rate: float
) -> dict[str, Array]:
    """What the ROC curve of all test folds of a repeat together says, where no threshold is chosen.

    Args:
        tested: the test folds.
        num_repeats: so many curves.
        max_false_positive_rate: where the recall is read off.

    Returns:
        `(num_repeats,)` each.
    """

    @jax.jit
    @jax.vmap
    def judge(scores: Array, labels: Array, weight: Array) -> dict[str, Array]:
        threshold = metrics.threshold_at_false_positive_rate(
            scores, labels, budget=max_false_positive_rate, weight=weight
        )
        positives = labels * weight
        return {
            "pooled_roc_auc": metrics.roc_auc(scores, labels, weight=weight),
            "pooled_recall": jnp.sum(positives * (scores >= threshold)) / jnp.sum(positives),
        }

    return dict(judge(*(jnp.reshape(each, (num_repeats, -1)) for each in tested)))
