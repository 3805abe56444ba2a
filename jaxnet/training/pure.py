"""A whole training run as one pure function."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from jaxnet._checks import is_hidden, require_integer, require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.objectives.weighting import widen
from jaxnet.training._explicit import on_mesh_of
from jaxnet.training._placement import data_mesh, on_mesh
from jaxnet.training.batches import Batches, resolve_batches
from jaxnet.training.hooks import (
    Hooks,
    ScheduledHook,
    apply_hook,
    common_period,
    schedule_hooks,
)
from jaxnet.training.state import Learner, TrainState
from jaxnet.training.validation import Validation, resolve_validation, validated_epochs
from jaxnet.typing import Metrics


def fit(
    learner: Learner,
    key: Array,
    data: PyTree[Any],
    *,
    num_epochs: int,
    batch_size: int | None = None,
    batches: Batches | None = None,
    hooks: Hooks = (),
    validation: Validation | None = None,
) -> tuple[TrainState, Metrics]:
    """Train from a key to a trained state: one pure function, to be jitted and vmapped.

    Called as it is, it compiles once for a learner, a source of batches and shapes of data.

    Args:
        learner: the learner.
        key: the key of the run, from which all its randomness comes.
        data: dict of arrays that share their first axis: JAX or NumPy arrays, DataFrames, Series.
            Under `jit`, pass it as an argument: closed over, it would be compiled into the program.
        num_epochs: passes over the data.
        batch_size: examples in a batch, drawn by `shuffled`.
        batches: another source of batches, instead of `batch_size`.
        hooks: `(every, hook)` or `(every, hook, first)` each: `hook(state, data) -> state` is
            applied before step `first` (by default 0) and then after every `every` steps.
        validation: `Validation(objective, validation_data)`, evaluated after each epoch. With a
            patience it stops early: the run ends where it is out of patience, and
            `evaluation_params(state)` are the best.

    Returns:
        The trained state and the history: the mean of each metric over the steps of each epoch,
        `(num_epochs,)`, in float32 or wider. Every batch counts the same, whatever its weights are.
        Metrics on validation data are called `validation_loss` and so on. From the end of a run
        that stops early the history is NaN.

    Raises:
        TypeError: data that are not arrays of numbers.
        ValueError: data without examples or of different lengths, a batch size or a number of
            epochs out of range, hooks out of range.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([1, 1])
    >>> x = jnp.linspace(-1, 1, 32)[:, None]
    >>> data = {"x": x, "y": 3 * x[:, 0] + 1}
    >>> def run(key, data):
    ...     learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    ...     return fit(learner, key, data, batch_size=8, num_epochs=100)
    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> states, history = jax.jit(jax.vmap(run, (0, None)))(keys, data)
    >>> states.params["dense_0"]["bias"].round(3).ravel().tolist(), history["loss"].shape
    ([1.0, 1.0, 1.0, 1.0], (4, 100))
    """
    require_positive("fit", num_epochs=num_epochs)
    num_epochs, source = operator.index(num_epochs), resolve_batches(batch_size, batches)
    data, scheduled = as_arrays("fit", "data", data), schedule_hooks(hooks)
    source.num_steps(data)
    # `init` is not a part of the program, which may serve other first states.
    state = on_mesh_of(data, learner.init(key))
    program = Program(source, num_epochs, scheduled)
    if validation is None:
        run = compiled_for(learner.step, _fit_on_mesh, program, data_mesh(data))
        return run(state, data)
    validation = resolve_validation("fit", validation)
    program = program._replace(validation=validation._replace(data=(), key=None))
    run = compiled_for(learner.step, _fit_on_mesh, program, data_mesh(data, validation.data))
    return run(state, data, validation.data, validation.key)


class Program(NamedTuple):
    """What is static of a run: hashable, an argument of `compiled_for`.

    Attributes:
        batches: the source of batches.
        num_epochs: passes over the data.
        hooks: scheduled hooks, for a state at step 0.
        validation: without its data and key.
    """

    batches: Batches
    num_epochs: int
    hooks: tuple[ScheduledHook, ...] = ()
    validation: Validation | None = None


def _fit_on_mesh(
    step: Callable[..., Any], program: Program, mesh: Any, *arguments: Any
) -> tuple[TrainState, Metrics]:
    """`fit_state`, whose hooks and validation spread their examples over the devices of a mesh."""
    with on_mesh(mesh):
        return fit_state(step, program, *arguments)


def fit_state(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    program: Program,
    state: TrainState,
    data: PyTree[Any],
    *validation_data: Any,
) -> tuple[TrainState, Metrics]:
    """Train from a state: the program of `fit`.

    Args:
        step: of a learner.
        program: what is static.
        state: where to start.
        data: arrays that share their first axis.
        validation_data: the data and the key of the validation.

    Returns:
        As `fit`.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((4, 2)), "y": jnp.ones(4)}
    >>> program = Program(jn.training.shuffled(2), num_epochs=3)
    >>> state, history = fit_state(learner.step, program, learner.init(jax.random.key(0)), data)
    >>> int(state.step), history["loss"].shape
    (6, (3,))
    """
    batches, num_epochs, hooks, validation = program

    def epoch(state: TrainState, index: Array) -> tuple[TrainState, Metrics]:
        if hooks:
            return _epoch_with_hooks(step, batches, hooks, state, data, index)
        return _run_epoch(step, state, data, batches)

    if validation is None:
        return jax.lax.scan(epoch, state, jnp.arange(num_epochs))
    examples, key = validation_data
    validation = validation._replace(data=examples, key=key)
    return validated_epochs(epoch, validation, state, num_epochs)


def _epoch_with_hooks(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    batches: Batches,
    hooks: tuple[ScheduledHook, ...],
    state: TrainState,
    data: PyTree[Any],
    epoch: Array,
) -> tuple[TrainState, Metrics]:
    """Scan over periods: hooks that are due at the start of one, then a scan over its steps.

    Whether a hook is due depends on the numbers of the epoch and the period alone, the same for
    all runs of a batch. So it stays a branch under `vmap`, and the steps between cost nothing.
    """
    num_steps = batches.num_steps(data)
    period = common_period(hooks, num_steps)
    plan = batches.plan(data, state.key, epoch)

    def run_period(state: TrainState, start: Array) -> tuple[TrainState, Metrics]:
        for hook in hooks:
            state = _branch(
                hook.is_due(epoch * num_steps + start),
                period == hook.every and hook.first == 0,
                lambda state, hook=hook: apply_hook(hook.apply, state, data),
                state,
            )

        def take_step(state: TrainState, offset: Array) -> tuple[TrainState, Metrics]:
            return step(state, batches.take(data, plan, offset))

        return jax.lax.scan(take_step, state, start + jnp.arange(period))

    state, metrics = jax.lax.scan(run_period, state, jnp.arange(0, num_steps, period))

    def mean(leaf: Array) -> Array:
        return widen(leaf).reshape(num_steps, *leaf.shape[2:]).mean(axis=0)

    return state, jax.tree.map(mean, metrics)


def _branch(predicate: Array, always: bool, change: Any, value: Any) -> Any:
    return change(value) if always else jax.lax.cond(predicate, change, lambda value: value, value)


def run_epoch(
    learner: Learner,
    state: TrainState,
    data: PyTree[Any],
    *,
    batch_size: int | None = None,
    batches: Batches | None = None,
) -> tuple[TrainState, Metrics]:
    """Take the steps of one whole epoch; `state` must stand at its beginning.

    Args:
        learner: the learner.
        state: a state at the beginning of an epoch.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch, drawn by `shuffled`.
        batches: another source of batches, instead of `batch_size`.

    Returns:
        The new state and the mean of each metric over the steps.

    Raises:
        ValueError: data that do not fit the source of batches.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> state, metrics = run_epoch(learner, state, data, batch_size=2)
    >>> int(state.step), metrics["loss"].shape
    (5, ())
    """
    source, data = resolve_batches(batch_size, batches), as_arrays("run_epoch", "data", data)
    return _run_epoch(learner.step, on_mesh_of(data, state), data, source)


def _run_epoch(
    step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
    state: TrainState,
    data: PyTree[Any],
    batches: Batches,
) -> tuple[TrainState, Metrics]:
    num_steps = batches.num_steps(data)
    plan = batches.plan(data, state.key, state.step // num_steps)

    def take_step(state: TrainState, index: Array) -> tuple[TrainState, Metrics]:
        return step(state, batches.take(data, plan, index))

    state, metrics = jax.lax.scan(take_step, state, jnp.arange(num_steps))
    return state, jax.tree.map(lambda values: jnp.mean(widen(values), axis=0), metrics)


def run_steps(
    learner: Learner,
    state: TrainState,
    metrics: Metrics,
    data: PyTree[Any],
    *,
    batches: Batches,
    start: int | Int[Array, ""],
    stop: int | Int[Array, ""],
) -> tuple[TrainState, Metrics]:
    """Take some steps of the epoch in which the state stands.

    Batches are a function of the key and the step in the state, and both ends of the piece may be
    traced: one compiled program takes pieces of any length. So a run that is cut into pieces, or
    repeated from a saved state, is bitwise identical.

    Args:
        learner: the learner.
        state: where to start; it has taken `start` steps of its epoch.
        metrics: of the steps of this epoch so far, `(steps_per_epoch, ...)` each; at its
            beginning from `begin_epoch`.
        data: dict of arrays that share their first axis.
        batches: the source of batches.
        start: the first step to take, counted from the beginning of the epoch.
        stop: the step to stop before, at most the number of steps of an epoch.

    Returns:
        The new state, and the metrics with those of the steps taken filled in.

    Raises:
        ValueError: data that do not fit the source of batches, metrics of another number of steps,
            steps that an epoch does not have (where they are not traced).

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data, batches = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}, jn.training.shuffled(2)
    >>> state = learner.init(jax.random.key(0))
    >>> metrics = jn.training.begin_epoch(learner, state, data, batches=batches)
    >>> state, metrics = run_steps(
    ...     learner, state, metrics, data, batches=batches, start=0, stop=3
    ... )
    >>> int(state.step), (metrics["loss"] > 0).tolist()
    (3, [True, True, True, False, False])
    """
    data = as_arrays("run_steps", "data", data)
    num_steps = batches.num_steps(data)
    require_metrics("run_steps", metrics["loss"].shape[-1], num_steps)
    state, metrics = on_mesh_of(data, (state, metrics))
    require_integer("run_steps", "start", start, 0)
    require_integer("run_steps", "stop", stop, 1)
    if not is_hidden(start) and not is_hidden(stop):
        start, stop = operator.index(start), operator.index(stop)
        if not 0 <= start < stop <= num_steps:
            raise ValueError(
                f"start and stop must lie in an epoch of {num_steps} steps, with start before "
                f"stop, found {start} and {stop}"
            )
    plan = batches.plan(data, state.key, state.step // num_steps)

    def step(index: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = carry
        state, values = learner.step(state, batches.take(data, plan, index))
        return state, jax.tree.map(lambda row, value: row.at[index].set(value), metrics, values)

    return jax.lax.fori_loop(start, stop, step, (state, metrics))


def require_metrics(function: str, length: int, num_steps: int) -> None:
    """Raise unless metrics were made for this number of steps in an epoch.

    Args:
        function: the public function, for the message.
        length: steps of the metrics.
        num_steps: steps of an epoch.

    Raises:
        ValueError: another number.

    >>> require_metrics("advance", 16, 2)
    Traceback (most recent call last):
        ...
    ValueError: advance: metrics are those of 16 steps, and an epoch has 2; make them by begin_epoch with the same data and batch size
    """  # noqa: E501
    if length != num_steps:
        raise ValueError(
            f"{function}: metrics are those of {length} steps, and an epoch has {num_steps}; make "
            "them by begin_epoch with the same data and batch size"
        )
