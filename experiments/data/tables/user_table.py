"""A table of the user's as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

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
    """Load a user's table: a row for each example, a column for each feature and the label.

    Numbers stay numbers, and each category becomes a feature of 0 or 1. Numbers are rounded to
    float32: of integers above 2^24 the last digits are lost. The values that fill missing cells are
    fitted on the training rows of `split(dataset, seed=seed)` alone; a cross-validation has other
    training rows, so that some of its test rows take part in the medians.

    Args:
        path: a file as for `read_table`.
        label: the column to predict: text, whole numbers or Booleans for a classification,
            numbers for a regression; None where there is nothing to predict, and `y` is 0.
        task: whether the label is a class or a number.
        seed: decides the split.
        impute: "median" fills missing cells, see `Preprocessing.fit`; None rejects them.
        ignore: columns that are not features.
        categories: columns whose numbers are names, such as codes.

    Returns:
        The data set, named after the file; `preprocessing` is what prediction needs.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a file, column, label or cell is not as described, with the remedy.

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


def load_features(path: Path, preprocessing: Preprocessing) -> Float[np.ndarray, "n features"]:
    """Load the features of new rows, to predict from, with the fitted preprocessing.

    The types of the columns are those that were fitted; they are not inferred from the new table.

    Args:
        path: a file as for `read_table`; it may lack the label and the ignored columns.
        preprocessing: of the training data.

    Returns:
        Features `(n, features)`, float32.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file cannot be read, or `Preprocessing.transform` rejects the table.
    """
    from experiments.data.tables.table import naming, read_cells

    path = Path(path)
    with naming(path):
        return preprocessing.transform(read_cells(path, ignore=preprocessing.ignored))
