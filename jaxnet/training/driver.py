"""The same run under the control of the caller: generators and calls whose loop is the caller's.

Every function takes a single state, or a batch of states as `jax.vmap(learner.init)(keys)` makes
it, whose runs train in one program; their metrics have the same leading axis.
"""

import operator
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxnet._checks import require_integer
from jaxnet._compiled import compiled_for, traced_once
from jaxnet._data import as_arrays
from jaxnet._global_arrays import local_part, place_all
from jaxnet.objectives.weighting import widen
from jaxnet.training._explicit import on_mesh_of
from jaxnet.training._host_steps import take_host_steps
from jaxnet.training._placement import data_mesh, sharding_of, shardings_of
from jaxnet.training._programs import apply_hook_to_runs, take_steps_of_runs
from jaxnet.training.batches import Batches, resolve_batches
from jaxnet.training.early_stopping import EarlyStopped
from jaxnet.training.hooks import Hooks, ScheduledHook, schedule_hooks
from jaxnet.training.host import HostData
from jaxnet.training.pure import require_metrics
from jaxnet.training.state import Learner, TrainState, over_runs
from jaxnet.training.validation import (
    Validation,
    begin_validation,
    is_out_of_patience,
    split_best,
    validate_runs,
    with_best,
)
from jaxnet.typing import Metrics


def epochs(
    learner: Learner,
    state: TrainState,
    data: PyTree[Any] | HostData,
    *,
    batch_size: int | None = None,
    batches: Batches | None = None,
    hooks: Hooks = (),
    validation: Validation | None = None,
) -> Iterator[tuple[TrainState, Metrics]]:
    """Yield the state and the mean metrics after each epoch, without end.

    Progress, checkpoints, evaluation and stopping are the body of the caller's loop. One compiled
    program runs all epochs, and its results are those of `fit`.

    Args:
        learner: the learner.
        state: where to start, at the beginning of an epoch; or a batch of states.
        data: dict of arrays that share their first axis, as in `fit`; or a `HostData`, which takes
            neither `batch_size` nor `batches`.
        batch_size: examples in a batch, drawn by `shuffled`.
        batches: another source of batches, instead of `batch_size`.
        hooks: as in `fit`.
        validation: as in `fit`. With a patience the iterator ends once all runs are out of
            patience; a run of a batch that is so earlier trains on beside the others, and its
            evaluation parameters stay the best. A state from here or from `fit` continues.

    Yields:
        `(state, metrics)` after each epoch.

    Raises:
        ValueError: at the call, before compilation: data without examples or of different lengths,
            a batch size out of range, a state inside an epoch, a state of early stopping without
            a validation that has a patience.

    >>> import itertools, jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> run = epochs(learner, learner.init(jax.random.key(0)), data, batch_size=5)
    >>> for state, metrics in itertools.islice(run, 3):
    ...     print(int(state.step), bool(metrics["loss"] >= 0))
    2 True
    4 True
    6 True
    """
    options: dict[str, Any] = {"batch_size": batch_size, "batches": batches}
    if not isinstance(data, HostData):
        data = as_arrays("epochs", "data", data)
    state, best = split_best(validation, state)
    metrics = begin_epoch(learner, state, data, **options)
    scheduled = schedule_hooks(hooks)
    length = metrics["loss"].shape[-1]
    if (offset := _position(state) % length) != 0:
        raise ValueError(
            f"state stands {offset} steps inside an epoch of {length} steps, expected at its "
            "beginning; finish the epoch with jaxnet.training.advance, or, where the batch size or "
            "the data have changed, count from 0 again with jaxnet.training.restart(state)"
        )
    if validation is not None:
        epoch = _position(state) // length
        validation, best = begin_validation(validation, state, best, epoch)

    def generate() -> Iterator[tuple[TrainState, Metrics]]:
        current, values, best_so_far = state, metrics, best
        while True:
            current, values = advance(
                learner, current, values, data, num_steps=length, hooks=scheduled, **options
            )
            if validation is None:
                yield current, mean_metrics(values)
                continue
            epoch, per_run = _position(current) // length, getattr(batches, "per_run", False)
            validated, best_so_far = validate_runs(
                validation, current, best_so_far, epoch, per_run=per_run
            )
            yield with_best(current, best_so_far), mean_metrics(values) | validated
            if is_out_of_patience(validation, best_so_far, epoch):
                return

    return generate()


