"""The fitted preprocessing of a table, and tables to predict from."""

import dataclasses
import json
import re

import numpy as np
import polars
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from experiments import data
from experiments.config import TableOptions
from experiments.data import split
from experiments.data.tables import preprocessing
from experiments.data.tables.preprocessing import Category, Number, Preprocessing
from experiments.data.tables.table import read_table

MEDIAN = TableOptions(impute="median")


def load_features(path, fitted):
    return data.load_features(path, fitted).x


COLORS = np.array(["red", "green", "blue", "dark blue", "Zürich"])


def make_frame(num_rows: int = 200, missing: float = 0.0) -> polars.DataFrame:
    """Two columns of numbers, two of text, three classes and a target."""
    rng = np.random.default_rng(0)
    frame = polars.DataFrame({
        "size": rng.normal(50, 20, num_rows),
        "color": rng.choice(COLORS, num_rows, p=[0.3, 0.3, 0.2, 0.1, 0.1]),
        "count": rng.integers(0, 9, num_rows),
        "shape": rng.choice(["round", "square"], num_rows),
        "kind": rng.choice(["u", "v", "w"], num_rows),
        "weight": rng.normal(size=num_rows),
    })  # fmt: skip
    holes = {
        name: polars.Series(name, rng.uniform(size=num_rows) < missing)
        for name in ("size", "color", "count", "shape")
    }
    return frame.with_columns(
        polars.when(hole).then(None).otherwise(frame[name]).alias(name)
        for name, hole in holes.items()
    )


# --- features, against scikit-learn


def oracle(frame: polars.DataFrame, train: np.ndarray) -> np.ndarray:
    """Median and most frequent of the training rows, one-hot over the values of all rows, and where
    cells are missing."""
    features = []
    for name in ("size", "color", "count", "shape"):
        is_text = frame[name].dtype == polars.String
        column = np.array(frame[name].to_list(), object if is_text else float)[:, None]
        imputer = SimpleImputer(
            strategy="most_frequent" if is_text else "median",
            missing_values=None if is_text else np.nan,
        )
        filled = imputer.fit(column[train]).transform(column)
        if is_text:
            present = column[frame[name].is_not_null().to_numpy()]
            filled = OneHotEncoder(sparse_output=False).fit(present).transform(filled)
        features.append(filled)
        if frame[name].null_count():
            features.append(frame[name].is_null().to_numpy()[:, None])
    return np.concatenate(features, axis=1).astype(np.float32)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_features_are_those_of_scikit_learn(file, missing, load):
    frame = make_frame(missing=missing)
    dataset = load(file(frame), impute="median" if missing else None)
    np.testing.assert_array_equal(dataset.x, oracle(frame, split(dataset, seed=3).train))
    assert dataset.x.dtype == np.float32
    names = dataset.feature_names
    if not missing:
        colors = [f"color={color}" for color in sorted(COLORS)]
        assert names == ("size", *colors, "count", "shape=round", "shape=square")
    assert [name.endswith(" is missing") for name in names].count(True) == (4 if missing else 0)


def test_only_the_training_rows_are_used(file, load):
    frame = make_frame(missing=0.1)
    dataset = load(file(frame), impute="median")
    others = np.setdiff1d(np.arange(len(frame)), split(dataset, seed=3).train)
    sizes = frame["size"].to_numpy(writable=True)
    sizes[others] = 1e6
    changed = frame.with_columns(polars.Series("size", sizes).fill_nan(None))
    assert load(file(changed), impute="median").preprocessing == dataset.preprocessing
    assert load(file(changed), impute="median", seed=4).preprocessing != dataset.preprocessing


def test_the_split_of_the_data_set_is_the_split_that_was_fitted_on(file, load):
    frame = make_frame(missing=0.3)
    for task, label, ignore in (
        ("classification", "kind", ["weight"]),
        ("regression", "weight", ["kind"]),
    ):
        dataset = load(file(frame), task=task, label=label, ignore=ignore, impute="median")
        train = split(dataset, seed=3).train
        number = dataset.preprocessing.columns[0]
        assert number == Number("size", frame["size"][train].median(), indicator=True)


