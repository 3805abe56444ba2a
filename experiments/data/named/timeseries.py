"""Eleven sets of time series of the UCR and UEA archives with their official splits.

Sources: Dau et al. (2019), "The UCR time series archive"; Bagnall et al. (2018), "The UEA
multivariate time series classification archive, 2018"; https://timeseriesclassification.com. The
files are those that the packages aeon (.ts) and tslearn (Trace) publish; of CBF and Coffee those
of the release of 2015, which has no address for single files.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.data.named.download import fetch, user_folders
from experiments.data.named.tar_archive import read_tar
from experiments.data.ts_files import LabeledSeries, parse_rows, parse_ts

_FOLDER, _ARCHIVE = "timeseries", "timeseries.tar.xz"
_AEON = "https://raw.githubusercontent.com/aeon-toolkit/aeon/v1.6.0/aeon/datasets/data"
_TSLEARN = (
    "https://raw.githubusercontent.com/tslearn-team/tslearn/"
    "e22e722ae9ad5c082220baff5a7533e15e17f84b/tslearn/.cached_datasets"
)
_LIMITS = {"max_bytes": 40 << 20, "max_member_bytes": 8 << 20, "max_members": 200}
_SHA256 = {
    "ACSF1": (
        "0646b90dc4843e02baed6b2ba345c5601a4991b6796565489cef1b2d92a7537b",
        "93e8aaeb44a10af181d24a156e60da7021193cd990ca28f263fccf3b905bfebf",
    ),
    "ArrowHead": (
        "a83c470aaf611a5f5284377cce27a5fc9f6292bc3d110257b0fd4905ced5ee72",
        "5417dab42626d41df5e435bb22458c2df40dfad4bcd3b59559bbe72e20e84904",
    ),
    "BasicMotions": (
        "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
        "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
    ),
    "CBF": (
        "703a8a02cd1c6666db5225a085edf6cf08907f953e9940897f195fe5bf5c3d25",
        "5fb5c5f9cb9bb0d5633b1eee06fba9e728747a529ca5288392514c672a5e53e0",
    ),
    "Coffee": (
        "314e8907c9038183cce4fad519351bfeba15ae84f79fefe200b38d3d38f3df3f",
        "205eeee5b73f6ae68ab33668eb490753a0d7eb201c66961d195b917a615fd054",
    ),
    "GunPoint": (
        "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
        "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
    ),
    "ItalyPowerDemand": (
        "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
        "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
    ),
    "JapaneseVowels": (
        "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
        "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
    ),
    "OSULeaf": (
        "86b9d6e860414ffd26cebc62fff84ffb37fa588ef3e5bf79e4094a437c36ddfc",
        "6c549dd354f9e42d5985fa5fab75321ca9acefc7873457e71467fc8a31f107ce",
    ),
    "PickupGestureWiimoteZ": (
        "4d303d9990df621c066fc454d62626e3721aed008462103500b86b1ac1ca92c8",
        "a9109bce918e48ee0e924e9cf2fdfdc4de364a3d88ec5e8aa44399ff08b11361",
    ),
    "Trace": ("0de0b7fa727cfabaf8481552db2b95fcccd12e54b67058aea79ff05b483cf807",),
}
# Files of the release of 2015 have none.
_ENDINGS = {"CBF": "", "Coffee": ""}


def _file_names(name: str) -> list[str]:
    if name == "Trace":
        return ["Trace.npz"]
    return [f"{name}_{part}{_ENDINGS.get(name, '.ts')}" for part in ("TRAIN", "TEST")]


# Data set -> file -> SHA-256 of its content; the training series first.
FILES = {
    name: dict(zip(_file_names(name), sha256, strict=True)) for name, sha256 in _SHA256.items()
}
NAMES = tuple(FILES)
_ALIASES = {name.lower(): name for name in FILES}


def timeseries_name(name: str) -> str | None:
    """The name in the archive, whatever the case, and with or without underscores.

    Args:
        name: as a user writes it.

    Returns:
        One of `NAMES`, or None.

    >>> timeseries_name("japanese_vowels"), timeseries_name("gunpoint"), timeseries_name("mnist")
    ('JapaneseVowels', 'GunPoint', None)
    """
    return _ALIASES.get(name.lower().replace("_", ""))


def load_timeseries(name: str, data_dir: Path | None = None) -> LabeledSeries:
    """Load a set of series; the last of them are the official test set.

    It is looked for as `timeseries/timeseries.tar.xz`, an archive of all sets, and as files
    `timeseries/<set>/<file>`, below `data_dir` and the folder that JAXNET_DATA names, then in the
    user's cache, and downloaded into the cache otherwise.

    Args:
        name: one of `NAMES` in any spelling that `timeseries_name` knows.
        data_dir: the folder to look in first.

    Returns:
        The series as the archive has them: not standardized, and of different lengths in
        JapaneseVowels and PickupGestureWiimoteZ.

    Raises:
        ValueError: an unknown name, a file with other content than the published one, a set that
            the archive does not hold, or a download that fails.
    """
    known = timeseries_name(name)
    if known is None:
        raise ValueError(f"unknown set of series {name!r}; known: {', '.join(NAMES)}")
    files = _find_files(known, data_dir)
    train, test = [part for file, content in files.items() for part in _parse(file, content)]
    class_names = train.class_names
    places = np.array([class_names.index(label) for label in test.class_names], np.int32)
    labels = np.concatenate([train.labels, places[test.labels]])
    return LabeledSeries(
        [*train.values, *test.values], labels, class_names, num_official_test=len(test.values)
    )


def _find_files(name: str, data_dir: Path | None) -> dict[str, bytes]:
    """The checked content of the files of a set."""
    for folder in user_folders(data_dir):
        path = folder / _FOLDER / _ARCHIVE
        if path.is_file():
            members = read_tar(path, **_LIMITS)
            return {
                file: _checked(name, file, members.get(f"{name}/{file}"), path)
                for file in FILES[name]
            }
    return {
        file: fetch(
            f"{_FOLDER}/{name}",
            file,
            _url(name, file),
            sha256=sha256,
            read=_reader(name, file),
            max_bytes=_LIMITS["max_member_bytes"],
            data_dir=data_dir,
        )
        for file, sha256 in FILES[name].items()
    }


def _url(name: str, file: str) -> str:
    if file.endswith(".npz"):
        return f"{_TSLEARN}/{file}"
    if file.endswith(".ts"):
        return f"{_AEON}/{name}/{file}"
    raise ValueError(
        f"{name} is in no folder {_FOLDER} of the user's and is published in one archive with all "
        f"others; set JAXNET_DATA to a folder that holds {_FOLDER}/{_ARCHIVE}, or "
        f"{_FOLDER}/{name}/{file}"
    )


def _reader(name: str, file: str) -> Callable[[Path], bytes]:
    return lambda path: _checked(name, file, path.read_bytes(), path)


def _checked(name: str, file: str, content: bytes | None, path: Path) -> bytes:
    if content is None:
        raise ValueError(f"{path}: the archive has no member {name}/{file}")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != FILES[name][file]:
        raise ValueError(
            f"{path}: {file} has SHA-256 {sha256}, expected {FILES[name][file]}; fetch it again"
        )
    return content


def _parse(file: str, content: bytes) -> list[LabeledSeries]:
    """The series of a file: one part, or training and test part."""
    if not file.endswith(".npz"):
        return [(parse_ts if file.endswith(".ts") else parse_rows)(content, file)]
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        parts = []
        for part in ("train", "test"):
            classes, labels = np.unique(arrays[f"y_{part}"], return_inverse=True)
            values = [*arrays[f"X_{part}"].astype(np.float32)]
            names = tuple(map(str, classes.tolist()))
            parts.append(LabeledSeries(values, labels.astype(np.int32), names))
    return parts
