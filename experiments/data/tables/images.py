"""Images of the user's, from the arrays of an NPZ file as NumPy, Keras and MedMNIST write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.data.dataset import Dataset

_CHANNELS = (1, 3, 4)
# Bytes that are no larger may have another white than 255, such as 1 or 16.
_DARKEST = 16


class _Layout(NamedTuple):
    """Names of the arrays of a file: those of images, of labels, and which are the test set."""

    images: tuple[str, ...]
    labels: tuple[str, ...]
    has_test: bool = True


_LAYOUTS = (
    _Layout(("x",), ("y",), has_test=False),
    _Layout(("x_train", "x_test"), ("y_train", "y_test")),
    _Layout(
        ("train_images", "val_images", "test_images"), ("train_labels", "val_labels", "test_labels")
    ),
)


def load_images(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "n height width channels"]:
    """Load images to predict from.

    Args:
        path: the file; images are in its array `x`, or in `x_test` or `test_images`. Others are
            ignored.
        shape: of one image, `(height, width, channels)`.

    Returns:
        Images `(n, *shape)`, float32.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an NPZ file with images of this shape, or a value is neither
            in [0, 1] nor a byte.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)))
    ...     load_images(path, (8, 8, 1)).shape
    (3, 8, 8, 1)
    """
    from experiments.data.tables.table import naming

    with naming(path):
        names = _array_names(path)
        layout = _find_layout(names) or _LAYOUTS[0]
        name = layout.images[-1]
        x = _read_arrays(path, [name])[name]
        moved = (shape[-1], *shape[:-1])
        if x.ndim == 4 and x.shape[1:] == moved and x.shape[1:] != shape:
            x = np.moveaxis(x, 1, -1)
        fits = x.shape[1:] == shape or (shape[-1] == 1 and x.shape[1:] == shape[:-1])
        if not fits:
            raise ValueError(
                f"{name} has shape {x.shape}, expected (n, {', '.join(map(str, shape))})"
            )
        return _pixels(name, x).reshape(len(x), *shape)


def holds_images(path: Path) -> bool:
    """Whether a file is an NPZ file with images, in one of the layouts of `load_labelled_images`.

    Args:
        path: the file.

    Returns:
        False for every other file, such as a table.

    Raises:
        FileNotFoundError: the file is called `.npz` and does not exist.
        ValueError: an NPZ file cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)))
    ...     holds_images(path), holds_images(Path(folder, "table.csv"))
    (True, False)
    """
    from experiments.data.tables.table import naming

    if path.suffix.lower() != ".npz":
        return False
    with naming(path):
        layout = _find_layout(_array_names(path))
        if layout is None:
            return False
        first = layout.images[0]
        return _read_arrays(path, [first])[first].ndim in (3, 4)


def load_labelled_images(path: Path, *, label: str | None, needs_labels: bool = False) -> Dataset:
    """Load images as a data set, with labels where there are any.

    Layouts of the arrays:

    - `x`, and labels under any name, `y` by default where labels are needed;
    - `x_train, y_train, x_test, y_test`, as the files of Keras have them;
    - `train_images, train_labels`, and the same of `val` and `test`, as MedMNIST has them. The test
      part of these two is that of the data set.

    Images are `(n, height, width)`, `(n, height, width, channels)` or
    `(n, channels, height, width)`; the last is recognized by 1, 3 or 4 channels, and moved. Pixels
    are bytes, which are divided by 255, or numbers in [0, 1].

    Args:
        path: the file.
        label: the array of labels: text or whole numbers, `(n,)` or `(n, 1)`, or one-hot
            `(n, classes)`; None uses those of the layout for the last two, and of the first only
            where labels are needed.
        needs_labels: whether to raise where there are no labels; otherwise `y` is then 0.

    Returns:
        The data set, named after the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: an array is missing, has another shape or type, or another range.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)), kind=np.array(["a", "b", "a"]))
    ...     dataset = load_labelled_images(path, label="kind")
    >>> dataset.x.shape, dataset.y.tolist(), dataset.class_names
    ((3, 8, 8, 1), [0, 1, 0], ('a', 'b'))
    """
    import polars

    from experiments.data.tables.labels import encode_classes, find_classes
    from experiments.data.tables.table import naming

    with naming(path):
        names = _array_names(path)
        layout = _find_layout(names) or _LAYOUTS[0]
        images = [name for name in layout.images if name in names] or ["x"]
        labels = _label_names(layout, images, label, needs_labels=needs_labels)
        arrays = _read_arrays(path, [*images, *labels])
        parts = [_images(name, arrays[name]) for name in images]
        if len({part.shape[1:] for part in parts}) > 1:
            shapes = ", ".join(
                f"{name} {part.shape}" for name, part in zip(images, parts, strict=True)
            )
            raise ValueError(f"the parts hold images of different shapes: {shapes}; resize them")
        x = np.concatenate(parts)
        num_test = len(parts[-1]) if layout.has_test and len(parts) > 1 else 0
        class_names, y = (), np.zeros(len(x), np.int32)
        if labels:
            each = [
                _labels(name, arrays[name], len(part))
                for name, part in zip(labels, parts, strict=True)
            ]
            column = polars.Series(labels[0], np.concatenate(each))
            class_names = find_classes(column)
            y = encode_classes(column, class_names)
        return Dataset(path.stem, x, y, class_names=class_names, num_official_test=num_test)


def _find_layout(names: Sequence[str]) -> _Layout | None:
    return next((layout for layout in _LAYOUTS if layout.images[0] in names), None)


def _label_names(
    layout: _Layout, images: Sequence[str], label: str | None, *, needs_labels: bool
) -> list[str]:
    """The arrays of labels, one for each array of images."""
    if layout.has_test:
        if label is not None and label not in layout.labels:
            raise ValueError(
                f"label {label!r}: the labels of these images are {', '.join(layout.labels)}; "
                "leave --label out"
            )
        return [layout.labels[layout.images.index(name)] for name in images]
    if label is None:
        return ["y"] if needs_labels else []
    return [label]


def _array_names(path: Path) -> list[str]:
    return list(_members(path))


def _members(path: Path) -> dict[str, bytes]:
    from experiments.data.tables.table import MAX_BYTES
    from experiments.data.tables.zip_archive import read_members

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; check the path (--data)")
    if path.suffix.lower() != ".npz":
        raise ValueError("images are read from an NPZ file with an array `x`")
    members = read_members(path, max_bytes=MAX_BYTES, suffix=".npy")
    return {name.removesuffix(".npy"): content for name, content in members.items()}


def _read_arrays(path: Path, needed: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The arrays that are needed."""
    from experiments.data.tables.npz import parse_npy

    members = _members(path)
    known = {name for layout in _LAYOUTS for name in layout.images}
    for name in needed:
        if name not in members:
            content = "images" if name in known else "labels"
            raise ValueError(
                f"there is no array `{name}` of {content}, found: {', '.join(members) or 'none'}"
                f"{'' if content == 'images' else '; name them with --label'}"
            )
    return {name: parse_npy(name, members[name]) for name in needed}