def test_the_most_frequent_of_several_is_the_first(file):
    frame = polars.DataFrame({"a": ["v", "u", "w", None, "u", "v"], "y": [0, 1] * 3})
    fitted = Preprocessing.fit(frame, label="y", class_names=("0", "1"), options=MEDIAN)
    assert fitted.columns == (Category("a", ("u", "v", "w"), "u", indicator=True),)
    assert fitted.transform(frame)[3].tolist() == [1, 0, 0, 1]


def test_integers_are_rounded_to_float32(file, load):
    dataset = load(file("a,kind\n16777217,u\n33554435,v\n"), ignore=[])
    assert dataset.x[:, 0].tolist() == [16777216, 33554436]


def test_one_value_in_a_column_is_fine(file, load):
    dataset = load(file("a,b,kind\n1,x,u\n1,x,v\n"), ignore=[])
    assert dataset.x.tolist() == [[1, 1], [1, 1]]


def test_csv_parquet_and_npz_give_one_data_set(file, load):
    frame = make_frame()
    datasets = [load(file(frame, f"fruit.{suffix}")) for suffix in ("csv", "parquet", "npz")]
    assert len({dataset.sha256 for dataset in datasets}) == 1
    assert datasets[0].preprocessing == datasets[1].preprocessing == datasets[2].preprocessing
    for suffix in ("csv", "parquet", "npz"):
        x = load_features(file(frame, f"fruit.{suffix}"), datasets[0].preprocessing)
        np.testing.assert_array_equal(x, datasets[0].x)


def test_many_rows(file, load):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50_000, 3)).round(3)
    frame = polars.DataFrame(values, schema=[f"c{i}" for i in range(3)]).with_columns(
        color=rng.choice(COLORS, 50_000), kind=rng.choice(["u", "v"], 50_000)
    )
    dataset = load(file(frame), ignore=[])
    np.testing.assert_array_equal(dataset.x[:, :3], values.astype(np.float32))
    assert dataset.x.shape == (50_000, 3 + len(COLORS))
    np.testing.assert_array_equal(dataset.y, frame["kind"].to_numpy() == "v")


# --- missing cells and categories


def test_missing_cells_are_rejected_and_named(file, rejects):
    path = file("a,b,kind\n1,,u\n?,x,v\n,,u\n4,NA,v\n5,nan,u\n6,x,v\n")
    cells = ["(row 1, column 'b')", "(row 2, column 'a')", "(row 3, column 'a')"]
    cells += ["(row 3, column 'b')", "(row 4, column 'b'), ..."]
    rejects(path, f"6 cells are missing: {', '.join(cells)}", "--impute median", ignore=[])
    rejects(file("a,kind\n1,u\n,v\n"), "1 cell is missing: (row 2, column 'a'); ", ignore=[])


def test_a_column_without_any_value_is_dropped(file, load):
    dataset = load(file("a,b,kind\n1,,u\n2,NA,v\n"), ignore=[])
    assert dataset.feature_names == ("a",)
    assert dataset.notes == ("fruit.csv: column 'b' has no values; dropped",)


def test_a_column_missing_in_every_training_row_is_rejected(file, load, rejects):
    labels = ["u", "v"] * 20
    dataset = load(file("a,kind\n" + "".join(f"1,{label}\n" for label in labels)), ignore=[])
    train = set(split(dataset, seed=3).train.tolist())
    lines = [f"1,{'' if i in train else 2},{label}\n" for i, label in enumerate(labels)]
    path = file("a,b,kind\n" + "".join(lines))
    rejects(path, "column 'b' is missing in every training row", ignore=[], impute="median")


def test_too_many_categories_are_rejected(file, monkeypatch, load, rejects):
    lines = [f"name {i},{i % 2}\n" for i in range(1001)]
    path = file("a,kind\n" + "".join(lines))
    names = {"categories": ["a"], "ignore": []}
    rejects(path, "'a' has 1001 categories (name 0, name 1, name 10, ...)", "--ignore a", **names)
    path = file("a,kind\n" + "".join(lines[:1000]))
    assert (load(path, **names).x.sum(axis=1) == 1).all()
    monkeypatch.setattr(preprocessing, "MAX_BYTES", 4 * 1000 * 1000 - 1)
    rejects(path, "1000 rows of 1000 features need more than", **names)


