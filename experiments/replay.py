"""Run a finished run again and see whether the result is the same, bit for bit.

    python -m experiments.replay runs/classification-digits-...

Where the environment is another one (versions, device, threads, data, source), the differences are
named first. Exit status 0: parameters, state and metrics are identical; 1: they are not.
"""

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import tyro

from experiments import optimizers
from experiments.classification import experiment as classification
from experiments.clustering import experiment as clustering
from experiments.command import main, recorded_config
from experiments.reconstruction import experiment as reconstruction
from experiments.regression import experiment as regression
from jaxnet.runs.environment import available_threads, differences, fix_environment, manifest
from jaxnet.runs.records import read_json, read_log

# By name: what a file says is looked up here and never imported.
EXPERIMENTS: dict[str, Any] = {
    "classification": classification,
    "clustering": clustering,
    "optimizers": optimizers,
    "reconstruction": reconstruction,
    "regression": regression,
}


class NotIdenticalError(ArithmeticError):
    """The second run has another result than the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Run a finished run again and compare the bits of its result."""

    experiment: ClassVar[str] = "replay"

    run: tyro.conf.Positional[Path]
    """Directory of the finished run."""
    num_threads: int | None = None
    """Threads of the CPU backend; by default NPROC, else those of the run."""
    out: Path | None = None
    """Keep the second run in this directory; by default it is thrown away."""


def run(config: Config) -> list[str]:
    """Run again and compare.

    Returns:
        The differences between the environments.

    Raises:
        ValueError: no finished run there.
        NotIdenticalError: another result.
    """
    path = config.run
    recorded, expected = read_json(path / "manifest.json"), read_json(path / "config.json")
    name = str(expected.get("experiment"))
    if name not in EXPERIMENTS:
        raise ValueError(
            f"run: {path} holds a run of {name!r}, which cannot be replayed; expected one of "
            f"{', '.join(EXPERIMENTS)}"
        )
    if not (path / "summary.json").exists():
        raise ValueError(f"run: {path} is not finished; continue it with --resume {path} first")
    if config.num_threads is not None and config.num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, found {config.num_threads}")
    experiment = EXPERIMENTS[name]
    options = recorded_config(experiment.Config, path)
    threads = config.num_threads
    if threads is None:
        threads = available_threads() if "NPROC" in os.environ else options.num_threads
    fix_environment(threads)
    options = dataclasses.replace(options, num_threads=None)
    if hasattr(options, "export_features"):
        # The file is there already, and it is no part of what is compared.
        options = dataclasses.replace(options, export_features=None)
    changed = differences(recorded, manifest(experiment.load_data(options).sha256))
    lines = [f"differs: {line}" for line in changed] or ["the environment is the same"]
    print(*lines, sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = config.out or Path(folder) / "run"
        experiment.run(dataclasses.replace(options, out=out))
        found = compare(path, out)
    if found:
        because = " (see the differences of the environment above)" if changed else ""
        raise NotIdenticalError(f"not identical: {', '.join(found)}{because}")
    print("\nidentical: parameters, state and metrics, bit for bit")
    return changed


def compare(first: Path, second: Path) -> list[str]:
    """What differs between the results of two finished runs; nothing where all bits agree."""
    before, after = (read_json(path / "summary.json") for path in (first, second))
    names = ("params_sha256", "state_sha256", "metrics")
    found = [name for name in names if before.get(name) != after.get(name)]
    logs = [
        [{key: record[key] for key in record if key != "seconds"} for record in records]
        for records in (read_log(path / "metrics.jsonl") for path in (first, second))
    ]
    return found + (["metrics.jsonl"] if logs[0] != logs[1] else [])


if __name__ == "__main__":
    sys.exit(main(Config, run))
