"""Data sets of the benchmarks, read with NumPy alone, or stand-ins of their shape.

A stand-in has clusters that a network can tell apart, so that every program runs as it does on the
data set; its figures are of speed and not of quality, and `source` says so.
"""

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Images(NamedTuple):
    """Images as vectors of numbers in [0, 1], with their classes.

    Attributes:
        x: training images, `(n, pixels)`.
        y: classes of the training images, `(n,)`.
        test_x: test images, `(m, pixels)`.
        test_y: classes of the test images, `(m,)`.
        source: where they come from; `stand-in` are random numbers.
    """

    x: Float[np.ndarray, "n pixels"]
    y: Int[np.ndarray, " n"]
    test_x: Float[np.ndarray, "m pixels"]
    test_y: Int[np.ndarray, " m"]
    source: str


def digits() -> Images:
    """The digits of scikit-learn, 8 x 8 pixels; every fifth image tests.

    >>> digits().x.shape, digits().test_x.shape
    ((1437, 64), (360, 64))
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return _stand_in(1797, 64, every=5)
    images, classes = load_digits(return_X_y=True)
    return _split(images / 16, classes, "scikit-learn", every=5)


def mnist() -> Images:
    """MNIST, 28 x 28 pixels, from the folder `mnist` of `JAXNET_DATA`."""
    folder = Path(os.environ.get("JAXNET_DATA", ".")) / "mnist"
    if not folder.is_dir():
        return _stand_in(70_000, 784, every=7)
    arrays = [
        _read_idx(folder / f"{part}-{kind}-ubyte.gz")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    x, test_x = (images.reshape(len(images), -1) / np.float32(255) for images in arrays[::2])
    y, test_y = (classes.astype(np.int32) for classes in arrays[1::2])
    return Images(x, y, test_x, test_y, "mnist")


def small(images: Images, num_examples: int = 500) -> Images:
    """The first examples of each part."""
    return Images(*(part[:num_examples] for part in images[:4]), source=images.source)  # pyright: ignore[reportArgumentType]


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes: a type, the number of axes, the sizes, the data."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    num_axes = content[3]
    shape = np.frombuffer(content, ">u4", num_axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def _split(x: np.ndarray, y: np.ndarray, source: str, *, every: int) -> Images:
    test = np.arange(len(x)) % every == 0
    x, y = x.astype(np.float32), y.astype(np.int32)
    return Images(x[~test], y[~test], x[test], y[test], source)


def _stand_in(num_examples: int, num_pixels: int, *, every: int) -> Images:
    generator = np.random.default_rng(0)
    y = generator.integers(10, size=num_examples)
    centers = generator.uniform(size=(10, num_pixels))
    noise = generator.normal(size=(num_examples, num_pixels))
    return _split(np.clip(centers[y] + 0.2 * noise, 0, 1), y, "stand-in", every=every)