# --- tables to predict from


@pytest.fixture
def fitted(file, load):
    return load(file(make_frame()), categories=["count"], unseen="reject").preprocessing


def test_columns_are_found_by_name(file, fitted):
    frame = make_frame()
    path = file(frame)
    expected = load_features(path, fitted)
    reordered = frame.select("weight", "shape", "kind", "count", "color", "size")
    lean = frame.select("count", "color", "size", "shape")
    for other in (reordered, lean):
        np.testing.assert_array_equal(load_features(file(other, "new.csv"), fitted), expected)
        np.testing.assert_array_equal(load_features(file(other, "new.parquet"), fitted), expected)
        np.testing.assert_array_equal(fitted.transform(other), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("size,count,shape\n1,1,round\n", "columns are missing: 'color'; expected in any order"),
        ("size,count,shape,hue\n1,1,round,1\n", "found: size, count, shape, hue; rename"),
        ("size,count,shape,color\n1,1,round,red\nbig,1,round,red\n", "1 cell of 2 (row 2: 'big'"),
        ("size,count,shape,color\ninf,1,round,red\n", "'size' holds numbers that are infinite"),
        ("size,count,shape,color\n1,1,round,red\n1,1,oval,red\n",
         "column 'shape' holds 'oval' in row 2 (counted from 1 below the header), which the "
         "training data do not contain (1 such cells); known: round, square"),
        ("size,count,shape,color\n1,11,round,red\n", "column 'count' holds '11' in row 1"),
        ("size,count,shape,color\n1,1,round,\n", "1 cell is missing: (row 1, column 'color')"),
    ],
)  # fmt: skip
def test_other_tables_are_rejected(file, fitted, content, expected):
    path = file(content, "new.csv")
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        load_features(path, fitted)
    assert str(caught.value).startswith(f"{path}: ")


def test_cells_are_read_as_the_fitted_columns_say(file, load):
    # In the new table the codes look like numbers, the numbers are all missing, and the colors
    # happen to be numbers.
    train = "code,size,color,kind\n" + "01,1,1,u\n2,3,red,v\nx,8,blue,u\n01,3,red,v\n" * 5
    dataset = load(file(train), ignore=[], categories=["code"], impute="median")
    new = file("code,size,color\n01,,1\n2.0,?,1\n,NA,\n", "new.csv")
    assert dataset.feature_names[:4] == ("code=01", "code=2", "code=x", "size")
    median = dataset.preprocessing.columns[1].fill
    assert load_features(new, dataset.preprocessing).tolist() == [
        [1, 0, 0, median, 1, 0, 0],
        [0, 1, 0, median, 1, 0, 0],
        [1, 0, 0, median, 0, 0, 1],
    ]
    # From Parquet: numbers as text, and text as numbers of the same spelling.
    frame = polars.DataFrame({"code": [2, 2], "size": ["1.5", None], "color": [1.0, None]})
    assert load_features(file(frame, "new.parquet"), dataset.preprocessing).tolist() == [
        [0, 1, 0, 1.5, 1, 0, 0],
        [0, 1, 0, median, 0, 0, 1],
    ]


def test_ignored_columns_may_be_of_any_type(file, load):
    frame = make_frame()
    preprocessing = load(file(frame)).preprocessing
    assert preprocessing.ignored == ("weight",)
    strange = frame.with_columns(weight=polars.lit([1, 2]))
    expected = load_features(file(frame), preprocessing)
    found = load_features(file(strange, "new.parquet"), preprocessing)
    np.testing.assert_array_equal(found, expected)


# --- JSON


