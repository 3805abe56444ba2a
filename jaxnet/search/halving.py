"""Successive halving and Hyperband: how many trials train for how long, as plain values."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnet._checks import require_integer, require_positive


class Rung(NamedTuple):
    """A part of a bracket: some trials train until each has used a resource.

    Attributes:
        num_trials: number of trials that are left.
        resource: what each of them has used in all at the end of the rung, such as epochs.
    """

    num_trials: int
    resource: int


Bracket = tuple[Rung, ...]
"""The rungs of one successive halving, in order; the last has the full resource."""


def successive_halving(
    num_trials: int, *, max_resource: int, min_resource: int = 1, eta: int = 3
) -> Bracket:
    """A bracket that begins with some trials and keeps the best `1 / eta` after each rung.

    Rung i has `floor(n / eta^i)` trials, at least 1, and the resource `R eta^(i - s)`, rounded
    down, where s is the number of rungs that follow the first: the largest for which the first
    resource is at least `min_resource` and `eta^s <= n`. Jamieson and Talwalkar (2016),
    "Non-stochastic best arm identification and hyperparameter optimization"; as the loop in
    algorithm 1 of Li et al. (2018), "Hyperband".

    Args:
        num_trials: trials of the first rung, n.
        max_resource: resource of a trial that is never stopped, R.
        min_resource: resource of the first rung, at least.
        eta: of each number of trials, one is kept; at least 2.

    Returns:
        The rungs.

    Raises:
        ValueError: a number out of range.

    >>> successive_halving(9, max_resource=9)
    (Rung(num_trials=9, resource=1), Rung(num_trials=3, resource=3), Rung(num_trials=1, resource=9))
    """
    require_positive("successive_halving", num_trials=num_trials, max_resource=max_resource)
    require_integer("successive_halving", "min_resource", min_resource, 1, max_resource)
    require_integer("successive_halving", "eta", eta, 2)
    num_cuts = min(_log(num_trials, eta), _log(max_resource // min_resource, eta))
    return _bracket(num_trials, max_resource, eta, num_cuts)


def hyperband(max_resource: int, *, min_resource: int = 1, eta: int = 3) -> tuple[Bracket, ...]:
    """The brackets of Hyperband, from the one that stops most trials to the one that stops none.

    With `s_max = floor(log_eta(R))` and `B = (s_max + 1) R`, the bracket
    `s = s_max, ..., 0` begins with `n = ceil(B / R * eta^s / (s + 1))` trials of resource
    `R eta^-s`. Li et al. (2018), "Hyperband: a novel bandit-based approach to hyperparameter
    optimization", algorithm 1, with R in units of `min_resource`. Resources are rounded down.

    Args:
        max_resource: resource of a trial that is never stopped, R.
        min_resource: resource of the shortest rung, at least.
        eta: of each number of trials, one is kept; at least 2.

    Returns:
        The brackets.

    Raises:
        ValueError: a number out of range.

    >>> [bracket[0] for bracket in hyperband(9)]
    [Rung(num_trials=9, resource=1), Rung(num_trials=5, resource=3), Rung(num_trials=3, resource=9)]
    """
    require_positive("hyperband", max_resource=max_resource)
    require_integer("hyperband", "min_resource", min_resource, 1, max_resource)
    require_integer("hyperband", "eta", eta, 2)
    largest = _log(max_resource // min_resource, eta)
    return tuple(
        _bracket(-(-(largest + 1) * eta**cuts // (cuts + 1)), max_resource, eta, cuts)
        for cuts in range(largest, -1, -1)
    )


def hyperband_until(
    num_trials: int, max_resource: int, *, min_resource: int = 1, eta: int = 3
) -> tuple[Bracket, ...]:
    """The brackets of Hyperband, again from the first one, until a number of trials is used.

    The last bracket is a successive halving of the trials that are left, with the rungs that this
    number allows.

    Args:
        num_trials: trials of all brackets.
        max_resource: as in `hyperband`.
        min_resource: as in `hyperband`.
        eta: as in `hyperband`.

    Returns:
        The brackets.

    Raises:
        ValueError: a number out of range.

    >>> [bracket[0].num_trials for bracket in hyperband_until(20, 9)]
    [9, 5, 3, 3]
    """
    require_positive("hyperband_until", num_trials=num_trials)
    brackets = hyperband(max_resource, min_resource=min_resource, eta=eta)
    chosen: list[Bracket] = []
    left = num_trials
    while left > 0:
        bracket = brackets[len(chosen) % len(brackets)]
        if left < bracket[0].num_trials:
            cuts = min(len(bracket) - 1, _log(left, eta))
            bracket = _bracket(left, max_resource, eta, cuts)
        chosen.append(bracket)
        left -= bracket[0].num_trials
    return tuple(chosen)


def total_resource(brackets: Sequence[Bracket]) -> int:
    """What all trials of some brackets use together; a trial that goes on keeps what it has used.

    Args:
        brackets: the brackets.

    Returns:
        The sum.

    >>> total_resource([successive_halving(9, max_resource=9)])
    21
    """
    total = 0
    for bracket in brackets:
        used = 0
        for rung in bracket:
            total += rung.num_trials * (rung.resource - used)
            used = rung.resource
    return total


def best_of(
    scores: Sequence[float] | np.ndarray,
    num_best: int,
    *,
    ties: Sequence[float] | np.ndarray | None = None,
) -> list[int]:
    """The indices of the best scores: the largest, of equal ones the first; NaN is the worst.

    Args:
        scores: one for each trial; larger is better.
        num_best: how many.
        ties: a second score, by which equal ones are ordered; None for none.

    Returns:
        At most `num_best` indices, from the best on.

    >>> best_of([0.5, float("nan"), 0.9, 0.9], 2), best_of([0.9, 0.9], 1, ties=[-0.3, -0.2])
    ([2, 3], [1])
    """
    second = scores if ties is None else ties

    indices = range(len(scores))
    # NaN has no order.
    failed = [index for index in indices if math.isnan(scores[index])]
    others = [index for index in indices if not math.isnan(scores[index])]
    others.sort(key=lambda index: (-float(scores[index]), -float(second[index]), index))
    return [*others, *failed][:num_best]


def _bracket(num_trials: int, max_resource: int, eta: int, num_cuts: int) -> Bracket:
    return tuple(
        Rung(max(1, num_trials // eta**cut), max_resource // eta ** (num_cuts - cut))
        for cut in range(num_cuts + 1)
    )


def _log(value: int, base: int) -> int:
    """The largest exponent whose power is at most a value, in integers."""
    exponent = 0
    while base ** (exponent + 1) <= value:
        exponent += 1
    return exponent
