"""Ratings of films by users of MovieLens: latest-small, and the folder of MovieLens 100K.

GroupLens allows research with these data, and no commercial use without permission; whoever
publishes results has to acknowledge them: Harper and Konstan (2015), "The MovieLens datasets:
history and context". latest-small may be redistributed under the same conditions, MovieLens 100K
only with permission. Nothing of them is part of this project: they are read where the user has
them. latest-small changes over time and is not for published comparisons; this is that of October
2016, whose content is compared with a checksum.

Source: https://grouplens.org/datasets/movielens/
"""

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.data.interactions import Interactions, encode_names
from experiments.data.named.download import user_folders
from experiments.data.named.tar_archive import read_tar

NAME = "movielens-latest-small"
_ARCHIVE = "ml-latest-small-2016.tar.xz"
_RATINGS, _FILMS = "ratings.csv", "movies.csv"
_SHA256 = {
    _RATINGS: "b4239649fbf90ebf405c56c3ae1d929d9e7c86fc1a3a80cbef1c884df593ef73",
    _FILMS: "43d1736d3c688eb5b7856473c36d86a1c345676cab256c91720c1f6984d263b5",
}
_LIMITS = {"max_bytes": 8 << 20, "max_member_bytes": 4 << 20, "max_members": 20}
# Of MovieLens 100K: all ratings, and the test sets of five folds.
_ALL, _FOLDS = "u.data", tuple(f"u{fold}.test" for fold in range(1, 6))
_TITLES = "u.item"
_MAX_BYTES = 64 << 20


def load_latest_small(data_dir: Path | None = None) -> Interactions:
    """Load MovieLens latest-small of October 2016: 100 004 ratings of 9 066 films by 671 users.

    Looked for are the archive `movielens-latest-small/ml-latest-small-2016.tar.xz`, then the files
    `movielens-latest-small/ratings.csv` and `movies.csv`, below `data_dir` and the folder that
    JAXNET_DATA names. Nothing is downloaded.

    Args:
        data_dir: folder that may hold `movielens-latest-small/`.

    Raises:
        ValueError: no such files, or files of another content.
    """
    folders = [folder / NAME for folder in user_folders(data_dir)]
    for folder in folders:
        if (folder / _ARCHIVE).is_file():
            members = read_tar(folder / _ARCHIVE, **_LIMITS)
            return parse_latest_small(
                {name.rpartition("/")[2]: content for name, content in members.items()}
            )
        if (folder / _RATINGS).is_file() and (folder / _FILMS).is_file():
            return parse_latest_small({name: _read(folder / name) for name in (_RATINGS, _FILMS)})
    places = " or ".join(map(str, folders)) or "a folder that JAXNET_DATA names"
    raise ValueError(
        f"the data set {NAME} is not in {places}: expected {_ARCHIVE}, or {_RATINGS} and {_FILMS} "
        "of October 2016; set JAXNET_DATA to the folder that holds it, or use --dataset generated "
        "or --data FILE --user COLUMN --item COLUMN --rating COLUMN"
    )


def parse_latest_small(
    files: Mapping[str, bytes], *, sha256: Mapping[str, str] | None = _SHA256
) -> Interactions:
    """The interactions of `ratings.csv` and the titles of `movies.csv`.

    Args:
        files: the content of both.
        sha256: of each; None accepts any content.

    Raises:
        ValueError: a file is missing, or holds something else.
    """
    for name in (_RATINGS, _FILMS):
        if name not in files:
            raise ValueError(f"the data set {NAME} has no file {name}; fetch it again")
        found = hashlib.sha256(files[name]).hexdigest()
        if sha256 is not None and found != sha256[name]:
            raise ValueError(
                f"{name} of the data set {NAME} has the checksum {found}, expected {sha256[name]}, "
                "that of October 2016; fetch it again, or read it by --data ratings.csv "
                "--user userId --item movieId --rating rating --time timestamp"
            )
    rows = list(csv.DictReader(io.StringIO(files[_RATINGS].decode("utf-8"))))
    titles = {
        row["movieId"]: row["title"]
        for row in csv.DictReader(io.StringIO(files[_FILMS].decode("utf-8")))
    }
    users, of_users = encode_names([row["userId"] for row in rows])
    items, of_items = encode_names([row["movieId"] for row in rows])
    return Interactions(
        NAME,
        users,
        items,
        np.stack([of_users, of_items], axis=1),
        np.array([float(row["rating"]) for row in rows], np.float32),
        np.array([float(row["timestamp"]) for row in rows]),
        tuple(titles.get(item, "") for item in items),
        is_named=True,
    )


