"""The user's own table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.splits import split

if TYPE_CHECKING:
    from experiments.data.tables.preprocessing import Preprocessing


def load_table(
    path: Path,
    *,
    label: str | None,
    task: Literal["classification", "regression"],
    seed: int,
    impute: Literal["median"] | None = None,
    ignore: Sequence[str] = (),
    categories: Sequence[str] = (),
) -> Dataset:
    """Load a table of one's own: a row for each example, a column for each feature and the label.

    Numbers stay numbers, and each category becomes a feature of 0 or 1. Numbers are rounded to
    float32: of integers above 2^24 the last digits are lost. What fills missing cells is taken
    from the training rows of `split(dataset, seed=seed)` alone; a cross-validation has other
    training rows, and then a few of its test rows have had a part in the medians.

    Args:
        path: a file as for `read_table`.
        label: the column to predict: text, whole numbers or Booleans for a classification,
            numbers for a regression; None where there is nothing to predict, and `y` is 0.
        task: what is to be done.
        seed: decides the split.
        impute: "median" fills missing cells, see `Preprocessing.fit`; None refuses them.
        ignore: columns that are no features.
        categories: columns whose numbers only name something, such as codes.

    Returns:
        The data set, named after the file; `preprocessing` is what prediction needs.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file, column, label or cell that is not as described, with the remedy.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,color,name\\n150,red,apple\\n120,yellow,banana\\n")
    ...     fruit = load_table(path, label="name", task="classification", seed=0)
    >>> fruit.name, fruit.class_names, fruit.feature_names
    ('fruit', ('apple', 'banana'), ('weight', 'color=red', 'color=yellow'))
    >>> fruit.x.tolist(), fruit.y.tolist()
    ([[150.0, 1.0, 0.0], [120.0, 0.0, 1.0]], [0, 1])
    """
    # Polars takes a quarter of a second to import, and only tables need it.
    from experiments.data.tables.labels import encode_classes, find_classes, read_targets
    from experiments.data.tables.preprocessing import Preprocessing
    from experiments.data.tables.table import naming, read_table, require_column

    if task not in ("classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression', found {task!r}")
    if impute not in (None, "median"):
        raise ValueError(f"impute must be 'median' or None, found {impute!r}")
    if label in ignore:
        raise ValueError(f"ignore: column {label!r} is the label; ignore features only")
    path = Path(path)
    frame = read_table(path, ignore=ignore, categories=categories)
    with naming(path):
        class_names, y = (), np.zeros(frame.height, np.int32)
        if label is not None:
            require_column("label", label, frame.columns)
            class_names = find_classes(frame[label]) if task == "classification" else ()
            column = frame[label]
            y = encode_classes(column, class_names) if class_names else read_targets(column)
        dataset = Dataset(path.stem, np.zeros((len(y), 0), np.float32), y, class_names=class_names)
        fitted = Preprocessing.fit(
            frame,
            label=label,
            class_names=class_names,
            train_rows=split(dataset, seed=seed).train if impute else None,
            impute=impute,
            ignored=ignore,
        )
        return Dataset(
            path.stem,
            fitted.transform(frame),
            y,
            feature_names=fitted.feature_names,
            class_names=class_names,
            unit="" if class_names or label is None else label,
            preprocessing=fitted,
        )


def load_features(path: Path, preprocessing: Preprocessing) -> np.ndarray:
    """Load the features of a table as they were fitted, to predict from.

    Cells are read as the fitted columns say, not by what the new table looks like.

    Args:
        path: a file as for `read_table`; it may lack the label and the ignored columns.
        preprocessing: of the data set that was trained on.

    Returns:
        Features `(n, features)`, float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that cannot be read, or a table that `Preprocessing.transform` refuses.
    """
    from experiments.data.tables.table import naming, read_cells

    path = Path(path)
    with naming(path):
        return preprocessing.transform(read_cells(path, ignore=preprocessing.ignored))


def load_pictures(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Load pictures from the array `x` of an NPZ file, to predict from.

    Args:
        path: the file; other arrays in it do not matter.
        shape: of one picture, `(height, width, channels)`.

    Returns:
        Pictures `(n, *shape)`, float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, no array `x`, pictures of another shape, or values that
            are not in [0, 1].

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)))
    ...     load_pictures(path, (8, 8, 1)).shape
    (3, 8, 8, 1)
    """
    from experiments.data.tables.table import naming

    with naming(path):
        x = _read_arrays(path, ["x"])["x"]
        fits = x.shape[1:] == shape or (shape[-1] == 1 and x.shape[1:] == shape[:-1])
        if not fits:
            raise ValueError(f"x has shape {x.shape}, expected (n, {', '.join(map(str, shape))})")
        return _pixels(x).reshape(len(x), *shape)


def holds_pictures(path: Path) -> bool:
    """Whether a file is an NPZ file whose array `x` holds pictures: it has three axes or four.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an NPZ file that cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)))
    ...     holds_pictures(path), holds_pictures(Path(folder, "table.csv"))
    (True, False)
    """
    from experiments.data.tables.table import naming

    if path.suffix.lower() != ".npz":
        return False
    with naming(path):
        arrays = _read_arrays(path, [])
        return "x" in arrays and arrays["x"].ndim in (3, 4)


def load_labelled_pictures(path: Path, *, label: str | None) -> Dataset:
    """Load pictures of one's own from an NPZ file, with labels where there are any.

    Args:
        path: the file; `x` is `(n, height, width)` or `(n, height, width, channels)`, in [0, 1].
        label: the array of labels `(n,)`, text or whole numbers; None where there are none, and
            `y` is 0.

    Returns:
        The data set, named after the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: arrays that are missing, of another shape or type, or not in [0, 1].

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 8, 8)), kind=np.array(["a", "b", "a"]))
    ...     found = load_labelled_pictures(path, label="kind")
    >>> found.x.shape, found.y.tolist(), found.class_names
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
                    f"each of {len(x)} pictures"
                )
            column = polars.Series(label, arrays[label])
            class_names = find_classes(column)
            y = encode_classes(column, class_names)
        return Dataset(path.stem, x, y, class_names=class_names)


def _read_arrays(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """All arrays of an NPZ file, with those that are needed among them."""
    from experiments.data.named.archive import read_members
    from experiments.data.tables.npz import parse_npy
    from experiments.data.tables.table import MAX_BYTES

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; check the path (--data)")
    if path.suffix.lower() != ".npz":
        raise ValueError("pictures are read from an NPZ file with an array `x`")
    members = read_members(path, max_bytes=MAX_BYTES, suffix=".npy")
    names = [name.removesuffix(".npy") for name in members]
    for name in needed:
        if name not in names:
            what = "pictures" if name == "x" else "labels"
            raise ValueError(
                f"there is no array `{name}` of {what}, found: {', '.join(names) or 'none'}"
            )
    wanted = [name for name in names if name == "x" or name in needed]
    return {name: parse_npy(name, members[f"{name}.npy"]) for name in wanted}


def _pixels(x: np.ndarray) -> np.ndarray:
    if len(x) == 0:
        raise ValueError(f"x has shape {x.shape} and holds no pictures; at least one is needed")
    if x.dtype.kind not in "biuf" or not (x.min() >= 0 and x.max() <= 1):
        raise ValueError("x must hold numbers in [0, 1]; divide bytes by 255")
    return x.astype(np.float32)
