"""Ensembles of the members of a population."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxnet._checks import require_positive


def select_ensemble(
    predictions: Float[Array, "members *shape"],
    loss: Callable[[Float[Array, "*shape"]], Array],
    *,
    size: int,
) -> tuple[Float[Array, " members"], Float[Array, " size"]]:
    """Weights of the members of an ensemble that is built greedily on validation data.

    It begins empty, and the member that makes the loss of the mean prediction least is added,
    `size` times, with replacement. Caruana et al. (2004), "Ensemble selection from libraries of
    models", sections 2 and 2.2.

    Args:
        predictions: of each member on validation data, such as probabilities
            `(members, n, num_classes)`; of `map_members`.
        loss: of a mean prediction, in the shape of those of one member, such as a cross-entropy.
        size: members that are added.

    Returns:
        The weights, which are at least 0 and add up to 1, and the loss after each addition. The
        mean prediction on other data is `jnp.tensordot(weights, predictions, 1)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1, no members.

    >>> predictions, target = jnp.array([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]]), jnp.array([0.5, 0.5])
    >>> def squared_error(mean):
    ...     return ((mean - target) ** 2).sum()
    >>> weights, losses = select_ensemble(predictions, squared_error, size=2)
    >>> weights.tolist(), losses.tolist()
    ([0.5, 0.5, 0.0], [0.5, 0.0])
    """
    require_positive("select_ensemble", size=size)
    if len(predictions) < 1:
        raise ValueError("select_ensemble: predictions hold no members, expected at least one")
    size, num_members = operator.index(size), len(predictions)

    def add(carry: tuple[Array, Array], count: Array) -> Any:
        total, chosen = carry

        def loss_with(prediction: Array) -> Array:
            return loss((total + prediction) / (count + 1))

        # One member after the other: memory for one mean prediction.
        losses = jax.lax.map(loss_with, predictions)
        losses = jnp.where(jnp.isnan(losses), jnp.inf, losses)
        best = jnp.argmin(losses)
        return (total + predictions[best], chosen.at[best].add(1)), losses[best]

    start = jnp.zeros_like(predictions[0]), jnp.zeros(num_members, predictions.dtype)
    (_, chosen), losses = jax.lax.scan(add, start, jnp.arange(size, dtype=predictions.dtype))
    return chosen / size, losses


def ensemble_outputs(weights: Float[Array, " members"], outputs: PyTree[Array]) -> PyTree[Array]:
    """The weighted mean of the outputs of the members; a member of weight 0 is left out.

    Args:
        weights: of each member, of `select_ensemble`, or equal ones.
        outputs: of each member, with a first axis for the members.

    Returns:
        The mean, without the axis of the members.

    >>> ensemble_outputs(jnp.array([1.0, 0.0]), jnp.array([[2.0], [jnp.nan]])).tolist()
    [2.0]
    """

    def mean(leaf: Array) -> Array:
        weight = weights.reshape(-1, *(1,) * (leaf.ndim - 1))
        return jnp.sum(jnp.where(weight > 0, weight * leaf, 0), axis=0) / jnp.sum(weights)

    return jax.tree.map(mean, outputs)
