"""Objectives of networks that reconstruct their input.

A batch is a dict with the inputs `x`, optionally `weight`, and optionally `target`: the data to
reconstruct if they are not `x` itself. Weights are numbers for each example, `(batch,)`, or for
each of its elements, such as 0 for pixels that are missing: then the loss is the weighted mean over
elements, times the number of elements of an example. Every objective reports `squared_error`,
summed over the pixels of an example, so that all models are comparable.
"""

import math
from collections.abc import Callable
from typing import Any, overload

import jax
import optax
from jaxtyping import Array

from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.objectives.prediction import Elementwise, supervised
from jaxnet.objectives.stateful import transform_objective
from jaxnet.objectives.weighting import require_entry
from jaxnet.typing import (
    AnyObjective,
    Batch,
    Objective,
    Params,
    StatefulApply,
    StatefulObjective,
)


def sum_per_example(values: Array) -> Array:
    """Sum over all axes but the first.

    Args:
        values: `(n, ...)`.

    Returns:
        One number for each example, `(n,)`.

    >>> import jax.numpy as jnp
    >>> sum_per_example(jnp.ones((2, 3, 3))).tolist()
    [9.0, 9.0]
    """
    return values.reshape(len(values), -1).sum(axis=-1)


def _of_input(network: Network | StatefulNetwork, elementwise: Elementwise) -> AnyObjective:
    """The objective whose targets are the inputs, with losses summed over each example."""

    def summed(outputs: Array, target: Array) -> tuple[Array, dict[str, Array]]:
        if outputs.shape != target.shape:
            raise ValueError(
                f"reconstruction: the network's outputs have shape {outputs.shape}, expected the "
                f"shape of the data to reconstruct, {target.shape}"
            )
        # `supervised` takes means, over the elements that the weights leave; sums are as many times
        # larger as an example has elements.
        size = math.prod(target.shape[1:])
        losses, metrics = elementwise(outputs, target)
        return size * losses, {name: size * values for name, values in metrics.items()}

    def transform(apply: StatefulApply) -> StatefulApply:
        def of_input(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            target = batch.get("target", require_entry("reconstruction", batch, "x"))
            return apply(params, extra, {**batch, "y": target}, key)

        return of_input

    return transform_objective(supervised(network, summed), transform)


@overload
def reconstruction(
    network: Network, *, mean: Callable[[Array], Array] = jax.nn.sigmoid
) -> Objective: ...


@overload
def reconstruction(
    network: StatefulNetwork, *, mean: Callable[[Array], Array] = jax.nn.sigmoid
) -> StatefulObjective: ...


def reconstruction(
    network: Network | StatefulNetwork, *, mean: Callable[[Array], Array] = jax.nn.sigmoid
) -> AnyObjective:
    """Squared error `mean_i ||x_i - mean(network(x_i))||^2`, summed over pixels.

    Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural networks",
    report this error.

    Args:
        network: from inputs to outputs of the same shape, such as an `Autoencoder`, with or without
            state.
        mean: from the network's outputs to the reconstruction: `jax.nn.sigmoid` where they are
            logits of pixels in [0, 1], the identity where they are the numbers themselves.

    Returns:
        An objective on batches of `x`, `(batch, ...)`. Metrics: `squared_error`.

    Raises:
        ValueError: (of the objective) outputs and inputs of different shapes.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0)))
    >>> loss, metrics = reconstruction(network)(params, {"x": jnp.ones((8, 4))}, None)
    >>> float(loss)
    1.0
    """

    def elementwise(outputs: Array, target: Array) -> tuple[Array, dict[str, Array]]:
        squared = (target - mean(outputs)) ** 2
        return squared, {"squared_error": squared}

    return _of_input(network, elementwise)


@overload
def bernoulli_reconstruction(network: Network) -> Objective: ...


@overload
def bernoulli_reconstruction(network: StatefulNetwork) -> StatefulObjective: ...


def bernoulli_reconstruction(network: Network | StatefulNetwork) -> AnyObjective:
    """Cross-entropy `-mean_i sum_j [x_ij log p_ij + (1 - x_ij) log(1 - p_ij)]`, summed over pixels.

    `p = sigmoid(network(x))`, in nats. For pixels strictly between 0 and 1 its minimum is their
    entropy, not 0. Vincent et al. (2010), "Stacked denoising autoencoders", section 2.2.

    Args:
        network: from inputs to logits of the same shape, such as an `Autoencoder`, with or without
            state.

    Returns:
        An objective on batches whose `x`, `(batch, ...)`, lies in [0, 1], which is not checked
        inside a trace: see `check_unit_interval`. Metrics: `cross_entropy`, and `squared_error` of
        `p`.

    Raises:
        ValueError: (of the objective) outputs and inputs of different shapes.

    >>> import jax.numpy as jnp, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0)))
    >>> loss, _ = bernoulli_reconstruction(network)(params, {"x": jnp.ones((8, 4))}, None)
    >>> bool(abs(loss - 4 * jnp.log(2)) < 1e-5)
    True
    """

    def elementwise(outputs: Array, target: Array) -> tuple[Array, dict[str, Array]]:
        losses = optax.losses.sigmoid_binary_cross_entropy(outputs, target.astype(outputs.dtype))
        squared = (target - jax.nn.sigmoid(outputs)) ** 2
        return losses, {"cross_entropy": losses, "squared_error": squared}

    return _of_input(network, elementwise)
