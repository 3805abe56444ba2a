"""Text files as tools write them: encodings, headers, nameless columns, rows that are no data."""

import re
import tracemalloc

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data.tables.delimited import read_delimited
from experiments.data.tables.encoding import find_encoding
from experiments.data.tables.table import read_table


@pytest.fixture
def write(tmp_path):
    """Write text in an encoding and return the path."""

    def write(text: str | bytes, encoding: str = "utf-8"):
        path = tmp_path / "some.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def read(path, **options):
    """The table, and its notes as one text."""
    table = read_table(path, TableOptions(**options))
    return table.frame, "\n".join(table.notes)


def rejects(path, *expected, **options):
    with pytest.raises(ValueError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for part in expected:
        assert part in message, message


# --- encodings


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Größe,나이\n1,2\n"),
        ("utf-8-sig", "나이,b\n1,2\n"),
        ("utf-16", "나이,b\n1,2\n"),
        ("utf-16-le", "x,label\n1,a\n"),
        ("utf-16-be", "x,label\n1,a\n"),
        ("utf-32", "x,label\n1,a\n"),
        ("cp949", "나이,성별,등급\n20,남,상\n21,여,하\n"),
        ("cp949", "온도(℃),등급\n1,상\n"),
        ("cp932", "名前,年齢\nたなか,3\nさとう,4\n"),
        ("euc_jp", "名前,年齢\nたなか,3\nさとう,4\n"),
        ("gb18030", "姓名,年龄,城市\n张三,3,北京\n李四,4,上海\n"),
        ("big5", "姓名,年齡,城市\n張三,3,臺北\n李四,4,高雄\n"),
        ("cp1251", "имя,возраст\nИван,3\n"),
        ("cp1252", "Größe,Stadt\n1,München\n2,Orléans\n"),
        ("cp1252", "prix €,b\n1,2\n"),
        ("latin-1", "naïve,São\n1,2\n"),
    ],
)
def test_encodings_are_detected_and_named(write, encoding, text):
    path = write(text, encoding)
    frame, notes = read(path)
    assert frame.columns == text.splitlines()[0].split(",")
    assert frame.equals(read(path, encoding=encoding)[0])
    certain = encoding.startswith("utf")
    assert ("is not UTF-8" in notes) is not certain
    if not certain and encoding != "latin-1":
        assert f"encoding {encoding}" in notes and "--encoding" in notes
    # New rows have the encoding of the run, where both fit.
    if not certain:
        assert find_encoding(path, likely="latin-1")[0] == "latin-1"


def test_an_encoding_that_is_given_must_fit(write):
    path = write("a,b\n1,2\n3,é\n", "latin-1")
    rejects(path, "line 3 is not text in utf-8 (byte 0xe9)", "--encoding", encoding="utf-8")
    rejects(path, "encoding 'utf8x' is unknown", encoding="utf8x")
    rejects(write("a,b\n1,2\n", "utf-16-le"), "holds zero bytes", encoding="latin-1")
    rejects(write(b"a,b\n1,\0\x01\x02\n"), "line 2 holds a zero byte, so this is a binary file")


def test_names_compare_in_composed_form(write):
    # The same Hangul syllables, decomposed as some file systems and editors write them.
    decomposed = "\u1102\u1161\u110b\u1175"
    path = write(f"{decomposed},b\n1,2\n")
    frame, _ = read(path, ignore=["b"])
    assert frame.columns == ["나이"]
    assert read(path, ignore=[decomposed])[0].columns == ["b"]


# --- header


@pytest.mark.parametrize(
    "text",
    [
        "0,100.0,7,0\n1,100.5,6,1\n2,101.0,5,0\n",
        "0,0,0\n1,1,1\n0,0,2\n",
        "5.1,3.5,setosa\n4.9,3.0,virginica\n",
        "39,State-gov,77516,Male\n50,Private,83311,Female\n",
        "x,s,n\nb,s,y\nx,y,n\n",
        "-1,a\n2,b\n",
        "alice,25\nbob,30\n",
    ],
)
def test_a_first_row_of_data_is_not_a_header(write, text):
    path = write(text)
    rejects(path, "the first row looks like data", "--header none", "--header first")
    frame, _ = read(path, header="none")
    names = [f"column_{i}" for i in range(1, text.splitlines()[0].count(",") + 2)]
    assert frame.columns == names and frame.height == len(text.splitlines())


