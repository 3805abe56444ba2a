"""Signals of recordings that were read, and what was done to them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import resample_poly

from experiments.data.recordings.wav import Recording
from jaxnet.typing import Sequences

_NUM_SHOWN = 5


class Features(NamedTuple):
    """Features of recordings.

    Attributes:
        sequences: values `(n, frames, dim)`, float32, 0 beyond the length, as NumPy arrays.
        row_notes: for each recording what was done to it; "" for most.
        notes: the same for all, a sentence each.
    """

    sequences: Sequences
    row_notes: list[str]
    notes: list[str]


def resampled(recording: Recording, sample_rate: int) -> np.ndarray:
    """The samples at another rate, by a polyphase filter in float64.

    Args:
        recording: of any rate.
        sample_rate: samples per second afterwards.

    Returns:
        Samples, float32.

    >>> recording = Recording(np.ones(100, np.float32), 16_000, 1)
    >>> resampled(recording, 8000).shape
    (50,)
    """
    divisor = math.gcd(sample_rate, recording.sample_rate)
    up, down = sample_rate // divisor, recording.sample_rate // divisor
    return resample_poly(recording.samples.astype(np.float64), up, down).astype(np.float32)


def listed(names: Sequence[str], indices: Sequence[int]) -> str:
    """How many recordings, and the first of their names.

    >>> listed(["a.wav", "b.wav"], [1])
    '1 recordings (b.wav)'
    """
    shown = ", ".join(names[i] for i in indices[:_NUM_SHOWN])
    more = len(indices) - _NUM_SHOWN
    return f"{len(indices)} recordings ({shown}{f' and {more} more' if more > 0 else ''})"
