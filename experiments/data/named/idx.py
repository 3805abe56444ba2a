"""MNIST and Fashion-MNIST: files that are found or downloaded, checked, read.

A file of the user's is compared with the hash of its uncompressed content: the same content may be
compressed in another way, and then the bytes of the `.gz` file differ. A download is compared with
the hash of the mirror's `.gz` file.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from experiments.data.dataset import Dataset
from experiments.data.named.download import fetch


class IdxFile(NamedTuple):
    """A gzipped IDX file of unsigned bytes.

    Attributes:
        name: of the file.
        shape: of the array.
        sha256: of its uncompressed content.
        gzip_sha256: of the file of the mirror.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    gzip_sha256: str


# In the order: training images, training labels, test images, test labels.
FILES = {
    "mnist": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
}
MIRRORS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}


_CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)
_CLASS_NAMES = {"mnist": tuple(str(digit) for digit in range(10)), "fashion-mnist": _CLOTHES}


def load_idx(name: Literal["mnist", "fashion_mnist"], data_dir: Path | None = None) -> Dataset:
    """Load MNIST or Fashion-MNIST, 70 000 images of 28 x 28 pixels, of which the last 10 000 test.

    Args:
        name: of the data set.
        data_dir: folder that may hold `mnist/` or `fashion-mnist/`.

    Returns:
        The data set, with pixels in [0, 1].

    Raises:
        ValueError: a file has other content than expected (both hashes are named), or a download
            fails.
    """
    folder = name.replace("_", "-")
    arrays = [fetch_idx(folder, file, data_dir=data_dir) for file in FILES[folder]]
    pixels = np.concatenate([arrays[0], arrays[2]])[..., None]
    return Dataset(
        name,
        np.divide(pixels, np.float32(255), dtype=np.float32),
        np.concatenate([arrays[1], arrays[3]]).astype(np.int32),
        class_names=_CLASS_NAMES[folder],
        num_official_test=len(arrays[3]),
    )


def fetch_idx(
    folder: str, file: IdxFile, *, data_dir: Path | None = None
) -> UInt8[np.ndarray, "..."]:
    """Read a file from the user's folders or the cache; download it into the cache otherwise.

    Args:
        folder: a key of `FILES` and `MIRRORS`.
        file: the file in it.
        data_dir: where to look first for `<folder>/<file>`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        The array, of the shape `file.shape`.

    Raises:
        ValueError: the file has other content (both hashes are named), or the download fails.
    """
    return fetch(
        folder,
        file.name,
        MIRRORS[folder] + file.name,
        sha256=file.gzip_sha256,
        read=lambda path: read_idx(path, file),
        max_bytes=2 * _num_bytes(file),
        data_dir=data_dir,
    )


def read_idx(path: Path, file: IdxFile) -> UInt8[np.ndarray, "..."]:
    """Read a gzipped IDX file whose content is known.

    Args:
        path: of the file.
        file: what it must hold.

    Returns:
        The array, of the shape `file.shape`.

    Raises:
        ValueError: the content has another hash; both are named.
    """
    size = _num_bytes(file)
    content, problem = _decompress(path, size + 1)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        raise ValueError(
            f"{path} is corrupt or truncated{problem}: its content has SHA-256 {sha256} "
            f"({len(content)} bytes read), expected {file.sha256} ({size} bytes); "
            "delete it and fetch it again"
        )
    return parse_idx(content, file.shape)


def _num_bytes(file: IdxFile) -> int:
    """Size of the uncompressed file: header and data."""
    return 4 + 4 * len(file.shape) + math.prod(file.shape)


def _decompress(path: Path, limit: int) -> tuple[bytes, str]:
    """At most `limit` bytes of the content, as far as it can be read, and the error, if any."""
    content, problem = bytearray(), ""
    try:
        with gzip.open(path, "rb") as file:
            while piece := file.read(min(limit - len(content), 1 << 20)):
                content += piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f" ({error})"
    return bytes(content), problem


def parse_idx(content: bytes, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """The array in the IDX format of unsigned bytes (LeCun, Cortes and Burges, MNIST).

    Two zero bytes, the type 8 and the number of axes, the length of each axis as a big-endian
    32-bit integer, then the bytes.

    Args:
        content: the uncompressed file.
        shape: the shape that is expected.

    Returns:
        A read-only view of the bytes, of that shape.

    Raises:
        ValueError: the content has another format or shape, or fewer or more bytes than the shape
            needs.

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
    declared = tuple(int.from_bytes(lengths[i : i + 4], "big") for i in range(0, len(lengths), 4))
    num_bytes = len(content) - start
    if declared != shape or num_bytes != math.prod(shape):
        raise ValueError(
            f"content has shape {declared} and {max(num_bytes, 0)} bytes of data, expected {shape} "
            f"and {math.prod(shape)}; fetch the file of the data set's authors"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
