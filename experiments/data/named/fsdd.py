"""The Free Spoken Digit Dataset: recordings of spoken digits at 8 kHz, found or downloaded.

Five speakers said each digit 50 times; a sixth, george, whom version 1.0.10 added, is left out.
The official test set is the first 10 % of the recordings of each speaker and digit: 0 to 4.

Source: Jakobovski et al., https://github.com/Jakobovski/free-spoken-digit-dataset, version 1.0.10,
CC BY-SA 4.0.
"""

import hashlib
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from experiments.data.named.download import fetch, user_folders
from experiments.data.named.tar_archive import read_tar
from experiments.data.recordings.load import Recordings
from experiments.data.recordings.recording_format import RecordingFormat
from experiments.data.recordings.wav import read_wav_bytes
from jaxnet.nn import pad_sequences

SPEAKERS = ("jackson", "lucas", "nicolas", "theo", "yweweler")
NUM_OFFICIAL_TEST = 250
"""Recordings at the end of the data, in the order of `load_fsdd`."""

_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
_FOLDER, _PACKED, _DOWNLOADED = "fsdd", "recordings.tar.xz", "v1.0.10.zip"
# Over name, size and content of each file, in the order of the names.
SHA256 = "9098c1d8a62257847c51e99eba77744f78456bc1bb47f9a9d26794087d863393"
_NAME = re.compile(rf"(?:.*/)?(([0-9])_({'|'.join(SPEAKERS)})_([0-9]+)\.wav)")
_MAX_BYTES, _MAX_MEMBER_BYTES, _MAX_MEMBERS = 40 << 20, 1 << 20, 5000


def load_fsdd(
    data_dir: Path | None = None, recording_format: RecordingFormat | None = None
) -> Recordings:
    """Load the recordings with speakers as groups; the official test set comes last.

    Args:
        data_dir: folder that may hold `fsdd/recordings.tar.xz`.
        recording_format: how features are computed; None for the format of the recipe.

    Returns:
        2500 recordings, of which the last 250 are the official test set.

    Raises:
        ValueError: as `fetch_fsdd`.
    """
    if recording_format is None:
        recording_format = fsdd_format()
    files = fetch_fsdd(data_dir)

    def is_test(name: str) -> bool:
        return int(_parts(name)[2]) < 5

    names = [*(n for n in files if not is_test(n)), *(n for n in files if is_test(n))]
    recordings = [read_wav_bytes(files[name], name) for name in names]
    loaded = recording_format.transform(recordings, names)
    sequences = pad_sequences(loaded.features)
    parts = [_parts(name) for name in names]
    return Recordings(
        np.asarray(sequences.values),
        np.asarray(sequences.length),
        np.array([int(digit) for digit, _, _ in parts], np.int32),
        tuple("0123456789"),
        np.array([SPEAKERS.index(speaker) for _, speaker, _ in parts], np.int32),
        SPEAKERS,
        tuple(names),
        recording_format,
        tuple(loaded.notes),
    )


def fsdd_format() -> RecordingFormat:
    """Log energies of 32 mel filters, in frames of 32 ms every 16 ms, for at most 64 frames."""
    return RecordingFormat.for_rate(8000, max_frames=64)


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
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
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


def _parts(name: str) -> tuple[str, str, str]:
    match = _NAME.fullmatch(name)
    assert match is not None
    return match[2], match[3], match[4]