def is_movielens_100k(path: Path) -> bool:
    """Whether a path is a folder that holds `u.data`, as that of MovieLens 100K does.

    >>> is_movielens_100k(Path("some.csv"))
    False
    """
    return (path / _ALL).is_file()


def load_movielens_100k(path: Path) -> Interactions:
    """Read a folder of the files of MovieLens 100K.

    Each line of `u.data` is a user, an item, a rating and a time, separated by tabs. The folds are
    those of `u1.test` to `u5.test`, where all five are there; the titles those of `u.item`.

    Args:
        path: the folder.

    Raises:
        ValueError: a line of another form, a pair that occurs twice, folds that are not a partition
            of all ratings.
    """
    rows = _rows(path / _ALL)
    users, of_users = encode_names([row[0] for row in rows])
    items, of_items = encode_names([row[1] for row in rows])
    known = {(row[0], row[1]): index for index, row in enumerate(rows)}
    if len(known) < len(rows):
        raise ValueError(f"{path / _ALL}: a user has rated an item twice; fetch the file again")
    folds = None
    if all((path / name).is_file() for name in _FOLDS):
        folds = np.full(len(rows), -1, np.int32)
        for fold, name in enumerate(_FOLDS):
            for row in _rows(path / name):
                index = known.get((row[0], row[1]), -1)
                if index < 0 or folds[index] >= 0:
                    what = "is not in u.data" if index < 0 else "is in another fold too"
                    raise ValueError(
                        f"{path / name}: the rating of item {row[1]!r} by user {row[0]!r} {what}; "
                        "fetch the files again"
                    )
                folds[index] = fold
        if (folds < 0).any():
            row = rows[int(np.argmin(folds))]
            raise ValueError(
                f"{path / _ALL}: the rating of item {row[1]!r} by user {row[0]!r} is in none of "
                f"{', '.join(_FOLDS)}; fetch the files again"
            )
    titles: dict[str, str] = {}
    if (path / _TITLES).is_file():
        lines = _read(path / _TITLES).decode("latin-1").splitlines()
        titles = dict(line.split("|")[:2] for line in lines if line.count("|") > 1)  # pyright: ignore[reportAssignmentType]
    return Interactions(
        path.name,
        users,
        items,
        np.stack([of_users, of_items], axis=1),
        np.array([float(row[2]) for row in rows], np.float32),
        np.array([float(row[3]) for row in rows]),
        tuple(titles.get(item, "") for item in items) if titles else (),
        folds,
        notes=() if folds is None else ("the folds are those of u1.test to u5.test",),
    )


def _rows(path: Path) -> list[list[str]]:
    rows = [line.split("\t") for line in _read(path).decode("latin-1").splitlines()]
    for number, row in enumerate(rows):
        numeric = row[2:] if len(row) == 4 else [""]
        if not all(cell.strip().isdigit() for cell in numeric):
            raise ValueError(
                f"{path}: line {number + 1} is {' '.join(row)[:60]!r}, expected a user, an item, a "
                "rating and a time, separated by tabs"
            )
    if not rows:
        raise ValueError(f"{path}: the file is empty; fetch it again")
    return rows


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path}: it has more than {_MAX_BYTES} bytes; it is another file")
    return path.read_bytes()