def test_repeated_names_may_be_data(write):
    path = write("p,x,x\ne,y,z\n")
    rejects(path, "columns 2 and 3 are both called 'x'", "--header none")
    assert read(path, header="none")[0].rows() == [("p", "x", "x"), ("e", "y", "z")]


@pytest.mark.parametrize(
    "header", ["0,1,2", "country,2019,2020", "year,2020", "1,2,3", "x1,x2,x3", "country,1960,1961"]
)
def test_names_may_be_counting_numbers(write, header):
    cells = ",".join(["u", "0.5", "0.25"][: header.count(",") + 1])
    assert read(write(f"{header}\n{cells}\n"))[0].columns == header.split(",")


def test_a_header_of_numbers_can_be_confirmed(write):
    path = write("dose,0.5,1.5\nu,7,8\n")
    rejects(path, "it holds the numbers '0.5', '1.5'")
    assert read(path, header="first")[0].columns == ["dose", "0.5", "1.5"]


# --- columns and rows that are no data


def test_an_index_of_pandas_is_dropped(write):
    for first, counts in (("", (0, 1, 2)), ("", (1, 2, 3)), ("Unnamed: 0", (0, 1, 2))):
        lines = [f"{i},{x},u" for i, x in zip(counts, (5, 7, 6), strict=True)]
        frame, notes = read(write("\n".join([f"{first},x,label", *lines])))
        assert frame.columns == ["x", "label"]
        assert notes == "column 1 counts the rows and has no name; dropped"
    frame, notes = read(write(",x\n3,1\n1,2\n2,3\n"))
    assert frame.columns == ["column_1", "x"] and "is called column_1" in notes
    assert read(write(",x\n3,1\n1,2\n"), ignore=["column_1"])[0].columns == ["x"]
    # A column with a name is a feature, whatever it holds.
    assert read(write("id,x\n0,1\n1,2\n"))[0].columns == ["id", "x"]


def test_row_names_of_r_are_a_column_without_a_name(write):
    frame, notes = read(write('"a","b"\n"1",2,x\n"2",4,y\n'))
    assert frame.columns == ["a", "b"] and frame.rows() == [(2, "x"), (4, "y")]
    assert "column 1 counts the rows and has no name; dropped" in notes
    frame, notes = read(write('"a","b"\n"ann",2,x\n"bob",4,y\n'))
    assert frame.columns == ["column_1", "a", "b"]
    assert "column 1 has no name and is called column_1" in notes


def test_an_empty_column_without_a_name_is_dropped(write):
    frame, notes = read(write("x,label,\n0,a,\n1,b,\n"))
    assert frame.columns == ["x", "label"]
    assert notes == "column 3 is empty and has no name; dropped"
    frame, notes = read(write("x,label\n0,a,\n1,b,\n"))
    assert frame.rows() == [(0, "a"), (1, "b")]
    assert notes == "the empty cell at the end of 2 rows dropped"


@pytest.mark.parametrize("rest", [",\n,\n", " \n\t\n", '"",""\n , \n', ";;;\n;;\n"[:0] + ",\n \n"])
def test_rows_without_content_are_dropped(write, rest):
    frame, notes = read(write(f"x,label\n0,a\n{rest}1,b\n{rest}"))
    assert frame.rows() == [(0, "a"), (1, "b")]
    assert notes == "4 rows without content dropped"


def test_an_export_of_a_spreadsheet(write):
    text = 'sep=;\r\nGröße;Preis;Art\r\n"1,5";"1.234,50 €";gut\r\n2,25;3 €;"a\r\nb"\r\n;;\r\n'
    frame, notes = read(write(text, "utf-8-sig"))
    assert frame.rows() == [(1.5, 1234.5, "gut"), (2.25, 3, "a\r\nb")]
    assert "1 row without content dropped" in notes and notes.count("read as numbers") == 2


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters(write, mark):
    assert read(write(f"a{mark}b\n1{mark}x\n"))[0].rows() == [(1, "x")]


def test_plain_points_beside_decimal_commas_are_open(write):
    path = write("a;b\n1,5;1.234\n2,25;5.678\n")
    rejects(path, "column 'b' holds numbers like 1.234", "column 'a' has decimal commas",
            "--decimal point or --decimal comma")  # fmt: skip
    assert read(path, decimal="comma")[0].rows() == [(1.5, 1234), (2.25, 5678)]
    assert read(path, decimal="point")[0].rows() == [(1.5, 1.234), (2.25, 5.678)]
    assert read(write("a;b\n1,5;1.25\n"))[0].rows() == [(1.5, 1.25)]
    assert read(write("a;b\n2;1.234\n"))[0].rows() == [(2, 1.234)]


