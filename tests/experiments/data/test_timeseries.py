"""Time series: files of the archives are read, and what is wrong in them is named by its line."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest

from experiments.data.named.timeseries import FILES, NAMES, load_timeseries
from experiments.data.ts_files import parse_rows, parse_ts, read_ts

ARCHIVE = Path(os.environ.get("JAXNET_DATA") or "missing", "timeseries", "timeseries.tar.xz")
HEAD = "# a comment\n\n@problemName some set\n@classLabel true a b\n@data\n"


def ts(*lines: str, head: str = HEAD) -> bytes:
    return (head + "\n".join(lines)).encode()


def test_series_of_any_length_are_read():
    series = parse_ts(ts("1,2,3:4,5,6e1:b", "", "# between", " 7 : -8 : a "), "some.ts")
    np.testing.assert_array_equal(series.values[0], np.float32([[1, 4], [2, 5], [3, 60]]))
    np.testing.assert_array_equal(series.values[1], np.float32([[7, -8]]))
    assert series.labels.tolist() == [1, 0] and series.class_names == ("a", "b")
    assert {array.dtype for array in series.values} == {np.dtype(np.float32)}


def tagged(tag: str) -> str:
    return HEAD.replace("@data", f"{tag}\n@data")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"@classLabel true a\n1:a", "line 2: found '1:a' before @data"),
        (b"@classLabel true a\n", "there is no line @data"),
        (b"@data\n1:a", "@classLabel is 'missing'"),
        (ts("1:a", head="@classLabel false\n@data\n"), "@classLabel is 'false'"),
        (ts("1:a", head="@classLabel true\n@data\n"), "expected true and the names"),
        (ts("1:a", head="@classLabel true a b a\n@data\n"), "lists a twice"),
        (ts("1:a", head=tagged("@timeStamps true")), "with time stamps are not read"),
        (ts("1:a", head=tagged("@targetLabel true")), "expected classes"),
        (ts(), "no series follows"),
        (ts("1,2:a", "1,?:b"), "line 7: value 2 of channel 1 is missing"),
        (ts("1,2:1,NaN:a"), "line 6: value 2 of channel 2 is missing"),
        (ts("1,,2:a"), "value 2 of channel 1 is missing"),
        (ts(":a"), "value 1 of channel 1 is missing"),
        (ts("1,x:a"), "value 2 of channel 1 is 'x', expected a number"),
        (ts("1,inf:a"), "expected a finite number"),
        (ts("1,1e39:a"), "expected a finite number"),
        (ts("1,2:c"), "line 6: the class is 'c', expected one of a, b"),
        (ts("1,2:1"), "the class is '1'"),
        (ts("a"), "there is no colon"),
        (ts("1,2:1:a"), "the channels have 2, 1 steps"),
        (ts("1:1:a", "1:a"), "line 7: the series has 1 channels, expected 2 as in the series be"),
        (ts("1:1:a", head=tagged("@univariate true")), "2 channels, expected 1 as the tags say"),
        (ts("1:1:a", head=tagged("@dimensions 3")), "2 channels, expected 3"),
        (ts("1:a", "1,2:a", head=tagged("@equalLength true")), "line 8: the series has 2 steps"),
        (
            ts("1:a", head=tagged("@equalLength true\n@seriesLength 2")),
            "1 steps, expected 2; @equalLength is true",
        ),
        (b"\xff", "byte 0 is not UTF-8"),
    ],
)
def test_wrong_files_are_rejected_by_line(content, message):
    with pytest.raises(ValueError, match=message) as raised:
        parse_ts(content, "some.ts")
    assert str(raised.value).startswith("some.ts")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "holds no series"),
        (b"1,2\n1.5,2", "line 2: the class is '1.5'"),
        (b"x 1 2", "line 1: the class is 'x'"),
        (b"1 2 x", "value 2 of channel 1 is 'x'"),
        (b"1 2 nan", "value 2 of channel 1 is missing"),
        (b"1", "value 1 of channel 1 is missing"),
    ],
)
def test_wrong_rows_are_rejected_by_line(content, message):
    with pytest.raises(ValueError, match=message):
        parse_rows(content, "some.txt")


def test_rows_may_be_separated_by_blanks():
    series = parse_rows(b" 3.0e+00  1.5\t-2 \n\n1.0 2 3", "some.txt")
    assert series.class_names == ("1", "3") and series.labels.tolist() == [1, 0]
    assert series.values[0].ravel().tolist() == [1.5, -2.0]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_ts(tmp_path / "missing.ts")


@pytest.fixture
def files_of_two_sets(tmp_path, monkeypatch):
    """A folder with files of sets that this module makes, in place of the published ones."""
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    arrays = io.BytesIO()
    x = np.arange(6.0).reshape(2, 3, 1)
    y = np.array([2, 1])
    np.savez(arrays, X_train=x, y_train=y, X_test=-x[:1], y_test=y[:1], other=y)
    contents = {
        "GunPoint": {
            "GunPoint_TRAIN.ts": ts("1,2:b", "3:a"),
            "GunPoint_TEST.ts": ts("4:b", head="@classLabel true b a\n@data\n"),
        },
        "Trace": {"Trace.npz": arrays.getvalue()},
    }
    for name, files in contents.items():
        hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        monkeypatch.setitem(FILES, name, hashes)
        (tmp_path / "timeseries" / name).mkdir(parents=True)
        for file, content in files.items():
            (tmp_path / "timeseries" / name / file).write_bytes(content)
    return tmp_path


def test_the_last_series_are_the_official_test_set(files_of_two_sets):
    series = load_timeseries("gun_point", files_of_two_sets)
    assert series.class_names == ("a", "b") and series.labels.tolist() == [1, 0, 1]
    assert [len(array) for array in series.values] == [2, 1, 1] and series.num_official_test == 1


def test_arrays_of_both_parts(files_of_two_sets):
    series = load_timeseries("Trace", files_of_two_sets)
    assert series.labels.tolist() == [1, 0, 1] and series.num_official_test == 1
    np.testing.assert_array_equal(series.values[2].ravel(), np.float32([0, -1, -2]))


def test_files_with_other_content_are_rejected(files_of_two_sets):
    path = files_of_two_sets / "timeseries" / "GunPoint" / "GunPoint_TEST.ts"
    path.write_bytes(ts("4:a"))
    with pytest.raises(ValueError, match=r"GunPoint_TEST\.ts has SHA-256"):
        load_timeseries("GunPoint", files_of_two_sets)


def test_unknown_sets_and_sets_without_an_address(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    with pytest.raises(ValueError, match="known: ACSF1, ArrowHead"):
        load_timeseries("nothing")
    with pytest.raises(ValueError, match="set JAXNET_DATA to a folder"):
        load_timeseries("Coffee", tmp_path)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="JAXNET_DATA has no timeseries.tar.xz")
def test_published_sets():
    sizes = {}
    for name in ("CBF", "JapaneseVowels", "Trace"):
        series = load_timeseries(name)
        lengths = [len(array) for array in series.values]
        shape = len(lengths), series.num_official_test, len(series.class_names)
        sizes[name] = (*shape, min(lengths), max(lengths), series.values[0].shape[1])
    assert sizes == {
        "CBF": (930, 900, 3, 128, 128, 1),
        "JapaneseVowels": (640, 370, 9, 7, 29, 12),
        "Trace": (200, 100, 4, 275, 275, 1),
    }
    assert len(NAMES) == 11
