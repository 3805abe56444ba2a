"""New rows of a table: the spelling and type of a value do not matter, and what is new is said."""

import datetime
import re

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data import load_features

TRAIN = "\n".join(
    ["City,Store,Member,Price,Day,kind"]
    + [
        f'{city},{store},{member},"{price} €",{day}/1/2024,{"uv"[store % 2]}'
        for city, store, member, price, day in zip(
            ["Seoul", "Busan", "Jeju"] * 6,
            [1, 2, 3] * 6,
            ["True", "False"] * 9,
            ["1.234,50", "2,5", "3"] * 6,
            range(10, 28),
            strict=True,
        )
    ]
)
ROW = {"City": "Busan", "Store": 2, "Member": True, "Price": 2.5, "Day": "2024-01-13"}


@pytest.fixture
def fitted(file, load):
    return load(file(TRAIN), ignore=(), categories=("Store",)).preprocessing


@pytest.fixture
def read(file, fitted):
    """The new rows of a text or frame."""

    def read(content, name="new.csv", *, carry=(), unseen="other", **options):
        import dataclasses

        preprocessing = dataclasses.replace(fitted, unseen=unseen)
        path = file(content, name)
        return load_features(path, preprocessing, options=TableOptions(**options), carry=carry)

    return read


def rejects(read, content, expected, **options):
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        read(content, **options)
    assert "\n" not in str(caught.value)


def test_the_training_table_is_what_the_tests_say(fitted):
    assert fitted.feature_names == (
        *("City=Busan", "City=Jeju", "City=Seoul", "Store=1", "Store=2", "Store=3"),
        *("Member=false", "Member=true", "Price", "Day (days since 2024-01-10)"),
        *(f"Day ({wave} of {cycle})" for cycle in ("year", "week") for wave in ("sine", "cosine")),
    )


@pytest.mark.parametrize(
    "content",
    [
        'City,Store,Member,Price,Day\nBusan,2,True,"2,5 €",13/1/2024\n',
        'City,Store,Member,Price,Day\nBusan,2,True,"2,50",13/01/2024\n',
        "City;Store;Member;Price;Day\nBusan;2;True;2,5;13/1/2024\n",
        "City,Store,Member,Price,Day\nBusan,2.0,true,2.5,2024-01-13\n",
        "CITY,store, member ,PRICE,day\nbusan,02,TRUE,€ 2.50,2024. 1. 13.\n",
        "City,Store,Member,Price,Day\n BUSAN ,２,yes,2.5,13 Jan 2024\n",
        "Day,Price,Member,Store,City\n'13.1.2024',2.5,1,'2','Busan'\n",
        "City\tStore\tMember\tPrice\tDay\nBusan\t2\tT\t2.5\t2024-01-13 00:00\n",
        polars.DataFrame({name: [value] for name, value in ROW.items()}),
    ],
)
def test_spelling_and_type_do_not_matter(read, content):
    rows = read(content, "new.csv" if isinstance(content, str) else "new.parquet")
    assert rows.x[:, :10].tolist() == [[1, 0, 0, 0, 1, 0, 0, 1, 2.5, 3]]
    assert rows.row_notes == [""] and rows.notes == []


def test_types_that_a_file_declares(file, read):
    day = datetime.datetime(2024, 1, 13)
    frame = polars.DataFrame(ROW | {"Day": [day], "Store": [2.0], "Member": ["TRUE"]})
    expected = read(polars.DataFrame({name: [value] for name, value in ROW.items()})).x
    np.testing.assert_array_equal(read(frame, "new.parquet").x, expected)
    np.testing.assert_array_equal(
        read(frame.with_columns(Day=polars.lit(day.date())), "new.parquet").x, expected
    )


def csv(**changes):
    row = ROW | changes
    return polars.DataFrame({name: [value] for name, value in row.items()})


