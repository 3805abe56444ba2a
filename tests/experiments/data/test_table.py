"""Tables from text and Parquet: what is read and what is rejected. NPZ: test_npz.py."""

import datetime
import re

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data.tables import table
from experiments.data.tables.cells import numbers, texts


def read_table(path, **options):
    """The frame of a table, with whole numbers of any size as Int64."""
    return widened(table.read_table(path, TableOptions(**options)).frame)


def read_cells(path, **options):
    return table.read_cells(path, TableOptions(**options)).frame


def widened(frame):
    whole = [name for name, dtype in frame.schema.items() if dtype.is_integer()]
    return frame.with_columns(polars.col(whole).cast(polars.Int64))


@pytest.fixture
def file(tmp_path):
    """Write content under a name and return the path."""

    def write(content: str | bytes, name: str = "some.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rejects(path, *expected: str, read=read_table, **options) -> None:
    """Reading raises, and the message names the file and contains what is expected."""
    with pytest.raises(ValueError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.count(str(path)) == 1
    for part in expected:
        assert part in message, message


# --- delimited text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_byte_order_mark(file, delimiter, end, mark):
    lines = ["size, color ,n", "1.5,red,1", " -2e3 ,dark blue ,2", '"3","a ""b""",3', ""]
    path = file(mark + end.join(lines).replace(",", delimiter).encode())
    frame = read_table(path)
    assert frame.schema == {"size": polars.Float64, "color": polars.String, "n": polars.Int64}
    assert frame.rows() == [(1.5, "red", 1), (-2000, "dark blue", 2), (3, 'a "b"', 3)]


def test_a_quoted_header_does_not_decide_the_delimiter(file):
    assert read_table(file('"a;b;c",d\n1,2\n')).columns == ["a;b;c", "d"]
    # As many commas as tabs: the suffix decides.
    assert read_table(file("a,b\tc\n1\t2\n", "some.tsv")).columns == ["a,b", "c"]


def test_quoted_cells_hold_delimiters_and_line_ends(file):
    frame = read_table(file('a,b\n1,"x, y"\n2,"x\ny"\n'))
    assert frame["b"].to_list() == ["x, y", "x\ny"]


def test_missing_cells(file):
    cells = ["", " ", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", " ? "]
    lines = [f"{cell},{cell},0\n" for cell in cells]
    frame = read_table(file("a,b,c\n1,x,0\n" + "".join(lines)), ignore=["c"])
    assert frame.schema == {"a": polars.Int64, "b": polars.String}
    assert frame.null_count().row(0) == (len(cells), len(cells))


def test_blank_lines_are_skipped_and_a_column_may_be_empty(file):
    frame = read_table(file("\na,b\n\n1,\n\n2,\n\n"))
    assert frame.rows() == [(1, None), (2, None)]
    assert frame.schema["b"] == polars.Float64
    assert read_cells(file("a,b\n1,\n")).rows() == [("1", "")]


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["1", "+2", "-3"], polars.Int64),
        (["1", "2.0"], polars.Float64),
        ([".5", "5.", "1e-3", "1E5"], polars.Float64),
        (["1", "9223372036854775808"], polars.Float64),
        (["yes", "no"], polars.String),
        (["01", "2"], polars.Int64),
        (["1", "x", "y"], polars.String),
        (["inf", "x", "y"], polars.String),
        (["0x10", "1_000", "--1"], polars.String),
    ],
)
def test_inference(file, cells, dtype):
    frame = read_table(file("a,b\n" + "".join(f"{cell},0\n" for cell in cells)))
    assert frame.schema["a"] == dtype
    expected = cells if dtype == polars.String else [float(cell) for cell in cells]
    assert frame["a"].to_list() == expected


def test_text_among_numbers_is_rejected_or_taken_as_categories_or_ignored(file):
    path = file("age,y\n1,0\ntwo,0\n3,0\n,0\nfour,0\n")
    found = "'age' holds text in a column of numbers: 2 cells of 5 (row 2: 'two', row 5: 'four'"
    rejects(path, found, "rows are counted from 1", "--categories age", "--ignore age")
    assert read_table(path, categories=["age"])["age"].to_list() == ["1", "two", "3", None, "four"]
    assert read_table(path, ignore=["age"]).columns == ["y"]


