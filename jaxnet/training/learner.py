"""Learning by gradients: the one place where `jax.grad` and Optax meet."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxnet.objectives.loss_scale import LossScaled
from jaxnet.objectives.stateful import as_stateful
from jaxnet.objectives.weighting import example_weight
from jaxnet.optim.adapters import (
    find_nodes,
    gradient_params,
    init_optimizer,
    update_optimizer,
)
from jaxnet.training.skipping import skip_not_finite
from jaxnet.training.state import (
    INIT,
    NOISE,
    OPTIMIZER,
    Learner,
    TrainState,
    fold_in_name,
    initial_state,
    skip_masked,
)
from jaxnet.typing import AnyObjective, Batch, Metrics, Optimizer, Params, StatefulApply


def gradient_learner(
    init: Callable[[Array], Params], objective: AnyObjective, optimizer: Optimizer
) -> Learner:
    """Learn by gradients of an objective, with any Optax optimizer.

    The optimizer is given the value, the gradient, the objective as a function of the parameters
    and its gradient function, so that line searches, Polyak steps, SAM or Sophia work as SGD does.
    One that clips per-example gradients (differential privacy) is given those. The objective has
    the same key in all evaluations of one step.

    Args:
        init: `init(key) -> params`, such as `network.init`.
        objective: `(params, batch, key) -> (loss, metrics)`, or a `StatefulObjective`, whose state
            is `state.extra`.
        optimizer: any Optax transformation; or, for one that draws random numbers, a function
            from a key to it, so that each run has its own.

    Returns:
        A learner on `TrainState`. Its metrics are those of the objective and `loss`. A batch whose
        weights are all 0 changes nothing but the step, and one whose gradient is not finite nothing
        but the step and the scale where the objective has a loss scale. Where the optimizer takes
        the gradient of each example, the weight of the example is a factor of it.

    Raises:
        ValueError: (of `step`) a stateful objective with an optimizer that takes the gradient of
            each example, where each example would have a state of its own.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> learner = gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> state = learner.init(jax.random.key(0))
    >>> state, metrics = learner.step(state, {"x": jnp.ones((4, 2)), "y": jnp.ones(4)})
    >>> int(state.step), sorted(metrics)
    (1, ['loss', 'mean_squared_error'])
    """
    init_extra, apply = as_stateful(objective)

    def transformation(key: Array) -> optax.GradientTransformationExtraArgs:
        if isinstance(optimizer, optax.GradientTransformation):
            return optax.with_extra_args_support(optimizer)
        key = jax.random.fold_in(key, OPTIMIZER)
        return optax.with_extra_args_support(optimizer(key))

    def init_state(key: Array) -> TrainState:
        params = init(jax.random.fold_in(key, INIT))
        extra = init_extra(params, fold_in_name(key, "extra"))
        params, optimizer_state = init_optimizer(transformation(key), params)
        return initial_state(params, extra, jax.tree.map(_strongly_typed, optimizer_state), key)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        noise = jax.random.fold_in(jax.random.fold_in(state.key, NOISE), state.step)

        def value_fn(params: Params, obj_fn: Any = None, grad_fn: Any = None) -> Array:
            # A line search passes these on, and checks for them by name.
            return apply(params, state.extra, batch, noise)[0]

        params = gradient_params(state.params)
        gradient_of = jax.value_and_grad(apply, has_aux=True)
        (value, (extra, metrics)), grad = gradient_of(params, state.extra, batch, noise)
        if find_nodes(state.optimizer_state, optax.contrib.DifferentiallyPrivateAggregateState):
            updates = _per_example_gradients(apply, params, state.extra, batch, noise)
        else:
            updates = grad
        updates, optimizer_state = update_optimizer(
            transformation(state.key),
            updates,
            state.optimizer_state,
            state.params,
            value=value,
            grad=grad,
            value_fn=value_fn,
            obj_fn=value_fn,
            grad_fn=lambda params, *_: jax.grad(value_fn)(params),
        )
        params = optax.apply_updates(state.params, updates)
        new = TrainState(params, extra, optimizer_state, state.key, state.step + 1)
        new = skip_not_finite(state, new, (grad, updates))
        return skip_masked(batch, state, new), metrics | {"loss": value}

    return Learner(init_state, step)


def _strongly_typed(leaf: Any) -> Any:
    """As a step leaves it: of a weak type, as in L-BFGS, the step would be compiled twice."""
    is_weak = getattr(leaf, "weak_type", False)
    return jax.lax.convert_element_type(leaf, leaf.dtype) if is_weak else leaf


def _per_example_gradients(
    apply: StatefulApply, params: Params, extra: PyTree[Any], batch: Batch, key: Array
) -> Params:
    """Gradients with a leading axis for the examples of the batch."""
    if jax.tree.leaves(extra.extra if isinstance(extra, LossScaled) else extra):
        raise ValueError(
            "gradient_learner: the optimizer takes the gradient of each example, and the objective "
            "has state, which belongs to the batch; use an objective without state"
        )

    def gradient(example: Batch, index: Array, scale: Array | None) -> Params:
        single = jax.tree.map(lambda leaf: leaf[None], example)
        example_key = jax.random.fold_in(key, index)
        grad = jax.grad(apply, has_aux=True)(params, extra, single, example_key)[0]
        # The mean over a single example divides by its weight.
        return grad if scale is None else jax.tree.map(lambda leaf: scale * leaf, grad)

    indices = jnp.arange(len(jax.tree.leaves(batch)[0]))
    return jax.vmap(gradient)(batch, indices, example_weight(batch))
