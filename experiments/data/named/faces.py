"""The Olivetti faces: a MATLAB file, found or downloaded, checked, read."""

import hashlib
import io
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments.data.dataset import Dataset
from experiments.data.named.download import fetch

# The file that scikit-learn reads, with its SHA-256 as published there.
_URL = "https://ndownloader.figshare.com/files/5976027"
_NAME = "olivettifaces.mat"
SHA256 = "b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794"
_MAX_BYTES, _NUM_PEOPLE, _IMAGES_PER_PERSON, _SIDE = 8 << 20, 40, 10, 64


def load_faces(data_dir: Path | None = None) -> Dataset:
    """Load ten images, 64 x 64, of each of forty people.

    Source: https://cs.nyu.edu/~roweis/data/olivettifaces.mat.

    Args:
        data_dir: folder that may hold `olivetti-faces/olivettifaces.mat`.

    Returns:
        400 images with values in [0, 1]; classes are people.

    Raises:
        ValueError: the file has another hash (both are named), or the download fails.
    """
    x = fetch(
        "olivetti-faces",
        _NAME,
        _URL,
        sha256=SHA256,
        read=read_faces,
        max_bytes=_MAX_BYTES,
        data_dir=data_dir,
    )
    y = np.repeat(np.arange(_NUM_PEOPLE, dtype=np.int32), _IMAGES_PER_PERSON)
    class_names = tuple(f"person {number}" for number in range(1, _NUM_PEOPLE + 1))
    return Dataset("olivetti_faces", x, y, class_names=class_names)


def read_faces(path: Path) -> Float[np.ndarray, "400 64 64 1"]:
    """Read the images of the file.

    Args:
        path: of `olivettifaces.mat`.

    Returns:
        The images in [0, 1], by person.

    Raises:
        ValueError: the file has another hash.
    """
    from scipy.io import loadmat

    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256:
        raise ValueError(
            f"{path}: the file has SHA-256 {sha256}, expected {SHA256}; it is damaged or another "
            "file: delete it, so that it is downloaded again"
        )
    # A column for each image, which is stored by columns too.
    pixels = loadmat(io.BytesIO(content), variable_names=["faces"])["faces"].T.astype(np.float32)
    images = pixels.reshape(-1, _SIDE, _SIDE).transpose(0, 2, 1)[..., None]
    return (images - images.min()) / np.ptp(images)
