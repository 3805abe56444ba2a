"""A table of the user's as a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.config import TableOptions
from experiments.data.dataset import Dataset, NewRows
from experiments.data.splits import split

if TYPE_CHECKING:
    import polars

    from experiments.data.tables.preprocessing import Preprocessing
    from experiments.data.tables.table import Table


def load_table(
    path: Path,
    *,
    label: str | None,
    task: Literal["classification", "regression"],
    seed: int,
    options: TableOptions | None = None,
    group: str | None = None,
    allows_missing: bool = False,
) -> Dataset:
    """Load a user's table: a row for each example, a column for each feature and the label.

    Numbers stay numbers, each category becomes a feature of 0 or 1, and dates become days and
    places in the year, the week and the day. The values that fill missing cells are fitted on the
    training rows of `split(dataset, seed=seed)` alone; a cross-validation has other training rows,
    so that some of its test rows take part in the medians.

    Args:
        path: a file as for `read_table`.
        label: the column to predict: text, whole numbers or Booleans for a classification,
            numbers for a regression; None where there is nothing to predict, and `y` is 0.
        task: whether the label is a class or a number.
        seed: decides the split.
        options: how the table is read; None is the defaults.
        group: a column by which examples are grouped, and which is not a feature.
        allows_missing: whether classes may be missing: `y` is -1 there, and the values that fill
            missing cells are fitted on these rows, where there are any.

    Returns:
        The data set, named after the file; `preprocessing` is what prediction needs, and `notes`
        says what was not plain.

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
    from experiments.data.tables.cells import clean_name, naming, require_column
    from experiments.data.tables.labels import (
        encode_classes,
        find_classes,
        read_targets,
        similar_classes,
    )
    from experiments.data.tables.preprocessing import Preprocessing
    from experiments.data.tables.table import read_table

    if task not in ("classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression', found {task!r}")
    options = _clean(TableOptions() if options is None else options)
    label = None if label is None else clean_name(label)
    group = None if group is None else clean_name(group)
    if group is not None and group in (label, *options.ignore):
        raise ValueError(f"group: column {group!r} is the label or ignored; name another one")
    if group is not None:
        options = dataclasses.replace(options, categories=(*options.categories, group))
    if label in options.ignore:
        raise ValueError(f"ignore: column {label!r} is the label; ignore features only")
    path = Path(path)
    table = read_table(path, options, label=label, task=task)
    with naming(path):
        class_names, y = (), np.zeros(table.frame.height, np.int32)
        if label is not None:
            names = [name for name in table.names if name not in options.ignore]
            require_column("label", label, names)
            require_column("label", label, table.frame.columns)
            column = table.frame[label]
            known = column.is_not_null().to_numpy() if allows_missing else np.full(len(y), True)
            labels = column.filter(known)
            class_names = find_classes(labels) if task == "classification" else ()
            if class_names:
                y = np.full(len(y), -1, np.int32)
                y[known] = encode_classes(labels, class_names)
            else:
                y = read_targets(column)
        frame, groupings = table.frame, {}
        if group is not None:
            require_column("group", group, frame.columns)
            groupings = {group: tuple(map(str, frame[group].to_list()))}
            frame = frame.drop(group)
        frame, dropped = _without_empty(frame, label)
        empty = np.zeros((len(y), 0), np.float32)
        dataset = Dataset(path.stem, empty, y, class_names=class_names)
        fitted = Preprocessing.fit(
            frame,
            label=label,
            class_names=class_names,
            train_rows=_fitted_rows(dataset, seed) if options.impute else None,
            options=_without_group(options, group),
            readings=table.readings,
        )
        fitted = dataclasses.replace(
            fitted,
            encoding=None if (table.encoding or "utf").startswith("utf") else table.encoding,
            num_columns=len(table.names) if options.header == "none" else None,
        )
        notes = (*table.notes, *dropped, *similar_classes(class_names))
        del table
        features = fitted.features(frame, is_fitted=True)
        return Dataset(
            path.stem,
            features.x,
            y,
            feature_names=fitted.feature_names,
            class_names=class_names,
            unit="" if class_names or label is None else label,
            preprocessing=fitted,
            groupings=groupings,
            notes=tuple(f"{path.name}: {note}" for note in (*notes, *features.notes)),
        )


