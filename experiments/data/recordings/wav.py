"""WAV files: samples in [-1, 1] of one channel, with errors that say what is wrong with a file."""

import io
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy.io import wavfile

_ENDS = "the file is truncated or damaged; copy or export it again"


class Recording(NamedTuple):
    """The samples of a file.

    Attributes:
        samples: `(num_samples,)`, float32, 1 at full scale.
        sample_rate: samples per second.
        num_channels: of the file; more than one were averaged.
    """

    samples: Float32[np.ndarray, " num_samples"]
    sample_rate: int
    num_channels: int


def read_wav(path: Path) -> Recording:
    """Read a WAV file: PCM of 8, 16, 24 or 32 bits, or floating-point numbers.

    Several channels are averaged.

    Args:
        path: of the file.

    Returns:
        Samples, sample rate and number of channels.

    Raises:
        ValueError: the file is empty, not a WAV file, compressed or truncated, or it has no sample,
            a sample that is not finite, or is silent: all samples are equal.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "yes.wav")
    ...     wavfile.write(path, 8000, np.array([0, 16384, -32768], np.int16))
    ...     read_wav(path).samples.tolist()
    [0.0, 0.5, -1.0]
    """
    return read_wav_bytes(path.read_bytes(), str(path))


def read_wav_bytes(content: bytes, name: str) -> Recording:
    """Read the content of a WAV file, as `read_wav`.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        Samples, sample rate and number of channels.

    Raises:
        ValueError: as `read_wav`.
    """
    if not content:
        raise ValueError(f"{name}: the file is empty; record or copy it again")
    try:
        with warnings.catch_warnings():
            # A chunk that holds no samples, such as a title, is skipped.
            warnings.filterwarnings("ignore", "Chunk .*not understood", wavfile.WavFileWarning)
            warnings.filterwarnings("error", category=wavfile.WavFileWarning)
            rate, values = wavfile.read(io.BytesIO(content))
    except wavfile.WavFileWarning as error:
        raise ValueError(f"{name}: {error}: {_ENDS}") from error
    except ValueError as error:
        raise ValueError(
            f"{name}: not a WAV file that can be read ({error}); expected PCM of 8, 16, 24 or 32 "
            "bits, or floating-point numbers: export it as such"
        ) from error
    except (struct.error, EOFError, UnboundLocalError, ZeroDivisionError, TypeError) as error:
        raise ValueError(f"{name}: the header of the WAV file ends too early: {_ENDS}") from error
    num_channels = 1 if values.ndim == 1 else int(np.size(values, 1))
    if values.size == 0 or rate <= 0:
        raise ValueError(
            f"{name}: found {values.size} samples at {rate} Hz, expected a recording; record it "
            "again, or remove the file"
        )
    samples = _at_full_scale_1(values)
    if num_channels > 1:
        samples = samples.mean(1)
    if not np.isfinite(samples).all():
        index = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise ValueError(f"{name}: sample {index} is not a finite number; export the file again")
    if np.ptp(samples) == 0:
        raise ValueError(
            f"{name}: the recording is silent: all {len(samples)} samples are "
            f"{samples[0]:g}; record it again, or remove the file"
        )
    return Recording(samples.astype(np.float32), int(rate), num_channels)


def _at_full_scale_1(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return (values.astype(np.float64) - 128) / 128
    if np.issubdtype(values.dtype, np.integer):
        # 24 bits arrive in the upper bytes of 32.
        return values / -float(np.iinfo(values.dtype).min)
    return values.astype(np.float64)
