"""Steps of training whose batches come from the host: one by one, or several in one program."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

from jaxnet._compiled import compiled_for
from jaxnet.training._placement import Shardings, keep_shardings, shardings_of
from jaxnet.training.host import HostData
from jaxnet.training.state import Learner, TrainState, over_runs
from jaxnet.typing import Batch, Metrics


def take_host_steps(
    learner: Learner, state: TrainState, metrics: Metrics, data: HostData, step: int, end: int
) -> tuple[TrainState, Metrics]:
    """Take the steps from `step` to `end`, which lie in one epoch.

    Args:
        learner: the learner.
        state: a state that has taken `step` steps, or a batch of them.
        metrics: of the steps of this epoch so far.
        data: where the batches come from.
        step: the first step.
        end: the step to stop before.

    Returns:
        The new state, and the metrics with those of the steps taken filled in.
    """
    length, shardings = metrics["loss"].shape[-1], shardings_of((state, metrics))
    if not data.steps_per_item:
        take = compiled_for(learner.step, _host_step, shardings=shardings)
        for index in range(step, end):
            state, metrics = take(state, metrics, data.batch(index), index % length)
        return state, metrics
    take = compiled_for(learner.step, _host_steps, shardings=shardings)
    while step < end:
        item, first = data.item(step)
        stop = min(data.steps_per_item, first + end - step)
        state, metrics = take(state, metrics, item, step % length - first, first, stop)
        step += stop - first
    return state, metrics


def _host_steps(
    step: Callable[..., Any],
    state: TrainState,
    metrics: Metrics,
    batches: Batch,
    start: Array | int,
    first: Array | int,
    stop: Array | int,
    *,
    shardings: Shardings | None,
) -> tuple[TrainState, Metrics]:
    """The steps of the batches from `first` to `stop`; `start` is the index of batch 0."""

    def take(index: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        batch = jax.tree.map(lambda leaf: leaf[index], batches)
        return _host_step(step, *carry, batch, start + index, shardings=shardings)

    return jax.lax.fori_loop(first, stop, take, (state, metrics))


def _host_step(
    step: Callable[..., Any],
    state: TrainState,
    metrics: Metrics,
    batch: Batch,
    index: Array | int,
    *,
    shardings: Shardings | None,
) -> tuple[TrainState, Metrics]:
    state, values = over_runs(step, state.step.ndim, (0, None))(state, batch)

    def fill(row: Array, value: Array) -> Array:
        return row.at[index].set(value)

    metrics = jax.tree.map(over_runs(fill, state.step.ndim, (0, 0)), metrics, values)
    return keep_shardings((state, metrics), shardings)
