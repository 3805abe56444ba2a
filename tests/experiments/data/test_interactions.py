"""Interactions of users: tables, the files of MovieLens, generated ratings."""

import lzma
import os
from pathlib import Path

import numpy as np
import pytest

from experiments.config import TableOptions
from experiments.data.interactions import load_user_interactions
from experiments.data.named import movielens
from experiments.data.named.generated_ratings import generate_ratings

COLUMNS = {"user": "who", "item": "what", "rating": "stars", "time": "when"}


def read(path, text, **columns):
    path.write_text(text, encoding="utf-8")
    given = COLUMNS | columns
    return load_user_interactions(path, **given, options=TableOptions())


def test_a_table_of_ratings_is_read(tmp_path):
    text = "when,who,what,stars\n2020-01-03,ann,tea,5\n2020-01-01,bob,tea,3.5\n2020-01-02,ann,7,1\n"
    read_table = read(tmp_path / "some.csv", text)
    assert read_table.name == "some"
    assert read_table.users == ("ann", "bob") and read_table.items == ("tea", "7")
    np.testing.assert_array_equal(read_table.pairs, [[0, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(read_table.ratings, [5, 3.5, 1])
    assert np.argsort(np.asarray(read_table.times)).tolist() == [1, 2, 0]
    implicit = read(tmp_path / "other.csv", text, rating=None, time=None)
    assert implicit.ratings is None and implicit.times is None
    assert implicit.sha256 != read_table.sha256


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,x,1\nb,y,2\na,x,3", "user 'a' and item 'x' occur in row 1 and in row 3"),
        ("a,x,1\nb,y,", "column 'stars' holds no value in row 2"),
        ("a,x,1\nb,y,NaN", "stars"),
        ("a,x,1\nb,y,good", "column 'stars' holds text in a column of numbers"),
        ("a,x,inf\nb,y,1", "stars"),
        ("a,x,2\nb,y,2", "rating: column 'stars' holds 2 in all rows"),
        ("a,x,1\na,y,2", "user: column 'who' names 1 user, expected at least 2"),
        ("a,x,1\nb,x,2", "item: column 'what' names 1 item, expected at least 2"),
        (",x,1\nb,x,2", "column 'who' holds no value in row 1"),
    ],
)
def test_bad_rows_are_rejected_by_name(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "some.csv", f"who,what,stars\n{rows}\n", time=None)


def test_columns_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"some\.csv: item: .*'thing'"):
        read(tmp_path / "some.csv", "who,what,stars\na,x,1\nb,y,2\n", item="thing", time=None)


def folder_100k(path, seed=0):
    """A folder of the form of MovieLens 100K, of 30 ratings."""
    generator = np.random.default_rng(seed)
    pairs = np.argwhere(np.ones((5, 6), bool)) + 1
    lines = [
        f"{user}\t{item}\t{generator.integers(1, 6)}\t{880000000 + number}"
        for number, (user, item) in enumerate(generator.permutation(pairs))
    ]
    (path / "u.data").write_text("\n".join(lines) + "\n")
    (path / "u.item").write_text("".join(f"{n}|Film é {n}|x|y\n" for n in range(1, 7)), "latin-1")
    for fold in range(5):
        test = lines[fold::5]
        (path / f"u{fold + 1}.test").write_text("\n".join(test) + "\n")
        (path / f"u{fold + 1}.base").write_text("\n".join(sorted(set(lines) - set(test))) + "\n")
    return lines


def test_the_folder_of_movielens_100k_is_read_with_its_folds(tmp_path):
    lines = folder_100k(tmp_path)
    assert movielens.is_movielens_100k(tmp_path)
    data = movielens.load_movielens_100k(tmp_path)
    assert len(data.users) == 5 and len(data.items) == 6
    for index in (0, 13, 29):
        user, item, rating, time = lines[index].split("\t")
        assert data.users[data.pairs[index, 0]] == user
        assert data.items[data.pairs[index, 1]] == item
        found = [np.asarray(column)[index] for column in (data.ratings, data.times)]
        assert found == [float(rating), float(time)]
        assert data.titles[data.pairs[index, 1]] == f"Film é {item}"
    np.testing.assert_array_equal(data.folds, np.arange(30) % 5)
    (tmp_path / "u3.test").write_text((tmp_path / "u2.test").read_text())
    with pytest.raises(ValueError, match=r"u3\.test: the rating of item .* is in another fold too"):
        movielens.load_movielens_100k(tmp_path)
    (tmp_path / "u3.test").write_text(lines[2] + "\n")
    with pytest.raises(ValueError, match=r"is in none of u1\.test, "):
        movielens.load_movielens_100k(tmp_path)
    (tmp_path / "u.data").write_text("1\t2\tgood\t3\n")
    with pytest.raises(ValueError, match="line 1 is '1 2 good 3', expected a user, an item"):
        movielens.load_movielens_100k(tmp_path)


def test_latest_small_is_the_published_one(tmp_path):
    folder = Path(os.environ.get("JAXNET_DATA", "")) / movielens.NAME
    if not folder.is_dir():
        pytest.skip("JAXNET_DATA has no movielens-latest-small")
    data = movielens.load_latest_small(folder.parent)
    assert (len(data.users), len(data.items), len(data.pairs)) == (671, 9066, 100_004)
    assert data.titles[data.items.index("1")] == "Toy Story (1995)"
    assert data.ratings is not None
    assert set(np.unique(2 * data.ratings)) == set(range(1, 11))


def test_other_files_of_latest_small_are_rejected(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    with pytest.raises(ValueError, match="is not in a folder that JAXNET_DATA names"):
        movielens.load_latest_small()
    folder = tmp_path / movielens.NAME
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.5,4\n2,2,1,5\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n2,Some,None\n")
    with pytest.raises(ValueError, match=r"ratings\.csv .* has the checksum .*, expected b42"):
        movielens.load_latest_small(tmp_path)
    files = {name: (folder / name).read_bytes() for name in ("ratings.csv", "movies.csv")}
    data = movielens.parse_latest_small(files, sha256=None)
    assert data.titles == ("Some",)
    np.testing.assert_array_equal(np.asarray(data.ratings), [3.5, 1.0])
    (folder / "ml-latest-small-2016.tar.xz").write_bytes(lzma.compress(b"\0" * 1024))
    with pytest.raises(ValueError, match=r"has no file ratings\.csv"):
        movielens.load_latest_small(tmp_path)


def test_generated_ratings_are_plausible():
    data = generate_ratings()
    assert data.sha256 == generate_ratings().sha256
    assert set(np.unique(np.asarray(data.ratings))) == {1, 2, 3, 4, 5}
    assert 0.2 < len(data.pairs) / (len(data.users) * len(data.items)) < 0.4
    assert len(np.unique(data.pairs[:, 0])) == len(data.users)
