"""Validation after each epoch, inside the run that trains, and early stopping by it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxnet._checks import require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.training._placement import data_mesh, on_mesh
from jaxnet.training.averages import evaluation_extra, evaluation_params
from jaxnet.training.early_stopping import Best, EarlyStopped, init_best, keep_best, out_of_patience
from jaxnet.training.evaluation import evaluate
from jaxnet.training.state import TrainState, no_init, over_runs
from jaxnet.typing import AnyObjective, Metrics, Params, StatefulObjective

Epoch = Callable[[TrainState, Array], tuple[TrainState, Metrics]]


class Validation(NamedTuple):
    """What `fit` and `epochs` evaluate after each epoch, and when they stop.

    Attributes:
        objective: what is evaluated, with the evaluation parameters of the state; mostly the
            objective that is trained, without its penalties.
        data: the validation data.
        batch_size: examples in a batch of `evaluate`.
        patience: early stopping: after this number of epochs without a lower validation loss, at
            least 1, a run ends, and its evaluation parameters are the best; None trains all epochs.
        key: of an objective that draws random numbers in evaluation too, the same in all epochs.
    """

    objective: AnyObjective
    data: PyTree[Any]
    batch_size: int = 1024
    patience: int | None = None
    key: Key[Array, ""] | None = None


def resolve_validation(function: str, validation: Validation) -> Validation:
    """The validation with JAX arrays; raise where it cannot be evaluated.

    Args:
        function: the public function, for the message.
        validation: what the caller gives.

    Returns:
        The validation.

    Raises:
        TypeError: not a `Validation`, or data that are not arrays of numbers.
        ValueError: a patience or a batch size below 1.

    >>> resolve_validation("fit", Validation(lambda params, batch, key: (0.0, {}), {}, patience=0))
    Traceback (most recent call last):
        ...
    ValueError: fit: patience must be at least 1, found 0
    """
    if not isinstance(validation, Validation):
        raise TypeError(
            f"{function}: validation is a {type(validation).__name__}, expected "
            "jaxnet.Validation(objective, data)"
        )
    require_positive(function, batch_size=validation.batch_size)
    if validation.patience is not None:
        require_positive(function, patience=validation.patience)
    return validation._replace(data=as_arrays(function, "validation.data", validation.data))


def evaluated(state: TrainState) -> tuple[Params, PyTree[Any]]:
    """Evaluation parameters and extra state: what is evaluated, and kept where it is the best.

    Args:
        state: a training state.

    Returns:
        The pair that a stateful objective is evaluated with.

    >>> from jaxnet.training.state import initial_state
    >>> evaluated(initial_state({"a": jnp.zeros(1)}, (), (), jax.random.key(0)))[1]
    ()
    """
    return evaluation_params(state), evaluation_extra(state)


def validate(validation: Validation, state: TrainState) -> Metrics:
    """Metrics of a state on validation data.

    Args:
        validation: what is evaluated.
        state: a training state; for a batch of states, `jax.vmap` this function.

    Returns:
        The metrics, each called `validation_` and its name.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> objective = jn.regression(network)
    >>> state = jn.gradient_learner(network.init, objective, optax.sgd(0.1)).init(jax.random.key(0))
    >>> validation = Validation(objective, {"x": jnp.zeros((4, 2)), "y": jnp.ones(4)})
    >>> float(validate(validation, state)["validation_loss"])
    1.0
    """
    params, extra = evaluated(state)
    objective = validation.objective
    metrics = evaluate(
        objective,
        (params, extra) if isinstance(objective, StatefulObjective) else params,
        validation.data,
        batch_size=validation.batch_size,
        key=validation.key,
    )
    return {f"validation_{name}": value for name, value in metrics.items()}


def validated_epochs(
    epoch: Epoch, validation: Validation, state: TrainState, num_epochs: int
) -> tuple[TrainState, Metrics]:
    """Train epochs with validation after each, as one scan.

    A run that is out of patience keeps its state; alone it is skipped from there on, and among the
    runs of a batch its results are discarded.

    Args:
        epoch: `epoch(state, index) -> (state, metrics)`.
        validation: what is evaluated.
        state: where to start.
        num_epochs: largest number of epochs.

    Returns:
        The state, whose `extra` is an `EarlyStopped` where there is a patience; and the history,
        `(num_epochs,)` each, NaN for epochs after the end of the run.

    >>> from jaxnet.training.state import initial_state
    >>> def epoch(state, index):
    ...     return state._replace(params=state.params - 1), {"loss": state.params}
    >>> def objective(params, batch, key):
    ...     return (params - 2.0) ** 2, {}
    >>> validation = Validation(objective, {"x": jnp.zeros(1)}, patience=2)
    >>> state = initial_state(jnp.float32(5), (), (), jax.random.key(0))
    >>> state, history = validated_epochs(epoch, validation, state, 6)
    >>> history["validation_loss"].tolist(), float(evaluation_params(state))
    ([4.0, 1.0, 0.0, 1.0, 4.0, nan], 2.0)
    """
    patience = validation.patience

    def validated(carry: tuple[TrainState, Any], index: Array) -> Any:
        state, metrics = epoch(carry[0], index)
        metrics = {**metrics, **validate(validation, state)}
        return (state, _improve(carry[1], state, metrics, index + 1, patience)), metrics

    if patience is None:
        (state, _), history = jax.lax.scan(validated, (state, None), jnp.arange(num_epochs))
        return state, history
    shapes = jax.eval_shape(validated, (state, init_best(evaluated(state))), jnp.arange(1)[0])[1]

    def run(carry: tuple[TrainState, Best], index: Array) -> Any:
        def skip() -> Any:
            return carry, jax.tree.map(
                lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), shapes
            )

        stopped = out_of_patience(carry[1], index, patience=patience)
        return jax.lax.cond(stopped, skip, lambda: validated(carry, index))

    start = state, init_best(evaluated(state))
    (state, best), history = jax.lax.scan(run, start, jnp.arange(num_epochs))
    return with_best(state, best), history


def split_best(validation: Validation | None, state: TrainState) -> tuple[TrainState, Best | None]:
    """The state that is trained, and the best of earlier epochs where it is known.

    Args:
        validation: what the caller gives, or None.
        state: a training state, or a batch of states.

    Returns:
        The state and the best; where there is no patience, the state as it is and None.

    >>> from jaxnet.training.state import initial_state
    >>> state = initial_state(jnp.float32(5), (), (), jax.random.key(0))
    >>> validation = Validation(lambda params, batch, key: (params, {}), {}, patience=3)
    >>> split_best(validation, with_best(state, init_best(()))) == (state, init_best(()))
    True
    """
    if validation is None or not isinstance(state.extra, EarlyStopped):
        return state, None
    if getattr(validation, "patience", None) is None:
        return state, None
    return state._replace(extra=state.extra.extra), state.extra.best


def begin_validation(
    validation: Validation, state: TrainState, best: Best | None, epoch: int
) -> tuple[Validation, Best | None]:
    """Check the validation of a watched run before its first epoch.

    Args:
        validation: what the caller gives.
        state: the state to start from, or a batch of states.
        best: the best of earlier epochs where it is known.
        epoch: number of epochs so far, from which the patience counts.

    Returns:
        The validation with JAX arrays and the best so far, None without a patience.

    Raises:
        TypeError: not a `Validation`, or data that are not arrays of numbers.
        ValueError: a patience or a batch size below 1.

    >>> from jaxnet.training.state import initial_state
    >>> state = initial_state(jnp.float32(5), (), (), jax.random.key(0))
    >>> validation = Validation(lambda params, batch, key: (params, {}), {}, patience=3)
    >>> begin_validation(validation, state, None, 7)[1].epoch.item()
    7
    """
    validation = resolve_validation("epochs", validation)
    if validation.patience is None or best is not None:
        return validation, best

    def start(state: TrainState) -> Best:
        return init_best(evaluated(state))._replace(epoch=jnp.asarray(epoch, jnp.int32))

    return validation, over_runs(start, state.step.ndim, 0)(state)


def validate_runs(
    validation: Validation,
    state: TrainState,
    best: Best | None,
    epoch: int,
    *,
    per_run: bool = False,
) -> tuple[Metrics, Best | None]:
    """Validation after one epoch of a watched run, compiled once.

    Args:
        validation: what is evaluated.
        state: the state after the epoch, or a batch of states.
        best: the best so far, or None without a patience.
        epoch: number of epochs so far.
        per_run: whether each run of a batch has its own validation data.

    Returns:
        The metrics, and the best after the epoch.

    >>> from jaxnet.training.state import initial_state
    >>> validation = Validation(lambda params, batch, key: (params, {}), {"x": jnp.zeros(1)})
    >>> state = initial_state(jnp.float32(5), (), (), jax.random.key(0))
    >>> validate_runs(validation, state, None, 1)[0]["validation_loss"].item()
    5.0
    """
    objective = validation.objective
    stateful = isinstance(objective, StatefulObjective)
    apply = objective.apply if stateful else objective
    mesh = data_mesh(validation.data)
    options = stateful, validation.batch_size, validation.patience, per_run, mesh
    run = compiled_for(apply, _validate_runs, *options)
    return run(state, best, epoch, validation.data, validation.key)


def _validate_runs(
    apply: Callable[..., Any],
    stateful: bool,
    batch_size: int,
    patience: int | None,
    per_run: bool,
    mesh: Any,
    state: TrainState,
    best: Best | None,
    epoch: Array,
    data: PyTree[Any],
    key: Array | None,
) -> tuple[Metrics, Best | None]:
    objective = StatefulObjective(no_init, apply) if stateful else apply

    def validate_one(state: TrainState, best: Best | None, data: PyTree[Any]) -> Any:
        metrics = validate(Validation(objective, data, batch_size, patience, key), state)
        return metrics, _improve(best, state, metrics, epoch, patience)

    axes = (0, 0, 0 if per_run else None)
    with on_mesh(mesh):
        return over_runs(validate_one, state.step.ndim, axes)(state, best, data)


def with_best(state: TrainState, best: Best | None) -> TrainState:
    """The state with the best so far, which `evaluation_params` finds.

    Args:
        state: a training state, or a batch of states.
        best: the best so far, or None.

    Returns:
        The state.

    >>> from jaxnet.training.state import initial_state
    >>> state = initial_state(jnp.float32(5), (), (), jax.random.key(0))
    >>> float(evaluation_params(with_best(state, init_best((jnp.float32(3), ())))))
    3.0
    """
    return state if best is None else state._replace(extra=EarlyStopped(best, state.extra))


def is_out_of_patience(validation: Validation, best: Best | None, epoch: int) -> bool:
    """Whether all runs are out of patience.

    Args:
        validation: what is evaluated.
        best: the best so far, or None.
        epoch: number of epochs so far.

    Returns:
        False without a patience.

    >>> validation = Validation(lambda params, batch, key: (0.0, {}), {}, patience=2)
    >>> [is_out_of_patience(validation, init_best(()), epoch) for epoch in (1, 2)]
    [False, True]
    """
    if best is None or validation.patience is None:
        return False
    return bool(jnp.all(out_of_patience(best, epoch, patience=validation.patience)))


def _improve(
    best: Any, state: TrainState, metrics: Metrics, epoch: Array | int, patience: int | None
) -> Any:
    if patience is None:
        return None
    loss = metrics["validation_loss"]
    return keep_best(
        best, evaluated(state), loss.astype(best.value.dtype), epoch, patience=patience
    )
