"""A user's folder of recordings as a data set."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.recordings.folder import File, classify_files
from experiments.data.recordings.recording_format import RecordingFormat
from experiments.data.recordings.wav import Recording, read_wav


def load_recordings(
    folder: Path,
    *,
    resample: bool = False,
    format_for_rate: Callable[[int], RecordingFormat] = RecordingFormat.for_rate,
) -> Dataset:
    """Read a folder of WAV files that are named by class.

    Args:
        folder: `FOLDER/CLASS/*.wav`, `FOLDER/CLASS/GROUP/*.wav`, `FOLDER/CLASS_*.wav` or
            `FOLDER/CLASS_GROUP_*.wav`.
        resample: whether recordings of different rates are resampled, to the lowest: others
            would need frequencies that are not recorded.
        format_for_rate: how features are computed at a sample rate.

    Returns:
        The data set; `groupings` has `group` where the files name groups.

    Raises:
        ValueError: `classify_files` or `read_wav` reject a file, or rates differ.
    """
    files = classify_files(folder)
    recordings = [read_wav(file.path) for file in files]
    rates = {r.sample_rate: file for file, r in zip(files, recordings, strict=True)}
    if len(rates) > 1 and not resample:
        listed = ", ".join(f"{file.name} {rate} Hz" for rate, file in sorted(rates.items()))
        raise ValueError(
            f"{folder}: recordings have different sample rates: {listed}; convert them, or "
            "resample (--resample)"
        )
    recording_format = format_for_rate(min(rates))
    return recordings_dataset(folder.name, files, recordings, recording_format, resample=resample)


def recordings_dataset(
    name: str,
    files: Sequence[File],
    recordings: Sequence[Recording],
    recording_format: RecordingFormat,
    *,
    grouping: str = "group",
    resample: bool = False,
) -> Dataset:
    """Recordings whose classes are known as a data set of series.

    Args:
        name: of the data set.
        files: what the files say they are.
        recordings: one for each file.
        recording_format: how features are computed.
        grouping: what groups are called, such as "speaker".
        resample: whether recordings of another rate are resampled.

    Returns:
        The data set, in the order of the files.

    Raises:
        ValueError: as `RecordingFormat.transform`.
    """
    features = recording_format.transform(
        recordings, [file.name for file in files], resample=resample
    )
    class_names = tuple(sorted({file.class_name for file in files}))
    labels = [class_names.index(file.class_name) for file in files]
    groups = tuple(file.group for file in files)
    return Dataset(
        name,
        np.asarray(features.sequences.values),
        np.array(labels, np.int32),
        feature_names=recording_format.feature_names,
        class_names=class_names,
        length=np.asarray(features.sequences.length),
        preprocessing=recording_format,
        groupings={grouping: groups} if all(groups) else {},
        notes=tuple(features.notes),
    )
