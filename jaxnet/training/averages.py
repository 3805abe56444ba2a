"""Averages of the parameters, and the parameters to evaluate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet._checks import require_range
from jaxnet.objectives.consistency import Teacher
from jaxnet.objectives.loss_scale import LossScaled
from jaxnet.objectives.scheduling import Scheduled
from jaxnet.optim.adapters import optimizer_evaluation_params
from jaxnet.training.early_stopping import EarlyStopped
from jaxnet.training.skipping import was_skipped
from jaxnet.training.state import Learner, TrainState, owned, skip_masked
from jaxnet.typing import Batch, Metrics, Params

# What objectives keep beside the state of the network.
_WRAPPERS = (LossScaled, Scheduled, Teacher)


class Averaged(NamedTuple):
    """The `extra` of an `averaged_learner`.

    Attributes:
        average: the moving average of the parameters.
        extra: the state of the learner inside.
    """

    average: Params
    extra: PyTree[Any]


class Member(NamedTuple):
    """The `extra` of a member of a population.

    Attributes:
        settings: the numbers that are its own, such as a learning rate.
        extra: the state of its learner.
    """

    settings: dict[str, PyTree[Any]]
    extra: PyTree[Any]


def averaged_learner(learner: Learner, decay: float | Array) -> Learner:
    """Keep an exponential moving average of the parameters, which `evaluation_params` returns.

    `average <- decay * average + (1 - decay) * params` after each step, from the first parameters
    on. Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging", with
    weights that decay as in Tarvainen and Valpola (2017), "Mean teachers", eq. 2.

    Args:
        learner: any learner.
        decay: weight of the old average, in [0, 1]; may be traced.

    Returns:
        A learner whose `state.extra` is an `Averaged`. Parameters and metrics are those of the
        learner inside.

    Raises:
        ValueError: a decay outside [0, 1].

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(1, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> learner = averaged_learner(learner, 0.5)
    >>> first = learner.init(jax.random.key(0))
    >>> state, _ = learner.step(first, {"x": jnp.ones((1, 1)), "y": jnp.ones(1)})
    >>> kernels = [tree["kernel"] for tree in (first.params, state.params)]
    >>> bool((jn.evaluation_params(state)["kernel"] == sum(kernels) / 2).all())
    True
    """
    require_range("averaged_learner", "decay", decay, 0, 1)

    def init(key: Array) -> TrainState:
        state = learner.init(key)
        return state._replace(extra=Averaged(owned(evaluation_params(state)), state.extra))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        average, extra = state.extra
        inner = state._replace(extra=extra)
        new, metrics = learner.step(inner, batch)

        skipped = was_skipped(inner, new)

        def blend(old: Array, value: Array) -> Array:
            blended = jnp.asarray(decay * old + (1 - decay) * value, old.dtype)
            return blended if skipped is None else jnp.where(skipped, old, blended)

        average = jax.tree.map(blend, average, evaluation_params(new))
        new = new._replace(extra=Averaged(average, new.extra))
        return skip_masked(batch, state, new), metrics

    return Learner(init, step)


def evaluation_params(state: TrainState) -> Params:
    """The parameters to evaluate, which are not always those that are trained.

    After early stopping they are the best. Those of `averaged_learner` are an average, those of
    `mean_teacher` the teacher's, and some
    optimizers keep others apart: see `jaxnet.optim.adapters.optimizer_evaluation_params`. In all
    other cases they are `state.params`.

    Args:
        state: a training state; for a batch of them, `jax.vmap` this function.

    Returns:
        Parameters of the network.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> optimizer = optax.contrib.schedule_free_sgd(0.1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> state = learner.init(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, evaluation_params(state)) == jax.tree.map(jnp.shape, state.params)
    True
    """
    if isinstance(state.extra, EarlyStopped):
        return state.extra.best.params[0]
    if isinstance(state.extra, Averaged):
        return state.extra.average
    if isinstance(state.extra, Member):
        return evaluation_params(state._replace(extra=state.extra.extra))
    extra = state.extra
    while isinstance(extra, _WRAPPERS):
        if isinstance(extra, Teacher):
            return extra.params
        extra = extra.extra
    return optimizer_evaluation_params(state.params, state.optimizer_state)


def evaluation_extra(state: TrainState) -> PyTree[Any]:
    """The state of the objective, without what transformations of learners keep beside it.

    After early stopping it is that of the best parameters. Of a member of a population it is a
    `Member` with its settings.

    With batch normalization `(evaluation_params(state), evaluation_extra(state))` are the
    parameters of `network.evaluation`.

    Args:
        state: a training state, or a batch of them.

    Returns:
        What the objective calls `extra`.

    >>> state = TrainState({}, Averaged({}, 3), (), jax.random.key(0), jnp.zeros((), jnp.int32))
    >>> evaluation_extra(state)
    3
    """
    if isinstance(state.extra, EarlyStopped):
        return state.extra.best.params[1]
    if isinstance(state.extra, Member):
        # What is evaluated depends on the settings.
        inner = evaluation_extra(state._replace(extra=state.extra.extra))
        return Member(state.extra.settings, inner)
    extra = state.extra.extra if isinstance(state.extra, Averaged) else state.extra
    while isinstance(extra, _WRAPPERS):
        extra = extra.extra
    return extra


def replace_extra(state: TrainState, extra: PyTree[Any]) -> TrainState:
    """Replace the state of the objective, also inside of an average and of a loss scale.

    Args:
        state: a training state, or a batch of them.
        extra: the new state, of the structure of `evaluation_extra(state)`.

    Returns:
        The changed training state.

    >>> state = TrainState({}, Averaged({}, 3), (), jax.random.key(0), jnp.zeros((), jnp.int32))
    >>> replace_extra(state, 4).extra
    Averaged(average={}, extra=4)
    """
    if isinstance(state.extra, Member):
        inner = replace_extra(state._replace(extra=state.extra.extra), extra.extra)
        return state._replace(extra=Member(extra.settings, inner.extra))

    def replaced(outer: PyTree[Any]) -> PyTree[Any]:
        if isinstance(outer, (Averaged, *_WRAPPERS)):
            return outer._replace(extra=replaced(outer.extra))
        return extra

    return state._replace(extra=replaced(state.extra))
