"""A user's table is called by its own name, and published results stay with their data set."""

import json

import polars
import pytest


@pytest.mark.parametrize("experiment", ["reconstruction", "clustering"])
def test_a_users_table_is_not_reported_as_a_named_data_set(command, tmp_path, experiment):
    frame = polars.DataFrame({"a": [*map(float, range(40))], "b": [0.0, 1.0, 2.0, 3.0] * 10})
    frame.write_csv(tmp_path / "own.csv")
    options = ["--data", "own.csv", "--dataset", "mnist", "--num-seeds", 1, "--num-epochs", 1]
    options += ["--batch-size", 8]
    if experiment == "clustering":
        options += ["--num-clusters", 2]
    output = command(experiment, *options, cwd=tmp_path)
    assert f"{experiment.capitalize()} on own" in output and "published" not in output
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.startswith(f"{experiment}-own-")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dataset"] == "own" and summary["published"] is None
    assert "<h1>" in (report := (run / "report.html").read_text())
    assert "mnist" not in report.split("Configuration")[0].replace("--dataset mnist", "")