@pytest.mark.parametrize("impute", [None, "median"])
def test_a_round_trip_through_json_changes_nothing(file, impute, load):
    path = file(make_frame(missing=0.1 if impute else 0))
    dataset = load(path, impute=impute)
    restored = Preprocessing.from_json(dataset.preprocessing.to_json())
    assert restored == dataset.preprocessing and restored.imputes == (impute is not None)
    np.testing.assert_array_equal(restored.transform(read_table(path).frame), dataset.x)
    assert dataclasses.replace(restored, label="other") != restored


def test_json_is_plain(fitted):
    content = json.loads(fitted.to_json())
    number = {"name": "size", "fill": None, "indicator": False, "offset": 0.0, "kind": "number"}
    assert content["columns"][0] == number | {"decimal": "point", "unit": ""}
    assert content["columns"][3]["values"] == ["round", "square"]
    assert content["label"] == "kind" and content["class_names"] == ["u", "v", "w"]


NUMBER = {"kind": "number", "name": "a", "fill": 1.5}
CATEGORY = {"kind": "category", "name": "b", "values": ["u", "v"], "fill": "u"}
DATE = {"kind": "date", "name": "d", "part": "date", "fill": 19723.0, "offset": 19723.0}
SAVED = {
    "columns": [NUMBER, CATEGORY, DATE],
    "label": "y",
    "class_names": ["0", "1"],
    "ignored": ["c"],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"columns": []}, "no column of features left"),
        ({"columns": [CATEGORY, CATEGORY]}, "occurs twice"),
        ({"label": "a"}, "occurs twice"),
        ({"ignored": ["a"]}, "occurs twice"),
        ({"label": ""}, "is empty"),
        ({"label": 3}, "label: "),
        ({"class_names": ["0", "0"]}, "class_names must be different"),
        ({"class_names": ["0"]}, "none or at least two"),
        ({"class_names": [0, 1]}, "class_names.0: "),
        ({"class_names": "01"}, "class_names: "),
        ({"more": 1}, "more: "),
        ({"columns": [NUMBER | {"fill": "1.5"}]}, "fill: "),
        ({"columns": [NUMBER | {"fill": True}]}, "fill: "),
        ({"columns": [NUMBER | {"fill": float("nan")}]}, "fill: "),
        ({"columns": [NUMBER | {"fill": 1e39}]}, "infinite in float32"),
        ({"columns": [NUMBER | {"fill": None}, CATEGORY]}, "only some of the columns"),
        ({"columns": [NUMBER | {"kind": "other"}]}, "columns.0: "),
        ({"columns": [NUMBER | {"more": 1}]}, "columns.0."),
        ({"columns": [CATEGORY | {"values": []}]}, "has 0 categories"),
        ({"columns": [CATEGORY | {"values": ["u", "u"]}]}, "sorted and different"),
        ({"columns": [CATEGORY | {"values": ["v", "u"]}]}, "sorted and different"),
        ({"columns": [CATEGORY | {"values": [1, 2]}]}, "values.0: "),
        ({"columns": [CATEGORY | {"fill": "w"}]}, "'w', which is not one of its values"),
        ({"columns": {"0": NUMBER}}, "columns: "),
        ({"columns": [NUMBER | {"unit": 3}]}, "unit: "),
        ({"columns": [NUMBER | {"decimal": "dot"}]}, "decimal: "),
        ({"columns": [DATE | {"part": "day"}]}, "part: "),
        ({"columns": [DATE | {"offset": float("inf")}]}, "offset: "),
        ({"unseen": "error"}, "unseen: "),
    ],
)
def test_edited_json_is_rejected(change, expected):
    Preprocessing.from_json(json.dumps(SAVED))
    with pytest.raises(ValueError, match=r"^not a saved preprocessing: ") as caught:
        Preprocessing.from_json(json.dumps(SAVED | change))
    assert expected in str(caught.value) and "restore the file" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", "[" * 100_000, b"\xff", "__import__('os')"]
)
def test_other_text_is_rejected(text):
    with pytest.raises(ValueError, match="not a saved preprocessing: "):
        Preprocessing.from_json(text)
    missing = {key: value for key, value in SAVED.items() if key != "label"}
    with pytest.raises(ValueError, match="label: "):
        Preprocessing.from_json(json.dumps(missing))
