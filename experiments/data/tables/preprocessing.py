"""The fitted preprocessing of a table, saved with a run: columns, categories, fills, classes.

Encoding and imputation are Polars expressions on its columns: scikit-learn's encoders take object
arrays and do not say which row holds an unknown category, and their fitted state is not JSON.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import polars
from jaxtyping import Float32

from experiments.config import TableOptions
from experiments.data.format import from_saved_json, to_saved_json
from experiments.data.tables.cells import listed, name_key, numbers
from experiments.data.tables.columns import Category, Column, Date, Number
from experiments.data.tables.fitting import fit_column
from experiments.data.tables.inference import Reading
from experiments.data.tables.table import MAX_BYTES

__all__ = ["Category", "Date", "Features", "Number", "Preprocessing"]

_NUM_SHOWN = 5
_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


class Features(NamedTuple):
    """The features of a table, and what was done to get them.

    Attributes:
        x: `(n, features)`, float32.
        row_notes: for each row what was filled or unknown in it, "" for most; empty for the table
            that was fitted.
        notes: the same for the whole table, a sentence for each column.
    """

    x: np.ndarray
    row_notes: list[str]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The map from rows of a table to features, the same in training and in prediction.

    Attributes:
        columns: in the order of the features.
        label: the column that is predicted, or None where nothing is.
        class_names: the classes in the order of the outputs; empty for a regression.
        ignored: columns that are left out where a table has them.
        unseen: what becomes of a category that is not in the training data.
        missing: more marks of missing cells.
        encoding: of the text file, for new ones that are not UTF-8.
        num_columns: of a file without a header; None where there is one.

    >>> frame = polars.DataFrame({"size": [1.5, None], "color": ["red", "blue"], "y": [0, 1]})
    >>> options = TableOptions(impute="median")
    >>> fitted = Preprocessing.fit(frame, label="y", class_names=("0", "1"), options=options)
    >>> fitted.feature_names
    ('size', 'size is missing', 'color=blue', 'color=red')
    >>> fitted.transform(frame).tolist()
    [[1.5, 0.0, 0.0, 1.0], [1.5, 1.0, 1.0, 0.0]]
    >>> Preprocessing.from_json(fitted.to_json()) == fitted
    True
    """

    __pydantic_config__ = _STRICT
    kind: ClassVar[str] = "table"

    columns: tuple[Column, ...]
    label: str | None
    class_names: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    unseen: Literal["other", "reject"] = "other"
    missing: tuple[str, ...] = ()
    encoding: str | None = None
    num_columns: int | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        used = [*names, *_not_features(self.label, self.ignored)]
        fills = {column.fill is not None for column in self.columns}
        if not names:
            raise ValueError("there is no column of features left; at least one is needed")
        if "" in used or len(set(used)) < len(used):
            raise ValueError("a name in columns, label and ignored is empty or occurs twice")
        if len(fills) > 1:
            raise ValueError("only some of the columns say what fills a missing cell")
        if len(self.class_names) == 1 or len(set(self.class_names)) < len(self.class_names):
            raise ValueError("class_names must be different, and none or at least two")

    @classmethod
    def fit(
        cls,
        frame: polars.DataFrame,
        *,
        label: str | None,
        class_names: Sequence[str] = (),
        train_rows: np.ndarray | None = None,
        options: TableOptions | None = None,
        readings: dict[str, Reading] | None = None,
    ) -> Self:
        """Find the categories in all rows, and fit the values for missing cells on training rows.

        Args:
            frame: of `read_table`, with the label. Columns of text and Booleans are categories.
            label: the column that is predicted, or None.
            class_names: from `find_classes`; empty for a regression.
            train_rows: indices of the training rows; None for all.
            options: how the table is read. With `impute` "median", a missing number becomes the
                median of the training rows; with "most_frequent", and for categories always, the
                most frequent value there, of several the smallest. None rejects missing cells.
            readings: of `read_table`, how the cells of each column were read.

        Returns:
            The fitted preprocessing.

        Raises:
            ValueError: a cell is missing and nothing fills it; a column has no value in the
                training rows, or too many categories; no column of features is left.
        """
        options = TableOptions() if options is None else options
        features = frame.drop(*_not_features(label, options.ignore), strict=False)
        if options.impute is None:
            _reject_missing({column.name: column.is_null() for column in features.get_columns()})
        readings = readings or {}
        columns = tuple(
            fit_column(column, train_rows, options.impute, readings.get(column.name))
            for column in features.get_columns()
        )
        ignored = tuple(dict.fromkeys(options.ignore))
        return cls(
            columns, label, tuple(class_names), ignored, options.unseen, tuple(options.missing)
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature: the column, or `column=value` for a category."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def imputes(self) -> bool:
        """Whether missing cells are filled."""
        return self.columns[0].fill is not None

    def transform(self, frame: polars.DataFrame) -> Float32[np.ndarray, "n features"]:
        """The features of a table, as `features`.

        Args:
            frame: of `read_cells` or `read_table`.

        Returns:
            Features `(n, features)`, float32, in the order of `feature_names`.

        Raises:
            ValueError: as `features`.
        """
        return self.features(frame).x

    def features(self, frame: polars.DataFrame, *, is_fitted: bool = False) -> Features:
        """The features of a table, and what was done to get them.

        Columns are found by name, in any order and with other capitals or spaces. Others are left
        out. Numbers are rounded from float64 to float32 when the offset of their column has been
        subtracted.

        Args:
            frame: of `read_cells` or `read_table`.
            is_fitted: whether it is the table that was fitted, whose per cent are numbers by now.

        Returns:
            Features, and notes.

        Raises:
            ValueError: a column is missing, a column of numbers contains text or a number that is
                infinite in float32, a category is not in the training data and unseen ones are
                rejected, or a cell is missing and missing cells are not filled.
        """
        frame, notes = self._select(frame)
        num_features = len(self.feature_names)
        if 4 * frame.height * num_features > MAX_BYTES:
            raise ValueError(
                f"{frame.height} rows of {num_features} features need more than {MAX_BYTES} bytes; "
                "leave out columns of many categories (--ignore COLUMN), or rows"
            )

        def read(column: Number | Category | Date) -> polars.Series:
            cells = frame[column.name]
            if is_fitted and isinstance(column, Number):
                return numbers(cells)
            return column.read(cells, self.missing)

        if not self.imputes and not is_fitted:
            _reject_missing({column.name: read(column).is_null() for column in self.columns})
        x = np.zeros((frame.height, num_features), np.float32)
        # Of the training data, whose predictions are not written, they would only cost memory.
        row_notes = [] if is_fitted else [""] * frame.height
        start = 0
        for column in self.columns:
            values = read(column)
            part = slice(start, start + len(column.feature_names))
            x[:, part] = column.features(values)
            start = part.stop
            if values.null_count():
                fill = column.shown_fill if isinstance(column, Date) else column.fill
                notes.append(
                    _add(row_notes, column.name, values.is_null(), f"missing, {fill} used")
                )
            if isinstance(column, Category) and (unseen := column.unseen(values)).any():
                notes.append(self._add_unseen(row_notes, column, values, unseen))
        return Features(x, row_notes, notes)

    def _select(self, frame: polars.DataFrame) -> tuple[polars.DataFrame, list[str]]:
        """The columns in their order and by their names, and a note about others."""
        by_key: dict[str, list[str]] = {}
        for name in frame.columns:
            by_key.setdefault(name_key(name), []).append(name)
        found = {
            column.name: [column.name]
            if column.name in frame.columns
            else by_key.get(name_key(column.name), [])
            for column in self.columns
        }
        names = [column.name for column in self.columns]
        if absent := [name for name in names if len(found[name]) != 1]:
            raise ValueError(
                f"columns are missing: {', '.join(map(repr, absent))}; expected in any order: "
                f"{', '.join(names)}; found: {', '.join(frame.columns)}; rename or add columns"
            )
        used = {found[name][0] for name in names}
        expected = {name_key(name) for name in _not_features(self.label, self.ignored)}
        extra = [n for n in frame.columns if n not in used and name_key(n) not in expected]
        notes = [f"columns that the training data do not have are ignored: {listed(extra)}"]
        selected = frame.select(polars.col(found[name][0]).alias(name) for name in names)
        return selected, notes if extra else []

    def _add_unseen(
        self, row_notes: list[str], column: Category, values: polars.Series, unseen: polars.Series
    ) -> str:
        cells = values.filter(unseen).unique(maintain_order=True).to_list()
        if self.unseen == "reject":
            row = int(unseen.arg_true()[0])
            known = ", ".join(column.values[:20]) + (", ..." if len(column.values) > 20 else "")
            raise ValueError(
                f"column {column.name!r} holds {cells[0]!r} in row {row + 1} (counted from 1 below "
                f"the header), which the training data do not contain ({unseen.sum()} such cells); "
                f"known: {known}; correct it, or predict with --unseen other"
            )
        note = _add(row_notes, column.name, unseen, "not in the training data")
        return f"{note} ({listed(cells)})"

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        filled = {"missing cells": "filled with values of the training rows"}
        ignored = {"ignored columns": list(self.ignored)}
        return (filled if self.imputes else {}) | (ignored if self.ignored else {})

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return to_saved_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Preprocessing":
        """Read what `to_json` wrote.

        Args:
            text: JSON.

        Returns:
            The fitted preprocessing.

        Raises:
            ValueError: the text is not JSON, a field is missing, unknown or of another type, or the
                values are not those of a fitted preprocessing.

        >>> Preprocessing.from_json('{"columns": [], "label": "y"}')
        Traceback (most recent call last):
            ...
        ValueError: not a saved preprocessing: there is no column of features left; ...
        """
        return from_saved_json(Preprocessing, text, what="a saved preprocessing")


def _not_features(label: str | None, ignored: Sequence[str]) -> list[str]:
    return [*([] if label is None else [label]), *ignored]


def _add(row_notes: list[str], name: str, rows: polars.Series, what: str) -> str:
    """Add a note to some rows; the note about all of them."""
    indices = rows.arg_true().to_list()
    for row in indices if row_notes else []:
        row_notes[row] += f"{'; ' if row_notes[row] else ''}{name}: {what}"
    return f"column {name!r} in {len(indices)} {'row' if len(indices) == 1 else 'rows'}: {what}"


def _reject_missing(gaps: dict[str, polars.Series]) -> None:
    """Raise where a cell is missing: column -> where its cells are."""
    rows = {name: gap.arg_true() for name, gap in gaps.items()}
    total = sum(map(len, rows.values()))
    if not total:
        return
    first = [(row, name) for name in rows for row in rows[name].head(_NUM_SHOWN).to_list()]
    first = sorted(first, key=lambda cell: cell[0])[:_NUM_SHOWN]
    shown = ", ".join(f"(row {row + 1}, column {name!r})" for row, name in first)
    raise ValueError(
        f"{total} {'cell is' if total == 1 else 'cells are'} missing: {shown}"
        f"{', ...' if total > _NUM_SHOWN else ''}; rows are counted from 1 below the header; fill "
        "them in, or train with --impute median or --impute most_frequent, which fill them from "
        "the training rows"
    )
