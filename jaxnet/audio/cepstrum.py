"""Mel-frequency cepstral coefficients, their slopes over time, and their normalization."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array
from scipy.fft import dct

from jaxnet._checks import require_integer, require_not_negative, require_positive
from jaxnet.audio._over_time import OverTime, with_time
from jaxnet.nn.sequences import time_mask
from jaxnet.typing import Sequences


def mfcc(log_energies: OverTime, num_coefficients: int, *, lifter: int | float = 0.0) -> OverTime:
    """Mel-frequency cepstral coefficients: the first of an orthonormal DCT-II of log energies.

    `c[k] = s_k sum_m x[m] cos(pi k (m + 1/2) / n)` with `s_0 = sqrt(1/n)`, else `sqrt(2/n)` (Davis,
    Mermelstein 1980, with the scale of SciPy, librosa and HTK). With a lifter L, coefficient
    k is multiplied by `1 + L/2 sin(pi k / L)` (Young et al., "The HTK book", eq. 5.16; librosa
    counts k from 1 there).

    Args:
        log_energies: of `log_mel`, `(*batch, frames, filters)`, or sequences of these.
        num_coefficients: number of coefficients, at most that of the filters.
        lifter: L, usually 22; 0 for none.

    Returns:
        Coefficients `(*batch, frames, num_coefficients)`; the first is proportional to the mean of
        the log energies.

    Raises:
        TypeError: a number of coefficients that is not an integer.
        ValueError: more coefficients than filters, or none; a negative lifter; integers.

    >>> mfcc(jnp.ones((7, 4)), 2).round(3)[0].tolist()
    [2.0, 0.0]
    """
    require_not_negative("mfcc", lifter=lifter)

    def transform(sequences: Sequences) -> Array:
        energies = jnp.asarray(sequences.values)
        num_filters = energies.shape[-1]
        require_integer("mfcc", "num_coefficients", num_coefficients, 1, num_filters)
        matrix = np.asarray(dct(np.eye(num_filters), norm="ortho"))[:, :num_coefficients]
        if lifter:
            order = np.arange(num_coefficients)
            matrix = matrix * (1 + lifter / 2 * np.sin(np.pi * order / lifter))
        return jnp.matmul(
            energies, jnp.asarray(matrix, energies.dtype), precision=jax.lax.Precision.HIGHEST
        )

    return with_time("mfcc", log_energies, transform)


def deltas(features: OverTime, *, width: int = 2) -> OverTime:
    """Slopes over time, by regression on neighboring frames.

    `d[t] = sum_{n=1}^{width} n (x[t + n] - x[t - n]) / (2 sum_n n^2)`, where the first and the last
    frame are repeated beyond the ends (Young et al., "The HTK book", eq. 5.18); of sequences, the
    last frame of each.

    Args:
        features: `(*batch, frames, dim)`, or sequences of these.
        width: number of frames on each side.

    Returns:
        Slopes per frame, of the shape of the features. Of these again, they are accelerations.

    Raises:
        TypeError: a width that is not an integer.
        ValueError: a width below 1; integers.

    >>> deltas(10 * jnp.arange(6.0)[:, None])[:, 0].tolist()
    [5.0, 8.0, 10.0, 10.0, 8.0, 5.0]
    """
    require_positive("deltas", width=width)

    def transform(sequences: Sequences) -> Array:
        values = jnp.asarray(sequences.values)
        num_frames = values.shape[-2]
        if num_frames == 0:
            return values
        index = jnp.maximum(sequences.length - 1, 0)[..., None, None]
        last = jnp.take_along_axis(values, index, axis=-2)
        values = jnp.where(time_mask(sequences)[..., None], values, last)
        first = jnp.broadcast_to(values[..., :1, :], (*values.shape[:-2], width, values.shape[-1]))
        padded = jnp.concatenate([first, values, jnp.broadcast_to(last, first.shape)], axis=-2)

        def shifted(offset: int) -> Array:
            start = width + offset
            return padded[..., start : start + num_frames, :]

        total = sum(n * (shifted(n) - shifted(-n)) for n in range(1, width + 1))
        return jnp.asarray(total) / (2 * sum(n**2 for n in range(1, width + 1)))

    return with_time("deltas", features, transform)


def normalize_over_time(
    features: OverTime, *, scale: bool = True, epsilon: ArrayLike = 1e-5
) -> OverTime:
    """Subtract the mean over the frames of each recording, and divide by the standard deviation.

    `(x - mean) / sqrt(variance + epsilon)` for each feature. In log energies and in MFCC, the mean
    holds gain, microphone and room (cepstral mean normalization; Atal 1974, "Effectiveness of
    linear prediction characteristics of the speech wave for automatic speaker identification and
    verification").

    Args:
        features: `(*batch, frames, dim)`, or sequences of these.
        scale: whether to divide by the standard deviation.
        epsilon: added to the variance, at least 0; may be traced.

    Returns:
        Features of the same shape, each of mean 0 over the frames that count.

    Raises:
        ValueError: a negative epsilon; integers.

    >>> normalize_over_time(jnp.array([[1.0], [3.0]]), epsilon=0.0).tolist()
    [[-1.0], [1.0]]
    """
    require_not_negative("normalize_over_time", epsilon=epsilon)

    def transform(sequences: Sequences) -> Array:
        values = jnp.asarray(sequences.values)
        mask = time_mask(sequences)[..., None]
        count = jnp.maximum(sequences.length, 1).astype(values.dtype)[..., None, None]

        def mean(numbers: Array) -> Array:
            masked = jnp.where(mask, numbers, jnp.zeros((), numbers.dtype))
            return masked.sum(-2, keepdims=True) / count

        centered = values - mean(values)
        if not scale:
            return centered
        variance = mean(centered**2)
        return centered * jax.lax.rsqrt(variance + jnp.asarray(epsilon, values.dtype))

    return with_time("normalize_over_time", features, transform)
