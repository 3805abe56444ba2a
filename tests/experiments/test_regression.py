"""Linear models against ordinary least squares; the rest of the command."""

import json
import re

import numpy as np
import pytest

from experiments.command import main
from experiments.data import load, split
from experiments.protocol import configure
from experiments.regression import experiment as regression
from experiments.regression.experiment import run


@pytest.mark.parametrize("dataset", ["crop_yield", pytest.param("line", marks=pytest.mark.slow)])
def test_a_linear_model_finds_least_squares(dataset, tmp_path, rendered_figures):
    with rendered_figures():
        summary = run(configure(regression, dataset=dataset, num_seeds=3, out=tmp_path / "run"))
    data = load(dataset)
    rows = split(data, seed=0).train
    design = np.column_stack([data.x[rows], np.ones(len(rows))]).astype(np.float64)
    exact = np.linalg.lstsq(design, data.y[rows].astype(np.float64), rcond=None)[0]
    header, *table = summary["tables"]["Coefficients"]
    assert header[2:4] == ("least squares", "network")
    found = np.array([[float(row[2]), float(row[3])] for row in table])
    np.testing.assert_allclose(found[:, 0], exact, rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], exact, rtol=1e-4)
    true = np.array([float(row[1]) for row in table])
    np.testing.assert_allclose(found[:, 1], true, rtol=0.1, atol=0.3)
    assert summary["metrics"]["r2"]["mean"] > 0.8
    assert (tmp_path / "run" / "figures" / "fit.png").exists() == (dataset == "line")


def test_an_mlp_on_diabetes(tmp_path, rendered_figures):
    options = {"dataset": "diabetes", "num_epochs": 5, "num_seeds": 2}
    with rendered_figures():
        summary = run(configure(regression, "mlp", out=tmp_path / "run", **options))
    assert "tables" not in summary
    assert np.isfinite(summary["metrics"]["r2"]["values"]).all()
    for name in ("learning_curves", "predictions"):
        assert (tmp_path / "run" / "figures" / f"{name}.png").stat().st_size > 1000
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 5
    assert len(json.loads(lines[0])["validation"]["loss"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "diabets"], "unknown data set 'diabets'.*diabetes"),
        (["--dataset", "iris"], "iris.*classification"),
        (["--batch-size", "100000"], "batch_size must not exceed the"),
        (["mlp", "--hidden-dims", "0"], "hidden_dims must be a list in which each is .* found 0"),
        (["--schedule", "cosine"], "takes no schedule"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(regression, [*options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not out.exists()