def test_only_the_first_cells_are_shown(file):
    path = file("a,b\n" + "1,0\n" * 10 + "x,0\n" * 7)
    rejects(path, "7 cells of 17 (row 11: 'x'", "row 15: 'x', ...")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400", "1e39"])
def test_an_infinite_number_is_rejected(file, cell):
    rejects(file(f"a,b\n1,0\n{cell},0\n"), "'a' holds numbers that are infinite", "row 2: ")


def test_forced_categories_keep_their_spelling(file):
    path = file("zip,y\n01234,1\n 1.0,2\n")
    assert read_table(path, categories=["zip"])["zip"].to_list() == ["01234", "1.0"]
    assert read_table(path).schema["zip"] == polars.Float64


def test_cells_of_known_columns_stay_text(file):
    frame = read_cells(file("a,b\n1, x \nNA,2\n"), ignore=["unknown"])
    assert frame.rows() == [("1", "x"), ("NA", "2")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b\n", "a header and no row"),
        ("a,b\n\n", "a header and no row"),
        ("a,b, a\n1,2,3\n", "columns 1 and 3 are both called 'a'"),
        ("a,b\n1,2\n\n3\n", "line 4 has 1 cells and the header 2, delimited by commas"),
        ("a;b\n1;2\n3;4;5\n", "line 3 has 3 cells and the header 2, delimited by semicolons"),
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', "line 4 cannot be read (unexpected end of data)"),
        ('a,b\n1,"x"y\n', "line 2 cannot be read"),
        (f'a,b\n1,"{"x" * 200_000}"\n', "line 2 cannot be read (field larger"),
        (b"a,b\n1,\0\n", "line 2 holds a zero byte, so this is a binary file"),
    ],
)
def test_text_that_is_not_a_table_is_rejected(file, content, expected):
    rejects(file(content), expected)
    rejects(file(content), expected, read=read_cells)


def test_a_large_table_is_read_in_pieces_and_the_line_of_a_mistake_is_known(file):
    lines = ["a,b"] + [f"{i},{i / 4}" for i in range(20_501)]
    frame = read_table(file("\n".join(lines)))
    np.testing.assert_array_equal(frame["a"].to_numpy(), np.arange(20_501))
    np.testing.assert_array_equal(frame["b"].to_numpy(), np.arange(20_501) / 4)
    lines[20_300] = "1"
    rejects(file("\n".join(lines)), "line 20301 has 1 cells")


# --- which file


