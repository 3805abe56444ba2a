"""Sweeps against the exhaustive grid, and against Optuna with scikit-learn's MLP.

    python -m benchmarks.sweep --out results.json
    python -m benchmarks.sweep --rows speed --peer-python ENV/bin/python --budgets 64 512

Row `quality`, for each data set: a grid of 64 trials trained to the end, and successive halving of
64 trials over the same ranges; test accuracy of both winners, and the steps of each. Row `speed`:
trials a minute of a sweep by successive halving, one seed each, all of its time counted (data,
compiling, the report), and those of Optuna, whose trials have the same epochs, batches and data.
`--peer-python` names a Python with optuna and scikit-learn; without it the peer is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import describe_device
from jaxnet._files import atomic_write

_ROOT = Path(__file__).resolve().parents[1]
_DATASETS = ("digits", "breast_cancer", "wine")
_RATES = ["--over", "learning_rate=log:1e-4:1e-1"]
_LAYERS = ["--over", "hidden_dims=[32],[64],[128],[128,128]"]
_DROPOUT = ["--over", "dropout=uniform:0:0.6"]
_L2 = ["--over", "l2_weight=log:1e-5:1e-1"]
_STRATEGIES = {"grid": ["--strategy", "grid", "--grid-values", "4"], "halving": []}


def quality(datasets: Sequence[str], num_seeds: int) -> list[dict[str, Any]]:
    """The winner of successive halving beside that of the exhaustive grid.

    Args:
        datasets: names of data sets.
        num_seeds: networks of each trial.

    Returns:
        A record for each data set.
    """
    records = []
    for dataset in datasets:
        record: dict[str, Any] = {"name": "quality", "dataset": dataset}
        for name, options in _STRATEGIES.items():
            space = [*_RATES, *_DROPOUT, *_LAYERS, "--budget", "64", *options]
            summary, seconds = _sweep(dataset, [*space, "--num-seeds", str(num_seeds)])
            accuracy = summary["metrics"]["accuracy"]
            record[name] = {
                "test_accuracy": round(accuracy["mean"], 4),
                "std": None if accuracy["std"] is None else round(accuracy["std"], 4),
                "validation_accuracy": round(
                    summary["winner"]["validation"]["accuracy"]["mean"], 4
                ),
                "settings": summary["winner"]["settings"],
                "steps": summary["cost"]["steps of all networks"],
                "seconds": round(seconds, 1),
            }
        grid, halving = record["grid"], record["halving"]
        record["fraction_of_steps"] = round(halving["steps"] / grid["steps"], 4)
        record["within_one_std"] = bool(
            halving["test_accuracy"] >= grid["test_accuracy"] - (grid["std"] or 0)
        )
        records.append(record)
        print(json.dumps(record), flush=True)
    return records


def speed(
    dataset: str, budgets: Sequence[int], num_epochs: int, peer_python: Path | None
) -> list[dict[str, Any]]:
    """Trials a minute.

    Args:
        dataset: name of a data set.
        budgets: numbers of trials.
        num_epochs: epochs of a trial that is not stopped.
        peer_python: a Python with the peer, or None.

    Returns:
        A record for each budget, and one for the peer.
    """
    records: list[dict[str, Any]] = []
    for budget in budgets:
        options = [*_RATES, *_LAYERS, *_L2, "--budget", str(budget), "--num-seeds", "1"]
        options += ["--num-epochs", str(num_epochs), "--batch-size", "64"]
        summary, seconds = _sweep(dataset, options)
        spent = summary["seconds"]
        records.append(
            {
                "name": "speed",
                "dataset": dataset,
                "trials": budget,
                "seconds": round(seconds, 2),
                "seconds_compiling": round(spent["compile"], 2),
                "trials_per_minute": round(60 * budget / seconds, 1),
                "trials_per_minute_without_compiling": round(60 * budget / spent["train"], 1),
                "fraction_of_training_all": summary["cost"]["fraction of training all to the end"],
                "validation_accuracy": summary["winner"]["validation"]["accuracy"]["mean"],
            }
        )
        print(json.dumps(records[-1]), flush=True)
    if peer_python is not None:
        peer = _peer(dataset, min(budgets), num_epochs, peer_python)
        for record in records:
            record["times_the_peer"] = round(
                record["trials_per_minute"] / peer["trials_per_minute"], 2
            )
        records.append({"name": "optuna", "dataset": dataset} | peer)
        print(json.dumps(records[-1]), flush=True)
    return records


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows and write their results.

    Args:
        arguments: of the command line; None takes those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    rows = ("quality", "speed")
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, help="rows to run")
    parser.add_argument("--datasets", nargs="+", default=_DATASETS, help="data sets of quality")
    parser.add_argument("--num-seeds", type=int, default=3, help="networks of each trial")
    parser.add_argument("--budgets", nargs="+", type=int, default=[64], help="trials of speed")
    parser.add_argument("--num-epochs", type=int, default=60, help="epochs of a trial of speed")
    parser.add_argument("--peer-python", type=Path, default=None, help="a Python with Optuna")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="file of results")
    options = parser.parse_args(arguments)
    records: list[dict[str, Any]] = []
    if "quality" in options.rows:
        records += quality(options.datasets, options.num_seeds)
    if "speed" in options.rows:
        records += speed("digits", options.budgets, options.num_epochs, options.peer_python)
    content = {
        "command": " ".join(["python -m benchmarks.sweep", *(arguments or sys.argv[1:])]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": describe_device() | {"processors": os.cpu_count()},
        "rows": records,
    }
    with atomic_write(options.out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


def _sweep(dataset: str, options: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The summary of a sweep in a process of its own, and the seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["-m", "experiments.sweep", "classification", "--dataset", dataset]
        start = time.perf_counter()
        _run([sys.executable, *command, *options, "--checkpoint-every", "0", "--out", str(out)])
        seconds = time.perf_counter() - start
        return json.loads((out / "summary.json").read_text(encoding="utf-8")), seconds


def _peer(dataset: str, num_trials: int, num_epochs: int, python: Path) -> dict[str, Any]:
    from experiments.classification import experiment as classification
    from experiments.protocol import configure

    task = classification.prepare_task(configure(classification, dataset=dataset))
    rows = task.parts.validation
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        validation = {"validation_x": task.x[rows], "validation_y": task.dataset.y[rows]}
        np.savez(path, **task.data, **validation)
        counts = map(str, (num_trials, num_epochs, 64))
        script = _ROOT / "benchmarks" / "rows" / "optuna_peer.py"
        output = _run([str(python), str(script), str(path), *counts])
    return json.loads(output.strip().splitlines()[-1])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
