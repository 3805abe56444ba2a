"""A user's table is called by its own name, and published results stay with their data set."""

import json

import polars
import pytest


@pytest.mark.parametrize(
    ("experiment", "name"), [("reconstruction", "mnist"), ("clustering", "my")]
)
def test_a_users_table_is_not_reported_as_a_named_data_set(command, tmp_path, experiment, name):
    frame = polars.DataFrame({"a": [*map(float, range(40))], "b": [0.0, 1.0, 2.0, 3.0] * 10})
    frame.write_csv(tmp_path / f"{name}.csv")
    options = {
        "clustering": ["--num-clusters", 2],
        "reconstruction": ["--num-epochs", 1, "--batch-size", 8],
    }[experiment]
    options += ["--data", f"{name}.csv", "--num-seeds", 1]
    output = command(experiment, *options, cwd=tmp_path)
    assert f"{experiment.capitalize()} on {name}" in output and "published" not in output
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.startswith(f"{experiment}-{name}-")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dataset"] == name and summary["published"] is None
    report = (run / "report.html").read_text()
    assert "Published" not in report and "<p>One seed.</p>" in report
