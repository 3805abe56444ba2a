"""The same run with a person watching: generators and calls whose loop belongs to the caller.

All of it takes a single state, or a stack of states as `jax.vmap(learner.init)(keys)` makes it,
which trains in one program; its metrics have the same leading axis.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet.training.batches import steps_per_epoch, take
from jaxnet.training.pure import run_steps
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics


def epochs(
    learner: Learner,
    state: TrainState,
    data: Batch,
    *,
    batch_size: int,
    data_axis: int | None = None,
) -> Iterator[tuple[TrainState, Metrics]]:
    """Yield the state and the mean metrics after each epoch, without end.

    Progress, checkpoints, evaluation and stopping are the body of the caller's loop. One compiled
    program runs all epochs, and its results are those of `fit`.

    Args:
        learner: what trains.
        state: where to start, at the beginning of an epoch; or a stack of states.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.
        data_axis: None where all states of a stack train on the same data; 0 where each has its
            own, stacked along a new first axis.

    Yields:
        `(state, metrics)` after each epoch.

    Raises:
        ValueError: at the call, before compilation: data without examples or of different lengths,
            a batch size that does not fit, a state inside an epoch.

    >>> import itertools, jaxnet as jn, optax
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
    options: dict[str, Any] = {"batch_size": batch_size, "data_axis": data_axis}
    metrics = begin_epoch(learner, state, data, **options)
    if (offset := _offset(state, metrics)) != 0:
        raise ValueError(
            f"state stands {offset} steps inside an epoch, expected at its beginning; finish the "
            "epoch with jaxnet.advance"
        )
    return _epochs(learner, state, metrics, jax.tree.map(jnp.asarray, data), options)


def _epochs(
    learner: Learner, state: TrainState, metrics: Metrics, data: Batch, options: dict[str, Any]
) -> Iterator[tuple[TrainState, Metrics]]:
    length = metrics["loss"].shape[-1]
    while True:
        state, metrics = _advance(learner, state, metrics, data, 0, length, **options)
        yield state, mean_metrics(metrics)


def begin_epoch(
    learner: Learner,
    state: TrainState,
    data: Batch,
    *,
    batch_size: int,
    data_axis: int | None = None,
) -> Metrics:
    """Room for the metrics of each step of an epoch, which `advance` fills in.

    Args:
        learner: what trains.
        state: a state, or a stack of states.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.
        data_axis: as in `epochs`.

    Returns:
        Zeros `(*stack, steps_per_epoch)` for each metric.

    Raises:
        ValueError: data without examples or of different lengths, a batch size that does not fit.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 3))
    >>> begin_epoch(learner, states, data, batch_size=5)["loss"].shape
    (3, 2)
    """

    def step(state: TrainState, data: Batch) -> Metrics:
        return learner.step(state, take(data, jnp.zeros(batch_size, jnp.int32)))[1]

    one = jax.tree.map(lambda leaf: leaf[0], data) if data_axis == 0 else data
    num_steps = steps_per_epoch(one, batch_size=batch_size)
    shapes = jax.eval_shape(_stacked(step, state, data_axis), state, data)
    return jax.tree.map(lambda leaf: jnp.zeros((*leaf.shape, num_steps), leaf.dtype), shapes)


def advance(
    learner: Learner,
    state: TrainState,
    metrics: Metrics,
    data: Batch,
    *,
    batch_size: int,
    num_steps: int,
    data_axis: int | None = None,
) -> tuple[TrainState, Metrics]:
    """Take some steps of the epoch in which the state stands.

    One compiled program takes any number of steps, so that a run stopped and resumed anywhere, cut
    into pieces of any length, has the bits of the run in one piece.

    Args:
        learner: what trains.
        state: where to start; or a stack of states that have taken equally many steps.
        metrics: of the steps of this epoch so far; at its beginning, from `begin_epoch`.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.
        num_steps: steps to take.
        data_axis: as in `epochs`.

    Returns:
        The new state, and the metrics with those of the steps taken filled in.

    Raises:
        ValueError: no step, or steps beyond the end of the epoch.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> metrics = begin_epoch(learner, state, data, batch_size=2)
    >>> state, metrics = advance(learner, state, metrics, data, batch_size=2, num_steps=3)
    >>> int(state.step), (metrics["loss"] > 0).tolist()
    (3, [True, True, True, False, False])
    """
    offset, length = _offset(state, metrics), metrics["loss"].shape[-1]
    if not 1 <= num_steps <= length - offset:
        raise ValueError(
            f"num_steps must lie between 1 and the {length - offset} steps that are left of the "
            f"epoch, found {num_steps}"
        )
    return _advance(
        learner,
        state,
        metrics,
        jax.tree.map(jnp.asarray, data),
        offset,
        offset + num_steps,
        batch_size=batch_size,
        data_axis=data_axis,
    )


def _offset(state: TrainState, metrics: Metrics) -> int:
    """Steps that the state has taken of its epoch."""
    return int(np.ravel(jax.device_get(state.step))[0]) % metrics["loss"].shape[-1]


@functools.partial(jax.jit, static_argnames=("learner", "batch_size", "data_axis"))
def _advance(
    learner: Learner,
    state: TrainState,
    metrics: Metrics,
    data: Batch,
    start: Array | int,
    stop: Array | int,
    *,
    batch_size: int,
    data_axis: int | None,
) -> tuple[TrainState, Metrics]:
    def run(state: TrainState, data: Batch, metrics: Metrics) -> tuple[TrainState, Metrics]:
        # The bounds are one for the whole stack, and so it stays one loop.
        return run_steps(
            learner, state, metrics, data, batch_size=batch_size, start=start, stop=stop
        )

    return _stacked(run, state, data_axis)(state, data, metrics)


@jax.jit
def mean_metrics(metrics: Metrics) -> Metrics:
    """Mean of each metric over the steps of an epoch.

    >>> mean_metrics({"loss": jnp.array([1.0, 3.0])})["loss"].item()
    2.0
    """
    return jax.tree.map(lambda values: jnp.mean(values, axis=-1), metrics)


def _stacked(
    function: Callable[..., Any], state: TrainState, data_axis: int | None
) -> Callable[..., Any]:
    """The function of a state, the data and perhaps metrics, mapped over the axes of a stack."""
    for _ in range(state.step.ndim):
        function = _vmap(function, data_axis)
    return function


def _vmap(function: Callable[..., Any], data_axis: int | None) -> Callable[..., Any]:
    def mapped(state: TrainState, data: Batch, *metrics: Metrics) -> Any:
        return jax.vmap(function, (0, data_axis, *[0] * len(metrics)))(state, data, *metrics)

    return mapped
