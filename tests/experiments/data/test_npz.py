"""Tables from NPZ files, hostile ones too."""

import io
import struct
import zipfile

import numpy as np
import pytest

from experiments.config import TableOptions
from experiments.data.tables import npz, table, zip_archive


def read_table(path, **options):
    return table.read_table(path, TableOptions(**options)).frame


def rejects(path, *expected: str, **options) -> None:
    """Reading raises, and the message names the file and contains what is expected."""
    with pytest.raises(ValueError) as caught:
        read_table(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.count(str(path)) == 1
    for part in expected:
        assert part in message, message


def npz_file(tmp_path, **arrays):
    path = tmp_path / "some.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_npz_columns(tmp_path):
    path = npz_file(
        tmp_path,
        x=np.array([[1.5, 2], [np.nan, 4]]),
        f=np.asfortranarray([[1, 2], [3, 4]], np.int8),
        big=np.array([1, 2], ">i4"),
        half=np.array([1, 2], ">f2"),
        name=np.array(["u", ""]),
        flag=np.array([True, False]),
        huge=np.array([2**64 - 1, 0], np.uint64),
    )
    frame = read_table(path)
    assert frame.columns == ["x_0", "x_1", "f_0", "f_1", "big", "half", "name", "flag", "huge"]
    assert frame.rows() == [
        (1.5, 2, 1, 2, 1, 1, "u", True, 2.0**64),
        (None, 4, 3, 4, 2, 2, None, False, 0),
    ]
    assert read_table(path, ignore=["x", "f_0"]).columns == frame.columns[3:]
    rejects(path, "there is no column 'y'", ignore=["y"])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": np.ones(3), "b": np.ones(4)}, "differ in length: 'a' 3, 'b' 4"),
        ({"a": np.ones((3, 2, 2))}, "array 'a' has shape (3, 2, 2), expected (n,) or (n, k)"),
        ({"a": np.ones(())}, "array 'a' has shape ()"),
        ({"a": np.ones((2, 2)), "a_0": np.ones(2)}, "two arrays give the column 'a_0'"),
        ({"a": np.ones(0)}, "there are no rows"),
        ({"a": np.ones(2, complex)}, "type complex128"),
        ({"a": np.zeros(2, "datetime64[D]")}, "type datetime64[D]"),
        ({"a": np.zeros(2, [("u", "f4")])}, "array 'a' has the type [('u', '<f4')]"),
        ({"a": np.array([b"u", b"v"])}, "type |S1"),
    ],
)
def test_arrays_that_are_not_columns_are_rejected(tmp_path, arrays, expected):
    rejects(npz_file(tmp_path, **arrays), expected)


