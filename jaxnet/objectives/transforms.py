"""Transformations of objectives: what an objective sees instead of its batch."""

from typing import Any

import jax
from jaxtyping import Array

from jaxnet.nn.network import Network
from jaxnet.objectives.stateful import transform_objective
from jaxnet.objectives.weighting import require_entry
from jaxnet.typing import AnyObjectiveT, Batch, Params, StatefulApply


def with_augmentation(objective: AnyObjectiveT, augmentation: Network) -> AnyObjectiveT:
    """Transform the inputs of an objective at random, with new random numbers at each step.

    Unlike in `with_noise` the transformed example is also what an autoencoder reconstructs, as in
    Guo et al. (2018), "Deep embedded clustering with data augmentation", eq. 3.

    Args:
        objective: the objective to change. Put this transformation outside of `with_noise`.
        augmentation: `random_affine`, or any network without parameters that keeps the shape.

    Returns:
        An objective of the same kind with the same metrics. Without a key the examples stay as
        they are.

    Raises:
        ValueError: (of the objective) a batch with `target`, which would not be changed.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> def mean(params, batch, key):
    ...     return batch["x"].mean(), {}
    >>> objective = with_augmentation(mean, jn.random_affine((8, 8, 1), max_shift=0.5))
    >>> batch = {"x": jnp.ones((5, 64))}
    >>> bool(objective({}, batch, jax.random.key(0))[0] < 1), float(objective({}, batch, None)[0])
    (True, 1.0)
    """

    def transform(apply: StatefulApply) -> StatefulApply:
        def augmented(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            if "target" in batch:
                raise ValueError(
                    "with_augmentation: the batch holds a target already, which would stay as it "
                    "is; put it outside: with_augmentation(with_noise(objective, noise), "
                    "augmentation)"
                )
            own_key, key = (None, None) if key is None else jax.random.split(key)
            x = require_entry("with_augmentation", batch, "x")
            x = augmentation.apply({}, x, key=own_key)
            return apply(params, extra, {**batch, "x": x}, key)

        return augmented

    return transform_objective(objective, transform)


def with_noise(objective: AnyObjectiveT, noise: Network) -> AnyObjectiveT:
    """Reconstruct the clean input from a noisy one, with new noise at each step.

    Vincent et al. (2010), "Stacked denoising autoencoders", eq. 4. An objective inside sees the
    noisy input and one outside the clean input: `with_noise(penalty(...))` penalizes the codes of
    noisy inputs, `penalty(with_noise(...))` those of clean inputs.

    Args:
        objective: the objective to change, such as `reconstruction(network)`.
        noise: `masking_noise`, `gaussian_noise`, `salt_and_pepper_noise`, or any network without
            parameters that keeps the shape.

    Returns:
        An objective of the same kind with the same metrics. Without a key there is no noise.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> objective = jn.autoencoders.reconstruction(network, mean=lambda outputs: outputs)
    >>> objective = with_noise(objective, jn.nn.masking_noise(0.25))
    >>> params, batch = network.init(jax.random.key(0)), {"x": jnp.ones((1000, 8))}
    >>> float(objective(params, batch, None)[0])
    0.0
    >>> bool(abs(objective(params, batch, jax.random.key(0))[0] - 0.25 * 8) < 0.1)
    True
    """

    def transform(apply: StatefulApply) -> StatefulApply:
        def denoising(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            own_key, key = (None, None) if key is None else jax.random.split(key)
            x = require_entry("with_noise", batch, "x")
            noisy = {**batch, "x": noise.apply({}, x, key=own_key)}
            return apply(params, extra, {"target": x} | noisy, key)

        return denoising

    return transform_objective(objective, transform)
