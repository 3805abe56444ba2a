"""The files of MNIST and Fashion-MNIST: found or downloaded, checked, read.

The checksums are those of the uncompressed content: a mirror may compress the same content in
another way, and then the bytes of the `.gz` file differ.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.named.download import fetch


class IdxFile(NamedTuple):
    """A gzipped IDX file of unsigned bytes: its name, shape and the SHA-256 of its content."""

    name: str
    shape: tuple[int, ...]
    sha256: str


# In the order: training pictures, training labels, test pictures, test labels.
FILES = {
    "mnist": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
MIRRORS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}


def fetch_idx(folder: str, file: IdxFile, *, data_dir: Path | None = None) -> np.ndarray:
    """Read a file from the user's folders or the cache; download it into the cache otherwise.

    Args:
        folder: a key of `FILES` and `MIRRORS`.
        file: the file in it.
        data_dir: where to look first for `<folder>/<file>`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        The array, uint8, of the shape `file.shape`.

    Raises:
        ValueError: a file that is corrupt, with both hashes; a download that fails.
    """
    return fetch(
        folder,
        file.name,
        MIRRORS[folder] + file.name,
        read=lambda path: read_idx(path, file),
        max_bytes=2 * _num_bytes(file),
        data_dir=data_dir,
    )


def read_idx(path: Path, file: IdxFile) -> np.ndarray:
    """Read a gzipped IDX file whose content is known.

    Args:
        path: where it lies.
        file: what it must hold.

    Returns:
        The array, uint8, of the shape `file.shape`.

    Raises:
        ValueError: the content has another hash; both are named.
    """
    size = _num_bytes(file)
    content, problem = _decompress(path, size + 1)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ValueError(
            f"{path} is corrupt or truncated{problem}: its content has SHA-256 {found} "
            f"({len(content)} bytes read), expected {file.sha256} ({size} bytes); "
            "delete it and fetch it again"
        )
    return parse_idx(content, file.shape)


def _num_bytes(file: IdxFile) -> int:
    """Size of the uncompressed file: header and data."""
    return 4 + 4 * len(file.shape) + math.prod(file.shape)


def _decompress(path: Path, limit: int) -> tuple[bytes, str]:
    """At most `limit` bytes of the content, as far as it can be read, and what stopped it."""
    content, problem = bytearray(), ""
    try:
        with gzip.open(path, "rb") as file:
            while piece := file.read(min(limit - len(content), 1 << 20)):
                content += piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f" ({error})"
    return bytes(content), problem


def parse_idx(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The array in the IDX format of unsigned bytes (LeCun, Cortes and Burges, MNIST).

    Two zero bytes, the type 8 and the number of axes, the length of each axis as a big-endian
    32-bit integer, then the bytes.

    Args:
        content: the uncompressed file.
        shape: the shape that is expected.

    Returns:
        A read-only view of the bytes, uint8, of that shape.

    Raises:
        ValueError: another format, another shape, or fewer or more bytes than the shape needs.

    >>> parse_idx(b"\\0\\0\\x08\\x01" + b"\\0\\0\\0\\x03" + b"abc", (3,)).tolist()
    [97, 98, 99]
    """
    magic = bytes((0, 0, 8, len(shape)))
    if content[:4] != magic:
        raise ValueError(
            f"content begins with {content[:4]!r}, expected {magic!r}: an IDX file of unsigned "
            f"bytes with {len(shape)} axes; fetch the file of the data set's authors"
        )
    start = 4 + 4 * len(shape)
    lengths = content[4:start]
    found = tuple(int.from_bytes(lengths[i : i + 4], "big") for i in range(0, len(lengths), 4))
    num_bytes = len(content) - start
    if found != shape or num_bytes != math.prod(shape):
        raise ValueError(
            f"content has shape {found} and {max(num_bytes, 0)} bytes of data, expected {shape} "
            f"and {math.prod(shape)}; fetch the file of the data set's authors"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
