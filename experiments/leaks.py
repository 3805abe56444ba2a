"""Columns of a user's table that alone say the label."""

import numpy as np

from experiments.data import Dataset

# With fewer rows, a column may do so by chance.
_MIN_ROWS, _SAMPLE = 12, 2000


def find_leaks(dataset: Dataset) -> list[str]:
    """Columns each of which alone predicts the label of every row.

    A column of numbers does where each class has one range of its values, a column of categories
    where each of its values occurs with one class and, on average, in several rows. For a
    regression: a column of numbers with a correlation of 1 with the target.

    Args:
        dataset: the data; only a user's table is examined.

    Returns:
        Names of columns.

    >>> x = np.arange(20, dtype=np.float32)[:, None]
    >>> labels = (x[:, 0] > 7).astype(np.int32)
    >>> find_leaks(Dataset("t", x, labels, feature_names=("a",), class_names=("u", "v")))
    ['a']
    """
    names = dataset.feature_names
    is_table = not dataset.is_image and dataset.length is None and bool(names)
    if dataset.is_named or not is_table or len(dataset.y) < _MIN_ROWS:
        return []
    if not dataset.class_names:
        return _find_copies(dataset)
    # Few rows exclude nearly all columns.
    few = np.random.default_rng(0).permutation(len(dataset.y))[:_SAMPLE]
    sample, labels = dataset.x[few], dataset.y[few]
    return [
        column
        for column, features in _columns(names).items()
        if _says_label(sample[:, features], labels)
        and _says_label(dataset.x[:, features], dataset.y)
    ]


def note_leaks(dataset: Dataset) -> list[str]:
    """A warning that names the columns of `find_leaks`, if there are any."""
    leaks = find_leaks(dataset)
    if not leaks:
        return []
    shown = ", ".join(map(repr, leaks[:5])) + (", ..." if len(leaks) > 5 else "")
    verb = "predicts" if len(leaks) == 1 else "predict, each of them,"
    what = "label" if dataset.class_names else "target"
    return [
        f"column {shown} alone {verb} the {what} of every row; where it is known only after the "
        f"{what}, leave it out (--ignore {leaks[0]})"
    ]


def _columns(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Features by the column that they come from: those of a category are called column=value."""
    columns: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        columns.setdefault(name.partition("=")[0], []).append(index)
    return columns


def _says_label(x: np.ndarray, y: np.ndarray) -> bool:
    if x.shape[1] == 1:
        values = x[:, 0]
    else:
        values, counts = x.argmax(axis=1), x.shape[1]
        if len(y) < 2 * counts:
            return False
        codes = np.zeros(values.max() + 1, np.int64)
        codes[values] = y
        return bool((codes[values] == y).all())
    order = np.lexsort((y, values))
    changes = np.diff(y[order]) != 0
    # Equal values must have equal labels.
    if (changes & (np.diff(values[order]) == 0)).any():
        return False
    return int(changes.sum()) == len(np.unique(y)) - 1


def _find_copies(dataset: Dataset) -> list[str]:
    x = dataset.x.astype(np.float64)
    x -= x.mean(axis=0)
    y = dataset.y.astype(np.float64) - dataset.y.mean(dtype=np.float64)
    norms = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    correlations = np.abs(x.T @ y) / np.maximum(norms, np.finfo(np.float64).tiny)
    return [dataset.feature_names[i] for i in np.flatnonzero(correlations > 1 - 1e-6)]
