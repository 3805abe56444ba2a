"""What is held out: a code for each interaction, and how many parts there are."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.data.interactions import Interactions
from experiments.recommendation.config import Config

NOTHING = -1
"""The part that is held out where all data are learned from."""


class Split(NamedTuple):
    """Parts of the interactions, of which the first ones are held out, one after the other.

    Attributes:
        code: the part of each interaction, from 0, `(n,)`.
        num_parts: number of parts that are held out: those with the codes below it.
    """

    code: Int[np.ndarray, " n"]
    num_parts: int

    def known(self, part: int) -> np.ndarray:
        """Which interactions are learned from where a part is held out, `(n,)`."""
        return self.code != part


def split_interactions(config: Config, interactions: Interactions) -> Split:
    """Choose what is held out.

    Args:
        config: the options.
        interactions: the data.

    Raises:
        ValueError: a split by time of data without times; nothing to hold out, or to learn from.
    """
    num_rows = len(interactions.pairs)
    if config.split == "random":
        if interactions.folds is not None:
            return Split(interactions.folds, int(interactions.folds.max()) + 1)
        if num_rows < config.num_folds:
            raise ValueError(
                f"num_folds {config.num_folds} must not exceed the number of rows, {num_rows}"
            )
        order = np.random.default_rng(config.seed).permutation(num_rows)
        code = np.empty(num_rows, np.int32)
        code[order] = np.arange(num_rows) % config.num_folds
        return Split(code, config.num_folds)
    times = interactions.times
    if times is None:
        raise ValueError(
            f"split {config.split} needs times, which the data do not have; name their column with "
            "--time, or use --split random"
        )
    # Rows of one time stay in the order of the file.
    order = np.argsort(times, kind="stable")
    held_out = np.zeros(num_rows, bool)
    if config.split == "time":
        held_out[order[num_rows - max(1, int(config.test_fraction * num_rows)) :]] = True
    else:
        last = np.full(len(interactions.users), -1)
        last[interactions.pairs[order, 0]] = order
        counts = np.bincount(interactions.pairs[:, 0], minlength=len(interactions.users))
        held_out[last[counts > 1]] = True
    if not 0 < held_out.sum() < num_rows:
        raise ValueError(
            f"split {config.split} holds {held_out.sum()} of {num_rows} rows out, expected some "
            "and not all; use more data, or --split random"
        )
    return Split(np.where(held_out, 0, 1).astype(np.int32), 1)
