"""Sources of files give what other readers of the same files give, and name what is damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import polars
import pytest
from PIL import Image
from scipy import stats

from jaxnet.streams import (
    StreamError,
    array_record_source,
    array_source,
    image_source,
    npy_source,
    parquet_source,
    split_source,
    write_array_records,
)
from jaxnet.streams._parquet_footer import row_group_sizes

N = 57
ROOT = Path(__file__).resolve().parents[2]


def examples():
    generator = np.random.default_rng(0)
    return {
        "x": generator.normal(size=(N, 3, 2)),
        "small": generator.integers(0, 255, (N, 5)).astype(np.uint8),
        "y": generator.integers(-5, 5, N),
        "flag": generator.random(N) < 0.5,
        "half": generator.random(N).astype(np.float16),
    }


def pieces(data, sizes):
    start = 0
    for size in sizes:
        yield {name: values[start : start + size] for name, values in data.items()}
        start += size


def opened(kind, folder):
    data = examples()
    if kind == "arrays":
        return array_source(data)
    if kind == "npy":
        for name, values in data.items():
            np.save(folder / f"{name}.npy", values)
        return npy_source({name: folder / f"{name}.npy" for name in data})
    if kind == "records":
        options = {"examples_per_record": 5, "bytes_per_shard": 1500}
        write_array_records(folder / "packed", pieces(data, (20, 0, 1, 36)), **options)
        return array_record_source(folder / "packed")
    for index, part in enumerate(pieces({"y": data["y"], "flag": data["flag"]}, (30, 27))):
        polars.DataFrame(part).write_parquet(folder / f"{index}.parquet", row_group_size=8)
    return parquet_source(folder)


@pytest.mark.parametrize("kind", ["arrays", "npy", "records", "parquet"])
def test_any_examples_are_read(kind, tmp_path):
    source, data = opened(kind, tmp_path), examples()
    names = ("y", "flag") if kind == "parquet" else tuple(data)
    assert len(source) == N
    generator = np.random.default_rng(1)
    for indices in ([], [0], [N - 1, 0, N - 1], generator.permutation(N), np.arange(N)):
        indices = np.asarray(indices, np.int64)
        if not len(indices) and kind == "parquet":
            continue
        read = source.read(indices)
        assert set(read) == set(names)
        for name in names:
            assert read[name].dtype == data[name].dtype
            assert np.array_equal(read[name], data[name][indices])
    for start, stop in ((0, 1), (0, N), (3, 4), (4, 5), (4, 16), (29, 31), (8, 16), (50, N)):
        read = source.read_range(start, stop)
        for name in names:
            assert np.array_equal(read[name], data[name][start:stop])
    assert np.array_equal(source[-1]["y"], data["y"][-1])
    last, first = source.__getitems__([N - 1, 0])
    assert (last["y"], first["y"]) == (data["y"][-1], data["y"][0])
    with pytest.raises(IndexError, match="index 57 is out of range for a source of 57 examples"):
        source[N]
    source.close()
    assert np.array_equal(source.read_range(1, 2)["y"], data["y"][1:2])
    source.close()


def test_blocks_are_those_of_the_files(tmp_path):
    assert opened("parquet", tmp_path).blocks == (8, 8, 8, 6, 8, 8, 8, 3)
    source = opened("records", tmp_path)
    assert source.blocks == 5
    shards = source.description.shards
    assert len(shards) > 2 and sum(shard.num_examples for shard in shards) == N


def test_the_hash_of_the_content_is_independent_of_the_files(tmp_path):
    first = write_array_records(tmp_path / "a", [examples()], compression=0)
    second = write_array_records(
        tmp_path / "b",
        pieces(examples(), (1, 56)),
        examples_per_record=3,
        bytes_per_shard=2000,
        metadata={"classes": ["ä"]},
    )
    assert first.content_sha256 == second.content_sha256 and len(second.shards) > 1
    assert array_record_source(tmp_path / "b").description.metadata == {"classes": ["ä"]}
    changed = examples()
    changed["y"][3] += 1
    third = write_array_records(tmp_path / "c", [changed])
    assert third.content_sha256 != first.content_sha256


def test_grain_reads_the_records(tmp_path):
    grain = pytest.importorskip("grain")
    data = {"x": np.arange(12, dtype=np.int64)}
    write_array_records(tmp_path / "a", [data], examples_per_record=1)
    records = grain.sources.ArrayRecordDataSource(str(tmp_path / "a" / "data-00000.array_record"))
    assert [int.from_bytes(record, "little") for record in records] == list(range(12))


def test_packed_files_that_are_damaged_are_named(tmp_path):
    folder = tmp_path / "packed"
    generator = np.random.default_rng(0)
    data = {"x": generator.integers(0, 256, (400, 1000), dtype=np.uint8)}
    write_array_records(folder, [data], examples_per_record=100, compression=0)
    file = folder / "data-00000.array_record"
    content = bytearray(file.read_bytes())
    content[250_000] ^= 1
    file.write_bytes(content)
    source = array_record_source(folder)
    with pytest.raises(StreamError, match=r"data-00000\.array_record: records 2 to 2 cannot be re"):
        source.read(np.array([250]))
    assert np.array_equal(source.read(np.array([399]))["x"], data["x"][399:])
    with pytest.raises(StreamError, match="has changed since it was packed"):
        source.verify()
    source.close()
    file.write_bytes(content[:-1])
    with pytest.raises(StreamError, match=r"data-00000\.array_record has \d+ bytes, expected \d+"):
        array_record_source(folder)
    file.unlink()
    with pytest.raises(StreamError, match=r"data-00000\.array_record is missing"):
        array_record_source(folder)
    description = json.loads((folder / "dataset.json").read_text())
    description["num_examples"] += 1
    (folder / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(StreamError, match="its content is not that of its SHA-256"):
        array_record_source(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(StreamError, match=r"dataset\.json is damaged"):
        array_record_source(folder / "dataset.json")
    with pytest.raises(FileNotFoundError, match="is not a folder of packed examples"):
        array_record_source(tmp_path)


def test_a_pack_that_fails_leaves_nothing(tmp_path):
    good = {"x": np.zeros((3, 2))}
    for batches, message in (
        ([], "there are no examples"),
        ([good, {"x": np.zeros((3, 3))}], "batch 1 has other columns, dtypes or shapes"),
        ([good, {"x": np.zeros((3, 2), np.float32)}], "batch 1 has other columns"),
        ([{"x": np.array(["a"])}], "batch 0: 'x' has dtype <U1"),
        ([{"x": np.zeros(3), "y": np.zeros(2)}], "columns must have one length, found"),
    ):
        with pytest.raises(StreamError, match=message):
            write_array_records(tmp_path / "packed", batches)
        assert not os.listdir(tmp_path)
    write_array_records(tmp_path / "packed", [good])
    with pytest.raises(FileExistsError, match="packed exists already"):
        write_array_records(tmp_path / "packed", [good])


FULL_DISK = """
import os, resource, signal
import numpy as np
from jaxnet import streams

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
pixels = np.random.default_rng(0).integers(0, 256, (3000, 1000), dtype=np.uint8)
try:
    streams.write_array_records("packed", [{"x": pixels}], compression=0)
