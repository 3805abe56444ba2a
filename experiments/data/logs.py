"""Logs of users: events in the order of time, from a table or from a named data set."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars
from jaxtyping import Bool, Int

from experiments.config import TableOptions
from experiments.data.tables.cells import clean_name, listed, naming, numbers, require_column, texts
from experiments.data.tables.dates import read_dates
from experiments.data.tables.table import read_cells
from jaxnet import anomaly

MAX_USERS = 1000


# Arrays have no single truth value, so logs are compared by `sha256`, not by `==`.
@dataclasses.dataclass(frozen=True, eq=False)
class Logs:
    """The events of some users.

    Attributes:
        name: of the data set, or the stem of the user's file.
        users: their names, in the order of their first event, or that of the authors.
        vocabulary: all different events, training or not, in the order of their text.
        events: the log of each user, indices into the vocabulary, in the order of time.
        num_training: number of first events of each log that are known to be the user's own.
        is_masquerade: for each event whether someone else made it; None where this is not known.
        rows: for each event its row in the user's file, from 1; empty for a named data set.
        is_named: whether published results belong to the data.
        published: published results on them.
        notes: what a user should know of how a file was read, a sentence each.
    """

    name: str
    users: tuple[str, ...]
    vocabulary: tuple[str, ...]
    events: tuple[Int[np.ndarray, " time"], ...]
    num_training: tuple[int, ...]
    is_masquerade: tuple[Bool[np.ndarray, " time"], ...] | None = None
    rows: tuple[Int[np.ndarray, " time"], ...] = ()
    is_named: bool = False
    published: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 over users, events, labels and where the training part ends.

        >>> log = np.zeros(3, np.int32)
        >>> logs = [Logs("some", ("ann",), ("ls",), (log,), (length,)) for length in (1, 1, 2)]
        >>> len({each.sha256 for each in logs})
        2
        """
        digest = hashlib.sha256()
        for names in (self.users, self.vocabulary):
            digest.update("".join(f"{len(name)} {name}\n" for name in names).encode())
        digest.update(f"{self.num_training}\n".encode())
        for arrays in (self.events, self.is_masquerade or ()):
            for array in arrays:
                digest.update(f"{array.dtype.str} {array.shape}\n".encode())
                digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()


def encode_logs(
    logs: Sequence[Sequence[str]],
) -> tuple[tuple[str, ...], tuple[Int[np.ndarray, " time"], ...]]:
    """The vocabulary of some logs, and each log as indices into it.

    >>> encode_logs([["ls", "cd"], ["vi"]])
    (('cd', 'ls', 'vi'), (array([1, 0], dtype=int32), array([2], dtype=int32)))
    """
    vocabulary = anomaly.event_vocabulary(event for log in logs for event in log)
    # Tokens number the events from 1.
    return vocabulary, tuple(anomaly.event_tokens(log, vocabulary) - 1 for log in logs)


def load_user_logs(
    path: Path, *, user: str, event: str, time: str | None, label: str | None, fraction: float,
    options: TableOptions,
) -> Logs:  # fmt: skip
    """Read the events of users from a table with a row for each event.

    Rows are in the order of time: they are sorted by the column of times where there is one, rows
    of one time staying in the order of the file.

    Args:
        path: a CSV, Parquet or NPZ table.
        user: column with the name of the user.
        event: column with the name of the event; any text is an event.
        time: column of dates or numbers; None keeps the order of the file.
        label: column that is 1 for events of someone else and 0 for the user's own; None where it
            is not known.
        fraction: part of each log, from its beginning, that is known to be the user's own.
        options: how the table is read.

    Returns:
        The logs.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that does not exist, a missing cell, times or labels that cannot be
            read, fewer than two users; events of someone else in the training part.
    """
    path = Path(path)
    columns = {"user": user, "event": event, "time": time, "label": label}
    with naming(path):
        cells, order, notes = _read_events(path, columns, options)
        names = cells["user"].to_numpy()[order]
        users = tuple(dict.fromkeys(names.tolist()))
        if not 2 <= len(users) <= MAX_USERS:
            raise ValueError(
                f"user: column {user!r} names {len(users)} users, expected 2 to "
                f"{MAX_USERS}, who are told apart from each other"
            )
        index = {name: number for number, name in enumerate(users)}
        codes = np.array([index[name] for name in names])
        rows = [order[codes == number] for number in range(len(users))]
        events = cells["event"].to_numpy()
        vocabulary, encoded = encode_logs([events[each].tolist() for each in rows])
        num_training = tuple(int(fraction * len(each)) for each in rows)
        labels = None
        if "label" in cells:
            labels = tuple(_labels(cells["label"])[each] for each in rows)
            _require_clean(users, labels, num_training)
    return Logs(
        path.stem, users, vocabulary, encoded, num_training, labels,
        tuple(each + 1 for each in rows), notes=tuple(notes),
    )  # fmt: skip


