"""The files of MNIST and Fashion-MNIST: found, downloaded, checked, read."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import re
import threading
from pathlib import Path

import numpy as np
import pooch
import pytest

from experiments.data import load
from experiments.data.named import download, idx


@pytest.fixture
def offline(tmp_path, monkeypatch) -> Path:
    """An empty cache, JAXNET_DATA unset, and a mirror that does not answer."""
    cache = tmp_path / "cache"
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: cache)
    monkeypatch.setattr(idx, "MIRRORS", {"mnist": "http://127.0.0.1:9/"})
    return cache


def write_idx(path: Path, values: np.ndarray) -> idx.IdxFile:
    """Write an IDX file and return what describes it."""
    content = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    content += values.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(content, mtime=0)
    path.write_bytes(packed)
    sha256, gzip_sha256 = (hashlib.sha256(data).hexdigest() for data in (content, packed))
    return idx.IdxFile(path.name, values.shape, sha256, gzip_sha256)


def test_places_are_searched_in_order(tmp_path, offline, monkeypatch):
    arrays = [np.full((2, 3), value) for value in range(3)]
    places = [tmp_path / "argument", tmp_path / "environment", offline]
    paths = [place / "mnist" / "pixels.gz" for place in places]
    files = [write_idx(path, values) for path, values in zip(paths, arrays, strict=True)]
    monkeypatch.setenv("JAXNET_DATA", str(places[1]))
    for path, values, file in zip(paths, arrays, files, strict=True):
        array = idx.fetch_idx("mnist", file, data_dir=places[0])
        np.testing.assert_array_equal(array, values)
        path.unlink()


def test_a_file_with_other_compression_is_the_same_file(tmp_path):
    values = np.arange(6).reshape(2, 3)
    file = write_idx(tmp_path / "pixels.gz", values)
    content = gzip.decompress((tmp_path / "pixels.gz").read_bytes())
    (tmp_path / "pixels.gz").write_bytes(gzip.compress(content, compresslevel=0, mtime=1))
    np.testing.assert_array_equal(idx.read_idx(tmp_path / "pixels.gz", file), values)


def _truncate(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def _flip(packed: bytes) -> bytes:
    content = bytearray(gzip.decompress(packed))
    content[-1] ^= 1
    return gzip.compress(bytes(content))


def _lengthen(packed: bytes) -> bytes:
    return gzip.compress(gzip.decompress(packed) + bytes(10_000_000))


def _unpack(packed: bytes) -> bytes:
    return gzip.decompress(packed)


@pytest.mark.parametrize("damage", [_truncate, _flip, _lengthen, _unpack, lambda packed: b""])
def test_a_damaged_file_is_rejected_with_both_hashes(tmp_path, offline, monkeypatch, damage):
    path = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28))
    file = write_idx(path, pixels)
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr(idx, "FILES", {"mnist": (file,) * 4})
    with pytest.raises(ValueError, match="delete it and fetch it again") as caught:
        load("mnist", data_dir=tmp_path / "data")
    message = str(caught.value)
    hashes = re.findall(r"\b[0-9a-f]{64}\b", message)
    assert str(path) in message and len(set(hashes)) == 2 and file.sha256 in hashes


def test_decompression_is_bounded(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(5_000_000)))
    content, problem = idx._decompress(tmp_path / "bomb.gz", 100)
    assert len(content) == 100 and not problem


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("JAXNET_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="set JAXNET_DATA to a folder that holds mnist/") as caught:
        load("mnist", data_dir=tmp_path / "argument")
    for place in ("argument", "nowhere", "cache"):
        assert str(tmp_path / place / "mnist") in str(caught.value)
    assert not list((offline / "mnist").iterdir())


@contextlib.contextmanager
def served(folder: Path, get=http.server.SimpleHTTPRequestHandler.do_GET):
    """Serve a folder on this machine and yield its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        do_GET = get  # noqa: N815

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_download_is_checked_and_kept(tmp_path, offline, monkeypatch):
    values = np.arange(6).reshape(2, 3)
    file = write_idx(tmp_path / "mirror" / "pixels.gz", values)
    with served(tmp_path / "mirror") as address:
        monkeypatch.setattr(idx, "MIRRORS", {"mnist": address})
        np.testing.assert_array_equal(idx.fetch_idx("mnist", file), values)
    np.testing.assert_array_equal(idx.fetch_idx("mnist", file), values)
    assert [path.name for path in (offline / "mnist").iterdir()] == ["pixels.gz"]


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path, offline, monkeypatch):
    values = np.arange(6).reshape(2, 3)
    file = write_idx(tmp_path / "mirror" / "pixels.gz", values)
    write_idx(offline / "mnist" / "pixels.gz", values + 1)
    with served(tmp_path / "mirror") as address:
        monkeypatch.setattr(idx, "MIRRORS", {"mnist": address})
        np.testing.assert_array_equal(idx.fetch_idx("mnist", file), values)