class Bomb:
    """Unpickling it raises: the tests would see it."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_objects_are_not_unpickled(tmp_path):
    path = npz_file(tmp_path, a=np.array([Bomb(), Bomb()]), b=np.arange(2))
    rejects(path, "array 'a' has the type object", "objects are not unpickled", "--ignore a")
    assert read_table(path, ignore=["a"]).columns == ["b"]


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def zipped(tmp_path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED):
    path = tmp_path / "some.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name", ["../../x.npy", "a/../../x.npy", "/x.npy", "..\\x.npy", "\\x.npy", "C:\\x.npy"]
)
def test_members_outside_of_the_archive_are_rejected_and_nothing_is_written(tmp_path, name):
    path = zipped(tmp_path, {"y.npy": npy(np.arange(3)), name: npy(np.arange(3))})
    rejects(path, "names a place outside of the archive")
    assert [entry.name for entry in tmp_path.iterdir()] == ["some.npz"]


def test_members_that_are_not_arrays_are_rejected(tmp_path):
    rejects(zipped(tmp_path, {"x.txt": b"text"}), "member 'x.txt' is not a *.npy")
    rejects(zipped(tmp_path, {"x/": b""}), "member 'x/' is not a *.npy")
    rejects(zipped(tmp_path, {"x.npy": b"text"}), "array 'x' has a header that cannot be read")
    header = npy(np.arange(3)).replace(b"'<i8'", b"fail!")
    rejects(zipped(tmp_path, {"x.npy": header}), "array 'x' has a header that cannot be read")
    rejects(zipped(tmp_path, {"x.npy": b"\x93NUMPY\x03\x00" + bytes(9)}), "version (3, 0)")
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = tmp_path / "twice.npz"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x.npy", npy(np.arange(3)))
            file.writestr("x.npy", npy(np.arange(3)))
    rejects(path, "member 'x.npy' occurs twice")
    rejects(zipped(tmp_path, {"x.npy": npy(np.arange(3))}, zipfile.ZIP_LZMA), "not compressed by")


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_a_damaged_archive_is_rejected(tmp_path, cut):
    content = npz_file(tmp_path, a=np.random.default_rng(0).normal(size=100)).read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(content[:cut])
    rejects(path, "not an intact zip archive")
    damaged = bytearray(content)
    damaged[200] ^= 0xFF
    path.write_bytes(damaged)
    rejects(path, "not an intact zip archive")


def test_a_bomb_is_rejected_by_its_declared_size_before_it_is_read(tmp_path, monkeypatch):
    path = npz_file(tmp_path, a=np.zeros(1_000_000), b=np.zeros(1_000_000))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(table, "MAX_BYTES", 10_000_000)
    monkeypatch.setattr(zip_archive, "_read", lambda *_: pytest.fail("read"))
    rejects(path, "its members declare 16000256 bytes uncompressed, at most 10000000 are read")


@pytest.mark.parametrize("declared", [1_000, 100_000_000])
@pytest.mark.parametrize("fix_checksum", [False, True])
def test_a_wrong_declared_size_is_rejected(tmp_path, declared, fix_checksum):
    content = npy(np.zeros(1_000_000))
    raw = zipped(tmp_path, {"a.npy": content}).read_bytes()
    crc, size = zipfile.crc32(content), len(content)
    found = struct.pack("<L", size)
    assert raw.count(found) == 2  # the header of the member and the directory
    raw = raw.replace(found, struct.pack("<L", declared))
    if fix_checksum:
        lie = zipfile.crc32(content[:declared])
        raw = raw.replace(struct.pack("<L", crc), struct.pack("<L", lie))
    path = tmp_path / "lie.npz"
    path.write_bytes(raw)
    # With a checksum that fits, what was read so far is less than the header of the array needs.
    rejects(path, "bytes" if fix_checksum or declared > size else "not an intact zip archive")


def test_no_more_than_the_declared_size_is_decompressed(tmp_path, monkeypatch):
    content = npy(np.zeros(1_000_000))
    raw = zipped(tmp_path, {"a.npy": content}).read_bytes()
    path = tmp_path / "lie.npz"
    path.write_bytes(raw.replace(struct.pack("<L", len(content)), struct.pack("<L", 1_000)))
    produced = []
    original = zipfile.ZipExtFile._read1

    def counted(self, n):
        produced.append(len(data := original(self, n)))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", counted)
    rejects(path, "not an intact zip archive")
    assert sum(produced) <= 1_000


@pytest.mark.parametrize(
    "shape", ["(4,)", "(2,)", "(-3,)", "(1000000000000,)", "(0, 9)", "(-1, -3)"]
)
def test_a_header_with_a_wrong_shape_is_rejected(tmp_path, shape):
    content = npy(np.arange(3.0))
    lie = content.replace(b"(3,), }" + b" " * 20, f"{shape}, }}".encode().ljust(27))
    assert len(lie) == len(content) and lie != content
    rejects(zipped(tmp_path, {"a.npy": lie}), "array 'a' declares the shape", "and holds 24")


def test_arrays_are_read_as_numpy_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    for array in (rng.normal(size=(3, 2)), np.arange(4, dtype=">u2"), np.array(["", "abc"])):
        np.testing.assert_array_equal(npz.parse_npy("a", npy(array)), array)
