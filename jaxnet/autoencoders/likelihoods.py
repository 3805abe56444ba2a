"""Likelihoods: the distribution of the data given the outputs of a decoder."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_above_zero
from jaxnet.objectives.weighting import require_shape

_REMEDY = "the shape of the outputs: one output for each number"


class Likelihood(NamedTuple):
    """The distribution of data given the outputs of a decoder: two functions on each number.

    Attributes:
        mean: `mean(outputs)`, the expected data.
        log_prob: `log_prob(outputs, x)`, the logarithm of the probability (density) of each number,
            in nats, for outputs and data of the same shape.

    >>> poisson = Likelihood(jnp.exp, lambda outputs, x: x * outputs - jnp.exp(outputs))
    >>> float(poisson.mean(jnp.zeros(())))
    1.0
    """

    mean: Callable[[Array], Array]
    log_prob: Callable[[Array, Array], Array]


def _bernoulli_log_prob(outputs: Array, x: Array) -> Array:
    require_shape("bernoulli_likelihood", "x", x, outputs.shape, remedy=_REMEDY)
    return -optax.losses.sigmoid_binary_cross_entropy(outputs, x.astype(outputs.dtype))


def bernoulli_likelihood() -> Likelihood:
    """Each pixel is 1 with probability `p = sigmoid(output)`, else 0.

    `log_prob = x log p + (1 - x) log(1 - p)`. It is also computed for pixels between 0 and 1, where
    it is not the logarithm of a probability, so that bounds and likelihoods are comparable only
    with others of the same kind. Kingma and Welling (2014), appendix C.1.

    Returns:
        A likelihood of data in [0, 1], whose outputs are logits.

    >>> likelihood = bernoulli_likelihood()
    >>> bool(jnp.isclose(likelihood.log_prob(jnp.zeros(1), jnp.ones(1))[0], -jnp.log(2)))
    True
    """
    return Likelihood(jax.nn.sigmoid, _bernoulli_log_prob)


def _identity(outputs: Array) -> Array:
    return outputs


def gaussian_likelihood(
    scale: ArrayLike = 1.0, *, mean: Callable[[Array], Array] = _identity
) -> Likelihood:
    """Each number is normal around `mean(output)`, with a fixed standard deviation.

    `log_prob = -((x - mean(output)) / scale)^2 / 2 - log(scale) - log(2 pi) / 2`. Kingma and
    Welling (2014), appendix C.2, there with a standard deviation that the decoder returns.

    Args:
        scale: the standard deviation, above 0, in the units of the data; may be traced.
        mean: from outputs to the expected data: `jax.nn.sigmoid` for numbers in [0, 1].

    Returns:
        A likelihood of real numbers.

    Raises:
        TypeError: a scale that is not a number.
        ValueError: a scale of 0 or below, or not finite.

    >>> log_prob = gaussian_likelihood(2.0).log_prob(jnp.zeros(1), jnp.zeros(1))
    >>> bool(jnp.isclose(log_prob[0], -jnp.log(2.0) - jnp.log(2 * jnp.pi) / 2))
    True
    """
    require_above_zero("gaussian_likelihood", scale=scale)

    def log_prob(outputs: Array, x: Array) -> Array:
        require_shape("gaussian_likelihood", "x", x, outputs.shape, remedy=_REMEDY)
        constant = jnp.log(scale) + math.log(2 * math.pi) / 2
        return -(((x - mean(outputs)) / scale) ** 2) / 2 - constant

    return Likelihood(mean, log_prob)
