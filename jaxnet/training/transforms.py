"""Transformations of learners: what a learner sees instead of its batch."""

import jax

from jaxnet.nn.network import Network
from jaxnet.training.state import Learner, Stream, TrainState
from jaxnet.typing import Batch, Metrics


def augmented_learner(learner: Learner, augmentation: Network) -> Learner:
    """Let a learner see changed examples, anew at each step; what it changes is up to the network.

    As `augmented`, for what is no objective: a learner with persistent chains, or one that moves
    centers too.

    Args:
        learner: what trains, on batches with an `x`.
        augmentation: `random_affine`, `bernoulli_sampling`, or any network without parameters that
            keeps the shape.

    Returns:
        A learner on the same states, with the same metrics.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> def step(state, batch):
    ...     return state, {"loss": batch["x"].mean(), "largest": batch["x"].max()}
    >>> init = lambda key: TrainState({}, (), key, jnp.zeros((), jnp.int32))
    >>> learner = augmented_learner(jn.Learner(init, step), jn.nn.bernoulli_sampling())
    >>> batch = {"x": jnp.full((500, 8), 0.3)}
    >>> _, metrics = learner.step(learner.init(jax.random.key(0)), batch)
    >>> float(metrics["largest"]), bool(abs(metrics["loss"] - 0.3) < 0.05)
    (1.0, True)
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, Stream.DATA), state.step)
        return learner.step(state, {**batch, "x": augmentation.apply({}, batch["x"], key=key)})

    return Learner(learner.init, step)
