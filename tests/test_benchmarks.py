"""The benchmark command: results as files, rows that fail or find no time, the table."""

import json

import pytest

from benchmarks import accelerator, harness
from benchmarks import table as tables


def test_the_document_holds_the_table_of_all_results():
    assert tables.main(["--check"]) == 0


def test_names_of_rows_are_functions_of_their_modules():
    for row in accelerator.ROWS:
        module = harness.importlib.import_module(f"benchmarks.rows.{row.module}")
        assert callable(getattr(module, row.name))
        assert row.name in tables._CELLS


def test_a_row_without_time_is_skipped_and_says_so(tmp_path):
    out = tmp_path / "results.json"
    records = harness.run_rows(
        accelerator.ROWS[:2], out, seconds=1, smoke=False, command=["x"], environment={}
    )
    assert {record["status"] for record in records} == {"skipped"}
    assert json.loads(out.read_text())["rows"] == records


@pytest.mark.parametrize("arguments", (["--minutes", "0"], ["--rows", "unknown"], ["--minutes"]))
def test_mistakes_exit_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        accelerator.main(arguments)
    assert raised.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.crash
def test_rows_run_at_their_smallest_size(tmp_path):
    out = tmp_path / "results.json"
    rows = ["known_answers", "kill_and_resume", "cd25"]
    assert accelerator.main(["--smoke", "--out", str(out), "--rows", *rows]) == 0
    result = json.loads(out.read_text())
    assert [row["name"] for row in result["rows"]] == rows
    assert result["rows"][1]["measured"]["identical"]
    assert result["device"]["count"] >= 1


@pytest.mark.crash
def test_a_row_that_raises_is_a_record(tmp_path):
    row = harness.Row("no_such_row", "quality", "nothing", "nothing", 30)
    out = tmp_path / "results.json"
    (record,) = harness.run_rows([row], out, seconds=60, smoke=True, command=["x"], environment={})
    assert record["status"] == "failed" and "no_such_row" in record["reason"]
