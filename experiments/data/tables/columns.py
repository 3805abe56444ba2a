"""Fitted columns of a table, as they are saved with a run: how cells are read, and their features.

The spelling and the type of a cell do not matter: `1` is `1.0`, `TRUE` is `true`, and a date is a
date in each format that leaves nothing open.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal

import numpy as np
import polars
import pydantic
from jaxtyping import Float32

from experiments.data.tables.cells import (
    MISSING,
    MISSING_NUMBERS,
    describe,
    mark_missing,
    name_key,
    numbers,
    texts,
)
from experiments.data.tables.dates import (
    Part,
    cyclic_features,
    cyclic_names,
    read_dates,
    to_numbers,
)
from experiments.data.tables.notation import Notation, read_numbers

MAX_CATEGORIES = 1000
OTHER = -1

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_TRUTH = {"true": "true", "yes": "true", "y": "true", "t": "true", "1": "true"} | {
    **{"false": "false", "no": "false", "n": "false", "f": "false", "0": "false"}
}


@dataclasses.dataclass(frozen=True)
class Number:
    """A column of numbers, which is one feature.

    Attributes:
        name: its name in the table.
        fill: what a missing cell becomes; None rejects it.
        indicator: whether a second feature is 1 where a cell is missing.
        offset: subtracted in float64, where float32 could not tell the numbers apart.
        decimal: the decimal mark of cells of text.
        unit: the currency or unit behind or before all cells; "%" for per cent.
    """

    __pydantic_config__ = _STRICT

    name: str
    fill: float | None = None
    indicator: bool = False
    offset: float = 0.0
    decimal: Literal["point", "comma"] = "point"
    unit: str = ""
    kind: Literal["number"] = "number"

    def __post_init__(self) -> None:
        for name in ("fill", "offset"):
            value = getattr(self, name)
            if value is not None and not abs(value) <= _FLOAT32_MAX:
                raise ValueError(f"column {self.name!r}: {name} {value} is infinite in float32")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature."""
        shown = f"{self.name} - {self.offset:.15g}" if self.offset else self.name
        return (shown, *_indicator_name(self))

    def read(self, cells: polars.Series, marks: Collection[str] = ()) -> polars.Series:
        """Cells of any type as Float64, null where one is missing.

        Raises:
            ValueError: a cell is not a number, has another unit, or is infinite in float32.
        """
        if cells.dtype == polars.Boolean:
            cells = cells.cast(polars.Int8)
        if cells.dtype.is_temporal():
            raise ValueError(f"column {self.name!r} holds dates, expected numbers; correct it")
        cells = mark_missing(cells, {*MISSING, *MISSING_NUMBERS, *marks})
        if cells.dtype != polars.String and self.unit == "%" and len(cells.drop_nulls()):
            raise ValueError(
                f"column {self.name!r} holds {cells.drop_nulls()[0]!r}, and the training data have "
                "per cent; write it as text with the sign %"
            )
        values = cells.cast(polars.Float64, strict=False)
        is_plain = values.is_not_null() | cells.is_null()
        if cells.dtype == polars.String and (
            not is_plain.all() or self.decimal == "comma" or self.unit == "%"
        ):
            saved = Notation(self.decimal, self.unit)
            read, _ = read_numbers(cells, saved=saved)
            truth = cells.str.to_lowercase().replace_strict(
                ["true", "false"], [1.0, 0.0], default=None, return_dtype=polars.Float64
            )
            # What is no number in any notation, such as inf, is plain.
            cells = _where_read(cells, read.fill_null(truth).fill_null(values))
        return numbers(cells)

    def features(self, values: polars.Series) -> Float32[np.ndarray, "n features"]:
        """The features of the values that `read` returned."""
        filled = values if self.fill is None else values.fill_null(self.fill)
        return _with_indicator(self, filled.to_numpy() - self.offset, values)


