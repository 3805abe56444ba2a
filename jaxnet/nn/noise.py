"""Noise as layers: drawn from the key; without a key they are the identity."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet import _draws
from jaxnet._checks import require_not_negative, require_range
from jaxnet.nn.network import Network
from jaxnet.typing import Params


def _noise(name: str, corrupt: Callable[[Array, Array], Array]) -> Network:
    """A layer that applies `corrupt(key, x)` where there is a key."""

    def apply(
        params: Params, x: Float[Array, "*shape"], /, *, key: Array | None = None
    ) -> Float[Array, "*shape"]:
        return x if key is None else corrupt(key, x)

    return Network(lambda key: {}, apply, name)


def _require_rate(function: str, rate: ArrayLike) -> None:
    remedy = "it is the probability that a number is replaced, and 1 would replace all of them"
    require_range(function, "rate", rate, 0, 1, include_high=False, remedy=remedy)


def masking_noise(rate: ArrayLike) -> Network:
    """Set each number to zero with probability `rate`; the others stay as they are.

    Unlike `dropout` it does not scale the others: missing pixels are missing. Vincent et al.
    (2010), "Stacked denoising autoencoders", section 3.3. There a fixed number of entries is drawn;
    here each is drawn independently, so that the rate may be traced.

    Args:
        rate: probability of a zero, in [0, 1); may be traced.

    Returns:
        A network that keeps shapes.

    Raises:
        TypeError: a rate that is not a number.
        ValueError: a rate outside [0, 1).

    >>> import jax
    >>> x = masking_noise(0.5).apply({}, jnp.ones(40), key=jax.random.key(0))
    >>> sorted(set(x.tolist()))
    [0.0, 1.0]
    """
    _require_rate("masking_noise", rate)

    def corrupt(key: Array, x: Array) -> Array:
        return jnp.where(_draws.bernoulli(key, rate, x.shape), 0, x)

    return _noise("masking_noise", corrupt)


def gaussian_noise(scale: ArrayLike) -> Network:
    """Add `scale * e` with `e` drawn from a standard normal distribution, for each number.

    Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3. The result is not clipped:
    it may leave [0, 1].

    Args:
        scale: standard deviation of the noise, at least 0; may be traced.

    Returns:
        A network that keeps shapes.

    Raises:
        TypeError: a scale that is not a number.
        ValueError: a scale that is negative or not finite.

    >>> import jax
    >>> x = gaussian_noise(0.1).apply({}, jnp.zeros(1000), key=jax.random.key(0))
    >>> bool(0.08 < x.std() < 0.12)
    True
    """
    require_not_negative("gaussian_noise", scale=scale)

    def corrupt(key: Array, x: Array) -> Array:
        return x + scale * _draws.normal(key, x.shape, x.dtype)

    return _noise("gaussian_noise", corrupt)


def salt_and_pepper_noise(rate: ArrayLike) -> Network:
    """Set each number with probability `rate` to 0 or 1, with equal probability.

    Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3, for numbers in [0, 1].

    Args:
        rate: probability that a number is replaced, in [0, 1); may be traced.

    Returns:
        A network that keeps shapes.

    Raises:
        TypeError: a rate that is not a number.
        ValueError: a rate outside [0, 1).

    >>> import jax
    >>> x = salt_and_pepper_noise(0.5).apply({}, jnp.full(40, 0.3), key=jax.random.key(0))
    >>> [round(value, 1) for value in sorted(set(x.tolist()))]
    [0.0, 0.3, 1.0]
    """
    _require_rate("salt_and_pepper_noise", rate)

    def corrupt(key: Array, x: Array) -> Array:
        # One uniform number each: below rate / 2 pepper, from there to rate salt.
        drawn = _draws.uniform(key, x.shape)
        return jnp.where(drawn < rate, jnp.where(drawn < rate / 2, 0, 1), x)

    return _noise("salt_and_pepper_noise", corrupt)


def bernoulli_sampling() -> Network:
    """Set each number, a probability, to 1 with that probability and to 0 otherwise.

    Gray pixels become black or white: "binarized by sampling" in the papers on Boltzmann machines
    and variational autoencoders, Salakhutdinov and Murray (2008), section 5.

    Returns:
        A network that keeps shapes, on numbers in [0, 1].

    >>> import jax
    >>> x = bernoulli_sampling().apply({}, jnp.full(1000, 0.3), key=jax.random.key(0))
    >>> sorted(set(x.tolist())), bool(0.25 < x.mean() < 0.35)
    ([0.0, 1.0], True)
    """
    return _noise("bernoulli_sampling", lambda key, x: _draws.bernoulli(key, x).astype(x.dtype))
