"""Kinds of visible and hidden units, as members of the exponential family."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet import _draws


@dataclasses.dataclass(frozen=True)
class Unit:
    """A kind of unit `u` whose distribution given the other layer is an exponential family.

    `p(u | eta) = m(u) exp(eta u - A(eta))`, where the natural parameter `eta` is the input of the
    unit: its bias plus the weighted units of the other layer. All functions but `bias_of` are
    elementwise.

    Attributes:
        name: name of the kind, for messages.
        log_measure: `u -> log m(u)`.
        log_normalizer: `eta -> A(eta)`.
        mean: `eta -> A'(eta)`, the mean of `u`.
        sample: `(key, eta) -> u`.
        bias_of: `data -> eta`, from data `(n, units)` the natural parameters `(units,)` of
            independent units with the same means.

    >>> float(BERNOULLI.mean(jnp.array(0.0))), float(GAUSSIAN.mean(jnp.array(2.0)))
    (0.5, 2.0)

    Source: Welling, Rosen-Zvi and Hinton (2005), "Exponential family harmoniums with an application
    to information retrieval".
    """

    name: str
    log_measure: Callable[[Array], Array]
    log_normalizer: Callable[[Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Array], Array]
    bias_of: Callable[[Array], Array]


def _sample_bernoulli(key: Array, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return _draws.bernoulli(key, jax.nn.sigmoid(eta)).astype(eta.dtype)


def _sample_gaussian(key: Array, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return eta + _draws.normal(key, eta.shape, eta.dtype)


def _bernoulli_bias(data: Array) -> Array:
    # Laplace's rule of succession: otherwise a pixel that is always 0 has the bias minus infinity.
    return jnp.log(jnp.sum(data, axis=0) + 1) - jnp.log(jnp.sum(1 - data, axis=0) + 1)


BERNOULLI = Unit(
    "Bernoulli",
    log_measure=jnp.zeros_like,
    log_normalizer=jax.nn.softplus,
    mean=jax.nn.sigmoid,
    sample=_sample_bernoulli,
    bias_of=_bernoulli_bias,
)
"""Binary units in {0, 1}; `eta` is the log-odds of 1."""

GAUSSIAN = Unit(
    "Gaussian",
    log_measure=lambda u: -(u**2) / 2,
    log_normalizer=lambda eta: (eta**2 + math.log(2 * math.pi)) / 2,
    mean=lambda eta: eta,
    sample=_sample_gaussian,
    bias_of=lambda data: jnp.mean(data, axis=0),
)
"""Real-valued units of variance 1; `eta` is their mean."""
