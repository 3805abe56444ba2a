"""A CSV or Parquet file of any size as features and labels, read twice in pieces.

The first pass finds the types of the columns, the categories and the classes; the second computes
the features of one piece after the other. In memory are one piece, and the categories.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars

from experiments.data.scaling import needs_float64
from experiments.data.tables.cells import MISSING, listed, require_column, texts
from experiments.data.tables.columns import MAX_CATEGORIES, Category, Number
from experiments.data.tables.labels import encode_classes, find_classes, read_targets
from experiments.data.tables.preprocessing import Preprocessing

_ROWS_AT_ONCE = 20_000
_SEPARATORS = ",;\t|"


class TablePieces(NamedTuple):
    """A table that is read in pieces.

    Attributes:
        frame: the rows, not read yet.
        preprocessing: from rows to features.
        is_regression: whether the label is a number.
        num_rows: number of rows.
    """

    frame: polars.LazyFrame
    preprocessing: Preprocessing
    is_regression: bool
    num_rows: int

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Features `x` and labels `y` of one piece after the other."""
        label, class_names = self.preprocessing.label, self.preprocessing.class_names
        for piece in self.frame.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True):
            batch = {"x": self.preprocessing.features(piece, is_fitted=True).x}
            if label is not None and self.is_regression:
                batch["y"] = read_targets(piece[label]).astype(np.float32)
            elif label is not None:
                batch["y"] = encode_classes(piece[label], class_names)
            yield batch


def table_pieces(
    path: Path, *, label: str | None, is_regression: bool, ignore: Sequence[str] = ()
) -> TablePieces:
    """Find out what a table holds, in one pass over its rows.

    Args:
        path: a CSV file in UTF-8 whose first row names the columns, or a Parquet file.
        label: the column that is predicted; None packs features alone.
        is_regression: whether it is a number, not a class.
        ignore: columns that are left out.

    Returns:
        The table.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read; a column is unknown, has missing cells, holds dates, or text
            of too many different values.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; check the path")
    try:
        frame = _scan(path)
        schema = frame.collect_schema()
        for name in ignore:
            require_column("ignore", name, list(schema))
        if label is not None:
            require_column("label", label, [name for name in schema if name not in ignore])
        frame = frame.drop(ignore)
        kept = {name: dtype for name, dtype in schema.items() if name not in ignore}
        _require_types(path, kept, label)
        facts = _facts(frame, kept)
        num_rows = facts["rows"]
        if not num_rows:
            raise ValueError(f"{path} has no rows")
        _require_cells(path, facts, kept)
        columns = tuple(
            _column(frame, name, dtype, facts) for name, dtype in kept.items() if name != label
        )
        class_names = ()
        if label is not None and not is_regression:
            class_names = find_classes(_values(frame, label))
    except polars.exceptions.PolarsError as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} cannot be read: {first}") from error
    preprocessing = Preprocessing(columns, label, class_names, tuple(ignore))
    return TablePieces(frame, preprocessing, is_regression, num_rows)


def _scan(path: Path) -> polars.LazyFrame:
    if path.suffix.lower() in (".parquet", ".pq"):
        return polars.scan_parquet(path)
    with open(path, "rb") as file:
        first = file.readline(1 << 20)
    counts = {mark: first.count(mark.encode()) for mark in _SEPARATORS}
    separator = max(_SEPARATORS, key=lambda mark: counts[mark])
    null_values = [mark for mark in sorted(MISSING) if mark]
    # All rows are read for the types, since the first ones may look like others.
    return polars.scan_csv(
        path, separator=separator, infer_schema_length=None, null_values=["", *null_values]
    )


def _require_types(path: Path, schema: dict[str, Any], label: str | None) -> None:
    for name, dtype in schema.items():
        plain = dtype.is_numeric() or dtype in (polars.Boolean, polars.String)
        if not plain and dtype not in (polars.Categorical, polars.Enum):
            raise ValueError(
                f"{path}: column {name!r} holds {dtype}, expected numbers, Booleans or categories; "
                f"leave it out (--ignore {name})"
            )
    if not [name for name in schema if name != label]:
        raise ValueError(f"{path} has no column of features")


def _facts(frame: polars.LazyFrame, schema: dict[str, Any]) -> dict[str, Any]:
    """Number of rows and missing cells, and range, mean and deviation of numbers."""
    expressions = [polars.len().alias("rows")]
    for index, (name, dtype) in enumerate(schema.items()):
        column = polars.col(name)
        expressions.append(column.null_count().alias(f"{index} missing"))
        if dtype.is_numeric():
            values = column.cast(polars.Float64)
            expressions += [
                values.is_finite().not_().sum().alias(f"{index} infinite"),
                values.min().alias(f"{index} min"),
                values.max().alias(f"{index} max"),
                values.mean().alias(f"{index} mean"),
                values.std().alias(f"{index} std"),
            ]
    return frame.select(expressions).collect(engine="streaming").row(0, named=True)


def _require_cells(path: Path, facts: dict[str, Any], schema: dict[str, Any]) -> None:
    for index, name in enumerate(schema):
        for kind in ("missing", "infinite"):
            if number := facts.get(f"{index} {kind}"):
                found = "missing cells" if kind == "missing" else "cells that are nan or infinite"
                raise ValueError(
                    f"{path}: column {name!r} has {number} {found}; fill them, remove the rows, or "
                    f"leave the column out (--ignore {name})"
                )


def _column(frame: polars.LazyFrame, name: str, dtype: Any, facts: dict[str, Any]) -> Any:
    if dtype.is_numeric():
        index = list(frame.collect_schema()).index(name)
        low, high, mean, std = (facts[f"{index} {kind}"] for kind in ("min", "max", "mean", "std"))
        # As for a table in memory: a round number near the mean, where float32 is too coarse.
        spread = std or 0.0
        needed = spread and needs_float64(np.array([low, mean - spread, mean + spread, high]))
        return Number(name, offset=round(mean, -math.floor(math.log10(spread))) if needed else 0.0)
    values = texts(_values(frame, name)).sort().to_list()
    if len(values) > MAX_CATEGORIES:
        raise ValueError(
            f"column {name!r} has {len(values)} different texts ({listed(values)}), at most "
            f"{MAX_CATEGORIES} are supported; leave it out (--ignore {name})"
        )
    return Category(name, tuple(values))


def _values(frame: polars.LazyFrame, name: str) -> polars.Series:
    """The different values of a column."""
    return frame.select(polars.col(name).unique()).collect(engine="streaming")[name]
