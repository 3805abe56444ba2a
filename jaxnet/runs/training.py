"""Watched training: progress, metrics, checkpoints, early stopping, resuming."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

from jaxnet.runs._loop import Evaluate, TrainingLoop
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.interruption import deferred_interruption
from jaxnet.runs.options import TrainOptions, TrainResult
from jaxnet.training import Batches, HostData, Learner, TrainState
from jaxnet.training.hooks import Hooks
from jaxnet.typing import Params


def train(
    directory: RunDirectory,
    learner: Learner,
    states: TrainState,
    data: PyTree[Any] | HostData,
    *,
    batches: int | Batches | None,
    options: TrainOptions,
    evaluate: Evaluate | None = None,
    hooks: Hooks = (),
) -> TrainResult:
    """Train with progress, metrics and checkpoints, from the beginning or the newest checkpoint.

    However often the run is interrupted, once resumed it ends bitwise identical: batches and
    random numbers are functions of the key and the step, one compiled program takes pieces of an
    epoch of any length, and a checkpoint holds the complete state.

    Args:
        directory: where metrics and checkpoints are written; checkpoints in it are continued.
        learner: the learner.
        states: the initial state, or a batch of states with a leading axis `(runs, ...)`, as of
            `jax.vmap(learner.init)(keys)`.
        data: the training data, `(examples, ...)` each; or a `jaxnet.training.HostData`, whose
            position is a function of the step, so that resuming needs nothing more.
        batches: batch size, or a source of batches such as `jaxnet.training.balanced(64)`; None
            with `HostData`.
        options: number of epochs, early stopping, checkpoints.
        evaluate: `evaluate(params, extra) -> metrics` on validation data, called after each epoch
            with the evaluation parameters and the extra state of `states`; for a batch of runs
            both have the leading axis, and so do the metrics, `(runs,)`. It is not compiled here:
            wrap it in `jax.jit`. With early stopping, `loss` is among the metrics.
        hooks: as in `jaxnet.fit`: `(every, hook)` or `(every, hook, first)` each.

    Returns:
        Parameters, extra state, history and hash.

    Raises:
        FloatingPointError: a loss or parameters that are not finite; names epoch, step and run.
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is saved.
        ValueError: checkpoints that do not fit the learner, or are all corrupt; early stopping
            without a validation loss.

    >>> import tempfile, jax.numpy as jnp, jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = {"config": {}, "data_sha256": jn.checkpoint.params_sha256(data)}
    ...     with RunDirectory.open(f"{folder}/run", name="example", **options) as directory:
    ...         state = learner.init(jax.random.key(0))
    ...         result = train(
    ...             directory, learner, state, data, batches=5, options=TrainOptions(num_epochs=2)
    ...         )  # doctest: +ELLIPSIS
    epoch 1/2 ...
    >>> result.history["loss"]["train"].shape, int(result.best_epochs)
    ((2,), 2)
    """
    run = TrainingLoop(directory, learner, states, data, batches, options, evaluate, hooks)
    run.restore()
    try:
        with deferred_interruption() as interruption:
            run.train(interruption)
    finally:
        run.events.close()
        if isinstance(data, HostData):
            data.close()
    return run.result()


def start_states(
    learner_of: Callable[[Callable[[jax.Array], Params]], Learner],
    keys: jax.Array,
    starts: Params,
) -> TrainState:
    """Initial states of runs that start from given parameters.

    Args:
        learner_of: from an initializer `init(key) -> params` to a learner.
        keys: one key for each run, `(runs,)`.
        starts: their parameters, with a leading axis `(runs, ...)`.

    Returns:
        A batch of states.

    >>> import jax.numpy as jnp, jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def learner_of(init):
    ...     return jn.gradient_learner(init, jn.regression(network), optax.sgd(0.1))
    >>> starts = {"kernel": jnp.ones((3, 2, 1)), "bias": jnp.zeros((3, 1))}
    >>> states = start_states(learner_of, jax.random.split(jax.random.key(0), 3), starts)
    >>> states.params["kernel"].shape, states.step.shape
    ((3, 2, 1), (3,))
    """

    def state(key: jax.Array, start: Params) -> TrainState:
        return learner_of(lambda _: start).init(key)

    return jax.jit(jax.vmap(state))(keys, starts)
