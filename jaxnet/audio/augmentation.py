"""Augmentation of spectrograms, drawn and applied on the device, as networks without parameters."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from jaxnet._checks import require_integer, require_range
from jaxnet.audio._over_time import OverTime, with_time
from jaxnet.nn.network import Network
from jaxnet.nn.resampling import resample
from jaxnet.nn.sequences import as_sequences, zero_padding
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
    >>> masked = jax.jit(network.apply)({}, x, key=jax.random.key(0))
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
        fraction = jnp.asarray(max_fraction, jnp.float32)
        longest = jnp.floor(fraction * length.astype(jnp.float32)).astype(jnp.int32)
        in_time = _blocks(time_key, time, length, num_time_masks, jnp.minimum(max_time, longest))
        widest = jnp.asarray(min(max_frequency, dim), jnp.int32)
        in_frequency = _blocks(frequency_key, dim, jnp.int32(dim), num_frequency_masks, widest)
        masked = in_time[:, None] | in_frequency[None, :]
        return jnp.where(masked, jnp.asarray(fill, values.dtype), values)

    return _augmentation("spec_augment", mask)


def random_resample(
    num_steps: int, *, max_shift: ArrayLike = 0.0, max_warp: ArrayLike = 0.0
) -> Network:
    """Stretch each recording to the same number of steps, with random ends and random tempo.

    Step i lies at the time `(i + 1/2) / num_steps` of the part that is stretched. Each end of this
    part is drawn uniformly, within `max_shift * length` of the end of the recording: what is cut
    off is lost, and before and behind the recording there are zeros. Inside of it, the time u in
    [0, 1] becomes `u + c sin(pi u) / pi` with c drawn uniformly from `[-max_warp, max_warp]`, so
    that the tempo at the begin is up to `1 + max_warp` times as high, and as much lower at the end.
    Between frames it interpolates linearly. Without a key it is `nn.resample(num_steps)`.

    A linear stretch to one length aligns short words as dynamic time warping would in part;
    Sakoe and Chiba (1978), "Dynamic programming algorithm optimization for spoken word
    recognition", section I.

    Args:
        num_steps: steps of every recording afterwards.
        max_shift: largest shift of each end as a fraction of the length, in [0, 0.5); may be
            traced.
        max_warp: largest change of the tempo, in [0, 1); may be traced.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to an array
        `(*batch, num_steps, dim)`; 0 for a recording without frames.

    Raises:
        TypeError: a number of steps that is not an integer, a range that is not a number.
        ValueError: a number of steps below 1, or a range outside of its limits.

    >>> network = random_resample(4, max_shift=0.2, max_warp=0.5)
    >>> recordings = Sequences(jnp.ones((2, 9, 3)), jnp.array([9, 5]))
    >>> jax.jit(network.apply)({}, recordings, key=jax.random.key(0)).shape
    (2, 4, 3)
    """
    plain = resample(num_steps)
    require_range("random_resample", "max_shift", max_shift, 0, 0.5, include_high=False)
    require_range("random_resample", "max_warp", max_warp, 0, 1, include_high=False)

    def stretch(key: Array, values: Array, length: Array) -> Array:
        size = length.astype(jnp.float32)
        first, end, warp = jax.random.uniform(key, (3,), jnp.float32, -1, 1)
        u = (jnp.arange(num_steps, dtype=jnp.float32) + 0.5) / num_steps
        u = u + max_warp * warp * jnp.sin(jnp.pi * u) / jnp.pi
        first, end = max_shift * first * size, size * (1 + max_shift * end)
        times = first + u * (end - first) - 0.5
        before = jnp.floor(times)
        fraction = (times - before)[:, None].astype(values.dtype)
        steps = before.astype(jnp.int32)

        def at(steps: Array) -> Array:
            is_inside = ((steps >= 0) & (steps < length))[:, None]
            # An index below 0 would count from the end.
            taken = values.at[jnp.maximum(steps, 0)].get(mode="clip")
            return jnp.where(is_inside, taken, jnp.zeros((), values.dtype))

        return at(steps) * (1 - fraction) + at(steps + 1) * fraction

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Shaped[Array, "*batch num_steps dim"]:
        if key is None:
            return plain.apply(params, x)
        return _for_each(stretch, key, zero_padding(as_sequences(x)))

    return Network(lambda key: {}, apply, "random_resample", detail=f"{num_steps}")


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
        def transform(sequences: Sequences) -> Array:
            if key is None:
                return jnp.asarray(sequences.values)
            return _for_each(change, key, sequences)

        return with_time(name, x, transform)

    return Network(lambda key: {}, apply, name)


def _for_each(
    change: Callable[[Array, Array, Array], Array], key: Array, sequences: Sequences
) -> Array:
    """`change(key, values, length)` of each recording, with a key of its own."""
    values = jnp.asarray(sequences.values)
    batch = values.shape[:-2]
    # Keys that are split off are the same for a recording whatever recordings follow it.
    keys = jax.random.split(key, math.prod(batch))
    lengths = jnp.asarray(sequences.length).reshape(-1)
    changed = jax.vmap(change)(keys, values.reshape(-1, *values.shape[-2:]), lengths)
    return changed.reshape(*batch, *changed.shape[1:])
