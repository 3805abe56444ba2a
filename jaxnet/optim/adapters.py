"""What some Optax optimizers need around them: pairs of parameters, averages, more arguments."""

import re
from collections.abc import Callable
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from jaxnet.typing import Params


def init_optimizer(
    optimizer: optax.GradientTransformation, params: Params
) -> tuple[Params, PyTree[Any]]:
    """The first state of an optimizer, and the parameters as it trains them.

    Lookahead, wherever it stands in a chain of transformations, trains a pair of parameters.

    Args:
        optimizer: any Optax transformation.
        params: parameters of the network.

    Returns:
        The parameters, or `optax.LookaheadParams` of them; and the state.

    >>> import jax.numpy as jnp
    >>> params, state = init_optimizer(optax.sgd(0.1), {"bias": jnp.zeros(2)})
    >>> sorted(params)
    ['bias']
    """
    pair = optax.LookaheadParams.init_synced(params)
    try:
        state = jax.eval_shape(optimizer.init, pair)
    except Exception:
        # It knows the structure of the parameters; any other error is raised again below.
        state = None
    params = pair if find_nodes(state, optax.LookaheadState) else params
    return params, optimizer.init(params)


def update_optimizer(
    optimizer: optax.GradientTransformationExtraArgs,
    updates: Params,
    state: PyTree[Any],
    params: Params,
    **extra: Any,
) -> tuple[Params, PyTree[Any]]:
    """Update with as many of the extra arguments as the optimizer takes.

    Most transformations ignore arguments that they do not need; a few reject them, also from
    inside a chain, which passes all arguments to all its members. Python raises that error when
    the step is traced, before anything is computed.

    Args:
        optimizer: any Optax transformation with support for extra arguments.
        updates: the gradient, in the structure of the parameters.
        state: state of the optimizer.
        params: the parameters as the optimizer trains them.
        extra: value, gradient and functions of the step, by their names in Optax.

    Returns:
        The updates and the new state, as of `optimizer.update`.

    >>> import jax.numpy as jnp
    >>> sgd = optax.with_extra_args_support(optax.sgd(0.5))
    >>> params = {"bias": jnp.ones(1)}
    >>> updates, _ = update_optimizer(sgd, params, sgd.init(params), params, value=0.0)
    >>> updates["bias"].tolist()
    [-0.5]
    """
    while True:
        try:
            return optimizer.update(updates, state, params, **extra)
        except TypeError as error:
            rejected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if rejected is None or rejected[1] not in extra:
                raise
            del extra[rejected[1]]


def gradient_params(params: Params) -> Params:
    """The parameters at which the gradient is taken: of lookahead's pair the fast ones.

    Args:
        params: the parameters as the optimizer trains them.

    Returns:
        Parameters of the network.

    >>> gradient_params(optax.LookaheadParams(fast=1, slow=2))
    1
    """
    return params.fast if isinstance(params, optax.LookaheadParams) else params


def optimizer_evaluation_params(params: Params, optimizer_state: PyTree[Any]) -> Params:
    """The parameters to evaluate, which some optimizers keep apart from those they train.

    Schedule-free methods evaluate at an average (Defazio et al. 2024, eq. 3), lookahead at the slow
    weights (Zhang et al. 2019), and SAM between its two half-steps at the weights to which it
    returns. For every other optimizer they are the parameters themselves.

    Args:
        params: the parameters as the optimizer trains them.
        optimizer_state: its state.

    Returns:
        Parameters of the network.

    >>> optimizer_evaluation_params(optax.LookaheadParams(fast=1, slow=2), ())
    2
    """
    if isinstance(params, optax.LookaheadParams):
        return params.slow
    for node in find_nodes(optimizer_state, optax.contrib.ScheduleFreeState):
        return optax.contrib.schedule_free_eval_params(node, params)
    for node in find_nodes(optimizer_state, optax.contrib.SAMState):
        if node.cache is not None:
            return optax.tree.where(node.steps_since_sync == 0, params, node.cache)
    return params


def update_params(params: Params, update: Callable[[Params], Params]) -> Params:
    """Change the parameters as an optimizer trains them, also where lookahead keeps a pair.

    Args:
        params: the parameters as the optimizer trains them.
        update: from parameters of the network to others of the same structure.

    Returns:
        The changed parameters, a pair where a pair was given.

    >>> update_params({"a": 1, "b": 2}, lambda params: params | {"b": 3})
    {'a': 1, 'b': 3}
    """
    if isinstance(params, optax.LookaheadParams):
        return optax.LookaheadParams(update(params.fast), update(params.slow))
    return update(params)


def require_no_average(function: str, optimizer_state: PyTree[Any]) -> None:
    """Reject an optimizer whose state holds parameters that would undo a change of the others.

    Args:
        function: whose argument the optimizer is, for the message.
        optimizer_state: the state of the optimizer.

    Raises:
        ValueError: a schedule-free optimizer.

    >>> import jax.numpy as jnp
    >>> require_no_average("example", optax.sgd(0.1).init({"bias": jnp.zeros(2)}))
    """
    if find_nodes(optimizer_state, optax.contrib.ScheduleFreeState):
        raise ValueError(
            f"{function}: the optimizer is schedule-free, and its state holds parameters that "
            "would undo what is set here; use another one, such as optax.adam"
        )


def find_nodes(tree: PyTree[Any], kind: type) -> list[Any]:
    """The nodes of a type in a pytree, in order; their own children are not searched.

    Args:
        tree: any pytree, such as the state of an optimizer.
        kind: the type.

    Returns:
        The nodes.

    >>> find_nodes((1, [2.0, "three"]), float)
    [2.0]
    """
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in nodes if isinstance(node, kind)]
