"""Weights of examples and checks of shapes, common to all metrics."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer, Shaped

from jaxnet.objectives.weighting import require_shape, weighted_sum

BinaryLabels = Integer[Array, " n"] | Bool[Array, " n"]


def as_float(values: ArrayLike) -> Array:
    """Convert values to JAX's default float type, since sums in bfloat16 lose most examples."""
    return jnp.asarray(values, jnp.result_type(float))


def example_weights(
    function: str, num_examples: int, weight: Shaped[Array, "..."] | None
) -> Float[Array, " n"]:
    """Weights as floats; ones for None."""
    if weight is None:
        return jnp.ones(num_examples, jnp.result_type(float))
    require_shape(function, "weight", weight, (num_examples,))
    return as_float(weight)


def weighted_mean(values: Float[Array, "n *rest"], weight: Float[Array, " n"]) -> Array:
    """`sum_i weight_i values_i / sum_i weight_i`; NaN if all weights are 0."""
    return weighted_sum(values, weight) / jnp.sum(weight)


def require_logits(function: str, name: str, logits: Shaped[Array, "..."]) -> None:
    """Reject anything but one row of at least two classes for each example."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"{function}: {name} has shape {logits.shape}, expected (n, classes) with at least two "
            "classes; use jax.vmap for a batch of runs, and binary metrics for one output"
        )


def require_vectors(function: str, **arrays: Shaped[Array, "..."]) -> None:
    """Reject anything but one number for each example."""
    for name, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(
                f"{function}: {name} has shape {array.shape}, expected (n,); use {name}[:, 0] for "
                "a column, and jax.vmap for a batch of runs"
            )
