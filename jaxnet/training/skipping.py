"""Steps that are skipped because a gradient of a scaled loss is not finite."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from jaxnet.objectives.loss_scale import LossScaled, may_skip, reduce_scale
from jaxnet.optim.adapters import find_nodes
from jaxnet.training.state import TrainState


def skip_not_finite(old: TrainState, new: TrainState, gradients: PyTree[Any]) -> TrainState:
    """The state after a step; that before it, with half the loss scale, for infinite gradients.

    Without a loss scale nothing is skipped.

    Args:
        old: the state before the step.
        new: the state after it.
        gradients: arrays that must be finite.

    Returns:
        The state, with one more step.

    Raises:
        ValueError: a loss scale inside of another transformation that has state.

    >>> zero = jnp.zeros((), jnp.int32)
    >>> extra = LossScaled(jnp.float32(8), zero, zero, ())
    >>> old = TrainState({"a": jnp.zeros(1)}, extra, (), jax.random.key(0), zero)
    >>> new = old._replace(params={"a": jnp.ones(1)}, step=zero + 1)
    >>> state = skip_not_finite(old, new, {"a": jnp.array([jnp.inf])})
    >>> float(state.params["a"][0]), float(state.extra.scale), int(state.step)
    (0.0, 4.0, 1)
    """
    if not isinstance(old.extra, LossScaled):
        if find_nodes(old.extra, LossScaled):
            raise ValueError(
                "gradient_learner: the objective has with_loss_scale inside of another "
                "transformation that has state; put with_loss_scale outside of all others"
            )
        return new
    leaves = [
        leaf for leaf in jax.tree.leaves(gradients) if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all() if leaves else True
    kept = (old.params, reduce_scale(old.extra), old.optimizer_state)
    params, extra, optimizer_state = jax.tree.map(
        lambda before, after: jnp.where(finite | ~may_skip(old.extra), after, before),
        kept,
        tuple(new[:3]),
    )
    return TrainState(params, extra, optimizer_state, new.key, new.step)


def was_skipped(old: TrainState, new: TrainState) -> Bool[Array, "..."] | None:
    """Whether a step was skipped; None without a loss scale.

    Args:
        old: the state before the step.
        new: the state after it.

    Returns:
        A truth value.

    >>> state = TrainState({}, (), (), jax.random.key(0), jnp.zeros((), jnp.int32))
    >>> was_skipped(state, state) is None
    True
    """
    before, after = (find_nodes(state.extra, LossScaled) for state in (old, new))
    return after[0].num_skipped > before[0].num_skipped if after else None
