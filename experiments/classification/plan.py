"""Which examples train and which test each network of a cross-validation, and their inputs."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.data import Inputs, folds, take


class Plan(NamedTuple):
    """The examples on which each network is trained and evaluated, as indices.

    Attributes:
        trains: the training examples of each fold, then of each pair.
        tests: the test examples of each fold.
        pairs: the folds of each pair, of the same repeat.
    """

    trains: list[np.ndarray]
    tests: list[np.ndarray]
    pairs: list[tuple[int, int]]

    @property
    def evaluated(self) -> list[np.ndarray]:
        """The examples on which the network of each pair is evaluated: first fold, second fold."""
        return [np.concatenate([self.tests[one], self.tests[other]]) for one, other in self.pairs]

    def rows(self, seed: int) -> np.ndarray:
        """The training examples of all networks in one array `(networks, num_train)`.

        A network of a pair has fewer examples, which are repeated in random order, so that all
        networks take the same number of steps, and so are those of groups of different sizes.
        """
        rng = np.random.default_rng(seed)
        length = max(map(len, self.trains[: len(self.tests)]))
        return np.stack(
            [
                fold if len(fold) == length else np.resize(rng.permutation(fold), length)
                for fold in self.trains
            ]
        )


def plan(
    labels: np.ndarray,
    *,
    num_folds: int,
    num_repeats: int,
    seed: int,
    nested: bool,
    groups: Sequence[str] | None = None,
) -> Plan:
    """Plan a cross-validation.

    Args:
        labels: of all examples, `(n,)`.
        num_folds: folds of each repeat.
        num_repeats: repeats, each with other folds.
        seed: decides the folds.
        nested: whether there are pairs.
        groups: the group of each example, as in `folds`.

    Returns:
        The plan. Training folds are cut to the length of the shortest, except for those of groups.

    Raises:
        ValueError: as `folds`.

    >>> three = plan(np.array([0, 1] * 6), num_folds=3, num_repeats=1, seed=0, nested=True)
    >>> three.pairs, [len(train) for train in three.trains], three.rows(0).shape
    ([(0, 1), (0, 2), (1, 2)], [8, 8, 8, 4, 4, 4], (6, 8))
    """
    trains, tests = folds(
        labels, num_folds=num_folds, num_repeats=num_repeats, seed=seed, groups=groups
    )
    num_folds = len(tests) // num_repeats
    pairs = [
        (first + one, first + other)
        for first in range(0, len(tests) if nested else 0, num_folds)
        for one in range(num_folds)
        for other in range(one + 1, num_folds)
    ]
    length = len(labels) if groups is not None else min(map(len, trains))
    inner = [np.setdiff1d(trains[one], tests[other]) for one, other in pairs]
    return Plan([*(fold[:length] for fold in trains), *inner], tests, pairs)


ScaleOfFold = Callable[[Inputs], Inputs]


def scaled(scales: Sequence[ScaleOfFold], inputs: Inputs, rows: np.ndarray) -> Inputs:
    """The inputs of each network, scaled as fitted for it, `(networks, rows, ...)`."""
    first = scales[0](take(inputs, rows[0]))
    stacked = jax.tree.map(lambda leaf: np.empty((len(rows), *leaf.shape), leaf.dtype), first)

    # One network after the other: all at once would hold the data twice.
    for index, scale in enumerate(scales):
        values = first if index == 0 else scale(take(inputs, rows[index]))
        jax.tree.map(functools.partial(_write, index), stacked, values)
    return stacked


def _write(index: int, stacked: np.ndarray, values: np.ndarray) -> None:
    stacked[index] = values


def padded(examples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Indices padded to one length, and their weights: 0 for the padding.

    >>> padded([np.array([4, 5]), np.array([6])])[1].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    length = max(map(len, examples))
    weights = np.stack([np.arange(length) < len(rows) for rows in examples])
    indices = np.stack([np.pad(rows, (0, length - len(rows))) for rows in examples])
    return indices, weights.astype(np.float32)


def out_of_fold(
    nested: Plan, outputs: Float[np.ndarray, "pairs padded 1"], num_examples: int
) -> tuple[Float[np.ndarray, "folds n 1"], Float[np.ndarray, "folds n"]]:
    """For each test fold the outputs for all other examples, of networks that saw neither.

    Args:
        nested: the plan.
        outputs: of the network of each pair for `nested.evaluated`.
        num_examples: examples of the data set, n.

    Returns:
        The outputs, and their weights: 0 for the test fold, 1 for all others.
    """
    values = np.zeros((len(nested.tests), num_examples, 1), np.float32)
    weights = np.zeros((len(nested.tests), num_examples), np.float32)
    for (one, other), of_pair in zip(nested.pairs, outputs, strict=True):
        first, second = nested.tests[one], nested.tests[other]
        values[other, first], weights[other, first] = of_pair[: len(first)], 1
        values[one, second], weights[one, second] = of_pair[len(first) :][: len(second)], 1
    return values, weights
