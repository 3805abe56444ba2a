"""The compiled programs of the watched run."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet.training._placement import Shardings, keep_shardings
from jaxnet.training.batches import Batches
from jaxnet.training.hooks import Hook, apply_hook
from jaxnet.training.pure import run_steps
from jaxnet.training.state import Learner, TrainState, over_runs
from jaxnet.typing import Metrics


def take_steps_of_runs(
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
    """`run_steps` of a state, or of a batch of states that have taken the same number of steps.

    The bounds and the step are the same for all runs. So it stays one loop, and a plan that does
    not depend on the key of the run is made once for all of them.
    """
    learner, position = Learner(_no_init, step), state.step.ravel()[0]

    def run(state: TrainState, metrics: Metrics, data: PyTree[Any]) -> tuple[TrainState, Metrics]:
        piece = functools.partial(run_steps, batches=batches, start=start, stop=stop)
        state, metrics = piece(learner, state._replace(step=position), metrics, data)
        return state._replace(step=()), metrics

    axes = (0, 0, 0 if batches.per_run else None)
    new, metrics = over_runs(run, state.step.ndim, axes)(state._replace(step=()), metrics, data)
    new = new._replace(step=state.step + jnp.asarray(stop - start, state.step.dtype))
    return keep_shardings((new, metrics), shardings)


def apply_hook_to_runs(
    hook: Hook, state: TrainState, data: PyTree[Any], *, per_run: bool, shardings: Shardings | None
) -> TrainState:
    """A hook applied to a state, or to each of a batch of states."""
    apply = functools.partial(apply_hook, hook)
    changed = over_runs(apply, state.step.ndim, (0, 0 if per_run else None))(state, data)
    return keep_shardings(changed, shardings)


def _no_init(key: Array) -> TrainState:
    raise NotImplementedError("a state is given")
