"""The Free Spoken Digit Dataset: recordings of spoken digits at 8 kHz, found or downloaded.

Five speakers said each digit 50 times; a sixth, george, whom version 1.0.10 added, is left out.
The official test set is the first 10 % of the recordings of each speaker and digit: 0 to 4.

Source: Jakobovski et al., https://github.com/Jakobovski/free-spoken-digit-dataset, version 1.0.10,
CC BY-SA 4.0.
"""

import dataclasses
import hashlib
import re
import zipfile
from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.download import fetch, user_folders
from experiments.data.named.tar_archive import read_tar
from experiments.data.recordings.folder import File
from experiments.data.recordings.load import recordings_dataset
from experiments.data.recordings.recording_format import RecordingFormat
from experiments.data.recordings.wav import read_wav_bytes
from experiments.data.tables.zip_archive import DAMAGES

SPEAKERS = ("jackson", "lucas", "nicolas", "theo", "yweweler")
_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
_NUM_OFFICIAL_TEST = 5  # of each digit and speaker
_FOLDER, _PACKED, _DOWNLOADED = "fsdd", "recordings.tar.xz", "v1.0.10.zip"
# Over name, size and content of each file, in the order of the names.
SHA256 = "9098c1d8a62257847c51e99eba77744f78456bc1bb47f9a9d26794087d863393"
_NAME = re.compile(rf"(?:.*/)?([0-9]_(?:{'|'.join(SPEAKERS)})_[0-9]+\.wav)")
_MAX_BYTES, _MAX_MEMBER_BYTES, _MAX_MEMBERS = 40 << 20, 1 << 20, 5000


def load_fsdd(
    data_dir: Path | None = None, recording_format: RecordingFormat | None = None
) -> Dataset:
    """Load the recordings; they can be grouped by speaker.

    Args:
        data_dir: folder that may hold `fsdd/recordings.tar.xz`.
        recording_format: how features are computed; None for `fsdd_format()`.

    Returns:
        The data set; the official test set comes last.

    Raises:
        ValueError: as `fetch_fsdd`.
    """
    contents = fetch_fsdd(data_dir)
    files = [_file(name) for name in contents]
    is_test = [int(file.path.stem.split("_")[2]) < _NUM_OFFICIAL_TEST for file in files]
    order = np.argsort(is_test, kind="stable")
    files = [files[i] for i in order]
    dataset = recordings_dataset(
        "fsdd",
        files,
        [read_wav_bytes(contents[file.name], file.name) for file in files],
        fsdd_format() if recording_format is None else recording_format,
        grouping="speaker",
    )
    return dataclasses.replace(dataset, num_official_test=sum(is_test))


def fsdd_format() -> RecordingFormat:
    """The format of `RecordingFormat.for_rate`, for at most 64 frames, about a second."""
    return dataclasses.replace(RecordingFormat.for_rate(8000), max_frames=64)


def fetch_fsdd(data_dir: Path | None = None) -> dict[str, bytes]:
    """Read the files from the user's folders or the cache; download them into the cache otherwise.

    Args:
        data_dir: where to look first for `fsdd/recordings.tar.xz`, an archive of the files; then
            below the folder that the environment variable JAXNET_DATA names. The authors' archive
            is downloaded otherwise.

    Returns:
        The content of each WAV file under its name, sorted by name.

    Raises:
        ValueError: the archive is corrupt or holds other recordings, or the download fails.
    """
    for folder in user_folders(data_dir):
        path = folder / _FOLDER / _PACKED
        if path.is_file():
            return read_packed(path)
    return fetch(
        _FOLDER,
        _DOWNLOADED,
        _URL,
        sha256=None,
        read=read_downloaded,
        max_bytes=_MAX_BYTES,
        data_dir=data_dir,
    )


def read_packed(path: Path) -> dict[str, bytes]:
    """Read `recordings.tar.xz`.

    Args:
        path: of the archive.

    Returns:
        As `fetch_fsdd`.

    Raises:
        ValueError: `read_tar` rejects the archive, or it holds other recordings.
    """
    members = read_tar(
        path,
        max_bytes=_MAX_BYTES,
        max_member_bytes=_MAX_MEMBER_BYTES,
        max_members=_MAX_MEMBERS,
    )
    return _checked(path, members)


def read_downloaded(path: Path) -> dict[str, bytes]:
    """Read the authors' archive, a zip of their whole repository.

    Args:
        path: of the archive.

    Returns:
        As `fetch_fsdd`.

    Raises:
        ValueError: the archive is damaged, or it holds other recordings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if _NAME.fullmatch(info.filename)]
            large = [info.filename for info in infos if info.file_size > _MAX_MEMBER_BYTES]
            if large or len(infos) > _MAX_MEMBERS:
                raise ValueError(
                    f"{path}: {len(infos)} recordings, {len(large)} of them of more than "
                    f"{_MAX_MEMBER_BYTES} bytes; delete it, so that it is downloaded again"
                )
            # `read` stops at the size that was compared above.
            members = {}
            for info in infos:
                with archive.open(info) as file:
                    members[info.filename] = file.read(info.file_size)
    except DAMAGES as error:
        raise ValueError(
            f"{path}: not an intact zip archive ({error}); delete it, so that it is downloaded "
            "again"
        ) from error
    return _checked(path, members)


def _checked(path: Path, members: dict[str, bytes]) -> dict[str, bytes]:
    """The files of the five speakers by name, once they are known to be those of the authors."""
    files = {match[1]: content for name, content in members.items()
             if (match := _NAME.fullmatch(name))}  # fmt: skip
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode())
        digest.update(files[name])
    if digest.hexdigest() != SHA256:
        raise ValueError(
            f"{path}: its {len(files)} recordings have SHA-256 {digest.hexdigest()}, expected 2500 "
            f"and {SHA256}; it is damaged or another version: remove it, and version 1.0.10 is "
            "downloaded"
        )
    return {name: files[name] for name in sorted(files)}


def _file(name: str) -> File:
    digit, speaker, _ = name.split("_")
    return File(Path(name), name, digit, speaker)
