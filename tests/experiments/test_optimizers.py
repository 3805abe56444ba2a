import json

import pytest

from experiments import optimizers
from experiments.command import main
from experiments.optimizers import Config, run


def test_named_optimizers_train_side_by_side(tmp_path, capsys):
    out = tmp_path / "run"
    run(Config(names=("adam", "sgd"), num_epochs=2, num_seeds=2, out=out))
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["metrics"]) == ["adam", "sgd"]
    for name in ("adam", "sgd"):
        assert len(set(summary["params_sha256"][name])) == 2
        assert summary["metrics"][name]["mean"] > 0.5
    assert summary["metrics"]["adam"]["values"] != summary["metrics"]["sgd"]["values"]
    assert "adam  0.001  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--names", "adma"], "unknown optimizer 'adma'; did you mean adam"),
        (["--num-seeds", "0"], "num_seeds must be at least 1, found 0"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(optimizers, [*options, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not out.exists()
