"""Sweeps: what they choose, what they leave, and that an interrupted one ends the same."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import time

import jax
import numpy as np
import polars
import pytest

import jaxnet as jn
from experiments import predict, replay
from experiments.classification import experiment as classification
from experiments.command import main
from experiments.parsing import recorded_config
from experiments.protocol import configure
from experiments.regression import experiment as regression
from experiments.sweep import experiment as sweep
from experiments.sweep.reading import read_arguments
from experiments.sweep.settings import trial_config
from experiments.sweep.strategies import population_keys
from experiments.sweep.trials import Trials
from experiments.training import batch_size, seed_keys
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs import compare_runs, json_values
from jaxnet.runs.records import add_hash
from jaxnet.search import Rung

QUICK = ["--dataset", "iris", "--num-epochs", 9, "--num-seeds", 2]
OVER = ["--over", "learning_rate=log:1e-4:1e-1", "--over", "hidden_dims=[4],[6]"]


def run(*arguments, experiment=sweep):
    return main(experiment, list(map(str, arguments)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, rendered_figures):
    """The directory of a finished sweep by successive halving."""
    out = tmp_path_factory.mktemp("sweep") / "run"
    options = [*OVER, "--over", "l2_weight=uniform:0:0.01", "--budget", 9, "--min-epochs", 3]
    with rendered_figures():
        assert run("classification", *QUICK, *options, "--out", out) == 0
    return out


def summary_of(path):
    return json.loads((path / "summary.json").read_text())


def test_the_winner_is_the_best_on_validation_data_of_those_that_trained_to_the_end(finished):
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    rungs = {(rung, record["epochs"]) for record in records for rung in [record["rung"]]}
    assert rungs == {(0, 3), (1, 9)}

    def rank(record):
        return (-np.mean(record["accuracy"]), np.mean(record["loss"]))

    first = sorted((r for r in records if r["rung"] == 0), key=rank)
    last = sorted((r for r in records if r["rung"] == 1), key=rank)
    assert len(first) == 9
    assert {r["trial"] for r in last} == {r["trial"] for r in first[:3]}
    winner = summary_of(finished)["winner"]
    assert winner["trial"] == last[0]["trial"]
    assert winner["settings"] == last[0]["settings"]
    with open(finished / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 * 2
    assert {int(row["trial"]) for row in rows if row["winner"] == "True"} == {winner["trial"]}
    expected = [r["epochs"] for trial in range(9) for r in records if r["trial"] == trial]
    assert sum(int(row["epochs"]) for row in rows) == 2 * (9 * 3 + 3 * 6) != sum(expected)


def test_what_a_sweep_leaves(finished):
    summary = summary_of(finished)
    for name in ("expected_best", "settings"):
        assert (finished / "figures" / f"{name}.png").stat().st_size > 1000
    tables = summary["tables"]
    importance = tables["Importance of the settings, after the first rung"]
    assert {row[0] for row in importance[1:-1]} == {"learning_rate", "hidden_dims", "l2_weight"}
    assert len(tables["Trials"]) == 10
    steps = summary["num_examples"]["train"] // 16
    assert summary["cost"]["steps of all networks"] == 2 * (9 * 3 + 3 * 6) * steps
    fraction = summary["cost"]["fraction of training all to the end"]
    assert fraction == pytest.approx((9 * 3 + 3 * 6) / (9 * 9))
    # The test part is used for the winner alone.
    assert summary["metrics"] == summary_of(finished / "winner")["metrics"]
    page = (finished / "report.html").read_text()
    assert 'href="trials.csv"' in page and 'href="winner/report.html"' in page


def test_the_winner_predicts(finished, tmp_path, capsys):
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    table = polars.DataFrame({name: [5.0, 6.0] for name in names})
    table.write_csv(tmp_path / "new.csv")
    assert run(finished, "--data", tmp_path / "new.csv", experiment=predict) == 0
    rows = polars.read_csv(tmp_path / "new.predictions.csv")
    assert rows["class"].is_in(["setosa", "versicolor", "virginica"]).all()
    capsys.readouterr()
    # It was trained with others, and is no run to resume or to replay.
    assert run(finished / "winner", experiment=replay) == 2
    assert "holds the winner of a sweep" in capsys.readouterr().err
    resumed = ["--resume", finished / "winner", "--num-epochs", 12]
    assert run(*resumed, experiment=classification) == 2
    assert "holds the winner of a sweep" in capsys.readouterr().err


def test_a_sweep_that_was_cut_ends_the_same_and_a_finished_one_is_left(finished, tmp_path, capsys):
    out = shutil.copytree(finished, tmp_path / "run")
    # As if killed in the second rung.
    for name in ("summary.json", "trials.csv", "report.html"):
        (out / name).unlink()
    shutil.rmtree(out / "winner")
    last = sorted(out.glob("bracket-0-rung-1-*"))
    shutil.rmtree(last[-1])
    capsys.readouterr()
    assert run("--resume", out) == 0
    assert compare_runs(finished, out) == ()
    assert summary_of(out)["winner"] == summary_of(finished)["winner"]
    assert (out / "trials.csv").read_text() == (finished / "trials.csv").read_text()
    assert run("--resume", out) == 0
    assert "the run is finished" in capsys.readouterr().out
    for options, message in [
        (["--budget", 5], "has its options already, found --budget"),
        (["--learning-rate", 1], "has its options already, found --learning-rate"),
    ]:
        assert run("--resume", out, *options) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("sizes", [((512,), (512,)), ((20, 9), (12, 5))], ids=["equal", "padded"])
def test_a_trial_is_the_run_of_its_settings(sizes):
    """The same keys, data, order and schedule as of the experiment by itself."""
    base = configure(classification, dataset="iris", num_seeds=2, num_epochs=3, patience=None)
    settings = [
        {"learning_rate": rate, "l2_weight": weight, "dropout": 0.3, "clip_norm": 1.0}
        for rate, weight in ((1e-3, 0.01), (3e-2, 0.02))
    ]
    settings = [each | {"hidden_dims": own} for each, own in zip(settings, sizes, strict=True)]
    task = classification.prepare_task(base)
    configs = [trial_config(task.config, each) for each in settings]
    options = read_arguments(["classification", "--dataset", "iris", "--num-seeds", "2"])
    keys = population_keys(options, 2)
    traced = [name for name in settings[0] if name in classification.TRACED]
    trials = Trials(task, configs, traced, keys, [(Rung(2, 3),)])
    [group] = trials.groups
    learner, states = group.learner, group.states
    size = batch_size(base, task.num_train)
    run = jn.epochs(learner, states, task.data, batch_size=size)
    for _ in range(3):
        states, _ = next(run)
    of_trials = jax.device_get(states.params)
    for trial, config in enumerate(configs):
        single = task.learner(config)
        alone = jax.jit(jax.vmap(single.init))(seed_keys(config))
        run = jn.epochs(single, alone, task.data, batch_size=size)
        for _ in range(3):
            alone, _ = next(run)
        mine = jax.tree.map(lambda leaf, t=trial: leaf[2 * t : 2 * t + 2], of_trials)
        unpad = jax.vmap(lambda params, own=sizes[trial]: jn.nn.unpad_mlp(params, own))
        mine = jax.jit(unpad)(mine)
        leaves = zip(jax.tree.leaves(mine), jax.tree.leaves(alone.params), strict=True)
        for leaf, expected in leaves:
            np.testing.assert_allclose(leaf, expected, atol=1e-5)

    # Survivors are gathered into a smaller program where it saves more than compiling one.
    assert [trials.size(0, 4, 1), trials.size(0, 2, 1)] == [4, 4]
    assert [trials.size(0, 2, 10**6), trials.size(0, 1, 1), trials.num_programs] == [2, 2, 2]


def test_trials_that_diverge_are_reported_and_never_win(tmp_path):
    options = ["--dataset", "diabetes", "--num-epochs", 3, "--num-seeds", 2, "--optimizer", "sgd"]
    over = ["--over", "learning_rate=1e-3,1e9", "--strategy", "grid"]
    out = tmp_path / "run"
    assert run("regression", "mlp", *options, *over, "--out", out) == 0
    summary = summary_of(out)
    assert summary["winner"]["settings"] == {"learning_rate": 1e-3}
    assert "1 of 2 trials diverged" in summary["notes"]
    assert summary["tables"]["Trials"][2][-2] == "diverged"
    assert summary["metrics"]["r2"]["mean"] > -1


@pytest.mark.crash
def test_a_sweep_whose_trials_all_diverge_has_no_winner(tmp_path, capsys):
    options = ["--dataset", "diabetes", "--num-epochs", 3, "--num-seeds", 2, "--optimizer", "sgd"]
    over = ["--over", "learning_rate=1e9,1e10", "--strategy", "grid"]
    assert run("regression", "mlp", *options, *over, "--out", tmp_path / "none") == 1
    assert "all trials diverged" in capsys.readouterr().err
    assert not (tmp_path / "none" / "summary.json").exists()


def test_a_population_evolves(tmp_path):
    options = ["--dataset", "iris", "--num-epochs", 6, "--num-seeds", 2, "--interval", 2]
    over = ["--over", "learning_rate=log:1e-5:1e-1", "--over", "label_smoothing=uniform:0:0.1"]
    out = tmp_path / "run"
    more = ["--hidden-dims", 4, "--strategy", "pbt", "--budget", 5]
    assert run("classification", *options, *over, *more, "--out", out) == 0
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 3 * 5
    for interval in (1, 2):
        before, now = ([r for r in records if r["interval"] == i] for i in (interval - 1, interval))
        accuracy = np.array([r["accuracy"] for r in before])
        sources = np.array([r["copy_of"] for r in now])
        for seed in range(2):
            [copied] = np.flatnonzero(sources[:, seed] != np.arange(5))
            source = sources[copied, seed]
            assert accuracy[source, seed] == accuracy[:, seed].max()
            assert accuracy[copied, seed] == accuracy[:, seed].min()
            rates = [r["settings"]["learning_rate"][seed] for r in before]
            changed = [r["settings"]["learning_rate"][seed] for r in now]
            kept = np.arange(5) != copied
            np.testing.assert_array_equal(np.array(changed)[kept], np.array(rates)[kept])
            assert changed[copied] != rates[source]
    assert summary_of(out)["metrics"]["accuracy"]["mean"] > 0.3


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_the_options_of_a_run_are_those_of_its_experiment(name, tmp_path):
    dataset = {"classification": "iris", "regression": "diabetes"}[name]
    config = read_arguments([name, "mlp", "--dataset", dataset, *OVER])
    content = add_hash({"experiment": "sweep"} | json_values(dataclasses.asdict(config)))
    (tmp_path / "config.json").write_text(json.dumps(content))
    recorded = recorded_config(sweep.Config, tmp_path)
    assert recorded == config
    assert recorded.trial.experiment == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected classification or regression as the first argument, found none"),
        (["clustering"], "found 'clustering'"),
        (["classification"], "over: name at least one setting"),
        (["classification", "--over", "learning_rate"], "expected NAME=VALUES, found"),
        (["classification", "--over", "dataset=iris,wine"], "'dataset' cannot be searched for"),
        (["classification", "--over", "num_epochs=3,4"], "'num_epochs' cannot be searched for"),
        (["classification", *OVER[:2], *OVER[:2]], "'learning_rate' is given twice"),
        (["classification", "--over", "dropout=uniform:0:1"], "dropout must be a number in"),
        (["classification", "--over", "batch_size=uniform:8:64"], "batch_size must be"),
        (["classification", "--over", "learning_rate=log:0:1"], "low must be greater than 0"),
        (["classification", "--over", "learning_rate=log:1"], "expected log:LOW:HIGH"),
        (["classification", "--over", "hidden_dims=[8],[8]"], "all different"),
        (["classification", *OVER, "--strategy", "pbt"], "found 'hidden_dims' as choice"),
        (["classification", *OVER, "--cross-validate", "3"], "leave them out"),
        (["classification", *OVER, "--validation-fraction", "0"], "must be above 0"),
        (["classification", *OVER, "--min-epochs", "99"], "min_epochs must not exceed"),
        (["classification", *OVER, "--patience", "3"], "patience stops trials"),
        (
            ["classification", *OVER, "--strategy", "grid", "--budget", "3"],
            "at least the 10 trials",
        ),
        (["classification", *OVER, "--num-sed", "3"], "did you mean --num-seeds"),
        (["classification", "--over", "optimizer=adam,adamm"], "unknown optimizer 'adamm'"),
    ],
)
def test_mistakes_leave_nothing(arguments, message, capsys, tmp_path):
    out = tmp_path / "run"
    options = ["--dataset", "iris", "--out", str(out)] if arguments else []
    assert run(*arguments, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not out.exists()


@pytest.mark.crash
@pytest.mark.parametrize(
    ("strategy", "more", "stage"),
    [("hyperband", ["--num-epochs", 9, "--min-epochs", 3], -1), ("pbt", ["--interval", 3], 0)],
    ids=["hyperband in its last stage", "pbt in its first stage"],
)
def test_a_sweep_that_is_killed_ends_with_the_same_bits_and_replays(
    strategy, more, stage, command, tmp_path, capsys
):
    options = f"--strategy {strategy} --hidden-dims 8 --num-epochs 6 --budget 4".split()
    options += ["--dataset", "diabetes", "--num-seeds", 2, "--checkpoint-every", 10]
    options += ["--over", "learning_rate=log:1e-4:1e-1", "--over", "dropout=uniform:0:0.3", *more]
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert run("regression", "mlp", *options, "--out", whole) == 0
    stages = sorted(path.name for path in whole.iterdir() if (path / "checkpoints").is_dir())
    # The programs of this process, which are those of the one that is killed.
    programs = jax.config.jax_compilation_cache_dir or ""
    same = {"XLA_FLAGS": os.environ["XLA_FLAGS"], "JAX_COMPILATION_CACHE_DIR": programs}
    process = command.start("sweep", "regression", "mlp", *options, "--out", out, **same)
    folder = out / stages[stage] / "checkpoints"
    while process.poll() is None:
        if folder.is_dir() and Checkpoints(folder).steps():
            process.kill()
            process.wait()
        time.sleep(0.001)
    assert process.returncode == -signal.SIGKILL, process.output()
    assert not (out / "summary.json").exists()
    assert run("--resume", out) == 0
    assert compare_runs(whole, out) == ()
    assert summary_of(whole)["winner"] == summary_of(out)["winner"]
    capsys.readouterr()
    assert run(whole, experiment=replay) == 0
    assert "bit for bit" in capsys.readouterr().out


def test_regression_is_chosen_by_the_least_error():
    assert regression.SCORE == ("mean_squared_error", False)
