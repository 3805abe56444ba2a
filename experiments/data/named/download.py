"""Files of the named data sets: found in the user's folders or the cache, downloaded otherwise."""

import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_SECONDS_OF_SILENCE = 30

Content = TypeVar("Content")


def own_places(data_dir: Path | None) -> list[Path]:
    """Where a user keeps data: `data_dir`, and the folder that JAXNET_DATA names."""
    return [Path(place) for place in (data_dir, os.environ.get("JAXNET_DATA")) if place]


def fetch(
    folder: str,
    name: str,
    url: str,
    *,
    read: Callable[[Path], Content],
    max_bytes: int,
    data_dir: Path | None = None,
) -> Content:
    """Read a file from the user's folders or the cache; download it into the cache otherwise.

    Args:
        folder: of the data set.
        name: of the file in it.
        url: where it is downloaded from.
        read: reads and checks the file; a download that it refuses with a ValueError is not kept.
        max_bytes: the most that is downloaded.
        data_dir: where to look first for `<folder>/<name>`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        What `read` returns.

    Raises:
        ValueError: a file that `read` refuses; a download that fails.
    """
    own = own_places(data_dir)
    for place in own:
        path = place / folder / name
        if path.is_file():
            return read(path)
    import pooch

    path = Path(pooch.os_cache("jaxnet")) / folder / name
    if path.is_file():
        return read(path)
    try:
        return _download(url, path, read, max_bytes)
    except (OSError, ValueError) as error:
        places = ", ".join(str(place / folder) for place in (*own, path.parent.parent))
        raise ValueError(
            f"{name} is in none of {places}, and its download from {url} failed "
            f"({type(error).__name__}: {error}); set JAXNET_DATA to a folder that holds "
            f"{folder}/{name}, or try again with a network"
        ) from error


def _download(url: str, path: Path, read: Callable[[Path], Content], max_bytes: int) -> Content:
    """Download under a temporary name; the file gets its own name only once it is checked."""
    print(f"downloading {url} to {path.parent}", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        problem = _copy(url, temporary, max_bytes)
        try:
            content = read(temporary)
        except ValueError as error:
            raise ValueError(f"{problem}{error}") from error
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return content


def _copy(url: str, path: Path, limit: int) -> str:
    """Write at most `limit` bytes of what a server sends to a file; what went wrong, if anything.

    The file is there either way: its check then says what arrived.
    """
    with open(path, "wb") as file:
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS_OF_SILENCE) as response:
                while piece := response.read(min(limit - file.tell(), 1 << 20)):
                    file.write(piece)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            return f"{error}; "
    return ""
