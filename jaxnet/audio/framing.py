"""Frames: overlapping pieces of a signal."""

import math

import jax.numpy as jnp
from jaxtyping import Array

from jaxnet._checks import require_choice, require_positive
from jaxnet.audio._over_time import OverTime
from jaxnet.nn.sequences import zero_padding
from jaxnet.typing import Sequences

_PADDINGS = ("valid", "center")


def frame(
    signal: OverTime,
    size: int,
    hop: int,
    *,
    padding: str = "valid",
) -> OverTime:
    """Cut a signal into frames that may overlap: `y[t, i] = x[t hop + i - start]`.

    With padding "valid", `start` is 0 and all frames lie inside the signal: there are
    `1 + (samples - size) // hop`, and samples behind the last frame are left out. With "center",
    `start = size // 2`, so that frame t has sample `t hop` in its middle, with zeros before and
    behind the signal, as in librosa: there are `1 + (samples + 2 start - size) // hop`.

    Args:
        signal: `(*batch, samples)`, or sequences of these.
        size: samples of a frame.
        hop: samples from one frame to the next.
        padding: "valid" or "center".

    Returns:
        Frames `(*batch, frames, size)`, of the dtype of the signal. Of sequences, those that the
        signal has without its padding; one that is shorter than a frame has none with padding
        "valid".

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; an unknown padding; an array shorter than one frame.

    >>> frame(jnp.arange(6), 4, 2).tolist()
    [[0, 1, 2, 3], [2, 3, 4, 5]]
    >>> frame(jnp.arange(1, 5), 4, 2, padding="center").tolist()
    [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 0, 0]]
    >>> frame(Sequences(jnp.ones((2, 9)), jnp.array([3, 8])), 4, 2).length.tolist()
    [0, 3]
    """
    require_positive("frame", size=size, hop=hop)
    require_choice("frame", "padding", padding, _PADDINGS)
    start = size // 2 if padding == "center" else 0
    if not isinstance(signal, Sequences):
        return _frames(jnp.asarray(signal), size, hop, start)
    if signal.values.ndim != signal.length.ndim + 1:
        raise ValueError(
            f"frame: values of sequences must have one axis more than their lengths, found shapes "
            f"{signal.values.shape} and {signal.length.shape}; reshape (*batch, samples, 1)"
        )
    num_samples = jnp.asarray(signal.length)
    samples = zero_padding(Sequences(jnp.asarray(signal.values), num_samples)).values
    length = jnp.maximum(0, 1 + (num_samples + (2 * start - size)) // hop)
    length = jnp.where(num_samples > 0, length, 0).astype(num_samples.dtype)
    frames = _frames(jnp.asarray(samples), size, hop, start)
    return zero_padding(Sequences(frames, length))


def _frames(signal: Array, size: int, hop: int, start: int) -> Array:
    num_samples = signal.shape[-1] if signal.ndim else 0
    num_frames = 1 + (num_samples + 2 * start - size) // hop
    if num_samples == 0 or num_frames < 1:
        raise ValueError(
            f"frame: the signal has shape {signal.shape}, expected at least one frame of {size} "
            'samples on the last axis; take smaller frames, or padding="center"'
        )
    # Slices of blocks: the gradient is a sum of padded blocks, which is deterministic everywhere;
    # that of a gather is a scatter-add.
    num_blocks = math.ceil(size / hop)
    total = (num_frames - 1 + num_blocks) * hop
    axes = [(0, 0)] * (signal.ndim - 1)
    padded = jnp.pad(signal, [*axes, (start, max(0, total - start - num_samples))])[..., :total]
    blocks = padded.reshape(*signal.shape[:-1], -1, hop)
    pieces = [blocks[..., i : i + num_frames, :] for i in range(num_blocks)]
    return jnp.concatenate(pieces, axis=-1)[..., :size]
