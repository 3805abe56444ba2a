"""Transformations of learners; one that draws splits the key and passes on the second part."""

import jax
from jaxtyping import Array

from jaxnet.nn.network import Network
from jaxnet.training.state import Learner, TrainState, owned
from jaxnet.typing import Batch, Metrics


def augmented_learner(learner: Learner, augmentation: Network) -> Learner:
    """Transform the inputs of a learner at random, with new random numbers at each step.

    As `with_augmentation`, for learners that are not made of an objective. Nested ones draw
    independent numbers.

    Args:
        learner: a learner on batches with an `x`.
        augmentation: `random_affine`, `bernoulli_sampling`, or any network without parameters that
            keeps the shape.

    Returns:
        A learner on the same states, with the same metrics.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> def step(state, batch):
    ...     return state, {"loss": batch["x"].mean(), "largest": batch["x"].max()}
    >>> init = lambda key: TrainState({}, (), (), key, jnp.zeros((), jnp.int32))
    >>> learner = augmented_learner(jn.Learner(init, step), jn.nn.bernoulli_sampling())
    >>> batch = {"x": jnp.full((500, 8), 0.3)}
    >>> _, metrics = learner.step(learner.init(jax.random.key(0)), batch)
    >>> float(metrics["largest"]), bool(abs(metrics["loss"] - 0.3) < 0.05)
    (1.0, True)
    """

    def init(key: Array) -> TrainState:
        return learner.init(jax.random.split(key)[1])._replace(key=owned(key))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        own_key, inner_key = jax.random.split(state.key)
        own_key = jax.random.fold_in(own_key, state.step)
        augmented = {**batch, "x": augmentation.apply({}, batch["x"], key=own_key)}
        new, metrics = learner.step(state._replace(key=inner_key), augmented)
        return new._replace(key=state.key), metrics

    return Learner(init, step)
