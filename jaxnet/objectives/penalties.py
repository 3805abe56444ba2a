"""Penalties on the parameters, added to the loss of an objective."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_not_negative
from jaxnet.objectives.stateful import transform_objective
from jaxnet.typing import AnyObjectiveT, Batch, Params, StatefulApply


def _is_kernel(path: str, leaf: Array) -> bool:
    return path.endswith("kernel")


def _penalized(
    objective: AnyObjectiveT,
    strength: ArrayLike,
    where: Callable[[str, Array], bool],
    penalty: Callable[[Array], Array],
) -> AnyObjectiveT:
    require_not_negative("penalty", strength=strength)

    def transform(apply: StatefulApply) -> StatefulApply:
        def penalized(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            leaves = [
                leaf
                for path, leaf in jax.tree_util.tree_leaves_with_path(params)
                if where(jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
            ]
            if not leaves:
                raise ValueError(
                    "penalty: no parameter is selected; by default those named `kernel` are, "
                    "pass where=lambda path, leaf: ... to select others"
                )
            loss, aux = apply(params, extra, batch, key)
            return loss + strength * sum(penalty(leaf) for leaf in leaves), aux

        return penalized

    return transform_objective(objective, transform)


def with_l1(
    objective: AnyObjectiveT,
    strength: ArrayLike,
    *,
    where: Callable[[str, Array], bool] = _is_kernel,
) -> AnyObjectiveT:
    """Add `strength * sum |w|` to the loss of an objective.

    Args:
        objective: the objective to change, with or without state.
        strength: factor of the penalty, at least 0; may be traced.
        where: `(path, leaf) -> bool`, which parameters count; by default those named `kernel`.

    Returns:
        An objective of the same kind with the same metrics.

    Raises:
        TypeError: a strength that is not a number.
        ValueError: a strength that is negative or not finite; (of the objective) no parameter
            selected.

    >>> constant = lambda params, batch, key: (0.0, {})
    >>> float(with_l1(constant, 0.5)({"kernel": jnp.array([1.0, -3.0])}, {}, None)[0])
    2.0
    """
    return _penalized(objective, strength, where, lambda leaf: jnp.sum(jnp.abs(leaf)))


def with_l2(
    objective: AnyObjectiveT,
    strength: ArrayLike,
    *,
    where: Callable[[str, Array], bool] = _is_kernel,
) -> AnyObjectiveT:
    """Add `strength * sum w^2 / 2` to the loss of an objective.

    Args:
        objective: the objective to change, with or without state.
        strength: factor of the penalty, at least 0; may be traced.
        where: `(path, leaf) -> bool`, which parameters count; by default those named `kernel`.

    Returns:
        An objective of the same kind with the same metrics.

    Raises:
        TypeError: a strength that is not a number.
        ValueError: a strength that is negative or not finite; (of the objective) no parameter
            selected.

    >>> constant = lambda params, batch, key: (0.0, {})
    >>> float(with_l2(constant, 0.5)({"kernel": jnp.array([1.0, -3.0])}, {}, None)[0])
    2.5
    """
    return _penalized(objective, strength, where, lambda leaf: jnp.sum(leaf**2) / 2)
