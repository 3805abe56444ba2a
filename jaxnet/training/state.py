"""The state of a training run, and what a learner is."""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Int, Key, PyTree

from jaxnet.typing import Batch, Metrics, Params


class Stream(enum.IntEnum):
    """Streams of randomness drawn from the key of a run; folded in first, so they never meet."""

    INIT = 0
    ORDER = 1
    NOISE = 2
    OPTIMIZER = 3
    CHAINS = 4
    DATA = 5
    START = 6
    EVALUATION = 7
    RESET = 8
    PRETRAINING = 9
    CLUSTERING = 10
    PROBE = 11
    VALIDATION = 12
    TEST_DATA = 13
    SAMPLES = 14


class TrainState(NamedTuple):
    """All that a training run knows: restore these arrays and it continues with the same bits.

    Attributes:
        params: what is learned.
        optimizer_state: what the learner remembers besides.
        key: the key of the run, which never changes; every random number is a function of
            `(key, step)`.
        step: how many steps have been taken.
    """

    params: Params
    optimizer_state: PyTree[Any]
    key: Key[Array, "..."]
    step: Int[Array, "..."]


class Learner(NamedTuple):
    """A pair of pure functions; `fit` and `epochs` are folds of `step`.

    Attributes:
        init: `init(key) -> state`.
        step: `step(state, batch) -> (state, metrics)`; metrics are scalars, `loss` among them.
    """

    init: Callable[[Array], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
