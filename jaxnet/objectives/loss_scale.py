"""Dynamic scale of the loss, for gradients in float16; its state is `extra` of the objective."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxnet._checks import require_above_zero, require_positive
from jaxnet.objectives.stateful import as_stateful
from jaxnet.typing import AnyObjective, Batch, Params, StatefulObjective

# The least normal number of float16: with it the derivative of the loss itself is hardly a number.
# At the largest, only gradients below 2**-48 are lost.
_LEAST, _LARGEST = 2.0**-14, 2.0**24


class LossScaled(NamedTuple):
    """The `extra` of a learner whose objective has a loss scale.

    Attributes:
        scale: factor of the loss in the computation of gradients.
        good_steps: steps since the scale changed last, all with finite gradients.
        num_skipped: steps that were skipped.
        extra: the state of the objective inside.
    """

    scale: Float[Array, "..."]
    good_steps: Int[Array, "..."]
    num_skipped: Int[Array, "..."]
    extra: PyTree[Any]


def with_loss_scale(
    objective: AnyObjective,
    *,
    initial_scale: ArrayLike = 2.0**15,
    growth_interval: int = 2000,
) -> StatefulObjective:
    """Multiply the loss while gradients are computed, so that float16 holds small ones.

    Gradients are those of `scale * loss`, divided by the scale in the type of the parameters, so
    the loss, its metrics and whatever an optimizer computes from the objective (line searches, SAM,
    gradients of each example) stay the same. Where a gradient or an update is not finite,
    `gradient_learner` skips the step: it halves the scale and counts the step, and leaves all else
    as it was. After `growth_interval` steps without that the scale is doubled. Micikevicius et al.
    (2018), "Mixed precision training", section 3.2. The scale stays between 2**-14 and 2**24. At
    the smallest nothing is skipped: a training whose gradients are not finite there diverges.

    Args:
        objective: an objective of either kind; put other transformations inside of this one.
        initial_scale: first scale, above 0; may be traced. A power of 2 changes no digit.
        growth_interval: steps with finite gradients after which the scale is doubled.

    Returns:
        An objective whose state is a `LossScaled`, with one more metric, `loss_scale`. Evaluated
        with the state of the objective inside instead, it is that objective.

    Raises:
        TypeError: a number of steps that is not an integer.
        ValueError: a scale of 0 or below, a number of steps below 1; (at init) an objective that
            has a loss scale already.

    >>> import jaxnet as jn, optax
    >>> network = jn.compute_in(jn.mlp([4, 3]), jnp.float16)
    >>> objective = with_loss_scale(jn.classification(network))
    >>> learner = jn.gradient_learner(network.init, objective, optax.adam(1e-3))
    >>> data = {"x": jnp.ones((2, 4)), "y": jnp.arange(2)}
    >>> fit = jax.jit(lambda key: jn.fit(learner, key, data, batch_size=2, num_epochs=3))
    >>> state, history = fit(jax.random.key(0))
    >>> history["loss_scale"].tolist(), int(state.extra.good_steps)
    ([32768.0, 32768.0, 32768.0], 3)
    """
    require_above_zero("with_loss_scale", initial_scale=initial_scale)
    require_positive("with_loss_scale", growth_interval=growth_interval)
    init_inside, apply_inside = as_stateful(objective)

    def init(params: Params, key: Array) -> LossScaled:
        extra = init_inside(params, key)
        if isinstance(extra, LossScaled):
            raise ValueError(
                "with_loss_scale: the objective has a loss scale already; leave one of the two out"
            )
        zero = jnp.zeros((), jnp.int32)
        return LossScaled(jnp.asarray(initial_scale, jnp.float32), zero, zero, extra)

    def apply(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
        if not isinstance(extra, LossScaled):
            return apply_inside(params, extra, batch, key)
        scale, good_steps, num_skipped, inside = extra
        params = jax.tree.map(lambda leaf: _with_gradient_times(leaf, 1 / scale), params)
        loss, (inside, metrics) = apply_inside(params, inside, batch, key)
        grown = good_steps + 1 >= growth_interval
        new = LossScaled(
            jnp.where(grown, jnp.minimum(2 * scale, jnp.maximum(scale, _LARGEST)), scale),
            jnp.where(grown, 0, good_steps + 1),
            num_skipped,
            inside,
        )
        return _with_gradient_times(loss, scale), (new, metrics | {"loss_scale": scale})

    return StatefulObjective(init, apply)


def reduce_scale(extra: LossScaled) -> LossScaled:
    """The state after a step that is skipped: half the scale, all else as before the step.

    Args:
        extra: the state before the step.

    Returns:
        The state after it.

    >>> zero = jnp.zeros((), jnp.int32)
    >>> after = reduce_scale(LossScaled(jnp.float32(8), zero + 3, zero, ()))
    >>> [int(leaf) for leaf in after[:3]]
    [4, 0, 1]
    """
    return extra._replace(
        scale=extra.scale / 2,
        good_steps=jnp.zeros_like(extra.good_steps),
        num_skipped=extra.num_skipped + 1,
    )


def may_skip(extra: LossScaled) -> Bool[Array, "..."]:
    """Whether the scale can be halved, so that a step whose gradient is not finite is skipped.

    Args:
        extra: the state before the step.

    Returns:
        False at the smallest scale.

    >>> zero = jnp.zeros((), jnp.int32)
    >>> bool(may_skip(LossScaled(jnp.float32(1), zero, zero, ())))
    True
    """
    return extra.scale > _LEAST


def _with_gradient_times(leaf: Any, factor: Array) -> Any:
    """The same number, whose gradient is multiplied by a factor."""
    if not jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact):
        return leaf
    return _identity(leaf, factor)


@jax.custom_vjp
def _identity(leaf: Array, factor: Array) -> Array:
    return leaf


def _forward(leaf: Array, factor: Array) -> tuple[Array, Array]:
    return leaf, factor


def _backward(factor: Array, gradient: Array) -> tuple[Array, Array]:
    return gradient * factor.astype(gradient.dtype), jnp.zeros_like(factor)


_identity.defvjp(_forward, _backward)
