"""Augmentation of spectrograms, drawn and applied on the device, as networks without parameters."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_integer, require_range
from jaxnet.audio._over_time import OverTime, with_time
from jaxnet.nn.network import Network
from jaxnet.typing import Params, Sequences


def spec_augment(
    *,
    num_time_masks: int = 2,
    max_time: int = 10,
    num_frequency_masks: int = 2,
    max_frequency: int = 8,
    max_fraction: ArrayLike = 1.0,
    fill: ArrayLike = 0.0,
) -> Network:
    """Mask blocks of frames and blocks of features at random: SpecAugment.

    For each recording and each mask, a width w is drawn uniformly from the integers 0 to the
    largest, then a start from 0 to `frames - w`; where the mask lies, the features become `fill`.
    Frames are those that count: the length of the recording. Put it behind the normalization over
    time, so that `fill` is the mean. Without a key it is the identity.

    Park et al. (2019), "SpecAugment", section 2, without time warping, and with starts up
    to `frames - w` inclusive.

    Args:
        num_time_masks: number of masks in time.
        max_time: largest width of these, in frames.
        num_frequency_masks: number of masks in frequency, on the last axis.
        max_frequency: largest width of these, in features.
        max_fraction: largest width of a mask in time as a fraction of the frames (p in the paper),
            in [0, 1]; may be traced.
        fill: what masked features become; may be traced.

    Returns:
        A network that keeps shapes, on `(*batch, time, dim)` and on sequences of these.

    Raises:
        TypeError: a number or a width that is not an integer.
        ValueError: a negative number or width; a fraction outside [0, 1].

    >>> network = spec_augment(max_time=5, max_frequency=3)
    >>> x = jnp.ones((4, 20, 8))
    >>> masked = network.apply({}, x, key=jax.random.key(0))
    >>> masked.shape, bool((masked == 0).any()), bool((network.apply({}, x) == 1).all())
    ((4, 20, 8), True, True)
    """
    for name, number in {
        "num_time_masks": num_time_masks,
        "max_time": max_time,
        "num_frequency_masks": num_frequency_masks,
        "max_frequency": max_frequency,
    }.items():
        require_integer("spec_augment", name, number, 0)
    require_range("spec_augment", "max_fraction", max_fraction, 0, 1)

    def mask(key: Array, values: Array, length: Array) -> Array:
        time, dim = values.shape
        time_key, frequency_key = jax.random.split(key)
        longest = jnp.floor(jnp.asarray(max_fraction) * length).astype(jnp.int32)
        in_time = _blocks(time_key, time, length, num_time_masks, jnp.minimum(max_time, longest))
        widest = jnp.asarray(min(max_frequency, dim), jnp.int32)
        in_frequency = _blocks(frequency_key, dim, jnp.int32(dim), num_frequency_masks, widest)
        masked = in_time[:, None] | in_frequency[None, :]
        return jnp.where(masked, jnp.asarray(fill, values.dtype), values)

    return _augmentation("spec_augment", mask)


def _blocks(key: Array, size: int, length: Array, num_blocks: int, widest: Array) -> Array:
    """Which of `size` places lie in one of the blocks that are drawn inside of `length`."""
    width_key, start_key = jax.random.split(key)
    shape, length = (num_blocks,), length.astype(jnp.int32)
    width = jax.random.randint(width_key, shape, 0, widest + 1)
    start = jax.random.randint(start_key, shape, 0, length - width + 1)
    places = jnp.arange(size)[None, :]
    return ((places >= start[:, None]) & (places < (start + width)[:, None])).any(0)


def _augmentation(name: str, change: Callable[[Array, Array, Array], Array]) -> Network:
    """A network that applies `change(key, values, length)` to each recording, given a key."""

    def apply(params: Params, x: OverTime, /, *, key: Array | None = None) -> OverTime:
        if key is None:
            # The identity, but for what lies beyond the lengths.
            return with_time(name, x, lambda sequences: jnp.asarray(sequences.values))
        given = key

        def transform(sequences: Sequences) -> Array:
            values = jnp.asarray(sequences.values)
            batch = values.shape[:-2]
            # Keys that are split off are the same for a recording whatever recordings follow it.
            keys = jax.random.split(given, math.prod(batch))
            flat = values.reshape(-1, *values.shape[-2:])
            lengths = jnp.asarray(sequences.length).reshape(-1)
            return jax.vmap(change)(keys, flat, lengths).reshape(values.shape)

        return with_time(name, x, transform)

    return Network(lambda key: {}, apply, name)