except OSError as error:
    print(error, os.listdir("."))
"""


@pytest.mark.crash
def test_a_full_disk_leaves_nothing(tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "data-00000.array_record could not be written" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("[]")


def test_parquet_files_that_cannot_be_read_are_named(tmp_path):
    file = tmp_path / "a.parquet"
    with pytest.raises(FileNotFoundError, match="there is no file"):
        parquet_source(file)
    with pytest.raises(StreamError, match=r"holds no \.parquet files"):
        parquet_source(tmp_path)
    polars.DataFrame({"a": ["text"], "b": [1]}).write_parquet(file)
    with pytest.raises(StreamError, match="column 'a' holds String, expected numbers"):
        parquet_source(file)
    with pytest.raises(StreamError, match="has no column 'c', found a, b"):
        parquet_source(file, columns=["c"])
    content = file.read_bytes()
    file.write_bytes(content[:-20] + b"\xff" * 12 + content[-8:])
    with pytest.raises(StreamError, match=r"a\.parquet (has a damaged footer|is damaged)"):
        parquet_source(file, columns=["b"])
    file.write_bytes(content[:-9])
    with pytest.raises(StreamError, match="is not a Parquet file, or is cut off"):
        parquet_source(file)
    polars.DataFrame({"b": [1, None]}).write_parquet(file)
    with pytest.raises(StreamError, match="column 'b' has no value in row 1"):
        parquet_source(file).read_range(0, 2)
    polars.DataFrame({"b": [1]}).write_parquet(file)
    polars.DataFrame({"b": [1.5]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(StreamError, match="other columns or types than"):
        parquet_source(tmp_path)


def test_a_damaged_footer_never_crashes(tmp_path):
    file, generator = tmp_path / "a.parquet", np.random.default_rng(0)
    polars.DataFrame({"b": range(100)}).write_parquet(file, row_group_size=9)
    content = bytearray(file.read_bytes())
    assert row_group_sizes(file) == (9,) * 11 + (1,)
    for _ in range(40):
        damaged = bytearray(content)
        for place in generator.integers(len(content) - 400, len(content) - 8, 3):
            damaged[place] = generator.integers(256)
        file.write_bytes(damaged)
        try:
            assert all(isinstance(size, int) for size in row_group_sizes(file))
        except StreamError as error:
            assert "a.parquet" in str(error)


def save_image(path, size, mode="L", color=0):
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, color).save(path)


def test_images_are_read_by_class(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    for index, name in enumerate(("b/0.png", "a/1.png", "b/2.png", "a/0.PNG")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[index]).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "c").mkdir()
    source = image_source(tmp_path)
    assert source.class_names == ("a", "b")
    read = source.read_range(0, 4)
    assert np.array_equal(read["x"], pixels[[3, 1, 0, 2]])
    assert read["y"].tolist() == [0, 0, 1, 1] and read["y"].dtype == np.int32
    gray = image_source(tmp_path, channels=1, size=(3, 2)).read(np.array([2]))["x"]
    expected = Image.fromarray(pixels[0]).convert("L").resize((2, 3), Image.Resampling.BILINEAR)
    assert np.array_equal(gray[0, ..., 0], np.asarray(expected))


def test_images_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        image_source(tmp_path / "none")
    with pytest.raises(StreamError, match="holds no images"):
        image_source(tmp_path)
    save_image(tmp_path / "a" / "0.png", (4, 3))
    save_image(tmp_path / "b" / "1.png", (5, 3))
    source = image_source(tmp_path)
    with pytest.raises(StreamError, match=r"1\.png has 3 x 5 pixels, and the first image 3 x 4"):
        source.read_range(0, 2)
    (tmp_path / "b" / "1.png").write_bytes((tmp_path / "a" / "0.png").read_bytes()[:40])
    with pytest.raises(StreamError, match=r"1\.png cannot be read as an image"):
        image_source(tmp_path, size=(3, 4)).read_range(0, 2)
    with pytest.raises(StreamError, match="channels must be 1, 3 or 4, found 2"):
        image_source(tmp_path, channels=2)
    save_image(tmp_path / "2.png", (4, 3))
    with pytest.raises(StreamError, match="holds images and subfolders with images"):
        image_source(tmp_path)


@pytest.mark.parametrize(("length", "group"), [(100, 100), (2057, 100), (101_057, 1000)])
def test_parts_are_a_split_by_groups(length, group, key):
    source = array_source({"x": np.arange(length)})
    parts = split_source(source, key, validation=0.1, test=0.25)
    whole = length // group
    assert len(parts.validation) == 0.1 * group * whole
    assert len(parts.test) == 0.25 * group * whole
    read = [part.read_range(0, len(part))["x"] for part in parts]
    assert np.array_equal(np.sort(np.concatenate(read)), np.arange(length))
    for part, rows in zip(parts, read, strict=True):
        indices = np.random.default_rng(0).integers(0, len(part), 50)
        assert np.array_equal(part.read(indices)["x"], rows[indices])
        assert np.array_equal(part.read_range(3, 9)["x"], rows[3:9])
    # Each group has its own places, and each place is as likely as the others.
    places = np.sort(read[2][: int(0.25 * group * whole)].reshape(whole, -1) % group, axis=1)
    if whole > 20:
        assert len(np.unique(places, axis=0)) == whole
        assert stats.kstest(places.ravel() / group, "uniform").pvalue > 1e-3
    other = split_source(source, jax.random.key(5), validation=0.1, test=0.25)
    assert not np.array_equal(other.test.read_range(0, 9)["x"], read[2][:9])


def test_splits_that_leave_nothing_raise(key):
    with pytest.raises(ValueError, match="at least 100 examples are split, found 57"):
        split_source(array_source(examples()), key)
    source = array_source({"x": np.zeros(1000)})
    for options, message in (
        ({"test": 1.0}, "test must be 0, or lie between"),
        ({"test": 0.001}, "test must be 0, or lie between"),
        ({"validation": -0.1}, "validation must be 0, or lie between"),
        ({"validation": 0.6, "test": 0.4}, "leave no example to train on"),
    ):
        with pytest.raises(ValueError, match=message):
            split_source(source, key, **options)
