"""What is loud in a recording: limits of its range, and its part without silence at the ends."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet._checks import require_above_zero, require_integer
from jaxnet.audio._over_time import OverTime, with_time
from jaxnet.nn.sequences import as_sequences, time_mask, zero_padding
from jaxnet.typing import Sequences


def limit_range(log_energies: OverTime, width: ArrayLike) -> OverTime:
    """Raise log energies to at least `width` below the largest of the recording.

    `max(x, max x - width)`: what is quieter is background, which differs among rooms and
    microphones.

    Args:
        log_energies: of `log_mel`, `(*batch, frames, filters)`, or sequences of these.
        width: the difference, above 0; in natural logarithms 7 are 30 dB. May be traced.

    Returns:
        Log energies of the same shape.

    Raises:
        ValueError: a width of 0 or below; integers.

    >>> limit_range(jnp.array([[0.0, -3.0], [-9.0, -1.0]]), 4.0).tolist()
    [[0.0, -3.0], [-4.0, -1.0]]
    """
    require_above_zero("limit_range", width=width)

    def transform(sequences: Sequences) -> Array:
        values = jnp.asarray(sequences.values)
        largest = _loudness(sequences).max(-1)[..., None, None]
        return jnp.maximum(values, largest - jnp.asarray(width, values.dtype))

    return with_time("limit_range", log_energies, transform)


def trim_silence(log_energies: OverTime, width: ArrayLike, *, margin: int = 1) -> Sequences:
    """Leave out the frames at both ends of a recording in which nothing is loud.

    A frame is loud where its largest log energy is at most `width` below the largest of the
    recording. From the first to the last of these, and `margin` frames more on each side,
    frames are kept.

    Args:
        log_energies: of `log_mel`, `(*batch, frames, filters)`, or sequences of these.
        width: the difference, above 0; in natural logarithms 7 are 30 dB. May be traced.
        margin: frames that are kept before and behind, at least 0.

    Returns:
        Sequences of the frames that are kept; 0 beyond the new length.

    Raises:
        TypeError: a margin that is not an integer.
        ValueError: a width of 0 or below, or a negative margin; integers.

    >>> trimmed = trim_silence(jnp.array([-9.0, -8.0, 0.0, -1.0, -9.0])[:, None], 4.0, margin=0)
    >>> trimmed.values[:, 0].tolist(), trimmed.length.tolist()
    ([0.0, -1.0, 0.0, 0.0, 0.0], 2)
    """
    require_above_zero("trim_silence", width=width)
    require_integer("trim_silence", "margin", margin, 0)
    # The checks of `with_time`, and zeros beyond the length.
    checked = with_time("trim_silence", log_energies, lambda x: jnp.asarray(x.values))
    sequences = as_sequences(checked)
    values, length = jnp.asarray(sequences.values), jnp.asarray(sequences.length)
    loudness = _loudness(sequences)
    limit = loudness.max(-1, keepdims=True) - jnp.asarray(width, loudness.dtype)
    is_loud = (loudness >= limit) & time_mask(sequences)
    num_frames = values.shape[-2]
    first = jnp.maximum(is_loud.argmax(-1) - margin, 0).astype(length.dtype)
    last = num_frames - 1 - is_loud[..., ::-1].argmax(-1)
    end = jnp.minimum(last.astype(length.dtype) + (1 + margin), length)
    steps = jax.lax.broadcast_to_rank(jnp.arange(num_frames, dtype=length.dtype), length.ndim + 1)
    index = jnp.minimum(steps + first[..., None], num_frames - 1)
    moved = jnp.take_along_axis(values, index[..., None], axis=-2)
    return zero_padding(Sequences(moved, jnp.maximum(end - first, 0)))


def _loudness(sequences: Sequences) -> Float[Array, "*batch time"]:
    """The largest value of each frame; minus infinity beyond the length."""
    largest = jnp.asarray(sequences.values).max(-1)
    return jnp.where(time_mask(sequences), largest, jnp.asarray(-jnp.inf, largest.dtype))