# --- missing cells


def test_marks_of_missing_cells(write):
    marks = ["#N/A", "n/a", "N/A", "NaN", "null", "<NA>", "?", "#DIV/0!", "\\N", ""]
    lines = [f"{mark},{mark},0" for mark in marks]
    frame, _ = read(write("\n".join(["x,c,y", "1,u,0", *lines])))
    assert frame.null_count().row(0) == (len(marks), len(marks), 0)
    # Marks of numbers are categories elsewhere, and so is NA among codes of two letters.
    frame, _ = read(write("x,c\n1,None\n-,u\nnone,-\n"))
    assert frame.rows() == [(1, "None"), (None, "u"), (None, "-")]
    path = write("country\nNA\nZA\nKE\nNA\n\n")
    frame, notes = read(path)
    assert frame["country"].to_list() == ["NA", "ZA", "KE", "NA"] and "--missing NA" in notes
    assert read(path, missing=["NA"])[0].null_count().item() == 2
    assert read(write("c,x\nNA,1\nred,2\nKE,3\n"))[0]["c"].null_count() == 1


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["-999", "1", "2", "-999", "5"], "-999"),
        (["-999.0", "1.5", "2", "-999.0", "5"], "-999"),
        (["9999", "1", "2", "9999", "5"], "9999"),
        (["99", "1", "2", "3", "99"], "99"),
        (["-999", "1", "2", "3"], None),
        (["99", "98", "1", "50", "99"], None),
        (["-9999", "1", "-8000", "-9999"], None),
    ],
)
def test_a_number_that_may_mark_a_missing_cell_is_named(write, cells, named):
    path = write("\n".join(["x,y", *(f"{cell},0" for cell in cells)]))
    _, notes = read(path)
    assert (f"--missing={named} and --impute" in notes) is (named is not None)
    if named:
        assert read(path, missing=[named])[0]["x"].null_count() == 2


# --- categories


def test_text_that_hardly_repeats_is_rejected_by_name(write):
    lines = [f"Person {i},{20 + i}" for i in range(18)]
    path = write("\n".join(["name,age", *lines]))
    rejects(path, "column 'name' holds 18 different texts in 18 cells ('Person 0',",
            "--ignore name", "--categories name")  # fmt: skip
    assert read(path, ignore=["name"])[0].columns == ["age"]
    assert read(path, categories=["name"])[0]["name"].n_unique() == 18
    rejects(write("\n".join(["day,b", *(f"24/01/{i:02},0" for i in range(1, 19))])),
            "--date-format")  # fmt: skip
    # Few values, or values that repeat, are categories.
    for texts in ([f"t{i}" for i in range(9)], [f"t{i % 10}" for i in range(20)]):
        assert read(write("\n".join(["a,b", *(f"{t},0" for t in texts)])))[0].height == len(texts)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["True", "TRUE", "true", "False", "FALSE", "false"], [True] * 3 + [False] * 3),
        (["yes", "No", "Y", "N"], ["yes", "no", "yes", "no"]),
        (["Yes", "No", "Yes"], ["Yes", "No", "Yes"]),
        (["Y", "N"], ["Y", "N"]),
    ],
)
def test_spellings_of_true_and_false(write, cells, expected):
    frame, _ = read(write("\n".join(["t,y", *(f"{cell},0" for cell in cells)])))
    assert frame["t"].to_list() == expected


# --- memory


def test_cells_are_not_kept_as_objects(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "large.csv"
    digits = rng.integers(10, size=(20_000, 40))
    frame = polars.DataFrame(digits, schema=[f"c{i}" for i in range(40)])
    frame.with_columns(
        flag=polars.Series(rng.choice(["yes", "no"], 20_000)), x=rng.normal(size=20_000).round(2)
    ).write_csv(path)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        read = read_delimited(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Python's cells of one piece, which does not grow with the file; Polars counts for itself.
    assert peak < 60e6 and read.frame.estimated_size() < size
    assert read.frame.drop("flag", "x").equals(frame.with_columns(polars.all().cast(polars.Int8)))


def test_notes_and_messages_are_of_one_line(write):
    text = "a;b;c\n1,5;01/02/2024;x\n"
    with pytest.raises(ValueError, match=re.escape("--date-format")) as caught:
        read(write(text))
    assert "\n" not in str(caught.value)