def _images(name: str, x: np.ndarray) -> np.ndarray:
    """Images `(n, height, width, channels)` in [0, 1]."""
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {x.shape}, expected images (n, height, width), "
            "(n, height, width, channels) or (n, channels, height, width)"
        )
    if x.ndim == 3:
        x = x[..., None]
    elif x.shape[1] in _CHANNELS and x.shape[-1] not in _CHANNELS:
        x = np.moveaxis(x, 1, -1)
    return _pixels(name, x)


def _pixels(name: str, x: np.ndarray) -> np.ndarray:
    if len(x) == 0:
        raise ValueError(f"{name} has shape {x.shape} and holds no images; at least one is needed")
    low, high = (x.min(), x.max()) if x.dtype.kind in "biuf" else (-1, -1)
    if x.dtype.kind in "iu" and low >= 0 and _DARKEST < high <= 255:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind in "bf" and low >= 0 and high <= 1:
        return np.ascontiguousarray(x, np.float32)
    remedy = "divide them by the number that is white"
    if x.dtype.kind in "iu" and low >= 0 and high <= 255:
        remedy = f"the largest is {high}, so that 255 may not be white: {remedy}"
    raise ValueError(
        f"{name} holds {x.dtype} from {low} to {high}, and pixels must be numbers in [0, 1] or "
        f"bytes from 0 to 255; {remedy}"
    )


def _labels(name: str, labels: np.ndarray, num_images: int) -> np.ndarray:
    """One label for each image: `(n, 1)` without its axis, one-hot ones as numbers of classes."""
    if labels.ndim == 2 and labels.shape == (num_images, 1):
        labels = labels[:, 0]
    elif labels.ndim == 2 and len(labels) == num_images and labels.dtype.kind in "biuf":
        is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()
        if not is_one_hot:
            raise ValueError(
                f"array {name!r} has shape {labels.shape}, and not each row has a single 1; an "
                "image has one class (several labels of one image are not supported)"
            )
        return labels.argmax(axis=1)
    if labels.shape != (num_images,):
        raise ValueError(
            f"array {name!r} has shape {labels.shape}, expected one label for each of "
            f"{num_images} images: (n,), (n, 1) or one-hot (n, classes)"
        )
    return labels