def _fitted_rows(dataset: Dataset, seed: int) -> np.ndarray:
    """Rows on which values are fitted: those without a label, else the training rows."""
    if dataset.class_names and (unlabeled := np.flatnonzero(dataset.y < 0)).size:
        return unlabeled
    return split(dataset, seed=seed).train


def load_features(
    path: Path,
    preprocessing: Preprocessing,
    *,
    options: TableOptions | None = None,
    carry: Sequence[str] = (),
) -> NewRows:
    """Load the features of new rows, to predict from, with the fitted preprocessing.

    The types of the columns are those that were fitted; they are not inferred from the new table.

    Args:
        path: a file as for `read_table`; it may lack the label and the ignored columns, and have
            more columns.
        preprocessing: of the training data.
        options: columns to ignore, the encoding, and more marks of missing cells of this file.
        carry: columns that are taken over as they are, such as an identifier.

    Returns:
        Features, and what goes with them.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file cannot be read, there is no column to carry, or
            `Preprocessing.features` rejects the table.
    """
    from experiments.data.tables.cells import clean_name, naming, require_column
    from experiments.data.tables.table import read_cells

    path = Path(path)
    given = _clean(TableOptions() if options is None else options)
    has_header = preprocessing.num_columns is None
    carry = [clean_name(name) for name in carry]
    with naming(path):
        # The ignored columns of the training data may be of any type.
        ignore = set(given.ignore) | set(preprocessing.ignored) - set(carry)
        read = dataclasses.replace(
            given,
            ignore=() if not has_header else tuple(sorted(ignore)),
            header="first" if has_header else "none",
        )
        table = read_cells(path, read, likely=preprocessing.encoding)
        if not has_header:
            table = _with_places(table, preprocessing)
        for name in carry:
            require_column("carry", name, table.frame.columns)
        fitted = dataclasses.replace(
            preprocessing, missing=(*preprocessing.missing, *given.missing)
        )
        used = [column.name for column in fitted.columns]
        others = [name for name in (*carry, *given.ignore) if name not in used]
        features = fitted.features(table.frame.drop(others, strict=False))
        carried = {name: table.frame[name].to_list() for name in carry}
        notes = [f"{path.name}: {note}" for note in (*table.notes, *features.notes)]
        return NewRows(features.x, carried, features.row_notes, notes)


def _clean(options: TableOptions) -> TableOptions:
    """With names of columns as they are in a table that was read."""
    from experiments.data.tables.cells import clean_name

    ignore, categories = (
        tuple(dict.fromkeys(map(clean_name, names)))
        for names in (options.ignore, options.categories)
    )
    return dataclasses.replace(options, ignore=ignore, categories=categories)


def _without_group(options: TableOptions, group: str | None) -> TableOptions:
    """The options of the features: a new file may have the column of the groups, or not."""
    if group is None:
        return options
    categories = tuple(name for name in options.categories if name != group)
    return dataclasses.replace(options, categories=categories, ignore=(*options.ignore, group))


def _without_empty(
    frame: polars.DataFrame, label: str | None
) -> tuple[polars.DataFrame, list[str]]:
    """Without the columns of features in which no cell has a value, and a note for each."""
    is_empty = [
        column.name
        for column in frame.get_columns()
        if column.name != label and column.null_count() == len(column)
    ]
    return frame.drop(is_empty), [f"column {name!r} has no values; dropped" for name in is_empty]


def _with_places(table: Table, preprocessing: Preprocessing) -> Table:
    """Columns of a file without a header, from which the label may be left out."""
    places = [f"column_{i}" for i in range(1, (preprocessing.num_columns or 0) + 1)]
    if len(table.names) == len(places) - 1 and preprocessing.label in places:
        places.remove(preprocessing.label)
    if len(table.names) != len(places):
        raise ValueError(
            f"it has {len(table.names)} columns, and the training data without a header have "
            f"{len(places)}; write the same columns in the same order"
        )
    frame = table.frame.rename(dict(zip(table.names, places, strict=True)))
    return dataclasses.replace(table, frame=frame, names=places)
