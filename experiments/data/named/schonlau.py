"""UNIX commands of 50 users, with the commands of others in the logs of some.

15 000 commands of each user without arguments: the first 5 000 are the user's own; the others are
100 blocks of 100 commands, of which 231 in the logs of 29 users are of 20 other people. No licence
is stated: the files are read where the user has them, or downloaded from a public copy at a fixed
commit, and compared with one checksum of all their lines.

Source: Schonlau, DuMouchel, Ju, Karr, Theus, Vardi (2001), "Computer intrusion: detecting
masquerades", Statistical Science 16(1), https://www.schonlau.net/intrusion.html
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.data.logs import Logs, encode_logs
from experiments.data.named.download import fetch, user_folders
from experiments.data.named.tar_archive import read_tar

NUM_USERS, NUM_TRAINING, NUM_COMMANDS, BLOCK_SIZE = 50, 5_000, 15_000, 100
_SHA256 = "8698873b5c1679144c3f98eb0f05b365607b5c13d623f879929d450f378d4257"
_URL = (
    "https://raw.githubusercontent.com/duoergun0729/1book/"
    "e4e4ae3683d0de6128d665b0672246a21f2cb10e/data/MasqueradeDat/"
)
_FOLDER, _ARCHIVE, _LABELS = "schonlau", "schonlau.tar.xz", "label.txt"
_USERS = tuple(f"User{number}" for number in range(1, NUM_USERS + 1))
# Twice what the files hold.
_MAX_FILE = 256 << 10
_LIMITS = {"max_bytes": 12 << 20, "max_member_bytes": _MAX_FILE, "max_members": 100}


def load_schonlau(data_dir: Path | None = None) -> Logs:
    """Load the commands of the 50 users.

    Looked for are the archive `schonlau/schonlau.tar.xz`, then the files `schonlau/User1` to
    `User50` and `schonlau/label.txt`, below `data_dir` and the folder that JAXNET_DATA names; the
    files are downloaded otherwise.

    Args:
        data_dir: folder that may hold `schonlau/`.

    Returns:
        The logs; the training part of each has 5 000 commands.

    Raises:
        ValueError: files of another content, or a download that fails.
    """
    for folder in user_folders(data_dir):
        if (path := folder / _FOLDER / _ARCHIVE).is_file():
            members = read_tar(path, **_LIMITS)
            return parse_logs({name.rpartition("/")[2]: data for name, data in members.items()})
    files = {
        name: fetch(
            _FOLDER, name, _URL + name, sha256=None, read=_read, max_bytes=_MAX_FILE,
            data_dir=data_dir,
        )
        for name in (*_USERS, _LABELS)
    }  # fmt: skip
    return parse_logs(files)


def parse_logs(files: Mapping[str, bytes], *, sha256: str | None = _SHA256) -> Logs:
    """The logs of the users' files and the file of labels.

    Args:
        files: `User1` to `User50`, one command in each line, and `label.txt`, one row for each of
            the last 100 blocks, which has a number for each user: 1 where another made the block.
        sha256: of the lines of all files; None accepts any content.

    Raises:
        ValueError: a file is missing, or holds something else.
    """
    if missing := [name for name in (*_USERS, _LABELS) if name not in files]:
        raise ValueError(f"the data set schonlau has no file {missing[0]}; fetch it again")
    lines = {name: files[name].decode("latin-1").split() for name in (*_USERS, _LABELS)}
    content = "\n".join(line for name in lines for line in (name, *lines[name]))
    found = hashlib.sha256(content.encode("latin-1")).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(
            f"the files of the data set schonlau have the checksum {found}, expected {sha256}; "
            f"remove them and fetch them again"
        )
    num_blocks = (NUM_COMMANDS - NUM_TRAINING) // BLOCK_SIZE
    blocks = np.array([label == "1" for label in lines[_LABELS]]).reshape(num_blocks, NUM_USERS)
    labels = np.zeros((NUM_USERS, NUM_COMMANDS), bool)
    labels[:, NUM_TRAINING:] = blocks.T.repeat(BLOCK_SIZE, axis=1)
    vocabulary, events = encode_logs([lines[name] for name in _USERS])
    return Logs(
        "schonlau",
        _USERS,
        vocabulary,
        events,
        (NUM_TRAINING,) * NUM_USERS,
        tuple(labels),
        is_named=True,
    )


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if len(content) > _MAX_FILE:
        raise ValueError(f"{path}: it has {len(content)} bytes, more than the file of the authors")
    return content
