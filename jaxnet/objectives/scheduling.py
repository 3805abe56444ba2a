"""Objectives one number of which changes from step to step, such as a weight that rises."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree

from jaxnet._checks import require_not_negative, require_positive
from jaxnet.objectives.stateful import as_stateful
from jaxnet.typing import AnyObjective, Batch, Params, StatefulObjective


class Scheduled(NamedTuple):
    """The `extra` of a learner whose objective is `scheduled`.

    Attributes:
        count: number of steps taken.
        extra: the state of the objective inside.
    """

    count: Int[Array, "..."]
    extra: PyTree[Any]


def scheduled(
    build: Callable[[Array], AnyObjective], schedule: Callable[[Array], Array]
) -> StatefulObjective:
    """An objective one number of which is a function of the step.

    Args:
        build: from the number, which is traced, to an objective of either kind.
        schedule: from the number of steps taken to the number: `ramp_up`, or any Optax schedule.

    Returns:
        An objective whose state is a `Scheduled`, with one more metric, `scheduled`: the number.
        Put `with_loss_scale` outside of it.

    >>> import jax, jaxnet as jn, optax
    >>> network = jn.mlp([2, 8, 2], dropout=0.5)
    >>> def build(weight):
    ...     return jn.objectives.pi_model(network, unlabeled_weight=weight)
    >>> objective = scheduled(build, ramp_up(80, 3.0))
    >>> x = jnp.ones((3, 2))
    >>> batch = {"labeled": {"x": x, "y": jnp.zeros(3, int)}, "unlabeled": {"x": x}}
    >>> learner = jn.gradient_learner(network.init, objective, optax.sgd(0.1))
    >>> state, metrics = learner.step(learner.init(jax.random.key(0)), batch)
    >>> round(float(metrics["scheduled"]), 3), int(state.extra.count)
    (0.02, 1)
    """

    def init(params: Params, key: Array) -> Scheduled:
        count = jnp.zeros((), jnp.int32)
        inside = as_stateful(build(jnp.asarray(schedule(count))))
        return Scheduled(count, inside.init(params, key))

    def apply(params: Params, extra: Scheduled, batch: Batch, key: Array | None) -> Any:
        number = jnp.asarray(schedule(extra.count))
        inside = as_stateful(build(number))
        loss, (inner, metrics) = inside.apply(params, extra.extra, batch, key)
        return loss, (Scheduled(extra.count + 1, inner), metrics | {"scheduled": number})

    return StatefulObjective(init, apply)


def ramp_up(num_steps: int, final: ArrayLike = 1.0) -> Callable[[ArrayLike], Float[Array, "..."]]:
    """A number that rises from `exp(-5)` of its final value, for `scheduled`.

    `final * exp(-5 (1 - min(step / num_steps, 1))^2)`. Laine and Aila (2017), "Temporal ensembling
    for semi-supervised learning", section 2.

    Args:
        num_steps: steps until the number is the final one.
        final: the final number, at least 0; may be traced.

    Returns:
        A function from the number of steps to the number.

    Raises:
        TypeError: a number of steps that is not an integer, a final number that is not a number.
        ValueError: a number of steps below 1, a final number below 0.

    >>> weight = ramp_up(100, 2.0)
    >>> [round(float(weight(step)), 3) for step in (0, 50, 100, 200)]
    [0.013, 0.573, 2.0, 2.0]
    """
    require_positive("ramp_up", num_steps=num_steps)
    require_not_negative("ramp_up", final=final)
    num_steps = operator.index(num_steps)

    def weight(step: ArrayLike) -> Array:
        step = jnp.asarray(step)
        dtype = step.dtype if jnp.issubdtype(step.dtype, jnp.inexact) else jnp.float32
        fraction = jnp.minimum(step.astype(dtype) / num_steps, 1)
        return jnp.asarray(final, dtype) * jnp.exp(-5 * (1 - fraction) ** 2)

    return weight
