"""The names of the columns of a text file, from its first row or by their positions."""

import re
from collections.abc import Sequence
from typing import Literal

from experiments.data.tables.cells import clean_name

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_REMEDY = "if the file has no header, say --header none, and the columns are called column_1, ..."


def name_columns(
    first: Sequence[str],
    rows: Sequence[Sequence[str]],
    header: Literal["first", "none"] | None,
) -> tuple[list[str], list[bool]]:
    """Name the columns of a text file.

    Args:
        first: the first row.
        rows: some rows below it.
        header: whether the first row holds the names; None means that it does, and checks it.

    Returns:
        The names, and which of them are made of the position because there was none.

    Raises:
        ValueError: there are no columns, two have one name, or the first row looks like data.

    >>> name_columns([" size", "", "color"], [["1", "2", "red"]], None)
    (['size', 'column_2', 'color'], [False, True, False])
    """
    if not first:
        raise ValueError("the file is empty; a header with the names of the columns is needed")
    places = [f"column_{i}" for i in range(1, len(first) + 1)]
    if header == "none":
        return places, [False] * len(first)
    names = _unquoted([clean_name(name) for name in first])
    if header is None and (reason := _looks_like_data(names, rows)):
        raise ValueError(
            f"the first row looks like data and not like a header: {reason}; {_REMEDY}; if it is "
            "one, say --header first"
        )
    nameless = [not name for name in names]
    for i, place in enumerate(places):
        names[i] = names[i] or place
    check_names(names)
    return names, nameless


def check_names(names: Sequence[str]) -> list[str]:
    """The names of columns without the white space around them.

    Args:
        names: as the file has them.

    Returns:
        The names, all different.

    Raises:
        ValueError: there are no columns, or one has no name or the name of another.

    >>> check_names([" size", "color"])
    ['size', 'color']
    """
    names = [clean_name(name) for name in names]
    if not names:
        raise ValueError("the file is empty; a header with the names of the columns is needed")
    seen: dict[str, int] = {}
    for i, name in enumerate(names, 1):
        if not name:
            raise ValueError(f"column {i} of {len(names)} has no name; name it in the header")
        if name in seen:
            raise ValueError(
                f"columns {seen[name]} and {i} are both called {name!r}; rename one; {_REMEDY}"
            )
        seen[name] = i
    return names


def _unquoted(names: list[str]) -> list[str]:
    """Without the single quotation marks around every name, as some tools write them."""
    quoted = [len(name) > 2 and name[0] == name[-1] == "'" for name in names if name]
    return [name[1:-1].strip() for name in names] if quoted and all(quoted) else names


def _looks_like_data(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Why a first row is not a header; empty where it may be one."""
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    whole = [int(name) for name in numbers if name.isdigit()]
    # Years and positions are names, too: 2019, 2020, 2021 or 0, 1, 2.
    counting = whole == list(range(whole[0], whole[0] + len(whole))) if whole else False
    named = counting and len(whole) == len(numbers)
    if numbers and not (named and (len(numbers) > 1 or 1900 <= whole[0] <= 2100)):
        shown = ", ".join(map(repr, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        return f"it holds the number{'s' if len(numbers) > 1 else ''} {shown}"
    columns = list(zip(*rows, strict=False))
    repeated = len(rows) > 1 and len(columns) == len(names)
    if repeated and all(
        name in [cell.strip() for cell in column]
        for name, column in zip(names, columns, strict=True)
    ):
        return "each of its cells is among the cells below it"
    return ""
