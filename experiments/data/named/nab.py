"""The Numenta Anomaly Benchmark: 58 series with labelled windows, found or downloaded, checked."""

import hashlib
import json
from pathlib import Path

import numpy as np

from experiments.data.labelled_series import Series, SeriesCollection
from experiments.data.named.download import fetch, user_folders
from experiments.data.named.nab_files import COMMIT, SHA256, WINDOWS
from experiments.data.named.tar_archive import read_tar

_URL = f"https://raw.githubusercontent.com/numenta/NAB/{COMMIT}"
_ARCHIVE, _MAX_BYTES = "nab.tar.xz", 32 << 20


def load_nab(data_dir: Path | None = None) -> SeriesCollection:
    """Load the series of NAB in the order of their names, with the labelled windows of version 1.1.

    Source: https://github.com/numenta/NAB, MIT licence. Rows are kept in the order of the files,
    times that repeat or go back included: a window is the rows from the first with its begin to
    the first with its end.

    Args:
        data_dir: folder that may hold `nab/nab.tar.xz`, or the files of the repository below
            `nab/data/` and `nab/labels/`.

    Returns:
        58 series.

    Raises:
        ValueError: a file has another hash than the published one, or a download fails.
    """
    contents = _read_archive(data_dir)
    if contents is None:
        contents = {name: _fetch_file(name, data_dir) for name in SHA256}
    return parse_nab(contents)


def parse_nab(contents: dict[str, bytes]) -> SeriesCollection:
    """The series of the content of the files.

    Args:
        contents: path in the repository -> content: CSV files below `data/`, and the windows.

    Returns:
        The series.
    """
    windows = json.loads(contents[WINDOWS])
    series = []
    for name in sorted(windows):
        lines = contents[f"data/{name}"].decode().split("\n")[1:]
        rows = [line.strip().split(",") for line in lines if line.strip()]
        first = {time: row for row, (time, _) in reversed(list(enumerate(rows)))}
        bounds = [tuple(first[time.split(".")[0]] for time in window) for window in windows[name]]
        times = np.array([time for time, _ in rows], "datetime64[s]")
        series.append(
            Series(
                name=name.removesuffix(".csv"),
                times=times.astype(np.int64).astype(np.float64),
                values=np.array([float(value) for _, value in rows]),
                windows=tuple((start, end) for start, end in bounds),
                records=np.arange(1, len(rows) + 1),
            )
        )
    return SeriesCollection("nab", tuple(series), is_named=True, is_labelled=True)


def _read_archive(data_dir: Path | None) -> dict[str, bytes] | None:
    for folder in user_folders(data_dir):
        path = folder / "nab" / _ARCHIVE
        if path.is_file():
            files = read_tar(
                path, max_bytes=_MAX_BYTES, max_member_bytes=_MAX_BYTES, max_members=1000
            )
            missing = [name for name in SHA256 if name not in files]
            if missing:
                raise ValueError(
                    f"{path}: the archive has no {missing[0]}; make it from the folders data and "
                    "labels of the repository, or remove it, so that files are downloaded"
                )
            return {name: _checked(files[name], f"{path}: {name}", name) for name in SHA256}
    return None


def _fetch_file(name: str, data_dir: Path | None) -> bytes:
    def read(path: Path) -> bytes:
        return _checked(path.read_bytes(), str(path), name)

    return fetch(
        "nab",
        name,
        f"{_URL}/{name}",
        sha256=SHA256[name],
        read=read,
        max_bytes=_MAX_BYTES,
        data_dir=data_dir,
    )


def _checked(content: bytes, place: str, name: str) -> bytes:
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256[name]:
        raise ValueError(
            f"{place} has SHA-256 {sha256}, expected {SHA256[name]}; it is damaged or another "
            "file: delete it, so that it is downloaded again"
        )
    return content
