"""Rows that are commands of the experiments: figures of `summary.json`, and seconds."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Clock, spread

Measured = dict[str, Any]
Function = Callable[..., Measured]
# Of a user who has PyTorch or ClustPy in another environment.
TORCH_PYTHON = "JAXNET_TORCH_PYTHON"
_QUICK = ("--num-seeds", "1", "--num-epochs", "1")


def experiment(
    name: str,
    *options: str,
    metrics: Sequence[str],
    smoke: Sequence[str] = _QUICK,
) -> Function:
    """The row of a command that leaves a run directory.

    Args:
        name: of the experiment.
        options: of its command line.
        metrics: names in `summary.json` that are figures of the row; those that it lacks are left
            out, and none of them means all.
        smoke: more options for its smallest size.

    Returns:
        A row with `figures`, the seconds of the run, those of the compiler among them, and the
        command.

    >>> callable(experiment("regression", metrics=["r2"]))
    True
    """

    def row(clock: Clock, *, smoke: bool) -> Measured:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            arguments = [name, *options, *(small if smoke else ())]
            _run(arguments, ["--out", str(out)], clock)
            summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        reported = summary["metrics"]
        figures = {
            metric: spread(reported[metric]["values"])
            for metric in metrics or reported
            if metric in reported
        }
        seconds = {part: round(value, 1) for part, value in summary["seconds"].items()}
        return {"figures": figures, "run_seconds": seconds, "options": arguments}

    small = tuple(smoke)
    return row


def speed(workload: str, *options: str, rounds: int) -> Function:
    """The row of a workload of experiments.speed, with peers that are installed.

    Args:
        workload: its name.
        options: more options of the command line.
        rounds: in each of which every peer trains.

    Returns:
        A row whose figures are ratios over the rounds.

    >>> callable(speed("small", rounds=5))
    True
    """

    def row(clock: Clock, *, smoke: bool) -> Measured:
        torch = os.environ.get(TORCH_PYTHON)
        arguments = ["--repeats", str(1 if smoke else rounds)]
        arguments += ["--torch-python", torch] if torch else []
        return experiment(
            "speed", "--workload", workload, *options, *arguments, metrics=(), smoke=()
        )(clock, smoke=smoke)

    return row


def backpropagation(clock: Clock, *, smoke: bool) -> Measured:
    """Largest difference of a partial derivative by hand from `jax.grad`, of all examples."""
    options = ["--example", "mazur" if smoke else "all"]
    options += ["--num-steps", "10"] if smoke else []
    start = time.perf_counter()
    printed = _run(["backpropagation", *options], [], clock)
    label = "largest relative difference from jax.grad:"
    differences = [
        float(line.removeprefix(label)) for line in printed.splitlines() if line.startswith(label)
    ]
    return {
        "figures": {"largest relative difference": f"{max(differences):.1e}"},
        "run_seconds": {"total": round(time.perf_counter() - start, 1)},
    }


def _run(arguments: Sequence[str], more: Sequence[str], clock: Clock) -> str:
    """What `python -m experiments.NAME` prints; it is ended when the time of the row is over."""
    name, *options = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *options, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=max(clock.seconds - clock.elapsed(), 1),
    )
    if done.returncode:
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        raise RuntimeError(f"experiments.{name} ended with {done.returncode}: {lines[-1:]}")
    return done.stdout


digits = experiment("classification", metrics=["accuracy"])
breast_cancer = experiment(
    "classification",
    "--dataset",
    "breast_cancer",
    "--cross-validate",
    "10",
    "--repeats",
    "10",
    metrics=["accuracy"],
    smoke=["--num-epochs", "1", "--repeats", "1"],
)
wine = experiment("classification", "--dataset", "wine", metrics=["accuracy"])
iris = experiment("classification", "--dataset", "iris", metrics=["accuracy"])
digits_cnn = experiment("classification", "cnn", "--num-seeds", "3", metrics=["accuracy"])
line = experiment("regression", metrics=["r2", "root_mean_squared_error"])
diabetes = experiment("regression", "mlp", "--dataset", "diabetes", metrics=["r2"])
reconstruction = experiment(
    "reconstruction", metrics=["squared_error", "pca_squared_error", "relative_to_pca"]
)
kmeans = experiment("clustering", "kmeans", metrics=["accuracy"], smoke=["--num-seeds", "1"])
dec = experiment(
    "clustering",
    metrics=["accuracy"],
    smoke=[*_QUICK, "--pretrain-epochs", "1"],
)
logs = experiment("logs", metrics=["cost_at_chosen_threshold", "bayes_cost", "cost"])
bfloat16 = experiment("classification", "--precision", "bfloat16", metrics=["accuracy"])
float16 = experiment("classification", "--precision", "float16", metrics=["accuracy"])
optimizers = experiment("optimizers", metrics=["adam", "sgd", "lbfgs", "muon"])
tables = experiment("tables", metrics=(), smoke=["--tables", "iris", "--num-seeds", "1"])
speed_small = speed("small", rounds=5)
speed_large = speed("large", rounds=5)
speed_large_sgd = speed("large", "--optimizer", "sgd", rounds=5)
speed_kmeans = speed("kmeans", rounds=4)
speed_vae = speed("vae", rounds=5)
speed_rbm = speed("rbm", rounds=5)
speed_cnn = speed("cnn", rounds=3)
speed_predict = speed("predict", rounds=3)
speed_dec = speed("dec", rounds=1)
