"""Images of the user's, from the array `x` of an NPZ file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments.data.dataset import Dataset


def load_images(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "n height width channels"]:
    """Load images to predict from.

    Args:
        path: the file; other arrays in it are ignored.
        shape: of one image, `(height, width, channels)`.

    Returns:
        Images `(n, *shape)`, float32.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an NPZ file with an array `x` of images of this shape, or a
            value is not in [0, 1].

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)))
    ...     load_images(path, (8, 8, 1)).shape
    (3, 8, 8, 1)
    """
    from experiments.data.tables.table import naming

    with naming(path):
        x = _read_arrays(path, ["x"])["x"]
        fits = x.shape[1:] == shape or (shape[-1] == 1 and x.shape[1:] == shape[:-1])
        if not fits:
            raise ValueError(f"x has shape {x.shape}, expected (n, {', '.join(map(str, shape))})")
        return _pixels(x).reshape(len(x), *shape)


def holds_images(path: Path) -> bool:
    """Whether a file is an NPZ file whose array `x` holds images: it has three axes or four.

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
        arrays = _read_arrays(path, [])
        return "x" in arrays and arrays["x"].ndim in (3, 4)


def load_labelled_images(path: Path, *, label: str | None) -> Dataset:
    """Load images as a data set, with labels where there are any.

    Args:
        path: the file; `x` is `(n, height, width)` or `(n, height, width, channels)`, in [0, 1].
        label: the array of labels `(n,)`, text or whole numbers; None where there are none, and
            `y` is 0.

    Returns:
        The data set, named after the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: an array is missing, has another shape or type, or is not in [0, 1].

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
        arrays = _read_arrays(path, ["x"] if label is None else ["x", label])
        x = _pixels(arrays["x"])
        x = x[..., None] if x.ndim == 3 else x
        class_names, y = (), np.zeros(len(x), np.int32)
        if label is not None:
            if arrays[label].shape != (len(x),):
                raise ValueError(
                    f"array {label!r} has shape {arrays[label].shape}, expected one label for "
                    f"each of {len(x)} images"
                )
            column = polars.Series(label, arrays[label])
            class_names = find_classes(column)
            y = encode_classes(column, class_names)
        return Dataset(path.stem, x, y, class_names=class_names)


def _read_arrays(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """`x`, where the file has it, and the arrays that are needed."""
    from experiments.data.tables.npz import parse_npy
    from experiments.data.tables.table import MAX_BYTES
    from experiments.data.tables.zip_archive import read_members

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; check the path (--data)")
    if path.suffix.lower() != ".npz":
        raise ValueError("images are read from an NPZ file with an array `x`")
    members = read_members(path, max_bytes=MAX_BYTES, suffix=".npy")
    names = [name.removesuffix(".npy") for name in members]
    for name in needed:
        if name not in names:
            content = "images" if name == "x" else "labels"
            raise ValueError(
                f"there is no array `{name}` of {content}, found: {', '.join(names) or 'none'}"
            )
    wanted = [name for name in names if name == "x" or name in needed]
    return {name: parse_npy(name, members[f"{name}.npy"]) for name in wanted}


def _pixels(x: np.ndarray) -> np.ndarray:
    if len(x) == 0:
        raise ValueError(f"x has shape {x.shape} and holds no images; at least one is needed")
    if x.dtype.kind not in "biuf" or not (x.min() >= 0 and x.max() <= 1):
        raise ValueError("x must hold numbers in [0, 1]; divide bytes by 255")
    return x.astype(np.float32)
