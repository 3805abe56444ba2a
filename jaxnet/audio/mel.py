"""The mel scale: filter banks and log-mel spectrograms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_above_zero, require_choice, require_positive, require_range
from jaxnet.audio._over_time import OverTime, require_floats, with_time
from jaxnet.typing import Sequences

_SCALES = ("htk", "slaney")
# Slaney (1998): linear up to 1000 Hz, which are 15 mel, then 27 steps for a factor of 6.4.
_LINEAR, _KNEE, _LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27


def hz_to_mel(frequency: ArrayLike, *, scale: str = "htk") -> np.ndarray:
    """Frequencies on the mel scale, on the host in float64.

    "htk" is `2595 log10(1 + f / 700)` (O'Shaughnessy 1987; Young et al., "The HTK book",
    eq. 5.13). "slaney" is `3 f / 200` up to 1000 Hz and `15 + 27 log(f / 1000) / log(6.4)` above
    (Slaney 1998, "Auditory toolbox", version 2).

    Args:
        frequency: Hz, any shape.
        scale: "htk" or "slaney".

    Returns:
        Mel, of the same shape.

    Raises:
        ValueError: an unknown scale.

    >>> hz_to_mel(1000.0).round(2).item(), hz_to_mel(500.0, scale="slaney").round(2).item()
    (999.99, 7.5)
    """
    require_choice("hz_to_mel", "scale", scale, _SCALES)
    frequency = np.asarray(frequency, np.float64)
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + frequency / 700))
    above = np.maximum(frequency, _KNEE)
    return np.where(
        frequency < _KNEE,
        frequency / _LINEAR,
        _KNEE / _LINEAR + np.log(above / _KNEE) / _LOG_STEP,
    )


def mel_to_hz(mel: ArrayLike, *, scale: str = "htk") -> np.ndarray:
    """The inverse of `hz_to_mel`.

    Args:
        mel: numbers on the mel scale, any shape.
        scale: "htk" or "slaney".

    Returns:
        Hz, of the same shape.

    Raises:
        ValueError: an unknown scale.

    >>> mel_to_hz(hz_to_mel(np.array([0.0, 440.0, 4000.0]))).round(6).tolist()
    [0.0, 440.0, 4000.0]
    """
    require_choice("mel_to_hz", "scale", scale, _SCALES)
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    knee = _KNEE / _LINEAR
    return np.where(
        mel < knee, mel * _LINEAR, _KNEE * np.exp(_LOG_STEP * (np.maximum(mel, knee) - knee))
    )


def mel_filter_bank(
    num_filters: int,
    fft_size: int,
    sample_rate: int | float,
    *,
    low: int | float = 0.0,
    high: int | float | None = None,
    scale: str = "htk",
    norm: str | None = None,
) -> Float[Array, "bins num_filters"]:
    """Triangular filters whose centers are equally spaced on the mel scale.

    With edges `f_0 < ... < f_{n+1}` from `low` to `high`, equally spaced in mel, filter m rises
    linearly in Hz from `f_m` to 1 at `f_{m+1}`, and falls to `f_{m+2}` (Davis, Mermelstein 1980,
    "Comparison of parametric representations for monosyllabic word recognition"; triangles
    in Hz as in Slaney 1998 and librosa; those of HTK are linear in mel).

    Args:
        num_filters: number of filters.
        fft_size: length of the transform, which has `fft_size // 2 + 1` bins.
        sample_rate: samples per second.
        low: lowest frequency, Hz.
        high: highest frequency, Hz, at most half the sample rate; None for that.
        scale: "htk" or "slaney", see `hz_to_mel`.
        norm: None for triangles of height 1, or "slaney" for triangles of area 1.

    Returns:
        Weights, so that `spectrogram @ bank` are the energies of the filters. librosa's are
        transposed.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; frequencies that are not `0 <= low < high <= sample_rate / 2`;
            an unknown scale or norm; a filter between two bins, which would always be 0.

    >>> bank = mel_filter_bank(26, 256, 8000)
    >>> bank.shape, int((bank > 0).sum(0).min())
    ((129, 26), 3)
    """
    require_positive("mel_filter_bank", num_filters=num_filters, fft_size=fft_size)
    require_above_zero("mel_filter_bank", sample_rate=sample_rate)
    high = sample_rate / 2 if high is None else high
    require_range("mel_filter_bank", "high", high, 0, sample_rate / 2, include_low=False)
    require_range("mel_filter_bank", "low", low, 0, high, include_high=False)
    if norm not in (None, "slaney"):
        raise ValueError(f'mel_filter_bank: norm must be None or "slaney", found {norm!r}')
    require_choice("mel_filter_bank", "scale", scale, _SCALES)
    ends = hz_to_mel(np.array([low, high]), scale=scale)
    edges = mel_to_hz(np.linspace(ends[0], ends[1], num_filters + 2), scale=scale)
    bins = np.arange(fft_size // 2 + 1)[:, None] * (sample_rate / fft_size)
    widths = np.diff(edges)
    rising = (bins - edges[:-2]) / widths[:-1]
    falling = (edges[2:] - bins) / widths[1:]
    bank = np.maximum(0, np.minimum(rising, falling))
    if not bank.any(axis=0).all():
        empty = int(np.flatnonzero(~bank.any(axis=0))[0])
        raise ValueError(
            f"mel_filter_bank: filter {empty} of {num_filters}, from {edges[empty]:.1f} to "
            f"{edges[empty + 2]:.1f} Hz, lies between two of {len(bins)} bins; take fewer "
            "filters, a longer transform (fft_size), or a higher low"
        )
    if norm == "slaney":
        bank = bank * 2 / (edges[2:] - edges[:-2])
    return jnp.asarray(bank, jnp.result_type(float))


def log_mel(
    spectrogram: OverTime,
    bank: Shaped[Array | np.ndarray, "bins num_filters"],
    *,
    floor: ArrayLike = 1e-10,
) -> OverTime:
    """Logarithms of the energies of mel filters: `log(max(spectrogram @ bank, floor))`.

    Natural logarithms; in decibels they are `10 / log(10)` times as large.

    Args:
        spectrogram: of `power_spectrogram`, `(*batch, frames, bins)`, or sequences of these.
        bank: of `mel_filter_bank`.
        floor: the smallest energy, above 0; may be traced. At energies below there is no gradient.

    Returns:
        Features `(*batch, frames, num_filters)`.

    Raises:
        ValueError: another number of bins than the bank has; a floor of 0 or below; integers.

    >>> bank = mel_filter_bank(26, 256, 8000)
    >>> log_mel(jnp.ones((7, 129)), bank).shape
    (7, 26)
    """
    require_above_zero("log_mel", floor=floor)
    weights = require_floats("log_mel", bank)

    def transform(sequences: Sequences) -> Array:
        power = jnp.asarray(sequences.values)
        if power.shape[-1] != weights.shape[0]:
            raise ValueError(
                f"log_mel: the spectrogram has {power.shape[-1]} bins, the bank "
                f"{weights.shape[0]}; both need the same fft_size"
            )
        # Accelerators would round to fewer digits than the logarithm of a small energy needs.
        energy = jnp.matmul(power, weights.astype(power.dtype), precision=jax.lax.Precision.HIGHEST)
        return jnp.log(jnp.maximum(energy, jnp.asarray(floor, energy.dtype)))

    return with_time("log_mel", spectrogram, transform)