def test_columns_that_are_not_known_are_ignored_with_a_note(read):
    frame = csv(id=7, kind="u")
    rows = read(frame)
    assert rows.notes == ["new.csv: columns that the training data do not have are ignored: 'id'"]
    np.testing.assert_array_equal(rows.x, read(csv()).x)
    assert read(frame, ignore=("id",)).notes == []
    rows = read(frame, carry=("id", "City"))
    assert rows.carried == {"id": ["7"], "City": ["Busan"]} and rows.notes == []
    rejects(read, frame, "carry: there is no column 'idd'; did you mean 'id'?", carry=("idd",))
    rejects(read, frame.drop("City"), "columns are missing: 'City'")


def test_a_category_that_is_not_known(read):
    frame = polars.concat([csv(), csv(City="Daegu"), csv(City="Ulsan")])
    rows = read(frame)
    assert rows.x[:, :3].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert rows.row_notes == ["", *["City: not in the training data"] * 2]
    note = "column 'City' in 2 rows: not in the training data ('Daegu', 'Ulsan')"
    assert rows.notes == [f"new.csv: {note}"]
    rejects(read, frame, "'City' holds 'Daegu' in row 2", unseen="reject")


def test_missing_cells_are_handled_as_the_run_was_told(file, load, read):
    for cell in ("", "NA", "#N/A", " "):
        rejects(read, csv(City=cell), "1 cell is missing: (row 1, column 'City')")
    rejects(read, csv(Price="-"), "train with --impute median or --impute most_frequent")
    rejects(read, csv(Price="unknown"), "holds text in a column of numbers")
    rejects(read, csv(Price="unknown"), "1 cell is missing", missing=("unknown",))
    imputed = load(
        file(TRAIN), ignore=(), categories=("Store",), impute="most_frequent"
    ).preprocessing
    frame = polars.concat(
        [csv(Price="NA", Day="", Member="True"), csv(Price="2.5", City="?", Member="NA")]
    )
    rows = load_features(file(frame, "new.csv"), imputed)
    day = imputed.columns[-1].shown_fill
    assert rows.row_notes == [
        f"Price: missing, 2.5 used; Day: missing, {day} used",
        "City: missing, Busan used; Member: missing, false used",
    ]
    assert [note.split(": ")[1].split(" in")[0] for note in rows.notes] == [
        f"column '{name}'" for name in ("City", "Member", "Price", "Day")
    ]
    assert (
        rows.x[0, 8] == 2.5 and day.startswith("2024-01-") and rows.x[1, :3].tolist() == [1, 0, 0]
    )


def test_numbers_of_another_kind_are_rejected(read):
    for change, expected in (
        ({"Price": "2,5 $"}, "'Price' holds the unit '$', and the training data have '€'"),
        ({"Price": "5%"}, "'Price' holds the unit '%'"),
        ({"Price": "much"}, "'Price' holds text in a column of numbers: 1 cell of 1"),
        ({"Price": "inf"}, "'Price' holds numbers that are infinite"),
        ({"Day": "soon"}, "'Day' holds 'soon' in a column of dates"),
        ({"Day": "10:30"}, "'Day' holds '10:30' in a column of dates"),
        ({"Day": 3}, "'Day' holds '3' in a column of dates"),
    ):
        rejects(read, csv(**change), expected)


def test_a_saved_decimal_mark_settles_what_is_open(read):
    # The training data have decimal commas: 1.234 is a thousand, unless the new cells differ.
    assert read(csv(Price="1.234")).x[0, 8] == 1234
    both = polars.concat([csv(Price="1.234"), csv(Price="1.5")])
    np.testing.assert_allclose(read(both).x[:, 8], [1.234, 1.5], rtol=1e-6)
    assert read(csv(Price=1.234), "new.parquet").x[0, 8] == np.float32(1.234)


