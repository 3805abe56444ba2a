"""One of several optimizers, chosen by a number that may be traced."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from jaxnet._checks import is_hidden, require_integer
from jaxnet.optim.adapters import find_nodes, update_optimizer
from jaxnet.typing import Params

# They train a pair of parameters, evaluate others than those they train, or take other gradients:
# what is done around them depends on which one it is, and that is traced here.
_STRUCTURAL = (
    optax.LookaheadState,
    optax.contrib.ScheduleFreeState,
    optax.contrib.SAMState,
    optax.contrib.DifferentiallyPrivateAggregateState,
)


def select_optimizer(
    optimizers: Sequence[optax.GradientTransformation], index: ArrayLike
) -> optax.GradientTransformationExtraArgs:
    """The optimizer at an index, which may be traced: members of a population that differ in it.

    Under `vmap` all of them update, and one update is taken. That is cheaper than a program for
    each of them where networks are small. The updates are those of the optimizer alone.

    Args:
        optimizers: Optax transformations, at least one.
        index: which of them, counted from 0.

    Returns:
        An Optax transformation whose state holds the states of all.

    Raises:
        ValueError: no optimizer, an index that there is not; (of `init`) lookahead, schedule-free
            optimizers, SAM and differential privacy, around which other things change too.

    >>> optimizer = select_optimizer([optax.sgd(1.0), optax.sgd(2.0)], jnp.array(1))
    >>> params = {"bias": jnp.ones(1)}
    >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
    >>> updates["bias"].tolist()
    [-2.0]
    """
    if not optimizers:
        raise ValueError("select_optimizer: optimizers must hold at least one, found none")
    if not is_hidden(index):
        require_integer("select_optimizer", "index", index, 0, len(optimizers) - 1)
    transformations = [optax.with_extra_args_support(optimizer) for optimizer in optimizers]

    def init(params: Params) -> tuple[PyTree[Any], ...]:
        states = tuple(optimizer.init(params) for optimizer in transformations)
        for place, state in enumerate(states):
            for kind in _STRUCTURAL:
                if find_nodes(state, kind):
                    raise ValueError(
                        f"select_optimizer: optimizer {place} has a {kind.__name__} and cannot be "
                        "chosen by a traced number; train its networks in a group of their own"
                    )
        return states

    def update(
        updates: Params, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Params, Any]:
        results = [
            update_optimizer(optimizer, updates, substate, params, **extra)
            for optimizer, substate in zip(transformations, state, strict=True)
        ]

        def choose(*leaves: Array) -> Array:
            chosen = leaves[0]
            for place, leaf in enumerate(leaves[1:], start=1):
                chosen = jnp.where(index == place, leaf, chosen)
            return chosen

        chosen = jax.tree.map(choose, *[result[0] for result in results])
        return chosen, tuple(result[1] for result in results)

    return optax.GradientTransformationExtraArgs(init, update)
