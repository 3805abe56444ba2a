"""Weights of examples and checks of shapes, common to all metrics."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer, Shaped

BinaryLabels = Integer[Array, " n"] | Bool[Array, " n"]


def as_float(values: ArrayLike) -> Array:
    """Convert values to JAX's default float type, since sums in bfloat16 lose most examples."""
    return jnp.asarray(values, jnp.result_type(float))


def require_shape(
    function: str, name: str, array: Shaped[Array, "..."], expected: tuple[int, ...]
) -> None:
    """Reject an array that would broadcast, such as labels `(n, 1)` with predictions `(n,)`."""
    if array.shape != expected:
        raise ValueError(
            f"{function}: {name} has shape {array.shape}, expected {expected} to match the other "
            f"arguments; reshape {name} or drop the extra examples"
        )


def example_weights(
    function: str, num_examples: int, weight: Shaped[Array, "..."] | None
) -> Float[Array, " n"]:
    """Weights as floats; ones for None."""
    if weight is None:
        return jnp.ones(num_examples, jnp.result_type(float))
    require_shape(function, "weight", weight, (num_examples,))
    return as_float(weight)


def weighted_sum(values: Float[Array, "n *rest"], weight: Float[Array, " n"]) -> Array:
    """`sum_i weight_i values_i`; a value of weight 0 is ignored, even if it is NaN."""
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.sum(jnp.where(weight > 0, values * weight, 0), axis=0)


def weighted_mean(values: Float[Array, "n *rest"], weight: Float[Array, " n"]) -> Array:
    """`sum_i weight_i values_i / sum_i weight_i`; NaN if all weights are 0."""
    return weighted_sum(values, weight) / jnp.sum(weight)