def load_new_logs(
    path: Path, *, user: str, event: str, time: str | None, users: Sequence[str], min_events: int,
    options: TableOptions,
) -> Logs:  # fmt: skip
    """Read later events of users who are known, from a table like that of `load_user_logs`.

    Args:
        path: a CSV, Parquet or NPZ table.
        user: column with the name of the user.
        event: column with the name of the event.
        time: column of dates or numbers; None keeps the order of the file.
        users: the known users; others are left out, with a note.
        min_events: number of events that a log must have; others are left out, with a note.
        options: how the table is read.

    Returns:
        The logs of the known users, without a training part.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that does not exist, a missing cell, times that cannot be read, no log
            of a known user that is long enough.
    """
    path = Path(path)
    with naming(path):
        cells, order, notes = _read_events(
            path, {"user": user, "event": event, "time": time}, options
        )
        names = cells["user"].to_numpy()[order]
        found, counts = np.unique(names.astype(str), return_counts=True)
        sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
        if strangers := sorted(set(sizes) - set(users)):
            notes.append(f"users whom the run does not know are left out: {listed(strangers)}")
        if short := [name for name in users if 0 < sizes.get(name, 0) < min_events]:
            notes.append(
                f"users with fewer than {min_events} events, a block, are left out: {listed(short)}"
            )
        kept = tuple(name for name in users if sizes.get(name, 0) >= min_events)
        if not kept:
            raise ValueError(
                f"user: column {user!r} holds no user of the run with at least {min_events} "
                f"events, found {listed(sorted(sizes))}"
            )
        rows = [order[names == name] for name in kept]
        events = cells["event"].to_numpy()
        vocabulary, encoded = encode_logs([events[each].tolist() for each in rows])
    return Logs(
        path.stem, kept, vocabulary, encoded, (0,) * len(kept),
        rows=tuple(each + 1 for each in rows), notes=tuple(notes),
    )  # fmt: skip


def _read_events(
    path: Path, columns: Mapping[str, str | None], options: TableOptions
) -> tuple[dict[str, polars.Series], Int[np.ndarray, " n"], list[str]]:
    """The cells of the named columns, the order of the rows by time, and notes."""
    table = read_cells(path, options)
    named = {key: clean_name(name) for key, name in columns.items() if name is not None}
    for key, name in named.items():
        require_column(key, name, table.names)
    cells = {key: whole_cells(table.frame[name], options) for key, name in named.items()}
    notes = list(table.notes)
    order = np.arange(len(cells["user"]))
    if "time" in cells:
        order = np.argsort(read_times(cells["time"], options), kind="stable")
        if (order != np.arange(len(order))).any():
            notes.append(f"the rows are sorted by {named['time']!r}, which they were not")
    return cells, order, notes


def whole_cells(column: polars.Series, options: TableOptions) -> polars.Series:
    """The cells of a column as text, none of them missing.

    Args:
        column: the column.
        options: further marks of missing cells.

    Raises:
        ValueError: a missing cell, with its row.
    """
    cells = texts(column)
    missing = cells.is_null() | cells.is_in(["", *options.missing])
    if missing.any():
        wrong = [int(row) + 1 for row in np.flatnonzero(missing.to_numpy())]
        raise ValueError(
            f"column {column.name!r} holds no value in row {listed(wrong)}; fill it or remove the "
            "row"
        )
    return cells


def read_times(cells: polars.Series, options: TableOptions) -> np.ndarray:
    """Dates or numbers as numbers in the order of time.

    Args:
        cells: of `whole_cells`.
        options: the format of dates.

    Raises:
        ValueError: neither dates nor numbers.
    """
    if cells.cast(polars.Float64, strict=False).is_finite().fill_null(False).all():
        return numbers(cells).to_numpy()
    dates = read_dates(cells, given=options.date_format)
    if dates is None:
        raise ValueError(
            f"time: column {cells.name!r} holds neither dates nor numbers, found "
            f"{listed(cells.head(3).to_list())}; say the format with --date-format, or leave "
            "--time out where the rows are in the order of time"
        )
    return dates.values.to_physical().to_numpy()


def _labels(cells: polars.Series) -> Bool[np.ndarray, " n"]:
    known = {"0": False, "1": True, "false": False, "true": True}
    lower = cells.str.to_lowercase().str.replace(r"\.0+$", "")
    wrong = lower.filter(~lower.is_in(list(known)))
    if len(wrong):
        raise ValueError(
            f"label: column {cells.name!r} holds {listed(wrong.unique().sort().to_list())}, "
            "expected 1 for events of someone else and 0 for the user's own"
        )
    return np.array([known[cell] for cell in lower])


def _require_clean(
    users: Sequence[str], labels: Sequence[np.ndarray], num_training: Sequence[int]
) -> None:
    for name, each, length in zip(users, labels, num_training, strict=True):
        if each[:length].any():
            first = int(np.argmax(each))
            raise ValueError(
                f"label: event {first + 1} of user {name!r} is of someone else, and the first "
                f"{length} are taken for the user's own; train on a smaller fraction of each log"
            )
