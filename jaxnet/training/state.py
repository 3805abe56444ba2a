"""The state of a training run, what a learner is, and how random numbers are kept apart."""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Int, Key, PyTree

from jaxnet.typing import Batch, Metrics, Params

# What the core folds into the key of a run first, so that its own uses of the key never meet.
INIT, ORDER, NOISE, OPTIMIZER = range(4)


class TrainState(NamedTuple):
    """Everything a training run depends on: restore these arrays and it continues bitwise equal.

    Attributes:
        params: what is learned.
        extra: state that no gradient changes: targets, counts, chains, batch statistics, averages;
            `()` for most learners.
        optimizer_state: the state of the Optax optimizer.
        key: the key of the run, which never changes; every random number is a function of
            `(key, step)`.
        step: number of steps taken.
    """

    params: Params
    extra: PyTree[Any]
    optimizer_state: PyTree[Any]
    key: Key[Array, "..."]
    step: Int[Array, "..."]


class Learner(NamedTuple):
    """A pair of pure functions; `fit` and `epochs` are folds of `step`.

    Attributes:
        init: `init(key) -> state`.
        step: `step(state, batch) -> (state, metrics)`; metrics are scalars, `loss` among them. It
            keeps the key and adds 1 to the step.
    """

    init: Callable[[Array], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def fold_in_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """A key for one named use of a key: other names give independent keys.

    Args:
        key: PRNG key.
        name: what the random numbers are for, such as `"probe"`.

    Returns:
        A key, a function of `key` and `name` alone.

    >>> key = jax.random.key(0)
    >>> bool(fold_in_name(key, "probe") == fold_in_name(key, "probe"))
    True
    >>> bool(fold_in_name(key, "probe") == fold_in_name(key, "samples"))
    False
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)