def test_a_download_without_a_hash_is_kept_only_if_it_can_be_read(tmp_path, offline, capfd):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "some.txt").write_text("content")

    def read(path: Path) -> str:
        if path.read_text() != expected:
            raise ValueError(f"{path}: other content")
        return path.read_text()

    with served(tmp_path / "mirror") as address:
        arguments = {"sha256": None, "read": read, "max_bytes": 100}
        expected = "other"
        with pytest.raises(ValueError, match=r"other content.*try again"):
            download.fetch("some", "some.txt", f"{address}some.txt", **arguments)
        assert not list((offline / "some").iterdir())
        expected = "content"
        assert download.fetch("some", "some.txt", f"{address}some.txt", **arguments) == "content"
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("downloading http") for line in lines)


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("cut", r"ConnectionError: the connection was closed \d+ bytes before the end"),
        ("missing", "HTTPError: HTTP Error 404: Not Found"),
        ("page", "does not match the known hash: expected {} but got [0-9a-f]{{64}}"),
        ("large", r"ValueError: the server sends more than \d+ bytes"),
        ("slow", "TimeoutError: it takes more than -1 seconds"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing(
    fault, match, tmp_path, offline, monkeypatch
):
    values = np.random.default_rng(0).integers(0, 256, (50, 28))
    file = write_idx(tmp_path / "mirror" / "pixels.gz", values)
    packed = (tmp_path / "mirror" / "pixels.gz").read_bytes()
    faults = [fault]

    def get(self):
        if not faults:
            return http.server.SimpleHTTPRequestHandler.do_GET(self)
        status, declared, sent = {
            "cut": (200, len(packed), packed[: len(packed) // 2]),
            "missing": (404, 9, b"not found"),
            "page": (200, 20, b"<html>sorry</html>  "),
            "large": (200, 10_000, bytes(10_000)),
            "slow": (200, len(packed), packed),
        }[faults.pop()]
        self.send_response(status)
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True

    with served(tmp_path / "mirror", get) as address:
        monkeypatch.setattr(idx, "MIRRORS", {"mnist": address})
        with monkeypatch.context() as patch:
            if fault == "slow":
                patch.setattr(download, "_SECONDS", -1)
            with pytest.raises(ValueError, match=match.format(file.gzip_sha256)) as caught:
                idx.fetch_idx("mnist", file)
        message = str(caught.value)
        assert "set JAXNET_DATA" in message and "try again" in message and "\n" not in message
        assert not list((offline / "mnist").iterdir())
        np.testing.assert_array_equal(idx.fetch_idx("mnist", file), values)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\0\0\x0d\x01\0\0\0\x02ab", "begins with"),
        (b"\0\0\x08\x02\0\0\0\x02ab", "begins with"),
        (b"", "begins with"),
        (b"\0\0\x08\x01\0\0\0\x03ab", r"shape \(3,\) and 2 bytes of data, expected \(2,\)"),
        (b"\0\0\x08\x01\0\0\0\x02a", r"shape \(2,\) and 1 bytes of data, expected \(2,\) and 2"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "3 bytes of data"),
        (b"\0\0\x08\x01\0\0", "0 bytes of data"),
    ],
)
def test_content_of_another_format_is_rejected(content, match):
    with pytest.raises(ValueError, match=match):
        idx.parse_idx(content, (2,))
