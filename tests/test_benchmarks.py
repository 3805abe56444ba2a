"""The benchmark command: results as files, rows that fail or find no time, the table."""

import json

import pytest

from benchmarks import accelerator, cpu, harness
from benchmarks import table as tables


def test_the_document_holds_the_table_of_all_results():
    assert tables.main(["--check"]) == 0


@pytest.mark.parametrize("command", [accelerator, cpu])
def test_names_of_rows_are_functions_of_their_modules(command):
    assert len({row.name for row in command.ROWS}) == len(command.ROWS)
    for row in command.ROWS:
        module = harness.importlib.import_module(f"benchmarks.rows.{row.module}")
        assert callable(getattr(module, row.name))
        draws_its_figures = row.module in ("commands", "populations", "semi_supervised")
        assert draws_its_figures or row.name in tables._CELLS
        assert row.least <= row.seconds


def test_the_table_draws_the_figures_of_a_command():
    figures = {"accuracy": {"mean": 0.9, "std": 0.01, "values": []}, "largest difference": "1e-9"}
    measured = {"figures": figures, "run_seconds": {"total": 8.1, "compile": 3.0, "train": 5.1}}
    row = {"name": "digits", "what": "digits", "reference": "0.8", "status": "done", "seconds": 9}
    device = {"kind": "2 cores", "versions": {"jax": "0.10.2"}}
    drawn = tables.table(
        [{"date": "2026", "device": device, "rows": [row | {"measured": measured}]}]
    )
    assert drawn.splitlines()[-1] == (
        "| `digits`: digits | accuracy **0.9 ± 0.01**; largest difference **1e-9**; 8.1 s, 3 s of "
        "them compiling | 0.8 | 9 | 2 cores, jax 0.10.2, 2026 |"
    )


def test_a_row_without_time_is_skipped_and_says_so(tmp_path):
    out = tmp_path / "results.json"
    records = harness.run_rows(
        accelerator.ROWS[:2], out, seconds=1, smoke=False, command=["x"], environment={}
    )
    assert {record["status"] for record in records} == {"skipped"}
    assert json.loads(out.read_text())["rows"] == records


@pytest.mark.parametrize("command", [accelerator, cpu])
@pytest.mark.parametrize("arguments", (["--minutes", "0"], ["--rows", "unknown"], ["--minutes"]))
def test_mistakes_exit_with_two(arguments, command, capsys):
    with pytest.raises(SystemExit) as raised:
        command.main(arguments)
    assert raised.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.crash
def test_rows_run_at_their_smallest_size(tmp_path):
    out = tmp_path / "results.json"
    rows = ["known_answers", "kill_and_resume", "cd25", "vat", "ladder"]
    assert accelerator.main(["--smoke", "--out", str(out), "--rows", *rows]) == 0
    result = json.loads(out.read_text())
    assert [row["name"] for row in result["rows"]] == rows
    assert result["rows"][1]["measured"]["identical"]
    assert result["device"]["count"] >= 1


@pytest.mark.crash
def test_rows_of_commands_run_at_their_smallest_size(tmp_path):
    out = tmp_path / "results.json"
    rows = ["digits", "backpropagation"]
    assert cpu.main(["--smoke", "--out", str(out), "--rows", *rows]) == 0, out.read_text()
    result = json.loads(out.read_text())
    measured = {row["name"]: row["measured"] for row in result["rows"]}
    assert list(measured) == sorted(measured, key=[row.name for row in cpu.ROWS].index)
    assert 0.5 < measured["digits"]["figures"]["accuracy"]["mean"] < 1
    assert measured["digits"]["options"][0] == "classification"
    assert result["device"]["platform"] == "cpu" and "cores of" in result["device"]["kind"]


@pytest.mark.crash
def test_a_command_that_fails_or_takes_too_long_is_a_record(tmp_path):
    from benchmarks.rows import commands

    with pytest.raises(RuntimeError, match=r"experiments.classification ended with 2: .*no-such"):
        commands.experiment("classification", "--no-such", metrics=())(
            harness.Clock(60), smoke=False
        )
    with pytest.raises(harness.subprocess.TimeoutExpired):
        commands.digits(harness.Clock(0), smoke=True)


@pytest.mark.crash
def test_a_row_that_raises_is_a_record(tmp_path):
    row = harness.Row("no_such_row", "quality", "nothing", "nothing", 30)
    out = tmp_path / "results.json"
    (record,) = harness.run_rows([row], out, seconds=60, smoke=True, command=["x"], environment={})
    assert record["status"] == "failed" and "no_such_row" in record["reason"]
