"""Learning along with series: each time step is predicted, scored, and then learned from."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.objectives.weighting import require_entry
from jaxnet.training import Learner, TrainState
from jaxnet.typing import Batch

Score = Callable[[TrainState, Batch], Array]


def learn_online(
    learner: Learner,
    states: TrainState,
    data: PyTree[Any],
    *,
    score: Score | None = None,
) -> tuple[TrainState, Float[Array, "series time *score"]]:
    """Take one step of a learner at each time step of each series, and score it before the step.

    All series are one program: a scan over time of steps that are mapped over the series. Each
    series has its own parameters. What a score depends on is known at its time: parameters are
    those before the step has been learned from.

    Args:
        learner: of `jaxnet.gradient_learner`; a batch is one time step, `(1, ...)` each.
        states: one state for each series, as of `jax.vmap(learner.init)(keys)`.
        data: dict of arrays `(series, time, ...)`, such as lagged values `x` and the value `y` that
            follows them. Series of different lengths are padded, and `weight` `(series, time)` is 0
            for the padding, which changes no score and no parameter, whatever it holds.
        score: `score(state, batch)`, a number or an array, with the state before the step; None is
            the loss.

    Returns:
        The states after the last time step, and the scores, `(series, time, ...)`, 0 for the
        padding. To continue, pass the states and the next piece of the data: the results are those
        of one call.

    Raises:
        TypeError: data that are not arrays of numbers.
        ValueError: data without `weight`, or of other numbers of series or time steps.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(1, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.2))
    >>> states = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), 2))
    >>> x = jnp.ones((2, 40, 1))
    >>> data = {"x": x, "y": 3 * x[..., 0], "weight": jnp.ones((2, 40)).at[1, 30:].set(0)}
    >>> states, scores = learn_online(learner, states, data)
    >>> bool((scores[:, 0] > 1).all()), bool((scores[:, 25] < 0.01).all()), float(scores[1, 35])
    (True, True, 0.0)

    Source: Ahmad et al. (2017), "Unsupervised real-time anomaly detection for streaming data",
    section 3, with a network learned by gradients in place of HTM.
    """
    data = as_arrays("learn_online", "data", data)
    weight = require_entry("learn_online", data, "weight")
    if weight.ndim != 2 or states.step.shape != weight.shape[:1]:
        raise ValueError(
            f"learn_online: weight has shape {weight.shape}, expected one number for each of "
            f"{states.step.shape} series and each time step"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        if leaf.shape[:2] != weight.shape:
            raise ValueError(
                f"learn_online: data{jax.tree_util.keystr(path)} has shape {leaf.shape}, expected "
                f"{weight.shape} and more, one entry for each series and time step"
            )
    return compiled_for(learner.step, _learn_online, score)(states, data)


def _learn_online(
    step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]],
    score: Score | None,
    states: TrainState,
    data: PyTree[Any],
) -> tuple[TrainState, Array]:
    def tick(state: TrainState, row: Batch) -> tuple[TrainState, Array]:
        batch = jax.tree.map(lambda leaf: leaf[None], row)
        before = None if score is None else score(state, batch)
        new, metrics = step(state, batch)
        value = metrics["loss"] if before is None else before
        present = row["weight"] > 0
        new = jax.tree.map(lambda old, new: jnp.where(present, new, old), state, new)
        return new, jnp.where(present, value, 0)

    by_time = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), data)
    states, scores = jax.lax.scan(jax.vmap(tick), states, by_time)
    return states, jnp.moveaxis(scores, 0, 1)
