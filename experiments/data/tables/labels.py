"""Labels of a table: classes or numbers to predict."""

import numpy as np
import polars
from jaxtyping import Float, Int32

from experiments.data.scaling import needs_float64
from experiments.data.tables.cells import listed, name_key, numbers, texts

MAX_CLASSES = 1000
_NUM_SHOWN = 5


def find_classes(label: polars.Series) -> tuple[str, ...]:
    """The names of the classes: text in the order of its characters, numbers in their own order.

    Args:
        label: text, whole numbers or Booleans, none missing.

    Returns:
        Each value once, as text; whole numbers without a point.

    Raises:
        ValueError: a label is missing or a fraction, or there are fewer than two classes or more
            than `MAX_CLASSES`.

    >>> find_classes(polars.Series("grade", [10.0, 9.0, 9.0]))
    ('9', '10')
    """
    _require_labels(label)
    is_number = label.dtype.is_numeric()
    other = "; to predict a number use experiments.regression" if is_number else ""
    if is_number and (fractions := label.filter(numbers(label) % 1 != 0)).len():
        raise ValueError(
            f"label {label.name!r} holds fractions ({_shown(fractions)}) and classes are whole "
            f"numbers or text{other}"
        )
    classes = label.unique().sort()
    if len(classes) > MAX_CLASSES:
        remedy = other or "; is this an identifier or free text? Name another column as the label"
        raise ValueError(
            f"label {label.name!r} has {len(classes)} different values ({_shown(classes)}), and "
            f"at most {MAX_CLASSES} classes are supported{remedy}"
        )
    if len(classes) < 2:
        raise ValueError(
            f"label {label.name!r} is {classes[0]!r} in every row; a classifier needs examples of "
            "at least two classes"
        )
    return tuple(texts(classes).to_list())


def encode_classes(label: polars.Series, class_names: tuple[str, ...]) -> Int32[np.ndarray, " n"]:
    """The index of each label among the classes.

    Args:
        label: as for `find_classes`.
        class_names: from `find_classes`.

    Returns:
        Indices `(n,)`, int32.

    Raises:
        ValueError: a label is missing or not a class.

    >>> encode_classes(polars.Series("grade", [10, 9, 9]), ("9", "10")).tolist()
    [1, 0, 0]
    """
    _require_labels(label)
    cells = texts(label)
    codes = cells.cast(polars.Enum(class_names), strict=False).to_physical()
    if (unknown := codes.is_null()).any():
        row = int(unknown.arg_true()[0])
        raise ValueError(
            f"label {label.name!r} is {cells[row]!r} in row {row + 1}, expected one of "
            f"{', '.join(class_names[:20])}{', ...' if len(class_names) > 20 else ''}; correct it"
        )
    return codes.to_numpy().astype(np.int32)


def similar_classes(class_names: tuple[str, ...]) -> list[str]:
    """A note for each group of classes that differ by capitals or spaces alone.

    >>> similar_classes(("No", "Yes", "no", "other"))
    ["classes 'No', 'no' differ by capitals or spaces alone; if they are one, write them alike"]
    """
    groups: dict[str, list[str]] = {}
    for name in class_names:
        groups.setdefault(name_key(name), []).append(name)
    return [
        f"classes {listed(names)} differ by capitals or spaces alone; if they are one, write them "
        "alike"
        for names in groups.values()
        if len(names) > 1
    ]


def read_targets(label: polars.Series) -> Float[np.ndarray, " n"]:
    """The targets of a regression.

    Args:
        label: numbers, none missing.

    Returns:
        Targets `(n,)`, float32, or float64 where float32 cannot tell them apart.

    Raises:
        ValueError: a target is missing or not a number.

    >>> read_targets(polars.Series("yield", [1, 2])).tolist()
    [1.0, 2.0]
    """
    _require_labels(label)
    if not label.dtype.is_numeric():
        kind = "dates" if label.dtype.is_temporal() else "Booleans"
        kind = "text" if label.dtype in (polars.String, polars.Enum) else kind
        raise ValueError(
            f"label {label.name!r} holds {kind} ({_shown(label)}), expected numbers; to predict "
            "a class use experiments.classification"
        )
    values = numbers(label).to_numpy()
    return values if needs_float64(values) else values.astype(np.float32)


def _require_labels(label: polars.Series) -> None:
    rows = [row + 1 for row in label.is_null().arg_true().to_list()]
    if rows:
        shown = ", ".join(map(str, rows[:_NUM_SHOWN])) + (", ..." if len(rows) > _NUM_SHOWN else "")
        raise ValueError(
            f"label {label.name!r} is missing in {len(rows)} of {len(label)} rows (row {shown}; "
            "rows are counted from 1 below the header); remove these rows or fill the labels in"
        )


def _shown(values: polars.Series) -> str:
    more = ", ..." if len(values) > _NUM_SHOWN else ""
    return ", ".join(repr(value) for value in values.head(_NUM_SHOWN).to_list()) + more
