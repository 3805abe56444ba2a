"""Interactions of users with items: ratings, or items that were chosen, from a table or by name."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars
from jaxtyping import Float, Int, Shaped

from experiments.config import TableOptions
from experiments.data.logs import read_times, whole_cells
from experiments.data.tables.cells import clean_name, listed, naming, numbers, require_column
from experiments.data.tables.table import read_cells
from jaxnet.recommendation import rating_matrix


# Arrays have no single truth value, so interactions are compared by `sha256`, not by `==`.
@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Which users rated or chose which items.

    Attributes:
        name: of the data set, or the stem of the user's file.
        users: names of the users.
        items: names of the items.
        pairs: a user and an item of each interaction, no pair twice, `(n, 2)`.
        ratings: `(n,)`; None where items were chosen, without a rating.
        times: numbers in the order of time, `(n,)`; None where they are not known.
        titles: what the items are called, such as titles of films; empty where they have only
            their names.
        folds: the fold of each interaction where the authors publish a split, `(n,)`.
        is_named: whether the data are a named data set.
        notes: what a user should know of how a file was read, a sentence each.
    """

    name: str
    users: tuple[str, ...]
    items: tuple[str, ...]
    pairs: Int[np.ndarray, "n 2"]
    ratings: Float[np.ndarray, " n"] | None = None
    times: Float[np.ndarray, " n"] | None = None
    titles: tuple[str, ...] = ()
    folds: Int[np.ndarray, " n"] | None = None
    is_named: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 over users, items, pairs, ratings, times and folds.

        >>> pairs = np.array([[0, 0], [0, 1]], np.int32)
        >>> some = Interactions("some", ("ann",), ("tea", "milk"), pairs)
        >>> some.sha256 == dataclasses.replace(some, ratings=np.ones(2)).sha256
        False
        """
        digest = hashlib.sha256()
        for names in (self.users, self.items, self.titles):
            digest.update("".join(f"{len(name)} {name}\n" for name in names).encode())
        for array in (self.pairs, self.ratings, self.times, self.folds):
            if array is None:
                digest.update(b"none\n")
                continue
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def matrix(
        self, values: Shaped[np.ndarray, " n"], missing: float = 0
    ) -> Shaped[np.ndarray, "users items"]:
        """A matrix with a value for each interaction.

        Args:
            values: of the interactions.
            missing: the entry of all other pairs.
        """
        sizes = len(self.users), len(self.items)
        return rating_matrix(self.pairs, values, *sizes, missing=missing)


def encode_names(names: Sequence[str]) -> tuple[tuple[str, ...], Int[np.ndarray, " n"]]:
    """Different names in the order of their first occurrence, and the index of each.

    >>> encode_names(["b", "a", "b"])
    (('b', 'a'), array([0, 1, 0], dtype=int32))
    """
    index: dict[str, int] = {}
    codes = [index.setdefault(name, len(index)) for name in names]
    return tuple(index), np.array(codes, np.int32)


def load_user_interactions(
    path: Path, *, user: str, item: str, rating: str | None, time: str | None, options: TableOptions
) -> Interactions:
    """Read interactions from a table with a row for each.

    Args:
        path: a CSV, Parquet or NPZ table.
        user: column with the name of the user; any text is a name.
        item: column with the name of the item.
        rating: column with the rating, a number; None where a row is an item that was chosen.
        time: column of dates or numbers; None where times are not known.
        options: how the table is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that does not exist, a missing cell, ratings or times that cannot be
            read, a pair that occurs twice, ratings that are all equal, a single user or item.
    """
    path = Path(path)
    table = read_cells(path, options)
    with naming(path):
        columns = {"user": user, "item": item, "rating": rating, "time": time}
        named = {key: clean_name(name) for key, name in columns.items() if name is not None}
        for key, name in named.items():
            require_column(key, name, table.names)
        cells = {key: whole_cells(table.frame[name], options) for key, name in named.items()}
        users, of_users = encode_names(cells["user"].to_list())
        items, of_items = encode_names(cells["item"].to_list())
        for key, names in (("user", users), ("item", items)):
            if len(names) < 2:
                raise ValueError(
                    f"{key}: column {named[key]!r} names {len(names)} {key}, expected at least 2 "
                    f"{key}s, of which one is compared with others; name another column"
                )
        pairs = np.stack([of_users, of_items], axis=1)
        _require_once(pairs, users, items)
        ratings = None
        if "rating" in cells:
            ratings = _ratings(cells["rating"])
        times = read_times(cells["time"], options).astype(np.float64) if "time" in cells else None
    return Interactions(path.stem, users, items, pairs, ratings, times, notes=tuple(table.notes))


def _ratings(cells: polars.Series) -> Float[np.ndarray, " n"]:
    values = numbers(cells)
    missing = values.is_null().to_numpy()
    if missing.any():
        rows = (np.flatnonzero(missing) + 1).tolist()
        raise ValueError(
            f"rating: column {cells.name!r} holds no number in row {listed(rows)}; remove the row"
        )
    ratings = values.to_numpy().astype(np.float32)
    if (ratings == ratings[0]).all():
        raise ValueError(
            f"rating: column {cells.name!r} holds {ratings[0]:g} in all rows, so that nothing can "
            "be learned from it; leave --rating out where rows are items that were chosen"
        )
    return ratings


def _require_once(pairs: np.ndarray, users: Sequence[str], items: Sequence[str]) -> None:
    flat = pairs[:, 0].astype(np.int64) * len(items) + pairs[:, 1]
    order = np.argsort(flat, kind="stable")
    same = np.flatnonzero(np.diff(flat[order]) == 0)
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise ValueError(
            f"user {users[pairs[first, 0]]!r} and item {items[pairs[first, 1]]!r} occur in row "
            f"{first + 1} and in row {second + 1}, expected each pair once; keep one row, such as "
            f"the last ({len(same)} rows repeat a pair)"
        )
