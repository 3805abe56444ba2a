"""Comparison of two runs: every part of a result counts."""

import json

import pytest

from jaxnet.runs import compare_runs
from jaxnet.runs.__main__ import main

RESULT = {"params_sha256": ["a"], "state_sha256": "b", "metrics": {"accuracy": 1}}


def write_run(path, *, records=({"epoch": 1},), stage=None, **change):
    path.mkdir()
    (path / "summary.json").write_text(json.dumps(RESULT | change))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (path / "metrics.jsonl").write_text(lines)
    if stage is not None:
        (path / "pretraining").mkdir()
        (path / "pretraining" / "metrics.jsonl").write_text(json.dumps({"epoch": stage}) + "\n")
    return path


def test_every_part_of_a_result_is_compared(tmp_path, capsys):
    first = write_run(tmp_path / "first")
    for name in RESULT:
        other = write_run(tmp_path / name, **{name: "other"})
        assert compare_runs(first, other) == (name,)
    timed = write_run(tmp_path / "timed", records=({"epoch": 1, "seconds": 3},))
    assert compare_runs(first, timed) == ()
    assert main([str(first), str(timed)]) == 0
    longer = write_run(tmp_path / "longer", records=({"epoch": 1}, {"epoch": 2}))
    assert compare_runs(first, longer) == ("metrics.jsonl",)
    assert main([str(first), str(longer)]) == 1
    stages = [write_run(tmp_path / f"stage-{epoch}", stage=epoch) for epoch in (1, 2)]
    assert compare_runs(*stages) == ("pretraining/metrics.jsonl",)
    assert compare_runs(first, stages[0]) == ("pretraining/metrics.jsonl",)
    assert main([str(first), str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_nan_equals_itself(tmp_path):
    paths = [
        write_run(tmp_path / name, records=({"epoch": 1, "train": {"loss": float("nan")}},))
        for name in ("first", "second")
    ]
    assert compare_runs(*paths) == ()


def test_a_run_that_is_not_finished_has_no_result(tmp_path):
    with pytest.raises(ValueError, match=r"summary\.json does not exist"):
        compare_runs(tmp_path, tmp_path)
