"""The programs of the watched run: steps of an epoch, a hook, a step on a batch of the host."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, PyTree

from jaxnet.training._placement import Shardings, keep_shardings, on_mesh
from jaxnet.training.batches import Batches
from jaxnet.training.hooks import Hook, apply_hook
from jaxnet.training.pure import run_steps
from jaxnet.training.state import Learner, TrainState, over_runs
from jaxnet.typing import Batch, Metrics


def take_steps(
    step: Callable[..., Any],
    state: TrainState,
    metrics: Metrics,
    data: PyTree[Any],
    start: Array | int,
    stop: Array | int,
    *,
    batches: Batches,
    shardings: Shardings | None,
) -> tuple[TrainState, Metrics]:
    """The state, or a batch of states, and the metrics after the steps from `start` to `stop`."""
    # The bounds are the same for all runs of a batch, and so it stays one loop.
    learner = Learner(_no_init, step)
    run = functools.partial(run_steps, learner, batches=batches, start=start, stop=stop)
    axes = (0, 0, 0 if batches.per_run else None)
    return keep_shardings(over_runs(run, state.step.ndim, axes)(state, metrics, data), shardings)


def _no_init(key: Array) -> TrainState:
    raise NotImplementedError("a state is given")


def take_hook(
    hook: Hook,
    state: TrainState,
    data: PyTree[Any],
    *,
    per_run: bool,
    mesh: Any,
    shardings: Shardings | None,
) -> TrainState:
    """The state, or a batch of states, after a hook."""
    apply = functools.partial(apply_hook, hook)
    with on_mesh(mesh):
        changed = over_runs(apply, state.step.ndim, (0, 0 if per_run else None))(state, data)
    return keep_shardings(changed, shardings)


def take_host_step(
    step: Callable[..., Any],
    state: TrainState,
    metrics: Metrics,
    batch: Batch,
    index: Array | int,
    *,
    shardings: Shardings | None,
) -> tuple[TrainState, Metrics]:
    """The same after one step on a batch, whose metrics are those of step `index` of the epoch."""
    state, values = over_runs(step, state.step.ndim, (0, None))(state, batch)

    def fill(row: Array, value: Array) -> Array:
        return row.at[index].set(value)

    metrics = jax.tree.map(over_runs(fill, state.step.ndim, (0, 0)), metrics, values)
    return keep_shardings((state, metrics), shardings)