@dataclasses.dataclass(frozen=True)
class Category:
    """A column of text, which is one feature of 0 or 1 for each of its values.

    Attributes:
        name: its name in the table.
        values: all values of the table, sorted.
        fill: what a missing cell becomes; None rejects it.
        indicator: whether a last feature is 1 where a cell is missing.
    """

    __pydantic_config__ = _STRICT

    name: str
    values: tuple[str, ...]
    fill: str | None = None
    indicator: bool = False
    kind: Literal["category"] = "category"

    def __post_init__(self) -> None:
        problem = ""
        if not 1 <= len(self.values) <= MAX_CATEGORIES:
            problem = f"it has {len(self.values)} categories, expected 1 to {MAX_CATEGORIES}"
        elif any(low >= high for low, high in itertools.pairwise(self.values)):
            problem = "its values must be sorted and different"
        elif self.fill is not None and self.fill not in self.values:
            problem = f"fill is {self.fill!r}, which is not one of its values"
        if problem:
            raise ValueError(f"column {self.name!r}: {problem}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature."""
        return (*(f"{self.name}={value}" for value in self.values), *_indicator_name(self))

    def read(self, cells: polars.Series, marks: Collection[str] = ()) -> polars.Series:
        """Cells of any type as the values they spell, null where one is missing.

        A cell that spells none of the values stays as it is.
        """
        cells = texts(cells).str.strip_chars()
        # NA is a value where it is that of Namibia.
        cells = mark_missing(cells, {*MISSING, *marks} - set(self.values))
        known, spelling = set(self.values), _speller(self.values)
        by_spelling: dict[str, list[str]] = {}
        for value in self.values:
            by_spelling.setdefault(spelling(value), []).append(value)
        same = {
            cell: values[0]
            for cell in cells.drop_nulls().unique().to_list()
            if cell not in known and len(values := by_spelling.get(spelling(cell), [])) == 1
        }
        return cells.replace(list(same), list(same.values())) if same else cells

    def unseen(self, values: polars.Series) -> polars.Series:
        """Which values are none of the known ones."""
        return values.is_not_null() & ~values.is_in(list(self.values))

    def features(self, values: polars.Series) -> Float32[np.ndarray, "n features"]:
        """The features of the values that `read` returned; of an unknown one all are 0."""
        filled = values if self.fill is None else values.fill_null(self.fill)
        codes = filled.cast(polars.Enum(self.values), strict=False).to_physical()
        columns = codes.cast(polars.Int64).fill_null(OTHER).to_numpy()
        x = np.zeros((len(values), len(self.feature_names)), np.float32)
        rows = np.flatnonzero(columns != OTHER)
        x[rows, columns[rows]] = 1
        if self.indicator:
            x[:, -1] = values.is_null().to_numpy()
        return x


@dataclasses.dataclass(frozen=True)
class Date:
    """A column of dates or times of day.

    Its features are the days since a day (of times of day, hours), and the sine and cosine of the
    place in the year and in the week, and of dates with times in the day.

    Attributes:
        name: its name in the table.
        part: what its cells hold.
        fill: what a missing cell becomes: days since 1970-01-01, or hours; None rejects it.
        indicator: whether a last feature is 1 where a cell is missing.
        offset: the day since which days are counted, in days since 1970-01-01.
        format: of dates that leave it open what the day is.
    """

    __pydantic_config__ = _STRICT

    name: str
    part: Part = "date"
    fill: float | None = None
    indicator: bool = False
    offset: float = 0.0
    format: str = ""
    kind: Literal["date"] = "date"

    @property
    def shown_fill(self) -> str:
        """What a missing cell becomes, as it is written."""
        if self.fill is None or self.part == "time":
            return f"{self.fill} hours"
        return str(np.datetime64(int(self.fill), "D"))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each feature."""
        first = f"{self.name} (hours)"
        if self.part != "time":
            day = np.datetime64(int(self.offset), "D")
            first = f"{self.name} (days since {day})"
        return (first, *cyclic_names(self.name, self.part), *_indicator_name(self))

    def read(self, cells: polars.Series, marks: Collection[str] = ()) -> polars.Series:
        """Cells as days since 1970-01-01, or hours; null where one is missing.

        Raises:
            ValueError: a cell is not a date, or it is open which number is the day.
        """
        cells = mark_missing(cells, {*MISSING, *MISSING_NUMBERS, *marks})
        if cells.null_count() == len(cells):
            return cells.cast(polars.Float64)
        values = cells
        if cells.dtype.is_integer() and self.format:
            cells = cells.cast(polars.String)
        if cells.dtype == polars.String:
            dates = read_dates(cells, saved=self.format)
            values = cells if dates is None else dates.values
        is_time = values.dtype == polars.Time
        if not values.dtype.is_temporal() or is_time != (self.part == "time"):
            expected = "times of day" if self.part == "time" else "dates"
            raise ValueError(
                f"column {self.name!r} holds {cells.drop_nulls()[0]!r} in a column of {expected}; "
                "correct it"
            )
        return to_numbers(values)

    def features(self, values: polars.Series) -> Float32[np.ndarray, "n features"]:
        """The features of the values that `read` returned."""
        filled = (values if self.fill is None else values.fill_null(self.fill)).to_numpy()
        cycles = cyclic_features(filled, self.part)
        return _with_indicator(self, filled - self.offset, values, cycles)


Column = Annotated[Number | Category | Date, pydantic.Field(discriminator="kind")]


def _indicator_name(column: Number | Category | Date) -> tuple[str, ...]:
    return (f"{column.name} is missing",) if column.indicator else ()


def _with_indicator(
    column: Number | Date, first: np.ndarray, values: polars.Series, *others: np.ndarray
) -> np.ndarray:
    parts = [first[:, None], *others]
    if column.indicator:
        parts.append(values.is_null().to_numpy()[:, None])
    return np.concatenate([part.astype(np.float32) for part in parts], axis=1)


def _where_read(cells: polars.Series, values: polars.Series) -> polars.Series:
    """The numbers that were read.

    Raises:
        ValueError: a cell that is not missing was not.
    """
    wrong = cells.is_not_null() & (values.is_null() | values.is_nan().fill_null(False))
    if wrong.any():
        raise ValueError(
            f"column {cells.name!r} holds text in a column of numbers: {describe(cells, wrong)}; "
            "correct the cells"
        )
    return values


def _speller(values: Collection[str]) -> Callable[[str], str]:
    """From a cell to what all spellings of its value have in common: 1, 1.0 and 01; red and RED.

    Where all values are words for true and false, these are the same in every spelling, too.
    """

    def spelling(cell: str) -> str:
        key = name_key(cell)
        try:
            number = float(key)
        except ValueError:
            return key
        return f"{number:.17g}" if np.isfinite(number) else key

    if {spelling(value) for value in values} <= _TRUTH.keys():
        return lambda cell: _TRUTH.get(spelling(cell), spelling(cell))
    return spelling