def test_paths_that_are_not_tables(file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv: there is no such file"):
        read_table(tmp_path / "missing.csv")
    (tmp_path / "folder.csv").mkdir()
    rejects(tmp_path / "folder.csv", "this is a folder, expected a file ending in .csv, .tsv")
    rejects(file("a", "some.xlsx"), "suffix '.xlsx' is unknown, expected one of .csv", ".npz")
    assert read_table(file("a,b\n1,2\n", "SOME.TXT")).rows() == [(1, 2)]


@pytest.mark.parametrize("argument", ["ignore", "categories"])
def test_an_unknown_column_suggests_the_nearest(file, argument):
    path = file("color,size\nred,1\n")
    rejects(path, f"{argument}: there is no column 'colour'; did you mean 'color'?",
            "columns: color, size", **{argument: ["colour"]})  # fmt: skip
    rejects(path, "ignore and in categories", ignore=["size"], categories=["size"])


# --- Parquet


def parquet(tmp_path, **columns):
    path = tmp_path / "some.parquet"
    polars.DataFrame(columns).write_parquet(path)
    return path


def test_parquet_types(tmp_path):
    path = parquet(
        tmp_path,
        whole=polars.Series([1, None, 3], dtype=polars.UInt8),
        huge=polars.Series([2**64 - 1, 0, 1], dtype=polars.UInt64),
        real=polars.Series([0.5, float("nan"), None], dtype=polars.Float32),
        price=polars.Series(["1.25", "2.50", None]).cast(polars.Decimal(10, 2)),
        flag=[True, None, False],
        text=["1", " 2 ", "?"],
        kind=polars.Series(["u", "v", None], dtype=polars.Categorical),
        enum=polars.Series(["u", "v", None], dtype=polars.Enum(["v", "u"])),
        nothing=[None, None, None],
        day=[datetime.date(2020, 1, 2), None, datetime.date(2020, 1, 1)],
    )
    frame = read_table(path)
    assert frame.to_dict(as_series=False) == {
        "whole": [1, None, 3],
        "huge": [2.0**64, 0, 1],
        "real": [0.5, None, None],
        "price": [1.25, 2.5, None],
        "flag": [True, None, False],
        "text": ["1", "2", None],
        "kind": ["u", "v", None],
        "enum": ["u", "v", None],
        "nothing": [None, None, None],
        "day": [datetime.date(2020, 1, 2), None, datetime.date(2020, 1, 1)],
    }
    kinds = (polars.Int64, *[polars.Float64] * 3, polars.Boolean, *[polars.String] * 3)
    assert tuple(frame.dtypes) == (*kinds, polars.Float64, polars.Date)
    assert read_cells(path)["text"].to_list() == ["1", "2", "?"]
    as_text = read_table(path, categories=["whole", "real", "flag"])
    assert as_text["whole"].to_list() == ["1", None, "3"]
    assert as_text["real"].to_list() == ["0.5", None, None]
    assert as_text["flag"].to_list() == ["true", None, "false"]


@pytest.mark.parametrize(
    "value",
    [[1, 2], {"u": 1}, b"bytes"],
    ids=["list", "struct", "binary"],
)
def test_other_parquet_types_are_rejected_unless_ignored(tmp_path, value):
    path = parquet(tmp_path, a=[1], b=[value])
    rejects(path, "column 'b' is of the type", "--ignore b")
    assert read_table(path, ignore=["b"]).rows() == [(1,)]


def test_parquet_that_is_damaged_or_empty_or_too_large_is_rejected(file, tmp_path, monkeypatch):
    rejects(file("no parquet", "some.pq"), "not an intact Parquet file")
    rejects(parquet(tmp_path, a=polars.Series([], dtype=polars.Int64)), "there are no rows")
    path = parquet(tmp_path, a=np.zeros(1000), b=np.zeros(1000))
    monkeypatch.setattr(table, "MAX_BYTES", 2000 * 8 - 1)
    rejects(path, "declares 2000 cells")
    assert read_table(path, ignore=["b"]).shape == (1000, 1)


# --- one table in all formats, and cells as numbers and text


def test_csv_parquet_and_npz_of_the_same_numbers_are_equal(tmp_path):
    rng = np.random.default_rng(0)
    frame = polars.DataFrame({
        "real": rng.normal(size=100) * 10.0 ** rng.integers(-30, 30, size=100),
        "whole": rng.integers(-(2**62), 2**62, size=100),
        "text": rng.choice(["u", "v w", "Zürich"], size=100),
    })  # fmt: skip
    frame.write_csv(tmp_path / "some.csv")
    frame.write_parquet(tmp_path / "some.parquet")
    np.savez(tmp_path / "some.npz", **{name: frame[name].to_numpy() for name in ("real", "whole")},
             text=np.array(frame["text"].to_list()))  # fmt: skip
    for suffix in ("csv", "parquet", "npz"):
        read = widened(read_table(tmp_path / f"some.{suffix}"))
        assert read.equals(frame) and read.schema == frame.schema


def test_numbers():
    assert numbers(polars.Series("a", ["1.5", None, "-2"])).to_list() == [1.5, None, -2]
    assert numbers(polars.Series("a", [1.5, np.nan])).to_list() == [1.5, None]
    for values, expected in (
        ([True], "'a' holds Booleans, expected numbers"),
        (["1", "x", "NAN"], "'a' holds text in a column of numbers: 2 cells of 3 (row 2: 'x'"),
        ([1.0, -np.inf], "infinite in float32: 1 cell of 2 (row 2: -inf"),
        ([1e39], "infinite in float32"),
    ):
        with pytest.raises(ValueError, match=re.escape(expected)):
            numbers(polars.Series("a", values))


def test_texts():
    values = [1.0, -0.0, 0.1, -2.5, None, -3.0, 2.0**53]
    expected = ["1", "0", "0.1", "-2.5", None, "-3", "9007199254740992"]
    assert texts(polars.Series("a", values)).to_list() == expected
    assert texts(polars.Series("a", [7, None])).to_list() == ["7", None]
