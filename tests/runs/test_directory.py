"""The run directory: one run, one process; its files; the environment that it records."""

import json

import numpy as np
import pytest

from jaxnet.doctor import UnsoundBackendError
from jaxnet.runs import RunDirectory, metrics_record, read_hashed_json, read_log, verify_run
from jaxnet.runs.records import json_values


def open_run(path, config=None, data_sha256="abc", name="test", **options):
    config = {"rate": 0.1} if config is None else config
    return RunDirectory.open(path, name=name, config=config, data_sha256=data_sha256, **options)


def test_a_run_directory_belongs_to_one_run(tmp_path):
    out = tmp_path / "deep" / "run"
    RunDirectory.check(out)
    assert not out.exists()
    with open_run(out) as directory:
        assert not directory.resumed
        directory.log(metrics_record(1, 28, {"train": {"loss": np.array([0.5, 0.25])}}))
        directory.log(metrics_record(2, 56, {"train": {"loss": np.array([0.25, 0.125])}}))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[1] == {"epoch": 2, "step": 56, "train": {"loss": [0.25, 0.125]}}
    assert read_hashed_json(out / "config.json") == {"experiment": "test", "rate": 0.1}
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"already holds .*resume"):
        open_run(out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with pytest.raises(ValueError, match="the data have changed"):
        open_run(out, data_sha256="other", resume=True)
    with open_run(out, resume=True) as directory:
        assert directory.resumed
        with pytest.raises(ValueError, match="in use by process"):
            open_run(out, resume=True)
    manifest = json.loads((out / "manifest.json").read_text())
    assert [each["differences"] for each in manifest["resumed"]] == [[]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"rate": 0.2}}, "has rate 0.1, found 0.2"),
        ({"config": {}}, "has rate 0.1, found not given"),
        ({"config": {"rate": 0.1, "dims": (8,)}}, r"has dims not given, found \[8\]"),
        ({"name": "other"}, "has experiment test, found other"),
    ],
)
def test_a_run_continues_with_its_options_only(change, message, tmp_path):
    open_run(tmp_path / "run").close()
    with pytest.raises(ValueError, match=message):
        open_run(tmp_path / "run", **change, resume=None)
    open_run(tmp_path / "run", resume=None).close()


def test_what_cannot_become_a_run_directory_is_rejected(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        RunDirectory.check(file)
    with pytest.raises(ValueError, match="cannot be written"):
        RunDirectory.check(file / "run")
    assert file.read_text() == "mine"
    with pytest.raises(ValueError, match=r"config.json does not exist"):
        open_run(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="name the directory of the run"):
        open_run(None, resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"already holds thesis\.tex"):
        open_run(tmp_path / "mine", resume=None)


def test_a_beginning_that_died_is_begun_again(tmp_path):
    out = tmp_path / "run"
    (out / "figures").mkdir(parents=True)
    (out / "run.lock").touch()
    (out / "manifest.json").write_text("{}")
    with open_run(out, resume=None) as directory:
        assert not directory.resumed


def test_a_backend_that_computes_wrong_sums_trains_nothing(tmp_path, monkeypatch):
    def raise_unsound(*, cache):
        raise UnsoundBackendError("wrong sums")

    monkeypatch.setattr("jaxnet.runs.directory.require_sound_backend", raise_unsound)
    with pytest.raises(UnsoundBackendError):
        open_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stages_are_folders_of_the_run(tmp_path):
    with open_run(tmp_path / "run") as directory:
        stage = directory.stage("pretraining")
        assert stage.path == tmp_path / "run" / "pretraining"
        assert stage.run_path == directory.path and stage.path.is_dir()
        for name in ("", "../up", "a/b", ".hidden", "checkpoints"):
            with pytest.raises(ValueError, match="a stage must be named"):
                directory.stage(name)


def test_an_incomplete_last_line_of_the_log_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert read_log(path) == [{"epoch": 1}, {"epoch": 2}]
    path.write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_log(path)


def test_options_that_json_cannot_hold_are_named(tmp_path):
    with pytest.raises(TypeError, match="option 'network' holds a function"):
        json_values({"network": json_values})
    with pytest.raises(ValueError, match="the name 'experiment' is reserved"):
        open_run(tmp_path / "run", config={"experiment": "mine"})


@pytest.fixture
def finished(tmp_path):
    out = tmp_path / "run"
    with open_run(out, {"rate": 0.1, "dims": (8, 4), "name": "étude"}) as directory:
        directory.stage("first").write_log([{"epoch": 1}])
        directory.write_log([{"epoch": 1, "train": {"loss": 0.5}}])
        (out / "params.safetensors").write_bytes(b"arrays")
        directory.write_summary({"metrics": {"loss": 0.25}, "threshold": float("nan")})
    return out


def test_the_files_of_a_finished_run_belong_together(finished):
    summary = verify_run(finished)
    names = ["config.json", "first/metrics.jsonl", "metrics.jsonl", "params.safetensors"]
    assert list(summary["files_sha256"]) == names
    for name in names:
        path = finished / name
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        with pytest.raises(ValueError, match=f"{name} has been changed since"):
            verify_run(finished)
        path.unlink()
        with pytest.raises(ValueError, match=f"{name} is missing"):
            verify_run(finished)
        path.write_bytes(content)
    verify_run(finished)
    (finished / "summary.json").unlink()
    with pytest.raises(ValueError, match="does not exist"):
        verify_run(finished)


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
def test_no_flipped_bit_changes_what_is_read(name, finished):
    path = finished / name
    content, expected = path.read_bytes(), repr(read_hashed_json(path))
    for place in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = repr(read_hashed_json(path))
        except ValueError:
            continue
        assert found == expected, (place, bytes(flipped))


def test_edited_options_are_rejected_when_a_run_is_continued(finished):
    path = finished / "config.json"
    text = path.read_text()
    for old, new in (("0.1", "0.2"), ('"rate"', '"raet"'), ("content_sha256", "content_sha255")):
        path.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=r"config.json has (been changed|no hash)"):
            open_run(finished, {"rate": 0.2, "dims": (8, 4), "name": "étude"}, resume=True)
