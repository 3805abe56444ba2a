"""The same run with a person watching: a generator, whose loop body belongs to the caller."""

import functools
from collections.abc import Iterator

import jax
from jaxtyping import Array

from jaxnet.objectives import Batch, Metrics
from jaxnet.training.fit import run_epoch
from jaxnet.training.learner import Learner, TrainState
from jaxnet.training.order import steps_per_epoch


def epochs(
    learner: Learner, state: TrainState, data: Batch, *, batch_size: int
) -> Iterator[tuple[TrainState, Metrics]]:
    """Yield the state and the mean metrics after each epoch, without end.

    Progress, checkpoints, evaluation and stopping are the body of the caller's loop. One compiled
    program runs all epochs, and its results are those of `fit`. A stack of states, made by
    `jax.vmap(learner.init)(keys)`, trains in one program; its metrics have the same leading axis.

    Args:
        learner: what trains.
        state: where to start, at the beginning of an epoch.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.

    Yields:
        `(state, metrics)` after each epoch.

    Raises:
        ValueError: at the call, before compilation: data without examples or of different lengths,
            a batch size that does not fit.

    >>> import itertools, jax.numpy as jnp, jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> run = epochs(learner, learner.init(jax.random.key(0)), data, batch_size=5)
    >>> for state, metrics in itertools.islice(run, 3):
    ...     print(int(state.step), bool(metrics["loss"] >= 0))
    2 True
    4 True
    6 True
    """
    steps_per_epoch(data, batch_size=batch_size)
    return _epochs(learner, state, jax.tree.map(jax.numpy.asarray, data), batch_size)


def _epochs(
    learner: Learner, state: TrainState, data: Batch, batch_size: int
) -> Iterator[tuple[TrainState, Metrics]]:
    while True:
        state, metrics = _run_epoch(learner, state, data, batch_size)
        yield state, metrics


@functools.partial(jax.jit, static_argnums=(0, 3))
def _run_epoch(
    learner: Learner, state: TrainState, data: Batch, batch_size: int
) -> tuple[TrainState, Metrics]:
    def run(state: TrainState) -> tuple[TrainState, dict[str, Array]]:
        return run_epoch(learner, state, data, batch_size=batch_size)

    for _ in range(state.step.ndim):
        run = jax.vmap(run)
    return run(state)
