"""Steps between steps: what a learner does now and then with the whole data set before it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from jaxnet._checks import require_positive
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics, Params

Intervention = Callable[[TrainState, Batch], TrainState]


def periodically(
    learner: Learner,
    intervene: Intervention,
    data: Batch,
    *,
    every: int | Int[Array, ""],
    first: int | Int[Array, ""] = 0,
) -> Learner:
    """Intervene before each of the steps `first`, `first + every`, `first + 2 every`, ...

    Whether a step is such a one follows from the state alone, so a run that is cut anywhere and
    resumed has the same bits. For the other steps nothing of the intervention is computed, in a
    stack of states neither; there one of them waits for all.

    Args:
        learner: what trains between the interventions.
        intervene: `intervene(state, data) -> state`, a pure function. What it changes are the
            parameters and the optimizer state; key and step stay.
        data: what it sees, usually the whole data set. Inside `jit` hand it in as an argument of
            the jitted function; closed over from outside it is compiled into the program, a
            matter of seconds for 200 megabytes.
        every: steps from one intervention to the next; may be traced.
        first: the first step with an intervention before it; may be traced.

    Returns:
        A learner with the same states and metrics.

    Raises:
        ValueError: a distance below 1, or a first step below 0.

    >>> import jaxnet as jn
    >>> network = jn.dense(1, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.0))
    >>> def forget(state, data):
    ...     return state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
    >>> data = {"x": jnp.ones((4, 1)), "y": jnp.ones(4)}
    >>> learner = periodically(learner, forget, data, every=3, first=2)
    >>> state = learner.init(jax.random.key(0))
    >>> for _ in range(3):
    ...     print(int(state.step), bool(state.params["kernel"] == 0))
    ...     state, _ = learner.step(state, data)
    0 False
    1 False
    2 False
    >>> int(state.step), bool(state.params["kernel"] == 0)
    (3, True)
    """
    require_positive("periodically", every=every)
    if isinstance(first, int) and first < 0:
        raise ValueError(f"periodically: first must be at least 0, found {first}")

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        due = (state.step >= first) & ((state.step - first) % every == 0)

        def change(carry: tuple[Array, Params, PyTree[Any]]) -> tuple[Array, Params, PyTree[Any]]:
            due, params, optimizer_state = carry
            # What does not change in a loop, XLA computes before it, whether it takes a turn or
            # not: that would be nearly all, at every step. So all depends on what does change.
            masked = jax.tree.map(lambda leaf: jnp.where(due, leaf, 0), params)
            step = jnp.where(due, state.step, 0)
            old = state._replace(params=masked, optimizer_state=optimizer_state, step=step)
            new = intervene(old, data)
            changed = jax.tree.map(
                _of_dtype, (params, optimizer_state), (new.params, new.optimizer_state)
            )
            return jnp.zeros_like(due), *changed

        # A loop of one turn or none: a branch would compute both sides under vmap.
        _, params, optimizer_state = jax.lax.while_loop(
            lambda carry: carry[0], change, (due, state.params, state.optimizer_state)
        )
        return learner.step(state._replace(params=params, optimizer_state=optimizer_state), batch)

    return Learner(learner.init, step)


def _of_dtype(old: Array, new: Array) -> Array:
    """Numbers of the kind that the loop carries; keys, which have no other kind, as they are."""
    is_key = jnp.issubdtype(old.dtype, jax.dtypes.prng_key)
    return new if is_key else jnp.asarray(new, old.dtype)


def update_params(params: Params, update: Callable[[Params], Params]) -> Params:
    """Change the parameters of a state, also where lookahead keeps a pair of them.

    >>> update_params({"a": 1, "b": 2}, lambda params: params | {"b": 3})
    {'a': 1, 'b': 3}
    """
    if isinstance(params, optax.LookaheadParams):
        return optax.LookaheadParams(update(params.fast), update(params.slow))
    return update(params)


def require_no_average(function: str, state: TrainState) -> None:
    """Refuse an optimizer whose state holds parameters of its own, where they would be overruled.

    Args:
        function: who refuses, for the message.
        state: the state of the run.

    Raises:
        ValueError: a schedule-free optimizer.

    >>> import jaxnet as jn
    >>> network = jn.dense(1, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> require_no_average("example", learner.init(jax.random.key(0)))
    """
    average = optax.contrib.ScheduleFreeState
    nodes = jax.tree.leaves(state.optimizer_state, is_leaf=lambda node: isinstance(node, average))
    if any(isinstance(node, average) for node in nodes):
        raise ValueError(
            f"{function}: the optimizer is schedule-free, whose state holds parameters of its own "
            "that would undo what is set here; use another one, such as optax.adam"
        )
