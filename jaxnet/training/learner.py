"""What trains: a `Learner` is a pair of pure functions on a `TrainState`."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxnet.training.state import Learner, Stream, TrainState
from jaxnet.typing import Batch, Metrics, Objective, Optimizer, Params


def gradient_learner(
    init: Callable[[Array], Params], objective: Objective, optimizer: Optimizer
) -> Learner:
    """Learn by gradients: the one place where `jax.grad` and Optax meet.

    The optimizer is given the value, the gradient, the objective as a function of the parameters
    and its gradient function, so that line searches, Polyak steps, SAM or Sophia work as SGD does.
    One that clips per-example gradients (differential privacy) is given those. The objective has
    the same key in all evaluations of one step.

    Args:
        init: `init(key) -> params`, such as `network.init`.
        objective: `(params, batch, key) -> (loss, metrics)`.
        optimizer: any Optax transformation; or, for one that draws random numbers, a function
            from a key to it, so that each run has its own.

    Returns:
        A learner on `TrainState`. Its metrics are those of the objective and `loss`.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> learner = gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> state = learner.init(jax.random.key(0))
    >>> state, metrics = learner.step(state, {"x": jnp.ones((4, 2)), "y": jnp.ones(4)})
    >>> int(state.step), sorted(metrics)
    (1, ['loss', 'mean_squared_error'])
    """

    def transformation(key: Array) -> optax.GradientTransformationExtraArgs:
        if isinstance(optimizer, optax.GradientTransformation):
            return optax.with_extra_args_support(optimizer)
        key = jax.random.fold_in(key, Stream.OPTIMIZER)
        return optax.with_extra_args_support(optimizer(key))

    def init_state(key: Array) -> TrainState:
        params = init(jax.random.fold_in(key, Stream.INIT))
        params, optimizer_state = _init_optimizer(transformation(key), params)
        return TrainState(params, optimizer_state, key, jnp.zeros((), jnp.int32))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        noise = jax.random.fold_in(jax.random.fold_in(state.key, Stream.NOISE), state.step)

        def value_fn(params: Params, obj_fn: Any = None, grad_fn: Any = None) -> Array:
            # A line search hands on what it does not know, and checks for it by name.
            return objective(params, batch, noise)[0]

        params = _gradient_params(state.params)
        gradient_of = jax.value_and_grad(objective, has_aux=True)
        (value, metrics), grad = gradient_of(params, batch, noise)
        if _find(state.optimizer_state, optax.contrib.DifferentiallyPrivateAggregateState):
            updates = _per_example_gradients(objective, params, batch, noise)
        else:
            updates = grad
        updates, optimizer_state = _update(
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
        state = TrainState(params, optimizer_state, state.key, state.step + 1)
        return state, metrics | {"loss": value}

    return Learner(init_state, step)


def evaluation_params(state: TrainState) -> Params:
    """The parameters to evaluate, which some optimizers keep apart from those they train.

    Schedule-free methods evaluate at an average (Defazio et al. 2024, eq. 3), lookahead at the slow
    weights (Zhang et al. 2019), and SAM between its two half-steps at the weights that it will
    return to. For every other optimizer they are `state.params`.

    Args:
        state: a training state; for a stack of them, `jax.vmap` this function.

    Returns:
        Parameters of the network.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> optimizer = optax.contrib.schedule_free_sgd(0.1)
    >>> learner = gradient_learner(network.init, jn.regression(network), optimizer)
    >>> state = learner.init(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, evaluation_params(state)) == jax.tree.map(jnp.shape, state.params)
    True
    """
    if isinstance(state.params, optax.LookaheadParams):
        return state.params.slow
    for part in _find(state.optimizer_state, optax.contrib.ScheduleFreeState):
        return optax.contrib.schedule_free_eval_params(part, state.params)
    for part in _find(state.optimizer_state, optax.contrib.SAMState):
        if part.cache is not None:
            return optax.tree.where(part.steps_since_sync == 0, state.params, part.cache)
    return state.params


def _gradient_params(params: Params) -> Params:
    return params.fast if isinstance(params, optax.LookaheadParams) else params


def _init_optimizer(
    optimizer: optax.GradientTransformation, params: Params
) -> tuple[Params, PyTree[Any]]:
    """Initialize; lookahead, wherever it sits in a chain, needs its pair of weights."""
    pair = optax.LookaheadParams.init_synced(params)
    try:
        state = jax.eval_shape(optimizer.init, pair)
    except Exception:
        # It knows the structure of the parameters; what else is wrong is raised below.
        state = None
    params = pair if _find(state, optax.LookaheadState) else params
    return params, optimizer.init(params)


def _update(
    optimizer: optax.GradientTransformationExtraArgs,
    updates: Params,
    state: PyTree[Any],
    params: Params,
    **extra: Any,
) -> tuple[Params, PyTree[Any]]:
    """Update with as much of what is known of the step as the optimizer takes.

    Most transformations ignore what they do not need; a few refuse unknown arguments, also from
    inside a chain, which passes all arguments to all its members. Python raises that refusal when
    the step is traced, before anything is computed.
    """
    while True:
        try:
            return optimizer.update(updates, state, params, **extra)
        except TypeError as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if refused is None or refused[1] not in extra:
                raise
            del extra[refused[1]]


def _per_example_gradients(
    objective: Objective, params: Params, batch: Batch, key: Array
) -> Params:
    """Gradients with a leading axis for the examples of the batch."""

    def gradient(example: Batch, index: Array) -> Params:
        single = jax.tree.map(lambda leaf: leaf[None], example)
        return jax.grad(objective, has_aux=True)(params, single, jax.random.fold_in(key, index))[0]

    num_examples = len(jax.tree.leaves(batch)[0])
    return jax.vmap(gradient)(batch, jnp.arange(num_examples))


def _find(tree: PyTree[Any], kind: type) -> list[Any]:
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in nodes if isinstance(node, kind)]
