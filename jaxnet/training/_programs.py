"""The compiled programs of the watched run."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet._compiled import traced_once
from jaxnet.training._placement import Shardings, keep_shardings, on_mesh
from jaxnet.training.batches import Batches
from jaxnet.training.hooks import Hook, apply_hook
from jaxnet.training.pure import run_steps
from jaxnet.training.state import Learner, TrainState, no_init, over_runs
from jaxnet.typing import Metrics


def take_steps_of_runs(
    step: Callable[..., Any],
    state: TrainState,
    metrics: Metrics,
    data: PyTree[Any],
    span: tuple[Array | int, Array | int, Array | int],
    *,
    batches: Batches,
    shardings: Shardings | None,
) -> tuple[TrainState, Metrics]:
    """`run_steps` of a state, or of a batch of states that have taken the same number of steps.

    The bounds and the step are the same for all runs. So it stays one loop, and a plan that does
    not depend on the key of the run is made once for all of them. The step is an argument, since
    that of a run would have to be sent to the devices of the others.

    Args:
        step: of a learner.
        state: the states.
        metrics: of the epoch so far.
        data: arrays that share their first axis.
        span: the first step and the one to stop before, counted from the beginning of the epoch,
            and the steps that the states have taken.
        batches: the source of batches.
        shardings: those of states and metrics.

    Returns:
        States and metrics.
    """
    start, stop, position = span
    learner, position = Learner(no_init, traced_once(step)), jnp.asarray(position, state.step.dtype)

    def run(state: TrainState, metrics: Metrics, data: PyTree[Any]) -> tuple[TrainState, Metrics]:
        piece = functools.partial(run_steps, batches=batches, start=start, stop=stop)
        state, metrics = piece(learner, state._replace(step=position), metrics, data)
        return state._replace(step=()), metrics

    axes = (0, 0, 0 if batches.per_run else None)
    new, metrics = over_runs(run, state.step.ndim, axes)(state._replace(step=()), metrics, data)
    new = new._replace(step=state.step + jnp.asarray(stop - start, state.step.dtype))
    return keep_shardings((new, metrics), shardings)


def apply_hook_to_runs(
    hook: Hook,
    state: TrainState,
    data: PyTree[Any],
    *,
    per_run: bool,
    mesh: Any,
    shardings: Shardings | None,
) -> TrainState:
    """A hook applied to a state, or to each of a batch of states."""
    apply = functools.partial(apply_hook, hook)
    with on_mesh(mesh):
        changed = over_runs(apply, state.step.ndim, (0, 0 if per_run else None))(state, data)
    return keep_shardings(changed, shardings)
