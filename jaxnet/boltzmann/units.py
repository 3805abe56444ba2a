"""Kinds of units: what a visible or hidden unit may be, as members of the exponential family."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Unit:
    """A kind of unit `u`, whose distribution given the other layer is exponential.

    `p(u | eta) = m(u) exp(eta u - A(eta))`, where the natural parameter `eta` is the unit's input,
    its bias plus the weighted units of the other layer: Welling, Rosen-Zvi, Hinton (2005),
    "Exponential family harmoniums". All functions act on each number alone.

    Attributes:
        name: what the kind is called in messages.
        log_measure: `log m(u)`.
        log_normalizer: `A(eta)`.
        mean: `A'(eta)`, the mean of `u`.
        sample: `(key, eta) -> u`.
        bias_of: `data -> eta`, from data `(examples, units)` the natural parameters of
            independent units that have their means.

    >>> float(BERNOULLI.mean(jnp.array(0.0))), float(GAUSSIAN.mean(jnp.array(2.0)))
    (0.5, 2.0)
    """

    name: str
    log_measure: Callable[[Array], Array]
    log_normalizer: Callable[[Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Array], Array]
    bias_of: Callable[[Array], Array]


def _sample_bernoulli(key: Array, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jax.random.bernoulli(key, jax.nn.sigmoid(eta)).astype(eta.dtype)


def _sample_gaussian(key: Array, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return eta + jax.random.normal(key, eta.shape, eta.dtype)


def _bernoulli_bias(data: Array) -> Array:
    # Laplace's rule: a pixel that is always 0 would have the bias minus infinity.
    return jnp.log(jnp.sum(data, axis=0) + 1) - jnp.log(jnp.sum(1 - data, axis=0) + 1)


BERNOULLI = Unit(
    "Bernoulli",
    log_measure=jnp.zeros_like,
    log_normalizer=jax.nn.softplus,
    mean=jax.nn.sigmoid,
    sample=_sample_bernoulli,
    bias_of=_bernoulli_bias,
)

GAUSSIAN = Unit(
    "Gaussian",
    log_measure=lambda u: -(u**2) / 2,
    log_normalizer=lambda eta: (eta**2 + math.log(2 * math.pi)) / 2,
    mean=lambda eta: eta,
    sample=_sample_gaussian,
    bias_of=lambda data: jnp.mean(data, axis=0),
)
