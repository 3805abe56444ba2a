"""Transformations of learners; one that draws splits the key and passes on the second part."""

from collections.abc import Mapping

import jax
from jaxtyping import Array, Float

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


def weight_examples(learner: Learner, weight: Float[Array, " examples"]) -> Learner:
    """Count each example with a weight: a subset, a fold or a bootstrap sample of shared data.

    The members of a population share the data and the order of their examples, and each has its
    own weights among its settings: 0 leaves an example out.

    Args:
        learner: any learner that honors `batch["weight"]`.
        weight: of each example of the data set, at least 0.

    Returns:
        A learner for batches with the entry `row`, the number of each example in the data set:
        `data = {"x": ..., "y": ..., "row": jnp.arange(num_examples)}`.

    Raises:
        ValueError: (of `step`) a batch without `row`.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(1, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> learner = weight_examples(learner, jnp.array([1.0, 0.0]))
    >>> batch = {"x": jnp.ones((2, 1)), "y": jnp.array([1.0, jnp.nan]), "row": jnp.arange(2)}
    >>> bool(jnp.isfinite(learner.step(learner.init(jax.random.key(0)), batch)[1]["loss"]))
    True
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if not isinstance(batch, Mapping) or "row" not in batch:
            found = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
            raise ValueError(
                f"weight_examples: the batch holds {found}, expected 'row' too; add "
                "row=jnp.arange(num_examples) to the data"
            )
        batch = dict(batch)
        own = weight[batch.pop("row")]
        if "weight" in batch:
            given = batch["weight"]
            own = own.reshape(own.shape + (1,) * (given.ndim - 1)) * given
        return learner.step(state, batch | {"weight": own})

    return Learner(learner.init, step)
