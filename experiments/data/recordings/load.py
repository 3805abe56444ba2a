"""A user's folder of recordings as data for a classification."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.data.recordings.folder import RULE, classify_files
from experiments.data.recordings.recording_format import RecordingFormat
from experiments.data.recordings.wav import read_wav
from jaxnet.nn import pad_sequences


class Recordings(NamedTuple):
    """Recordings and their classes.

    Attributes:
        values: features `(n, frames, dim)`, float32, 0 beyond the length.
        length: number of frames of each.
        y: class of each, int32.
        class_names: sorted.
        groups: group of each, int32, or None where the files name none.
        group_names: sorted.
        names: of the files.
        recording_format: how features were computed.
        notes: what a user should know, a sentence each.
    """

    values: np.ndarray
    length: np.ndarray
    y: np.ndarray
    class_names: tuple[str, ...]
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    names: tuple[str, ...]
    recording_format: RecordingFormat
    notes: tuple[str, ...]


def load_recordings(
    folder: Path, *, sample_rate: int | None = None, resample: bool = False, **options: Any
) -> Recordings:
    """Read a folder of WAV files that are named by class.

    Args:
        folder: `FOLDER/CLASS/*.wav`, `FOLDER/CLASS/GROUP/*.wav`, `FOLDER/CLASS_*.wav` or
            `FOLDER/CLASS_GROUP_*.wav`.
        sample_rate: of the features; None for that of the recordings, which must be one.
        resample: whether recordings of another rate are resampled.
        options: of `RecordingFormat.for_rate`.

    Returns:
        Features, classes and groups.

    Raises:
        ValueError: `classify_files` or `read_wav` reject a file, or rates differ.
    """
    files = classify_files(folder)
    recordings = [read_wav(file.path) for file in files]
    if sample_rate is None:
        # Of the first; the error for another names both.
        sample_rate = recordings[0].sample_rate
        rates = {recording.sample_rate: file for file, recording in zip(files, recordings,
                                                                        strict=True)}  # fmt: skip
        if len(rates) > 1 and not resample:
            found = ", ".join(f"{file.name} {rate} Hz" for rate, file in sorted(rates.items()))
            raise ValueError(
                f"{folder}: recordings have different sample rates: {found}; convert them, or "
                "resample (--resample)"
            )
        # Resampling upwards would invent frequencies that are not in the recordings.
        sample_rate = min(rates)
    recording_format = RecordingFormat.for_rate(sample_rate, **options)
    loaded = recording_format.transform(recordings, [f.name for f in files], resample=resample)
    sequences = pad_sequences(loaded.features)
    class_names = tuple(sorted({file.class_name for file in files}))
    group_names = tuple(sorted({file.group for file in files if file.group}))
    return Recordings(
        np.asarray(sequences.values),
        np.asarray(sequences.length),
        np.array([class_names.index(file.class_name) for file in files], np.int32),
        class_names,
        np.array([group_names.index(file.group) for file in files], np.int32)
        if group_names
        else None,
        group_names,
        tuple(loaded.names),
        recording_format,
        tuple(loaded.notes),
    )


def group_error(folder: Path) -> ValueError:
    """The error for `--group` where the files name no group."""
    return ValueError(f"{folder}: the files name no group; expected CLASS and GROUP of {RULE}")
