"""What the outputs of a decoder say about data."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array


class Likelihood(NamedTuple):
    """How the outputs of a decoder describe data: a pair of pure functions on each number.

    Attributes:
        mean: `mean(outputs)`, the expected data.
        log_prob: `log_prob(outputs, x)`, the logarithm of the probability (density) of each number.
    """

    mean: Callable[[Array], Array]
    log_prob: Callable[[Array, Array], Array]


def _bernoulli_log_prob(outputs: Array, x: Array) -> Array:
    return -optax.losses.sigmoid_binary_cross_entropy(outputs, x.astype(outputs.dtype))


def bernoulli_likelihood() -> Likelihood:
    """Each pixel is 1 with probability `sigmoid(output)`, else 0.

    For pixels between 0 and 1 the formula `x log p + (1 - x) log(1 - p)` is used all the same; then
    it is no logarithm of a probability, and bounds and likelihoods only compare among themselves.

    >>> likelihood = bernoulli_likelihood()
    >>> bool(jnp.isclose(likelihood.log_prob(jnp.zeros(1), jnp.ones(1))[0], -jnp.log(2)))
    True
    """
    return Likelihood(jax.nn.sigmoid, _bernoulli_log_prob)


def _identity(outputs: Array) -> Array:
    return outputs


def gaussian_likelihood(
    scale: float | Array = 1.0, *, mean: Callable[[Array], Array] = _identity
) -> Likelihood:
    """Each number is normal around `mean(output)`, with a fixed standard deviation.

    Args:
        scale: the standard deviation, above 0; may be traced.
        mean: from outputs to the expected data: `jax.nn.sigmoid` for numbers in [0, 1].

    Raises:
        ValueError: a scale of 0 or below.

    >>> log_prob = gaussian_likelihood(2.0).log_prob(jnp.zeros(1), jnp.zeros(1))
    >>> bool(jnp.isclose(log_prob[0], -jnp.log(2.0) - jnp.log(2 * jnp.pi) / 2))
    True
    """
    if isinstance(scale, (int, float)) and scale <= 0:
        raise ValueError(f"gaussian_likelihood: scale must be above 0, found {scale}")

    def log_prob(outputs: Array, x: Array) -> Array:
        constant = jnp.log(scale) + math.log(2 * math.pi) / 2
        return -(((x - mean(outputs)) / scale) ** 2) / 2 - constant

    return Likelihood(mean, log_prob)