def begin_epoch(
    learner: Learner,
    state: TrainState,
    data: PyTree[Any] | HostData,
    *,
    batch_size: int | None = None,
    batches: Batches | None = None,
) -> Metrics:
    """Arrays for the metrics of each step of an epoch, which `advance` fills in.

    Args:
        learner: the learner.
        state: a state, or a batch of states.
        data: as in `epochs`.
        batch_size: as in `epochs`.
        batches: as in `epochs`.

    Returns:
        Zeros `(*runs, steps_per_epoch, ...)` for each metric.

    Raises:
        ValueError: data without examples or of different lengths, a batch size out of range, a
            state of early stopping.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 3))
    >>> begin_epoch(learner, states, data, batch_size=5)["loss"].shape
    (3, 2)
    """
    if isinstance(state.extra, EarlyStopped):
        raise ValueError(
            "state holds the best parameters of early stopping; train on with "
            "jaxnet.epochs(..., validation=), or without: state._replace(extra=state.extra.extra)"
        )
    if isinstance(data, HostData):
        _reject_batches(batch_size, batches)
        num_steps, batch = data.steps_per_epoch, data.peek(_position(state))
        step = over_runs(
            lambda state, batch: learner.step(state, batch)[1], state.step.ndim, (0, None)
        )
        shapes = jax.eval_shape(step, state, batch)
    else:
        source, data = resolve_batches(batch_size, batches), as_arrays("begin_epoch", "data", data)
        data_of_run = _first_run(data) if source.per_run else data
        num_steps = source.num_steps(data_of_run)
        # As in the program that takes the steps, which is traced later.
        traced_step = traced_once(learner.step)

        def first_step(state: TrainState, data: PyTree[Any]) -> Metrics:
            return traced_step(state, source.take(data, source.plan(data, state.key, 0), 0))[1]

        step = over_runs(first_step, state.step.ndim, (0, 0 if source.per_run else None))
        shapes = jax.eval_shape(step, on_mesh_of(data, state), data)
    runs = state.step.ndim

    def zeros(leaf: jax.ShapeDtypeStruct) -> Array:
        # From the host, since `jnp.zeros` compiles a program for each shape.
        shape = (*leaf.shape[:runs], num_steps, *leaf.shape[runs:])
        return jnp.asarray(np.zeros(shape, leaf.dtype))

    metrics, sharding = jax.tree.map(zeros, shapes), sharding_of(state.step)
    # The axes of runs are spread as those of the state are.
    return metrics if sharding is None else place_all(metrics, sharding)


def advance(
    learner: Learner,
    state: TrainState,
    metrics: Metrics,
    data: PyTree[Any] | HostData,
    *,
    num_steps: int,
    batch_size: int | None = None,
    batches: Batches | None = None,
    hooks: Hooks = (),
) -> tuple[TrainState, Metrics]:
    """Take some steps of the epoch in which the state stands.

    One compiled program takes any number of steps, so that a run stopped and resumed anywhere, cut
    into pieces of any length, is bitwise identical to the run in one piece.

    Args:
        learner: the learner.
        state: where to start; or a batch of states that have taken the same number of steps.
        metrics: of the steps of this epoch so far; at its beginning, from `begin_epoch`.
        data: as in `epochs`.
        num_steps: steps to take.
        batch_size: as in `epochs`.
        batches: as in `epochs`.
        hooks: as in `fit`; those that are due before a step are applied when it is taken.

    Returns:
        The new state, and the metrics with those of the steps taken filled in.

    Raises:
        ValueError: no step, or steps beyond the end of the epoch; metrics of another number of
            steps than an epoch has.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> metrics = begin_epoch(learner, state, data, batch_size=2)
    >>> state, metrics = advance(learner, state, metrics, data, batch_size=2, num_steps=3)
    >>> int(state.step), (metrics["loss"] > 0).tolist()
    (3, [True, True, True, False, False])
    """
    step, length = _position(state), metrics["loss"].shape[-1]
    left = length - step % length
    remedy = f"{left} steps are left of the epoch"
    require_integer("advance", "num_steps", num_steps, 1, left, remedy=remedy)
    num_steps = operator.index(num_steps)
    end, scheduled = step + num_steps, schedule_hooks(hooks)
    if isinstance(data, HostData):
        _reject_batches(batch_size, batches)
        if scheduled:
            raise ValueError("hooks see the whole data set, which HostData does not hold")
        require_metrics("advance", length, data.steps_per_epoch)
        return take_host_steps(learner, state, metrics, data, step, end)
    source, data = resolve_batches(batch_size, batches), as_arrays("advance", "data", data)
    data_of_run = _first_run(data) if source.per_run else data
    require_metrics("advance", length, source.num_steps(data_of_run))
    state, metrics = on_mesh_of(data, (state, metrics))
    places = shardings_of((state, metrics))
    take_steps = compiled_for(learner.step, take_steps_of_runs, batches=source, shardings=places)
    while step < end:
        for hook in scheduled:
            if hook.is_due(step):
                options = {"per_run": source.per_run, "mesh": data_mesh(data)}
                options["shardings"] = shardings_of(state)
                state = compiled_for(hook.apply, apply_hook_to_runs, **options)(state, data)
        stop = _next_stop(scheduled, step, end)
        first = step % length
        span = first, first + stop - step, step
        state, metrics = take_steps(state, metrics, data, span)
        step = stop
    return state, metrics


@jax.jit
def mean_metrics(metrics: Metrics) -> Metrics:
    """Mean of each metric over the steps of an epoch.

    Args:
        metrics: from `advance`, `(*runs, steps_per_epoch, ...)` each, `loss` among them.

    Returns:
        The means, `(*runs, ...)` each, in float32 or wider.

    >>> mean_metrics({"loss": jnp.array([1.0, 3.0])})["loss"].item()
    2.0
    """
    axis = metrics["loss"].ndim - 1
    return jax.tree.map(lambda values: jnp.mean(widen(values), axis=axis), metrics)


def _next_stop(hooks: tuple[ScheduledHook, ...], step: int, end: int) -> int:
    return min([end, *(hook.next_step(step) for hook in hooks)])


def _position(state: TrainState) -> int:
    """Steps that the state, or the first of a batch of states, has taken."""
    return int(np.ravel(local_part(state.step))[0])


def _reject_batches(batch_size: int | None, batches: Batches | None) -> None:
    if batch_size is not None or batches is not None:
        raise ValueError(
            "HostData holds batches already, found batch_size or batches too; leave them out"
        )


def _first_run(data: PyTree[Any]) -> PyTree[Any]:
    """Shapes of the data of one run, where each has its own."""
    return jax.eval_shape(lambda data: jax.tree.map(lambda leaf: leaf[0], data), data)
