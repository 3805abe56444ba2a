"""How features are computed from recordings: fitted in training, saved with a run."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.data.dataset import NewRows
from experiments.data.format import from_saved_json, to_saved_json
from experiments.data.recordings.folder import find_wav_files
from experiments.data.recordings.signals import Features, listed, resampled
from experiments.data.recordings.wav import Recording, read_wav
from jaxnet import audio
from jaxnet.nn import pad_sequences
from jaxnet.typing import Sequences

_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_NUM_AT_ONCE = 128


@dataclasses.dataclass(frozen=True)
class RecordingFormat:
    """The map from WAV files to features, the same in training and in prediction.

    Attributes:
        sample_rate: of all recordings, Hz.
        frame_size: samples of a frame.
        hop: samples from one frame to the next.
        fft_size: length of the Fourier transform.
        num_filters: number of mel filters (HTK scale).
        low: lowest frequency of the filters, Hz.
        high: highest, Hz.
        features: log energies of the filters, or their cepstral coefficients.
        num_coefficients: of "mfcc".
        num_deltas: 1 adds slopes over time to the features, 2 also their slopes.
        max_range: log energies are at least this much below the largest of the recording, in
            natural logarithms (7 are 30 dB); None for any range.
        trim: frames at both ends are left out until one is at most this much below the largest of
            the recording, in natural logarithms; None leaves none out.
        normalization: over the frames of each recording: none, their mean, or mean and variance.
        floor: the smallest energy; that of a tone at full scale is about `frame_size ** 2 / 16`.
        max_frames: longer recordings are cut by `transform`, with a note; None for any length.

    >>> fitted = RecordingFormat.for_rate(8000)
    >>> fitted.dim, fitted.frame_size, fitted.hop
    (32, 256, 128)
    >>> RecordingFormat.from_json(fitted.to_json()) == fitted
    True
    >>> fitted.compute([np.sin(np.arange(2000, dtype=np.float32))])[0].shape
    (14, 32)
    """

    __pydantic_config__ = _STRICT
    kind: ClassVar[str] = "recordings"

    sample_rate: int
    frame_size: int
    hop: int
    fft_size: int
    num_filters: int
    low: float
    high: float
    features: Literal["log_mel", "mfcc"] = "log_mel"
    num_coefficients: int = 13
    num_deltas: Literal[0, 1, 2] = 0
    max_range: float | None = None
    trim: float | None = None
    normalization: Literal["none", "mean", "mean_variance"] = "none"
    floor: float = 1e-8
    max_frames: int | None = None

    def __post_init__(self) -> None:
        # The functions of the library say what is wrong; nothing is computed.
        jax.eval_shape(self._check_energies)
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"max_frames must be at least 1, found {self.max_frames}")
        jax.eval_shape(lambda: audio.frame(jnp.zeros(self.frame_size), self.frame_size, self.hop))
        if self.fft_size < self.frame_size:
            raise ValueError(
                f"fft_size must be at least frame_size, found {self.fft_size} and {self.frame_size}"
            )
        if self.features == "mfcc" and not 1 <= self.num_coefficients <= self.num_filters:
            raise ValueError(
                f"num_coefficients must lie between 1 and num_filters, found "
                f"{self.num_coefficients} and {self.num_filters}"
            )

    @classmethod
    def for_rate(
        cls,
        sample_rate: int,
        *,
        frame_seconds: float = 0.032,
        hop_seconds: float = 0.016,
        num_filters: int = 32,
    ) -> "RecordingFormat":
        """A format whose frames last equally long at every sample rate.

        Args:
            sample_rate: of the recordings, Hz.
            frame_seconds: length of a frame.
            hop_seconds: time from one frame to the next.
            num_filters: number of mel filters, from 60 Hz to 95 % of half the sample rate, at most
                7600 Hz.

        Returns:
            Log energies of the filters, limited to a range of 9, from the first to the last
            frame within a range of 7, without their mean over these frames.

        Raises:
            ValueError: a value that does not fit the sample rate.
        """
        frame_size = max(1, round(frame_seconds * sample_rate))
        return cls(
            sample_rate,
            frame_size,
            max(1, round(hop_seconds * sample_rate)),
            1 << max(0, frame_size - 1).bit_length(),
            num_filters,
            60.0,
            min(7600.0, 0.475 * sample_rate),
            max_range=9.0,
            trim=7.0,
            normalization="mean",
        )

    @property
    def dim(self) -> int:
        """Number of features of a frame."""
        of_frame = self.num_filters if self.features == "log_mel" else self.num_coefficients
        return of_frame * (1 + self.num_deltas)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature of a frame."""
        names = [f"{self.features} {index}" for index in range(self.dim // (1 + self.num_deltas))]
        orders = ("", "delta ", "delta delta ")[: 1 + self.num_deltas]
        return tuple(order + name for order in orders for name in names)

    def compute(self, signals: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The features of recordings, in float64 on the CPU, rounded to float32.

        Args:
            signals: the samples of each, `(num_samples,)`, at the sample rate of this format.

        Returns:
            `(frames, dim)`, float32, for each, in their order.

        Raises:
            ValueError: a recording is shorter than one frame.
        """
        short = [len(signal) for signal in signals if len(signal) < self.frame_size]
        if short:
            raise ValueError(
                f"a recording has {short[0]} samples, expected at least one frame of "
                f"{self.frame_size}; remove it, or take shorter frames"
            )
        outputs: list[np.ndarray] = [np.empty(0)] * len(signals)
        order = np.argsort([len(signal) for signal in signals], kind="stable")
        with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
            compute = jax.jit(self._sequences)
            for start in range(0, len(order), _NUM_AT_ONCE):
                part = order[start : start + _NUM_AT_ONCE]
                # Few shapes, so that few programs are compiled.
                longest = 1 << (len(signals[part[-1]]) - 1).bit_length()
                values = np.zeros((_NUM_AT_ONCE, longest))
                length = np.zeros(_NUM_AT_ONCE, np.int32)
                for row, index in enumerate(part):
                    length[row] = len(signals[index])
                    values[row, : length[row]] = signals[index]
                computed = jax.device_get(compute(Sequences(values, length)))
                for row, index in enumerate(part):
                    frames = computed.values[row, : computed.length[row]]
                    outputs[index] = frames.astype(np.float32)
        return outputs

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }

    def load(self, path: Path, *, resample: bool = False) -> NewRows:
        """Read a WAV file, or all of a folder, and compute their features.

        Args:
            path: of the file or the folder.
            resample: whether files of another sample rate are resampled; otherwise they are
                rejected.

        Returns:
            Features, and the names of the files as the column `file`.

        Raises:
            ValueError: a file cannot be read, has another sample rate, or is shorter than a frame.
        """
        paths = find_wav_files(path)
        folder = path.parent if path.is_file() else path
        names = [file.relative_to(folder).as_posix() for file in paths]
        features = self.transform([*map(read_wav, paths)], names, resample=resample)
        return NewRows(features.sequences, {"file": names}, features.row_notes, features.notes)

    def transform(
        self, recordings: Sequence[Recording], names: Sequence[str], *, resample: bool = False
    ) -> Features:
        """The features of recordings that were read, as `load`.

        Args:
            recordings: of `read_wav`.
            names: one for each, for messages.
            resample: as in `load`.

        Returns:
            Features, and what was done.

        Raises:
            ValueError: another sample rate, or fewer samples than a frame.
        """
        rates = [recording.sample_rate for recording in recordings]
        others = [i for i, rate in enumerate(rates) if rate != self.sample_rate]
        if others and not resample:
            raise ValueError(
                f"{names[others[0]]} has {rates[others[0]]} samples per second, expected "
                f"{self.sample_rate} ({len(others)} of {len(names)} recordings have another rate "
                "than that); convert them, or resample (--resample)"
            )
        signals = [
            recording.samples
            if recording.sample_rate == self.sample_rate
            else resampled(recording, self.sample_rate)
            for recording in recordings
        ]
        for signal, name in zip(signals, names, strict=True):
            if len(signal) < self.frame_size:
                raise ValueError(
                    f"{name} has {len(signal)} samples, expected at least one frame of "
                    f"{self.frame_size}; record it again, or remove the file"
                )
        features = self.compute(signals)
        seconds = ((self.max_frames or 0) - 1) * self.hop + self.frame_size
        events = {
            f"resampled to {self.sample_rate} Hz": others,
            "channels averaged": [i for i, r in enumerate(recordings) if r.num_channels > 1],
            f"cut after {seconds / self.sample_rate:.3g} seconds": [
                i
                for i, frames in enumerate(features)
                if len(frames) > (self.max_frames or math.inf)
            ],
        }
        row_notes = [
            "; ".join(event for event, rows in events.items() if i in rows)
            for i in range(len(names))
        ]
        notes = [f"{event}: {listed(names, rows)}" for event, rows in events.items() if rows]
        padded = pad_sequences([frames[: self.max_frames] for frames in features])
        sequences = Sequences(np.asarray(padded.values), np.asarray(padded.length))
        return Features(sequences, row_notes, notes)

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return to_saved_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RecordingFormat":
        """Read what `to_json` wrote.

        Args:
            text: JSON.

        Returns:
            The format.

        Raises:
            ValueError: the text is not JSON, or a field is missing, unknown, of another type or out
                of range.

        >>> RecordingFormat.from_json('{"sample_rate": 8000}')
        Traceback (most recent call last):
            ...
        ValueError: not a saved format of recordings: frame_size: Field required; ...
        """
        return from_saved_json(RecordingFormat, text, what="a saved format of recordings")

    def _check_energies(self) -> None:
        bank = self._bank()
        energies = audio.log_mel(jnp.zeros((1, bank.shape[0])), bank, floor=self.floor)
        if self.max_range is not None:
            audio.limit_range(energies, self.max_range)
        if self.trim is not None:
            audio.trim_silence(energies, self.trim)

    def _bank(self) -> jax.Array:
        return audio.mel_filter_bank(
            self.num_filters, self.fft_size, self.sample_rate, low=self.low, high=self.high
        )

    def _sequences(self, signals: Sequences) -> Any:
        power = audio.power_spectrogram(
            signals, self.frame_size, self.hop, fft_size=self.fft_size, padding="valid"
        )
        features = audio.log_mel(power, self._bank(), floor=self.floor)
        if self.max_range is not None:
            features = audio.limit_range(features, self.max_range)
        if self.trim is not None:
            features = audio.trim_silence(features, self.trim)
        if self.features == "mfcc":
            features = audio.mfcc(features, self.num_coefficients)
        if self.normalization != "none":
            scale = self.normalization == "mean_variance"
            features = audio.normalize_over_time(features, scale=scale)
        orders = [features]
        for _ in range(self.num_deltas):
            orders.append(audio.deltas(orders[-1]))
        values = jnp.concatenate([jnp.asarray(order.values) for order in orders], axis=-1)
        return Sequences(values, orders[0].length)
