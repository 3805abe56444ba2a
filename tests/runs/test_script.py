"""The training script of the README, run in this process; stages and batches of runs."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.checkpoint import Checkpoints, import_params
from jaxnet.runs import compare_runs, open_run
from jaxnet.runs.__main__ import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Your own training script")[2]
SCRIPT = SECTION.partition("```python\n")[2].partition("```")[0]
SHORT = SCRIPT.replace('"num_epochs": 60', '"num_epochs": 4')


@pytest.fixture
def run_script(tmp_path, monkeypatch, capsys):
    """Runs a script in a folder and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(script: str) -> str:
        exec(compile(script, "script.py", "exec"), {})
        return capsys.readouterr().out

    return run


def test_the_script_is_short_and_learns(run_script):
    assert len([line for line in SCRIPT.splitlines() if line.strip()]) <= 20
    run_script(SCRIPT)
    summary = json.loads(Path("digits-run/summary.json").read_text())
    assert summary["metrics"]["accuracy"] > 0.97
    names = {path.name for path in Path("digits-run").iterdir()}
    assert {"config.json", "manifest.json", "metrics.jsonl", "params.safetensors"} <= names
    like = {"hidden": jnp.zeros((64, 128)), "output": jnp.zeros((128, 10))}
    assert import_params("digits-run/params.safetensors", like=like)["hidden"].shape == (64, 128)


def test_a_finished_run_is_restored_extended_or_rejected(run_script):
    run_script(SHORT)
    first = json.loads(Path("digits-run/summary.json").read_text())
    output = run_script(SHORT)
    assert "the run is finished" in output and "epoch" not in output
    assert json.loads(Path("digits-run/summary.json").read_text()) == first

    for old, new, message in (
        ('"width": 128', '"width": 64', "has width 128, found 64"),
        ("/ 16", "/ 8", "the data have changed"),
        ("batches=64", "batches=32", "batches: the training in .* has 64, found 32"),
        ("key(0)", "key(1)", "keys_sha256: the training in"),
        ('"num_epochs": 4', '"num_epochs": 3', "has num_epochs 4, found 3"),
        ("num_epochs=epochs", "num_epochs=3", "has 4 epochs, found 3; give at least"),
    ):
        with pytest.raises(ValueError, match=message):
            run_script(SHORT.replace(old, new))

    longer = SHORT.replace('"num_epochs": 4', '"num_epochs": 6')
    assert "continuing the finished training from epoch 4 to 6" in run_script(longer)
    config = json.loads(Path("digits-run/config.json").read_text())
    assert (config["num_epochs"], config["phases"]) == (6, [4])
    assert Path("digits-run/metrics.jsonl").read_text().count("\n") == 6
    # The rate of the optimizer is constant, so both phases are one longer training.
    run_script(longer.replace("digits-run", "at-once"))
    assert compare_runs("digits-run", "at-once") == ()
    assert main(["digits-run", "at-once"]) == 0


def test_an_unfinished_run_is_not_continued_for_more_epochs(run_script):
    run_script(SHORT)
    Path("digits-run/summary.json").unlink()
    for path in Checkpoints("digits-run/checkpoints").steps()[1:]:
        (Path("digits-run/checkpoints") / f"{path:08d}").rename(f"{path}")
    with pytest.raises(ValueError, match="has num_epochs 4, found 6"):
        run_script(SHORT.replace('"num_epochs": 4', '"num_epochs": 6'))
    with pytest.raises(ValueError, match="finish it with 4 epochs first"):
        run_script(SHORT.replace("num_epochs=epochs", "num_epochs=6"))
    run_script(SHORT)


NETWORK = jn.mlp([3, 4, 1])


def learner_of(rate=0.1, init=NETWORK.init):
    return jn.gradient_learner(init, jn.regression(NETWORK), optax.sgd(rate))


LEARNER = learner_of()


@pytest.fixture
def data():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    return {"x": x, "y": x.sum(axis=1)}


def test_a_batch_of_runs_equals_its_runs(data, tmp_path):
    keys = jax.random.split(jax.random.key(0), 2)
    results = []
    for name, key in (("both", keys), ("second", keys[1])):
        with open_run(tmp_path / name, config={}, data=data) as run:
            results.append(run.train(LEARNER, key, data, num_epochs=3, batches=20))
            run.finish(loss=results[-1].history["loss"]["train"][-1])
    both, second = results
    assert both.history["loss"]["train"].shape == (3, 2)
    np.testing.assert_allclose(
        both.history["loss"]["train"][:, 1], second.history["loss"]["train"], rtol=1e-5
    )
    for batch, single in zip(
        jax.tree.leaves(both.params), jax.tree.leaves(second.params), strict=True
    ):
        np.testing.assert_allclose(np.asarray(batch)[1], single, rtol=1e-5, atol=1e-6)
    summary = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert len(summary["metrics"]["loss"]) == 2


def test_a_finished_stage_is_restored_and_not_trained_again(data, tmp_path, capsys):

    def script(stop_before_tuning=False):
        with open_run(tmp_path / "run", config={"rate": 0.1}, data=data) as run:
            options = {"num_epochs": 2, "batches": 20}
            first = run.train(LEARNER, jax.random.key(0), data, name="first", **options)
            if stop_before_tuning:
                raise KeyboardInterrupt
            learner = learner_of(init=lambda key: first.params)
            second = run.train(learner, jax.random.key(1), data, name="second", **options)
            run.finish(loss=second.history["loss"]["train"][-1])
            return first, second

    with pytest.raises(KeyboardInterrupt):
        script(stop_before_tuning=True)
    assert capsys.readouterr().out.count("epoch 2/2") == 1
    first, second = script()
    assert capsys.readouterr().out.count("epoch 2/2") == 1
    again = script()
    assert "epoch" not in capsys.readouterr().out
    assert [result.state_sha256 for result in again] == [first.state_sha256, second.state_sha256]
    with (
        open_run(tmp_path / "run", config={"rate": 0.1}, data=data) as run,
        pytest.raises(ValueError, match="'first' already"),
    ):
        for _ in range(2):
            run.train(LEARNER, jax.random.key(0), data, name="first", num_epochs=2, batches=20)


def test_early_stopping_and_evaluation(data, tmp_path):
    @jax.jit
    def evaluate(params, extra):
        return {"loss": jnp.abs(params["dense_1"]["bias"][0])}

    with open_run(tmp_path / "run", config={}, data=data, patience=1) as run:
        learner, key = learner_of(rate=0.0), jax.random.key(0)
        result = run.train(learner, key, data, num_epochs=9, batches=20, evaluate=evaluate)
    # Nothing improves after the first epoch.
    assert int(result.best_epochs) == 1
    assert result.history["loss"]["validation"].shape == (2,)


def test_a_metric_of_another_shape_is_rejected(data, tmp_path):
    with (
        open_run(tmp_path / "run", config={}, data=data) as run,
        pytest.raises(ValueError, match=re.escape("'error' has shape (3,), expected ()")),
    ):
        evaluate = lambda params, extra: {"error": jnp.zeros(3)}  # noqa: E731
        run.train(LEARNER, jax.random.key(0), data, num_epochs=1, batches=20, evaluate=evaluate)
