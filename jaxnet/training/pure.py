"""A whole training run as one pure function."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxnet.training.batches import epoch_order, num_examples, steps_per_epoch, take
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics


def run_steps(
    learner: Learner,
    state: TrainState,
    metrics: Metrics,
    data: Batch,
    *,
    batch_size: int,
    start: int | Int[Array, ""],
    stop: int | Int[Array, ""],
) -> tuple[TrainState, Metrics]:
    """Take some steps of the epoch in which the state stands.

    The batches are a function of the key and the step in the state, and where the piece starts and
    stops may be traced: one compiled program takes pieces of any length. So cutting a run into
    pieces, or repeating it from a saved state, gives the same bits.

    Args:
        learner: what trains.
        state: where to start; it must have taken `start` steps of its epoch.
        metrics: of the steps of this epoch so far, `(steps_per_epoch,)` each; at its beginning
            from `begin_epoch`.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.
        start: the first step to take, counted from the beginning of the epoch.
        stop: the step to stop before, at most the number of steps of an epoch.

    Returns:
        The new state, and the metrics with those of the steps taken filled in.

    Raises:
        ValueError: data without examples or of different lengths, a batch size that does not fit,
            steps that an epoch does not have (where they are not traced).

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> metrics = jn.training.begin_epoch(learner, state, data, batch_size=2)
    >>> state, metrics = run_steps(learner, state, metrics, data, batch_size=2, start=0, stop=3)
    >>> int(state.step), (metrics["loss"] > 0).tolist()
    (3, [True, True, True, False, False])
    """
    epoch_length = steps_per_epoch(data, batch_size=batch_size)
    if isinstance(start, int) and isinstance(stop, int) and not 0 <= start < stop <= epoch_length:
        raise ValueError(
            f"start and stop must lie in an epoch of {epoch_length} steps, with start before stop, "
            f"found {start} and {stop}"
        )
    order = _order(state, data, batch_size)

    def step(index: Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, metrics = carry
        state, values = learner.step(state, take(data, order[index]))
        return state, jax.tree.map(lambda row, value: row.at[index].set(value), metrics, values)

    return jax.lax.fori_loop(start, stop, step, (state, metrics))


def run_epoch(
    learner: Learner, state: TrainState, data: Batch, *, batch_size: int
) -> tuple[TrainState, Metrics]:
    """Take the steps of one whole epoch; `state` must stand at its beginning.

    Args:
        learner: what trains.
        state: a state at the beginning of an epoch.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.

    Returns:
        The new state and the mean of each metric over the steps.

    Raises:
        ValueError: as `run_steps`.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> state, metrics = run_epoch(learner, state, data, batch_size=2)
    >>> int(state.step), metrics["loss"].shape
    (5, ())
    """

    def step(state: TrainState, indices: Array) -> tuple[TrainState, Metrics]:
        return learner.step(state, take(data, indices))

    state, metrics = jax.lax.scan(step, state, _order(state, data, batch_size))
    return state, jax.tree.map(lambda values: jnp.mean(values, axis=0), metrics)


def _order(state: TrainState, data: Batch, batch_size: int) -> Int[Array, "steps batch"]:
    """The examples of each batch of the epoch in which the state stands."""
    epoch = state.step // steps_per_epoch(data, batch_size=batch_size)
    return epoch_order(state.key, epoch, num_examples=num_examples(data), batch_size=batch_size)


def fit(
    learner: Learner, key: Array, data: Batch, *, batch_size: int, num_epochs: int
) -> tuple[TrainState, Metrics]:
    """Train from a key to a trained state: one pure function, to be jitted and vmapped.

    Args:
        learner: what trains.
        key: the key of the run, from which all its randomness comes.
        data: dict of arrays that share their first axis. Under `jit`, pass it as an argument:
            closed over, it would be compiled into the program.
        batch_size: examples in a batch.
        num_epochs: passes over the data.

    Returns:
        The trained state and the history: the mean of each metric over each epoch,
        `(num_epochs,)`.

    Raises:
        ValueError: data without examples or of different lengths, a batch size that does not fit,
            a number of epochs below 1.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([1, 1])
    >>> x = jnp.linspace(-1, 1, 32)[:, None]
    >>> data = {"x": x, "y": 3 * x[:, 0] + 1}
    >>> def run(key, data):
    ...     learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    ...     return fit(learner, key, data, batch_size=8, num_epochs=100)
    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> states, history = jax.jit(jax.vmap(run, (0, None)))(keys, data)
    >>> states.params["dense_0"]["bias"].round(3).ravel().tolist(), history["loss"].shape
    ([1.0, 1.0, 1.0, 1.0], (4, 100))
    """
    if num_epochs < 1:
        raise ValueError(f"num_epochs must be at least 1, found {num_epochs}")

    def epoch(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
        return run_epoch(learner, state, data, batch_size=batch_size)

    steps_per_epoch(data, batch_size=batch_size)
    return jax.lax.scan(epoch, learner.init(key), length=num_epochs)
