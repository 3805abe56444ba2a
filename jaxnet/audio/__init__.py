"""Features of recordings, such as mel spectrograms and MFCC, and their augmentation.

Each function is pure and acts on the last axes of an array; all axes in front are batch. Recordings
of different lengths are `Sequences` with values `(*batch, samples)`: lengths of frames follow from
lengths of samples, what lies beyond the length changes nothing, and outputs are 0 there.
The functions compose: `log_mel(power_spectrogram(signal, ...), mel_filter_bank(...))`, then `mfcc`,
then `deltas`.
"""

from jaxnet.audio.augmentation import random_resample, spec_augment
from jaxnet.audio.cepstrum import deltas, mfcc, normalize_over_time
from jaxnet.audio.framing import frame
from jaxnet.audio.loudness import limit_range, trim_silence
from jaxnet.audio.mel import hz_to_mel, log_mel, mel_filter_bank, mel_to_hz
from jaxnet.audio.recognition import word_recognizer
from jaxnet.audio.spectrum import power_spectrogram, stft

__all__ = [
    "deltas",
    "frame",
    "hz_to_mel",
    "limit_range",
    "log_mel",
    "mel_filter_bank",
    "mel_to_hz",
    "mfcc",
    "normalize_over_time",
    "power_spectrogram",
    "random_resample",
    "spec_augment",
    "stft",
    "trim_silence",
    "word_recognizer",
]
