"""Replaying a run: the same bits, or the reason why not."""

import json
import re

import numpy as np
import pytest

from experiments import replay
from experiments.classification import experiment as classification
from experiments.command import main
from jaxnet.runs.records import add_hash

pytestmark = pytest.mark.crash

QUICK = ["--num-epochs", "2", "--num-seeds", "2", "--hidden-dims", "8"]


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    rows = ["a,b,c,kind"]
    rows += [f"{a},{b},{c},{'high' if a + b > 0 else 'low'}" for a, b, c in x]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_replay_is_bit_identical_or_says_what_differs(table, command, tmp_path, capsys):
    out = tmp_path / "run"
    command("classification", *QUICK, "--data", table, "--label", "kind", "--out", out)
    # Without the compiled programs of the other process.
    output = command("replay", out, JAX_ENABLE_COMPILATION_CACHE="false")
    assert "the environment is the same" in output
    assert "identical: parameters, state and metrics, bit for bit" in output

    # On so small a network the bits may or may not depend on the number of threads.
    threads = json.loads((out / "manifest.json").read_text())["num_threads"] + 1
    process = command.start("replay", out, NPROC=str(threads))
    assert process.wait(timeout=100) in (0, 1), process.output()
    expected = f"differs: num_threads: {threads - 1} then, {threads} now"
    assert expected in process.output().splitlines()[0]

    text = table.read_text()
    table.write_text(text.replace(text.splitlines()[7], text.splitlines()[8]))
    again = tmp_path / "again"
    assert main(replay, [str(out), "--out", str(again)]) == 1
    output, error = capsys.readouterr()
    assert re.search("^differs: data_sha256: ", output, re.MULTILINE)
    # Which rows train and which validate decides whether the parameters differ too.
    assert re.search("error: not identical: .*state_sha256", error)
    assert (again / "summary.json").exists()
    resume = [classification, ["--resume", str(out)]]
    assert main(*resume) == 0
    assert "the run is finished" in capsys.readouterr().out
    (out / "summary.json").unlink()
    assert main(*resume) == 2
    assert "the data have changed" in capsys.readouterr().err
    assert main(replay, [str(out)]) == 2
    assert "is not finished" in capsys.readouterr().err


def test_the_other_experiments_replay(call, tmp_path):
    call("regression", "--num-epochs", 3, "--num-seeds", 2, "--out", tmp_path / "line")
    assert "bit for bit" in call("replay", tmp_path / "line")
    options = ["--names", "adam", "--num-epochs", 1, "--num-seeds", 2]
    call("optimizers", *options, "--out", tmp_path / "adam")
    assert "bit for bit" in call("replay", tmp_path / "adam")


def test_mistakes(tmp_path, capsys):
    replayed = [replay, [str(tmp_path)]]
    assert main(*replayed) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps(add_hash({"experiment": "os"})))
    assert main(*replayed) == 2
    expected = "'os', which cannot be replayed; expected one of classification"
    assert expected in capsys.readouterr().err
