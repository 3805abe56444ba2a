"""Files of the named data sets: found in the user's folders or the cache, downloaded otherwise.

`pooch.retrieve` keeps the cache: it compares hashes, and a file gets its name only once it is
complete. The downloader is our own because that of pooch leaves its connection open where a server
closes it early, and has no bound on time or size.
"""

import hashlib
import http.client
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_SECONDS_OF_SILENCE = 30
_SECONDS = 1200

Content = TypeVar("Content")


def user_folders(data_dir: Path | None) -> list[Path]:
    """Where a user keeps data: `data_dir`, and the folder that JAXNET_DATA names.

    Args:
        data_dir: the folder that an option names, if any.

    Returns:
        None to two folders, in the order in which they are searched.

    >>> str(user_folders(Path("data"))[0])
    'data'
    """
    return [Path(folder) for folder in (data_dir, os.environ.get("JAXNET_DATA")) if folder]


def fetch(
    folder: str,
    name: str,
    url: str,
    *,
    sha256: str | None,
    read: Callable[[Path], Content],
    max_bytes: int,
    data_dir: Path | None = None,
) -> Content:
    """Read a file from the user's folders or the cache; download it into the cache otherwise.

    Args:
        folder: of the data set.
        name: of the file in it.
        url: where it is downloaded from.
        sha256: of the file at the URL; None where only `read` can tell whether it is the right one.
        read: reads and checks the file; a cached file that it rejects with a ValueError is removed.
        max_bytes: the largest download that is accepted.
        data_dir: where to look first for `<folder>/<name>`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        What `read` returns.

    Raises:
        ValueError: `read` rejects the file, or the download fails; with the remedy.
    """
    folders = user_folders(data_dir)
    for place in folders:
        path = place / folder / name
        if path.is_file():
            return read(path)
    import pooch

    cache = Path(pooch.os_cache("jaxnet")) / folder
    try:
        _retrieve(url, sha256, cache / name, max_bytes)
        try:
            return read(cache / name)
        except ValueError:
            (cache / name).unlink(missing_ok=True)
            raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        places = ", ".join(map(str, [*(place / folder for place in folders), cache]))
        raise ValueError(
            f"{name} is in none of {places}, and its download from {url} failed "
            f"({type(error).__name__}: {error}); set JAXNET_DATA to a folder that holds "
            f"{folder}/{name}, or try again with a network"
        ) from error


def read_pinned(path: Path, sha256: str) -> bytes:
    """The content of a file that must be the published one.

    Args:
        path: the file.
        sha256: of its content.

    Raises:
        ValueError: the file has another hash (both are named).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.txt")
    ...     _ = path.write_text("content")
    ...     read_pinned(path, hashlib.sha256(b"content").hexdigest())
    b'content'
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path}: the file has SHA-256 {found}, expected {sha256}; it is damaged or another "
            "file: delete it, so that it is downloaded again"
        )
    return content


def _retrieve(url: str, sha256: str | None, path: Path, max_bytes: int) -> None:
    import pooch

    downloader: Any = _Downloader(max_bytes)
    logger = pooch.get_logger()
    level = logger.level
    # Its messages are for programmers: how to call pooch with the hash that it found.
    logger.setLevel(logging.WARNING)
    try:
        pooch.retrieve(url, sha256, fname=path.name, path=path.parent, downloader=downloader)
    finally:
        logger.setLevel(level)


class _Downloader:
    """A downloader for pooch that is bounded in time and size and closes its connection."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def __call__(self, url: str, output_file: Any, pooch: Any, **_: Any) -> None:
        print(f"downloading {url}", file=sys.stderr, flush=True)
        deadline = time.monotonic() + _SECONDS
        try:
            response = urllib.request.urlopen(url, timeout=_SECONDS_OF_SILENCE)
        except urllib.error.HTTPError as error:
            error.close()
            raise
        with response, open(output_file, "wb") as file:
            while piece := response.read1(1 << 20):
                file.write(piece)
                if file.tell() > self._max_bytes:
                    raise ValueError(f"the server sends more than {self._max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"it takes more than {_SECONDS} seconds")
            if response.length:
                raise ConnectionError(
                    f"the connection was closed {response.length} bytes before the end"
                )
