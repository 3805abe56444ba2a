"""A whole training run as one pure function."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet.objectives import Batch, Metrics
from jaxnet.training.learner import Learner, TrainState
from jaxnet.training.order import epoch_order, num_examples, steps_per_epoch, take


def run_steps(
    learner: Learner, state: TrainState, data: Batch, *, batch_size: int, num_steps: int
) -> tuple[TrainState, Metrics]:
    """Take a number of steps inside one epoch, from wherever the state stands.

    The batches are a function of the key and the step in the state, so cutting a run into such
    pieces, or repeating it from a saved state, gives the same bits.

    Args:
        learner: what trains.
        state: where to start; `state.step` may be traced.
        data: dict of arrays that share their first axis.
        batch_size: examples in a batch.
        num_steps: steps to take; they must not reach beyond the end of the epoch.

    Returns:
        The new state and the metrics of each step, `(num_steps,)` each.

    Raises:
        ValueError: data without examples or of different lengths, a batch size that does not fit,
            more steps than an epoch has.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state = learner.init(jax.random.key(0))
    >>> state, metrics = run_steps(learner, state, data, batch_size=2, num_steps=3)
    >>> int(state.step), metrics["loss"].shape
    (3, (3,))
    """
    epoch_length = steps_per_epoch(data, batch_size=batch_size)
    if not 1 <= num_steps <= epoch_length:
        raise ValueError(
            f"num_steps must lie between 1 and the {epoch_length} steps of an epoch, "
            f"found {num_steps}"
        )
    epoch, offset = jnp.divmod(state.step, epoch_length)
    order = epoch_order(state.key, epoch, num_examples=num_examples(data), batch_size=batch_size)
    window = jax.lax.dynamic_slice_in_dim(order, offset, num_steps)

    def step(state: TrainState, indices: Array) -> tuple[TrainState, Metrics]:
        return learner.step(state, take(data, indices))

    return jax.lax.scan(step, state, window)


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
    num_steps = steps_per_epoch(data, batch_size=batch_size)
    state, metrics = run_steps(learner, state, data, batch_size=batch_size, num_steps=num_steps)
    return state, jax.tree.map(lambda values: jnp.mean(values, axis=0), metrics)


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