def test_per_cent_has_to_be_written(file, load):
    train = "share,kind\n" + "".join(f"{i}%,{'uv'[i % 2]}\n" for i in range(8))
    fitted = load(file(train), ignore=()).preprocessing
    assert load_features(file("share\n5 %\n", "new.csv"), fitted).x.item() == 5
    for content in ("share\n5\n", polars.DataFrame({"share": [0.05]})):
        name = "new.csv" if isinstance(content, str) else "new.parquet"
        with pytest.raises(ValueError, match=r"'share' holds .*the training data have"):
            load_features(file(content, name), fitted)


def test_numbers_and_booleans_are_alike(file, load):
    fitted = load(file("flag,x,kind\n0,1,u\n1,2,v\n0,3,u\n"), ignore=()).preprocessing
    frame = polars.DataFrame({"flag": [True, False], "x": [1, 2]})
    for name in ("new.csv", "new.parquet"):
        assert load_features(file(frame, name), fitted).x[:, 0].tolist() == [1, 0]
    fitted = load(file("flag,x,kind\nyes,1,u\nno,2,v\nno,3,u\n"), ignore=()).preprocessing
    for cells in (["Yes", "NO"], ["Y", "n"], [True, False], [1, 0], ["true", "false"], [1.0, 0.0]):
        new = file(polars.DataFrame({"flag": cells, "x": [1, 2]}), "new.parquet")
        assert load_features(new, fitted).x[:, :2].tolist() == [[0, 1], [1, 0]]


def test_values_that_are_distinguished_stay_distinct(file, load):
    train = "code,kind\n" + "".join(f"{code},{'uv'[i % 2]}\n" for i, code in
                                    enumerate(["a", "A", "1", "01", "b"] * 3))  # fmt: skip
    fitted = load(file(train), ignore=(), categories=("code",)).preprocessing
    assert fitted.columns[0].values == ("01", "1", "A", "a", "b")
    rows = load_features(file("code\nA\na\n01\n1\nB\n1.0\n", "new.csv"), fitted)
    assert rows.x.argmax(axis=1).tolist()[:5] == [2, 3, 0, 1, 4]
    # It may be either of two.
    assert rows.row_notes[5] == "code: not in the training data"


def test_new_rows_without_a_header_have_the_places_of_the_training_data(file, load):
    train = "1,u,0.5\n2,v,0.25\n3,u,1.5\n"
    fitted = load(file(train), label="column_2", header="none", ignore=()).preprocessing
    assert fitted.num_columns == 3
    for content in ("7,x,8\n", "7,8\n"):
        assert load_features(file(content, "new.csv"), fitted).x.tolist() == [[7, 8]]
    with pytest.raises(ValueError, match=r"has 4 columns, and the training data .* have 3"):
        load_features(file("1,2,3,4\n", "new.csv"), fitted)


def test_numbers_that_float32_cannot_tell_apart(file, load):
    for cells in (
        [10_000_000 + 0.02 * i for i in range(18)],
        [1_700_000_000 + i for i in range(18)],
        [2**53 + 2 * i for i in range(18)],
        [-5e12 + i for i in range(18)],
    ):
        lines = [f"{cell!r},{'uv'[i // 9]}" for i, cell in enumerate(cells)]
        dataset = load(file("\n".join(["x,kind", *lines])), ignore=())
        steps = np.diff(dataset.x[:, 0])
        np.testing.assert_allclose(steps, cells[1] - cells[0], rtol=1e-5)
        assert re.fullmatch(r"x - -?[0-9.]+(e\+\d+)?", dataset.feature_names[0])
        new = load_features(file(f"x\n{cells[7]!r}\n", "new.csv"), dataset.preprocessing)
        assert new.x.item() == dataset.x[7, 0]
    # Where float32 is enough, numbers stay as they are.
    assert load(file("x,kind\n2001,u\n2024,v\n2010,u\n"), ignore=()).feature_names == ("x",)
    target = load(file("x,kind\n" + "".join(f"{i},{1.7e9 + i}\n" for i in range(9))), ignore=(),
                  task="regression")  # fmt: skip
    assert target.y.dtype == np.float64 and np.ptp(target.y) == 8
