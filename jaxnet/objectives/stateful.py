"""Objectives with and without state as one kind, so that a transformation is written once."""

from collections.abc import Callable
from typing import Any, cast

from jaxtyping import Array, PyTree

from jaxnet.typing import (
    AnyObjective,
    AnyObjectiveT,
    Batch,
    Params,
    StatefulApply,
    StatefulObjective,
)


def as_stateful(objective: AnyObjective) -> StatefulObjective:
    """Any objective as a `StatefulObjective`; the state of one that has none is `()`.

    Args:
        objective: an objective of either kind.

    Returns:
        The objective itself where it is stateful already.

    >>> def constant(params, batch, key):
    ...     return 2.0, {}
    >>> objective = as_stateful(constant)
    >>> objective.init({}, None), objective.apply({}, (), {}, None)
    ((), (2.0, ((), {})))
    """
    if isinstance(objective, StatefulObjective):
        return objective

    def apply(params: Params, extra: PyTree[Any], batch: Batch, key: Array | None) -> Any:
        loss, metrics = objective(params, batch, key)
        return loss, (extra, metrics)

    return StatefulObjective(lambda params, key: (), apply)


def transform_objective(
    objective: AnyObjectiveT, transform: Callable[[StatefulApply], StatefulApply]
) -> AnyObjectiveT:
    """Transform the function of an objective of either kind; the result is of the same kind.

    A transformation that draws random numbers splits the key it is given,
    `own_key, key = jax.random.split(key)`, and passes on the second part: then nested
    transformations draw independent numbers.

    Args:
        objective: an objective of either kind.
        transform: from `apply(params, extra, batch, key) -> (loss, (extra, metrics))` to another
            function of this form, which passes `extra` through.

    Returns:
        The transformed objective.

    >>> def doubled(apply):
    ...     def twice(params, extra, batch, key):
    ...         loss, aux = apply(params, extra, batch, key)
    ...         return 2 * loss, aux
    ...     return twice
    >>> transform_objective(lambda params, batch, key: (3.0, {}), doubled)({}, {}, None)
    (6.0, {})
    """
    init, apply = as_stateful(objective)
    transformed = transform(apply)
    if isinstance(objective, StatefulObjective):
        return cast(AnyObjectiveT, StatefulObjective(init, transformed))

    def stateless(params: Params, batch: Batch, key: Array | None) -> Any:
        loss, (_, metrics) = transformed(params, (), batch, key)
        return loss, metrics

    return cast(AnyObjectiveT, stateless)
