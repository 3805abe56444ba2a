"""Fit columns: categories on all rows, values for missing cells on the training rows."""

import math
from typing import Literal

import numpy as np
import polars

from experiments.data.scaling import needs_float64
from experiments.data.tables.cells import numbers, texts
from experiments.data.tables.columns import MAX_CATEGORIES, Category, Date, Number
from experiments.data.tables.dates import part_of, to_numbers
from experiments.data.tables.inference import Reading

Impute = Literal["median", "most_frequent"] | None


def fit_column(
    column: polars.Series, train_rows: np.ndarray | None, impute: Impute, reading: Reading | None
) -> Number | Category | Date:
    """Fit a column of features.

    Args:
        column: its typed values, null where a cell is missing.
        train_rows: indices of the training rows; None for all.
        impute: what fills missing cells; None rejects them.
        reading: how its cells were read; None is plainly.

    Returns:
        The fitted column.

    Raises:
        ValueError: it has no value in the training rows while missing cells are filled, more than
            `MAX_CATEGORIES` categories, or numbers that are infinite in float32.

    >>> fit_column(polars.Series("a", [1, None, 2, 2]), None, "most_frequent", None)
    Number(name='a', fill=2.0, indicator=True, offset=0.0, decimal='point', unit='', kind='number')
    """
    train = column if train_rows is None else column[train_rows]
    indicator = impute is not None and train.null_count() > 0
    if impute is not None and train.null_count() == len(train):
        raise ValueError(
            f"column {column.name!r} is missing in every training row, so nothing can fill it; "
            f"leave it out (--ignore {column.name})"
        )
    if column.dtype.is_numeric():
        values = numbers(column)
        fill = _fill(numbers(train), impute)
        notation = None if reading is None else reading.notation
        decimal, unit = ("point", "") if notation is None else (notation.decimal, notation.unit)
        return Number(column.name, fill, indicator, _offset(values), decimal, unit)
    if column.dtype.is_temporal():
        values = to_numbers(column)
        part, fill = part_of(column), _fill(to_numbers(train), impute)
        offset = 0.0 if part == "time" else float(np.floor(values.drop_nulls().to_numpy()).min())
        form = "" if reading is None else reading.date_format
        return Date(column.name, part, fill, indicator, offset, form)
    values = texts(column).drop_nulls().unique().sort().to_list()
    if len(values) > MAX_CATEGORIES:
        raise ValueError(
            f"column {column.name!r} has {len(values)} categories ({', '.join(values[:3])}, ...), "
            f"at most {MAX_CATEGORIES} are supported; if it is an identifier or free text, leave "
            f"it out (--ignore {column.name})"
        )
    most_frequent = None if impute is None else texts(train).drop_nulls().mode().min()
    return Category(column.name, tuple(values), most_frequent, indicator)  # pyright: ignore[reportArgumentType]


def _fill(train: polars.Series, impute: Impute) -> float | None:
    if impute is None:
        return None
    values = train.drop_nulls()
    return float(values.median() if impute == "median" else values.mode().min())  # pyright: ignore[reportArgumentType]


def _offset(values: polars.Series) -> float:
    """A round number near the mean, where float32 would move the numbers noticeably; else 0."""
    present = values.drop_nulls().to_numpy()
    if not needs_float64(present):
        return 0.0
    # Rounded to the digit of the deviation, so that the name of the feature is short.
    return round(float(present.mean()), -math.floor(math.log10(present.std())))
