"""Short-time Fourier transforms."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.signal import get_window

from jaxnet._checks import require_integer, require_positive
from jaxnet.audio._over_time import OverTime, require_floats
from jaxnet.audio.framing import frame
from jaxnet.typing import Sequences


def stft(
    signal: OverTime,
    frame_size: int,
    hop: int,
    *,
    fft_size: int | None = None,
    window: str | Float[Array | np.ndarray, " frame_size"] = "hann",
    padding: str = "center",
) -> OverTime:
    """Short-time Fourier transform: `y[t, k] = sum_i w[i] x_t[i] exp(-2 pi j i k / fft_size)`.

    `x_t` is frame t of `frame`. Nothing is scaled, and phases count from the begin of each frame,
    as in librosa.

    Args:
        signal: `(*batch, samples)`, or sequences of these.
        frame_size: samples of a frame.
        hop: samples from one frame to the next.
        fft_size: length of the transform, for which frames are padded with zeros at their end; None
            for the next power of 2.
        window: a name that `scipy.signal.get_window` knows, for its periodic window, or weights of
            the samples of a frame.
        padding: "center" or "valid", as in `frame`.

    Returns:
        Complex amplitudes `(*batch, frames, bins)` at the `bins = fft_size // 2 + 1` frequencies
        `k sample_rate / fft_size`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: as `frame`; a transform shorter than a frame; an unknown window or one of
            another length; samples that are integers.

    >>> tone = jnp.cos(2 * jnp.pi * 1000 * jnp.arange(800) / 8000)
    >>> spectrum = stft(tone, 256, 80)
    >>> spectrum.shape, int(jnp.abs(spectrum[5]).argmax()) * 8000 / 256
    ((11, 129), 1000.0)
    """
    require_positive("stft", frame_size=frame_size)
    if fft_size is None:
        fft_size = 1 << math.ceil(math.log2(frame_size))
    remedy = "a transform is at least as long as a frame"
    require_integer("stft", "fft_size", fft_size, frame_size, remedy=remedy)
    weights = _window(window, frame_size)

    def transform(frames: Array | np.ndarray) -> Array:
        weighted = jnp.asarray(frames)
        weighted = weighted * jnp.broadcast_to(jnp.asarray(weights, weighted.dtype), weighted.shape)
        return jnp.fft.rfft(weighted, fft_size, axis=-1)

    if isinstance(signal, Sequences):
        floats = Sequences(require_floats("stft", signal.values), signal.length)
        frames = frame(floats, frame_size, hop, padding=padding)
        return Sequences(transform(frames.values), frames.length)
    floats = require_floats("stft", signal)
    return transform(frame(floats, frame_size, hop, padding=padding))


def power_spectrogram(
    signal: OverTime,
    frame_size: int,
    hop: int,
    *,
    fft_size: int | None = None,
    window: str | Float[Array | np.ndarray, " frame_size"] = "hann",
    padding: str = "center",
) -> OverTime:
    """Squared magnitudes of `stft`; its square root is the magnitude.

    Args:
        signal: `(*batch, samples)`, or sequences of these.
        frame_size: samples of a frame.
        hop: samples from one frame to the next.
        fft_size: length of the transform; None for the next power of 2.
        window: as in `stft`.
        padding: as in `stft`.

    Returns:
        Power `(*batch, frames, bins)`.

    Raises:
        TypeError: as `stft`.
        ValueError: as `stft`.

    >>> power_spectrogram(jnp.ones(800), 200, 80, padding="valid").shape
    (8, 129)
    """
    spectrum = stft(signal, frame_size, hop, fft_size=fft_size, window=window, padding=padding)
    if isinstance(spectrum, Sequences):
        return Sequences(_power(spectrum.values), spectrum.length)
    return _power(spectrum)


def _power(values: Array | np.ndarray) -> Array:
    spectrum = jnp.asarray(values)
    # Unlike the square of the absolute value it has a gradient at 0.
    return spectrum.real**2 + spectrum.imag**2


def _window(window: str | Array | np.ndarray, size: int) -> Array | np.ndarray:
    if isinstance(window, str):
        try:
            return np.asarray(get_window(window, size))
        except ValueError as error:
            raise ValueError(
                f"stft: window must be a name that scipy.signal.get_window knows, such as 'hann', "
                f"or an array, found {window!r} ({error})"
            ) from error
    if window.shape != (size,):
        raise ValueError(
            f"stft: window must have one weight for each of {size} samples of a frame, found "
            f"shape {window.shape}"
        )
    return window
