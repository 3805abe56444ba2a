"""The fitted preprocessing of a table, saved with a run: columns, categories, medians, classes.

Encoding and imputation are Polars expressions on its columns: scikit-learn's encoders take object
arrays and do not say which row holds an unknown category, and their fitted state is not JSON.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
import polars
import pydantic
from jaxtyping import Float32

from experiments.data.tables.table import MAX_BYTES, numbers, texts

MAX_CATEGORIES = 1000

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_NUM_SHOWN = 5
_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclasses.dataclass(frozen=True)
class Number:
    """A column of numbers, which is one feature.

    Attributes:
        name: its name in the table.
        median: of the training rows, for missing cells; None rejects these.
    """

    __pydantic_config__ = _STRICT

    name: str
    median: float | None = None
    kind: Literal["number"] = "number"


@dataclasses.dataclass(frozen=True)
class Category:
    """A column of text, which is one feature of 0 or 1 for each of its values.

    Attributes:
        name: its name in the table.
        values: all values of the table, sorted.
        most_frequent: in the training rows, for missing cells; None rejects these.
    """

    __pydantic_config__ = _STRICT

    name: str
    values: tuple[str, ...]
    most_frequent: str | None = None
    kind: Literal["category"] = "category"


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The map from rows of a table to features, the same in training and in prediction.

    Attributes:
        columns: in the order of the features.
        label: the column that is predicted, or None where nothing is.
        class_names: the classes in the order of the outputs; empty for a regression.
        ignored: columns that are left out where a table has them.

    >>> frame = polars.DataFrame({"size": [1.5, None], "color": ["red", "blue"], "y": [0, 1]})
    >>> fitted = Preprocessing.fit(frame, label="y", class_names=("0", "1"), impute="median")
    >>> fitted.feature_names
    ('size', 'color=blue', 'color=red')
    >>> fitted.transform(frame).tolist()
    [[1.5, 0.0, 1.0], [1.5, 1.0, 0.0]]
    >>> Preprocessing.from_json(fitted.to_json()) == fitted
    True
    """

    __pydantic_config__ = _STRICT

    columns: tuple[Annotated[Number | Category, pydantic.Field(discriminator="kind")], ...]
    label: str | None
    class_names: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        used = [*names, *_not_features(self.label, self.ignored)]
        fills = {_fill(column) is not None for column in self.columns}
        if not names:
            raise ValueError("there is no column of features left; at least one is needed")
        if "" in used or len(set(used)) < len(used):
            raise ValueError("a name in columns, label and ignored is empty or occurs twice")
        if len(fills) > 1:
            raise ValueError("only some of the columns say what fills a missing cell")
        if len(self.class_names) == 1 or len(set(self.class_names)) < len(self.class_names):
            raise ValueError("class_names must be different, and none or at least two")
        for column in self.columns:
            _check_column(column)

    @classmethod
    def fit(
        cls,
        frame: polars.DataFrame,
        *,
        label: str | None,
        class_names: Sequence[str] = (),
        train_rows: np.ndarray | None = None,
        impute: Literal["median"] | None = None,
        ignored: Sequence[str] = (),
    ) -> Self:
        """Find the categories in all rows, and fit the values for missing cells on training rows.

        Args:
            frame: from `read_table`, with the label. Columns of text and Booleans are categories.
            label: the column that is predicted, or None.
            class_names: from `find_classes`; empty for a regression.
            train_rows: indices of the training rows; None for all.
            impute: "median" fills missing cells: numbers with the median of the training rows,
                categories with their most frequent value there, of several the first in sorted
                order. None rejects missing cells.
            ignored: columns that are left out of other tables too, where these have them.

        Returns:
            The fitted preprocessing.

        Raises:
            ValueError: a cell is missing and `impute` is None; a column has no value in the
                training rows, or more than `MAX_CATEGORIES` categories; no column of features is
                left.
        """
        if impute not in (None, "median"):
            raise ValueError(f"impute must be 'median' or None, found {impute!r}")
        features = frame.drop(*_not_features(label, ignored), strict=False)
        if impute is None:
            _reject_missing(features)
        rows = features if train_rows is None else features[train_rows]
        return cls(
            tuple(
                _fit_column(column, rows[column.name] if impute else None)
                for column in features.get_columns()
            ),
            label,
            tuple(class_names),
            tuple(dict.fromkeys(ignored)),
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature: the column, or `column=value` for a category."""
        return tuple(
            name
            for column in self.columns
            for name in (
                [column.name]
                if isinstance(column, Number)
                else [f"{column.name}={value}" for value in column.values]
            )
        )

    @property
    def imputes(self) -> bool:
        """Whether missing cells are filled."""
        return _fill(self.columns[0]) is not None

    def transform(self, frame: polars.DataFrame) -> Float32[np.ndarray, "n features"]:
        """The features of a table. Columns are found by name, in any order.

        The label and ignored columns are dropped where they exist. Numbers are rounded from
        float64 to float32: of integers above 2^24 the last digits are lost.

        Args:
            frame: from `read_cells` or `read_table`.

        Returns:
            Features `(n, features)`, float32, in the order of `feature_names`.

        Raises:
            ValueError: a column is missing or unknown, a column of numbers contains text or a
                number that is infinite in float32, a category is not in the training data, or a
                cell is missing and missing cells are not filled.
        """
        features = frame.drop(*_not_features(self.label, self.ignored), strict=False)
        names = [column.name for column in self.columns]
        absent = [name for name in names if name not in features.columns]
        unknown = [name for name in features.columns if name not in names]
        if absent or unknown:
            problems = [f"columns are missing: {', '.join(map(repr, absent))}"] if absent else []
            problems += [f"columns are unknown: {', '.join(map(repr, unknown))}"] if unknown else []
            raise ValueError(
                f"{'; '.join(problems)}; expected in any order: {', '.join(names)}; rename, add or "
                "remove columns"
            )
        if not self.imputes:
            _reject_missing(features)
        num_features = len(self.feature_names)
        if 4 * frame.height * num_features > MAX_BYTES:
            raise ValueError(
                f"{frame.height} rows of {num_features} features need more than {MAX_BYTES} bytes; "
                "leave out columns of many categories (--ignore COLUMN), or rows"
            )
        x = np.zeros((frame.height, num_features), np.float32)
        start = 0
        for column in self.columns:
            cells = features[column.name]
            if isinstance(column, Number):
                x[:, start] = _filled(numbers(cells), column.median).to_numpy()
                start += 1
            else:
                x[np.arange(len(x)), start + _encode(column, cells)] = 1
                start += len(column.values)
        return x

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return pydantic.TypeAdapter(Preprocessing).dump_json(self, indent=2).decode()

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
        try:
            return pydantic.TypeAdapter(Preprocessing).validate_json(text)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            problem = first["msg"].removeprefix("Value error, ")
            raise ValueError(
                f"not a saved preprocessing: {where}{': ' if where else ''}{problem}; "
                "restore the file from the run, or train again"
            ) from error


def _not_features(label: str | None, ignored: Sequence[str]) -> list[str]:
    return [*([] if label is None else [label]), *ignored]


def _check_column(column: Number | Category) -> None:
    problem = ""
    if isinstance(column, Number):
        if column.median is not None and not abs(column.median) <= _FLOAT32_MAX:
            problem = f"the median {column.median} is infinite in float32"
    elif not 1 <= len(column.values) <= MAX_CATEGORIES:
        problem = f"it has {len(column.values)} categories, expected 1 to {MAX_CATEGORIES}"
    elif any(low >= high for low, high in itertools.pairwise(column.values)):
        problem = "its values must be sorted and different"
    elif column.most_frequent is not None and column.most_frequent not in column.values:
        problem = f"most_frequent is {column.most_frequent!r}, which is not one of its values"
    if problem:
        raise ValueError(f"column {column.name!r}: {problem}")


def _fill(column: Number | Category) -> float | str | None:
    return column.median if isinstance(column, Number) else column.most_frequent


def _fit_column(column: polars.Series, train: polars.Series | None) -> Number | Category:
    """One fitted column; `train` are its training rows if missing cells are filled, else None."""
    if train is not None and train.null_count() == len(train):
        raise ValueError(
            f"column {column.name!r} is missing in every training row, so nothing can fill it; "
            f"leave it out (--ignore {column.name})"
        )
    if column.dtype.is_numeric():
        numbers(column)
        median = None if train is None else float(cast(float, numbers(train).median()))
        return Number(column.name, median)
    values = texts(column).drop_nulls().unique().sort().to_list()
    if len(values) > MAX_CATEGORIES:
        raise ValueError(
            f"column {column.name!r} has {len(values)} categories ({', '.join(values[:3])}, ...), "
            f"at most {MAX_CATEGORIES} are supported; if it is an identifier or free text, leave "
            f"it out (--ignore {column.name})"
        )
    most_frequent = None if train is None else cast(str, texts(train).drop_nulls().mode().min())
    return Category(column.name, tuple(values), most_frequent)


def _encode(column: Category, cells: polars.Series) -> np.ndarray:
    """The index of each cell among the values."""
    filled = _filled(texts(cells), column.most_frequent)
    codes = filled.cast(polars.Enum(column.values), strict=False).to_physical()
    if (unknown := codes.is_null()).any():
        row = int(unknown.arg_true()[0])
        known = ", ".join(column.values[:20]) + (", ..." if len(column.values) > 20 else "")
        raise ValueError(
            f"column {column.name!r} holds {filled[row]!r} in row {row + 1} (counted from 1 below "
            f"the header), which the training data do not contain ({unknown.sum()} such cells); "
            f"known: {known}"
        )
    return codes.to_numpy().astype(np.int64)


def _filled(cells: polars.Series, fill: float | str | None) -> polars.Series:
    return cells if fill is None else cells.fill_null(fill)


def _reject_missing(frame: polars.DataFrame) -> None:
    gaps = {column.name: column.is_null().arg_true() for column in frame.get_columns()}
    total = sum(map(len, gaps.values()))
    if not total:
        return
    first = [(row, name) for name in gaps for row in gaps[name].head(_NUM_SHOWN).to_list()]
    first = sorted(first, key=lambda cell: cell[0])[:_NUM_SHOWN]
    shown = ", ".join(f"(row {row + 1}, column {name!r})" for row, name in first)
    raise ValueError(
        f"{total} {'cell is' if total == 1 else 'cells are'} missing: {shown}"
        f"{', ...' if total > _NUM_SHOWN else ''}; rows are counted from 1 below the header; fill "
        "them in, or train with --impute median, which fills them from the training rows"
    )
