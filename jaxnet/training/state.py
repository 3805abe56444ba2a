"""The state of a training run, what a learner is, and how random numbers are kept apart."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int, Key, PyTree

from jaxnet._global_arrays import is_key
from jaxnet.objectives.weighting import widen
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

    In a loop of one's own, `jax.jit(learner.step, donate_argnums=0)` saves a copy of the state: a
    state of `init` holds no buffer of the caller's, and none twice.

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


def initial_state(
    params: Params, extra: PyTree[Any], optimizer_state: PyTree[Any], key: Key[Array, ""]
) -> TrainState:
    """The state before the first step, which holds copies of all that it is given.

    So a state may be donated: no buffer of it is one of the caller's, and none occurs twice.

    Args:
        params: what is learned.
        extra: state that no gradient changes.
        optimizer_state: the state of the optimizer.
        key: the key of the run.

    Returns:
        The state, at step 0.

    >>> key = jax.random.key(0)
    >>> initial_state({}, (), (), key).key is key
    False
    """
    state = TrainState(params, extra, optimizer_state, key, jnp.zeros((), jnp.int32))
    return owned(state)


def owned(tree: PyTree[Any]) -> Any:
    """Copies of all arrays, so that none shares its buffer with another; nothing under `jit`.

    Args:
        tree: a pytree of arrays.

    Returns:
        The same structure.

    >>> zeros = jnp.zeros(2)
    >>> first, second = owned((zeros, zeros))
    >>> first is second
    False
    """
    return jax.tree.map(_copy, tree)


def _copy(leaf: Any) -> Array:
    # `jnp.array` compiles a program for each shape, `device_put` none. But `device_put` forgets
    # where keys are placed, and may keep the memory of a NumPy array.
    if (
        isinstance(leaf, jax.Array)
        and not isinstance(leaf, Tracer)
        and not is_key(leaf)
        and len(leaf.sharding.device_set) == 1
    ):
        return jax.device_put(leaf, may_alias=False)
    return jnp.array(leaf, copy=True)


def skip_masked(batch: Batch, old: TrainState, new: TrainState) -> TrainState:
    """The state after a step; that before it, with one more step, where all weights are 0.

    An optimizer would move parameters by its momentum, or divide by a gradient of 0.

    Args:
        batch: the batch of the step, with or without `weight`.
        old: the state before the step.
        new: the state after it.

    Returns:
        The state.

    >>> old = initial_state({"a": jnp.zeros(1)}, (), (), jax.random.key(0))
    >>> new = old._replace(params={"a": jnp.ones(1)}, step=old.step + 1)
    >>> state = skip_masked({"weight": jnp.zeros(4)}, old, new)
    >>> float(state.params["a"][0]), int(state.step)
    (0.0, 1)
    """
    weight = batch.get("weight") if isinstance(batch, Mapping) else None
    if weight is None:
        return new
    present = jnp.any(widen(weight) > 0)
    params, extra, optimizer_state = jax.tree.map(
        lambda before, after: jnp.where(present, after, before), tuple(old[:3]), tuple(new[:3])
    )
    return TrainState(params, extra, optimizer_state, new.key, new.step)


def restart(state: TrainState) -> TrainState:
    """Count the steps from 0 again, with a new key: another run that starts from this state.

    The number of the epoch follows from the step and the number of steps in an epoch. So where the
    batch size or the data change in the middle of a training, begin to count again. Parameters and
    the state of the optimizer, the position in a schedule of its rate included, stay.

    Args:
        state: a training state, or a batch of them.

    Returns:
        The same state at step 0, with a key that is a function of the old key and step.

    >>> state = initial_state({}, (), (), jax.random.key(0))._replace(step=jnp.int32(5))
    >>> int(restart(state).step), bool(restart(state).key == state.key)
    (0, False)
    """

    def new_key(key: Array, step: Array) -> Array:
        return jax.random.fold_in(fold_in_name(key, "restart"), step)

    for _ in range(jnp.ndim(state.step)):
        new_key = jax.vmap(new_key)
    return state._replace(key=new_key(state.key, state.step), step=jnp.zeros_like(state.step))


def over_runs(function: Callable[..., Any], num_axes: int, in_axes: Any = 0) -> Callable[..., Any]:
    """A function mapped over the leading axes of a batch of runs.

    Args:
        function: of a state, or of something of one run, and more arguments.
        num_axes: number of axes of runs, such as `state.step.ndim`; 0 for a single run.
        in_axes: as in `jax.vmap`, the same for each axis.

    Returns:
        The mapped function.

    >>> import jax.numpy as jnp
    >>> over_runs(lambda x, y: x + y, 2, (0, None))(jnp.zeros((3, 2)), 1.0).shape
    (3, 2)
    """
    for _ in range(num_axes):
        function = jax.vmap(function, in_axes)
    return function


def no_init(*arguments: Any) -> Any:
    """The `init` of a learner or an objective that goes on from a state that is given.

    Args:
        arguments: those of an `init`.

    Raises:
        NotImplementedError: always.

    >>> no_init(jax.random.key(0))
    Traceback (most recent call last):
        ...
    NotImplementedError: the state is given
    """
    raise NotImplementedError("the state is given")
