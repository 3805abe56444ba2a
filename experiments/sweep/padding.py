"""Trials that differ in hidden sizes: padded where that costs less than compiling for each size."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.config import replace
from experiments.numbers import Shared
from experiments.sizes import may_be_padded
from jaxnet.search import Bracket

Sizes = tuple[int, ...]

# The option that holds them.
SIZES = "hidden_dims"


def pad_hidden_sizes(
    shared: Sequence[Shared], cost: Callable[[Any], float], limit: float
) -> list[Shared]:
    """Configs with the hidden sizes of the programs that they share; their own become numbers.

    Args:
        shared: configs and the numbers in which they differ.
        cost: of a trial with the options of a config.
        limit: the cost of a program.

    Returns:
        One for each; those whose program has their own sizes only are as they were.
    """
    padded = list(shared)
    alike: dict[Any, list[int]] = {}
    for index, (config, numbers) in enumerate(shared):
        if may_be_padded(config):
            rest = replace(config, **{SIZES: ()}), tuple(sorted(numbers))
            alike.setdefault(rest, []).append(index)
    for (rest, _), indices in alike.items():
        own = [shared[index].config.model.hidden_dims for index in indices]

        def cost_of(sizes: Sizes, rest: Any = rest) -> float:
            return cost(replace(rest, **{SIZES: sizes}))

        programs = share_sizes(own, cost_of, limit)
        trials_of = Counter(programs.values())
        for index, sizes in zip(indices, own, strict=True):
            if trials_of[programs[sizes]] > 1:
                config, numbers = shared[index]
                config = replace(config, **{SIZES: programs[sizes]})
                padded[index] = Shared(config, numbers | {SIZES: np.array(sizes, np.int32)})
    return padded


def mean_training(brackets: Sequence[Bracket]) -> tuple[float, int]:
    """Epochs of a trial, on average, and the most trainings of which they consist.

    >>> from jaxnet.search import Rung
    >>> mean_training([(Rung(4, 1), Rung(1, 5))])
    (2.0, 2)
    """
    epochs = num_trials = 0
    for bracket in brackets:
        used = 0
        for rung in bracket:
            epochs += rung.num_trials * (rung.resource - used)
            used = rung.resource
        num_trials += bracket[0].num_trials
    return epochs / num_trials, max(map(len, brackets))


def share_sizes(
    sizes: Sequence[Sizes], cost: Callable[[Sizes], float], limit: float
) -> dict[Sizes, Sizes]:
    """The sizes to which those of trials are padded, so that trials share programs.

    From the most expensive on, sizes are padded to those of a program that is needed anyway, where
    all its trials then cost less more than the program that this saves. The result follows from
    the sizes alone, never from times.

    Args:
        sizes: hidden sizes of each trial.
        cost: of a trial with some sizes.
        limit: the cost of a program.

    Returns:
        sizes -> the padded ones, with as many layers, each at least as large.

    >>> share_sizes([(32,), (64,), (64, 64)], cost=sum, limit=100)
    {(64, 64): (64, 64), (64,): (64,), (32,): (64,)}
    >>> share_sizes([(32,), (64,), (64, 64)], cost=sum, limit=10)
    {(64, 64): (64, 64), (64,): (64,), (32,): (32,)}
    """
    counts: Mapping[Sizes, int] = Counter(sizes)
    costs = {own: cost(own) for own in counts}
    padded: dict[Sizes, Sizes] = {}
    for each in sorted(counts, key=lambda own: (-costs[own], own)):
        programs = [
            program
            for program in set(padded.values())
            if len(program) == len(each)
            and all(a >= b for a, b in zip(program, each, strict=True))
            and counts[each] * (costs[program] - costs[each]) <= limit
        ]
        padded[each] = min(programs, key=lambda own: (costs[own], own), default=each)
    return padded
