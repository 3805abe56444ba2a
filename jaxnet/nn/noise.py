"""Noise as layers: drawn from the key, and without a key the identity."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.nn.network import Network
from jaxnet.typing import Params


def _noise(name: str, corrupt: Callable[[Array, Array], Array]) -> Network:
    """A layer that applies `corrupt(key, x)` where there is a key."""

    def apply(
        params: Params, x: Float[Array, "*shape"], /, *, key: Array | None = None
    ) -> Float[Array, "*shape"]:
        return x if key is None else corrupt(key, x)

    return Network(lambda key: {}, apply, name)


def _require_rate(function: str, rate: float | Array) -> None:
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ValueError(
            f"{function}: rate must lie in [0, 1), found {rate}; it is the probability that a "
            "number is replaced, and at 1 nothing is left of the input"
        )


def masking_noise(rate: float | Array) -> Network:
    """Set each number to zero with probability `rate`; the others stay as they are.

    Unlike `dropout` it does not scale what is left: the network shall see pictures with holes.
    Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3. There a fixed number of
    entries is drawn; here each is drawn on its own, so that the rate may be traced.

    Args:
        rate: probability of a zero, in [0, 1); may be traced.

    Raises:
        ValueError: a rate outside [0, 1).

    >>> x = masking_noise(0.5).apply({}, jnp.ones(40), key=jax.random.key(0))
    >>> sorted(set(x.tolist()))
    [0.0, 1.0]
    """
    _require_rate("masking_noise", rate)

    def corrupt(key: Array, x: Array) -> Array:
        return jnp.where(jax.random.bernoulli(key, rate, x.shape), 0, x)

    return _noise("masking_noise", corrupt)


def gaussian_noise(scale: float | Array) -> Network:
    """Add `scale * e` with `e` drawn from a standard normal distribution, for each number.

    Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3. The result is not clipped:
    it may leave [0, 1].

    Args:
        scale: standard deviation of the noise, at least 0; may be traced.

    Raises:
        ValueError: a negative scale.

    >>> x = gaussian_noise(0.1).apply({}, jnp.zeros(1000), key=jax.random.key(0))
    >>> bool(0.08 < x.std() < 0.12)
    True
    """
    if isinstance(scale, (int, float)) and scale < 0:
        raise ValueError(f"gaussian_noise: scale must be at least 0, found {scale}")

    def corrupt(key: Array, x: Array) -> Array:
        return x + scale * jax.random.normal(key, x.shape, x.dtype)

    return _noise("gaussian_noise", corrupt)


def salt_and_pepper_noise(rate: float | Array) -> Network:
    """Set each number with probability `rate` to 0 or 1, by a fair coin.

    Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3, for numbers in [0, 1].

    Args:
        rate: probability that a number is replaced, in [0, 1); may be traced.

    Raises:
        ValueError: a rate outside [0, 1).

    >>> x = salt_and_pepper_noise(0.5).apply({}, jnp.full(40, 0.3), key=jax.random.key(0))
    >>> [round(value, 1) for value in sorted(set(x.tolist()))]
    [0.0, 0.3, 1.0]
    """
    _require_rate("salt_and_pepper_noise", rate)

    def corrupt(key: Array, x: Array) -> Array:
        # One uniform number decides: below rate / 2 pepper, from there to rate salt.
        drawn = jax.random.uniform(key, x.shape)
        return jnp.where(drawn < rate, jnp.where(drawn < rate / 2, 0, 1), x)

    return _noise("salt_and_pepper_noise", corrupt)


def bernoulli_sampling() -> Network:
    """Set each number, a probability, to 1 with that probability and to 0 otherwise.

    Gray pixels become black and white ones: "binarized by sampling" in the papers on Boltzmann
    machines and variational autoencoders, Salakhutdinov and Murray (2008), section 5.

    >>> x = bernoulli_sampling().apply({}, jnp.full(1000, 0.3), key=jax.random.key(0))
    >>> sorted(set(x.tolist())), bool(0.25 < x.mean() < 0.35)
    ([0.0, 1.0], True)
    """
    return _noise("bernoulli_sampling", lambda key, x: jax.random.bernoulli(key, x).astype(x.dtype))
