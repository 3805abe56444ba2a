"""Images in a folder, one file each, whose subfolders are the classes."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxnet.streams.source import Examples, Source, StreamError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ImageSource(Source):
    """A source that `image_source` opens.

    Attributes:
        files: the images, in order.
        class_names: the names of the subfolders, in order; empty where there are none.
        shape: height, width and channels of every image.
    """

    def __init__(
        self,
        files: tuple[Path, ...],
        labels: Int[np.ndarray, " n"],
        class_names: tuple[str, ...],
        shape: tuple[int, ...],
        *,
        resize: bool,
    ) -> None:
        self.files, self.class_names, self.shape = files, class_names, shape
        self._labels, self._resize = labels, resize

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        x = np.empty((len(indices), *self.shape), np.uint8)
        for row, index in enumerate(indices):
            x[row] = self._image(self.files[int(index)])
        if not self.class_names:
            return {"x": x}
        return {"x": x, "y": self._labels[np.asarray(indices)]}

    def _image(self, file: Path) -> np.ndarray:
        from PIL import Image

        height, width, channels = self.shape
        try:
            with Image.open(file) as image:
                if image.size != (width, height) and not self._resize:
                    found = f"{image.size[1]} x {image.size[0]}"
                    raise StreamError(
                        f"{file} has {found} pixels, and the first image {height} x {width}; "
                        "give the height and width that all are resized to"
                    )
                image.draft(_MODES[channels], (width, height))
                pixels = _converted(image, _MODES[channels])
                if pixels.size != (width, height):
                    pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(pixels, np.uint8).reshape(self.shape)
        except StreamError:
            raise
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise StreamError(f"{file} cannot be read as an image: {error}") from error


def _converted(image: Any, mode: str) -> Any:
    """The image with other channels; 16 bits of gray become 8."""
    from PIL import Image

    if image.mode.startswith("I"):
        pixels = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        image = Image.fromarray(pixels.astype(np.uint8))
    return image.convert(mode)


def image_source(
    folder: str | Path, *, size: tuple[int, int] | None = None, channels: int | None = None
) -> ImageSource:
    """Images in the subfolders of a folder, `FOLDER/CLASS/*.png`, or all in the folder itself.

    Args:
        folder: the folder. Classes are its subfolders with images, in the order of their names, and
            files are read in the order of theirs. Other files are left out.
        size: height and width that all images are resized to (bilinear); None is that of the first
            image, which all must have.
        channels: 1 for gray, 3 for colors, 4 with transparency; None is that of the first image.

    Returns:
        The source: `x`, bytes `(n, height, width, channels)`, and with classes `y`, int32.

    Raises:
        StreamError: no images, images beside subfolders with images, a size below 1. When images
            are read: a file that is damaged or has another size.
        FileNotFoundError: there is no such folder.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, color in (("a", 0), ("b", 255)):
    ...         Path(folder, name).mkdir()
    ...         Image.new("L", (4, 3), color).save(Path(folder, name, "0.png"))
    ...     source = image_source(folder)
    ...     examples = source.read(np.array([1, 0]))
    >>> source.class_names, examples["x"].shape, examples["y"].tolist()
    (('a', 'b'), (2, 3, 4, 1), [1, 0])
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"image_source: there is no folder {folder}")
    if size is not None and min(size) < 1:
        raise StreamError(f"image_source: size must be at least 1 pixel, found {size}")
    if channels not in (None, *_MODES):
        raise StreamError(f"image_source: channels must be 1, 3 or 4, found {channels}")
    alone = _images_of(folder)
    classes = {
        path.name: files
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".") and (files := _images_of(path))
    }
    if alone and classes:
        raise StreamError(
            f"{folder} holds images and subfolders with images; move {alone[0].name} and its like "
            "to the folder of a class"
        )
    files = tuple(file for group in classes.values() for file in group) or tuple(alone)
    if not files:
        raise StreamError(
            f"{folder} holds no images ({', '.join(_SUFFIXES)}), nor do its subfolders"
        )
    labels = np.repeat(np.arange(len(classes)), [len(group) for group in classes.values()])
    shape = _shape_of(files[0])
    height, width = size or shape[:2]
    shape = (height, width, channels or shape[2])
    if math.prod(shape) > 1 << 30:
        raise StreamError(f"images of {shape} have more than 2^30 numbers; resize them")
    return ImageSource(
        files, labels.astype(np.int32), tuple(classes), shape, resize=size is not None
    )


def _images_of(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _shape_of(file: Path) -> tuple[int, int, int]:
    from PIL import Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            gray = image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16")
            return height, width, 1 if gray else 3
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StreamError(f"{file} cannot be read as an image: {error}") from error
