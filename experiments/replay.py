"""Run a finished run again and compare the results, which are bitwise identical or not.

    python -m experiments.replay runs/classification-digits-...

Where the environment differs (versions, device, threads, data, source), the differences are named
first. Exit status 0: parameters, state and metrics are identical; 1: they are not.
"""

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import tyro

from experiments.command import main
from experiments.config import Options, PositiveInt, replace
from experiments.parsing import recorded_config, require_own_run
from experiments.placement import start_devices
from experiments.protocol import (
    EXPERIMENTS,
    OWN_PREDICTION,
    WITHOUT_PREDICTION,
    find_experiment,
)
from jaxnet.runs import (
    available_threads,
    compare_runs,
    differences,
    fix_environment,
    manifest,
    read_hashed_json,
    read_json,
    verify_run,
)

REPLAYABLE = (*EXPERIMENTS, *WITHOUT_PREDICTION, *OWN_PREDICTION, "optimizers")


class NotIdenticalError(ArithmeticError):
    """The second run has a different result."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Run a finished run again and compare the results, bit for bit."""

    experiment: ClassVar[str] = "replay"

    run: tyro.conf.Positional[Path]
    """Directory of the finished run."""
    num_threads: PositiveInt | None = None
    """Threads of the CPU backend; None uses the environment variable NPROC, or those of the run."""
    out: Path | None = None
    """Directory in which the second run is kept; None deletes it."""
    data: Path | None = None
    """File of the data of the run, where it has moved since."""


def run(config: Config) -> list[str]:
    """Run again and compare.

    Returns:
        The differences between the environments.

    Raises:
        ValueError: no finished run there.
        NotIdenticalError: another result.
    """
    path = config.run
    require_own_run(path)
    recorded = read_json(path / "manifest.json")
    expected = read_hashed_json(path / "config.json")
    name = str(expected.get("experiment"))
    if name not in REPLAYABLE:
        raise ValueError(
            f"run: {path} holds a run of {name!r}, which cannot be replayed; expected one of "
            f"{', '.join(REPLAYABLE)}"
        )
    if not (path / "summary.json").exists():
        raise ValueError(f"run: {path} is not finished; continue it with --resume {path} first")
    verify_run(path)
    experiment = find_experiment(name)
    options = recorded_config(experiment.Config, path)
    threads = config.num_threads
    if threads is None:
        threads = available_threads() if "NPROC" in os.environ else options.num_threads
    fix_environment(threads)
    options = dataclasses.replace(options, num_threads=None)
    start_devices(options)
    if config.data is not None:
        if getattr(options, "data", None) is None:
            raise ValueError(
                f"data: the run in {path} has no file of data, found {config.data}; leave it out"
            )
        options = dataclasses.replace(options, data=config.data)
    if hasattr(options, "export_features"):
        # The file exists already, and it is not compared.
        options = dataclasses.replace(options, export_features=None)
    changed = differences(recorded, manifest(experiment.load_data(options).sha256))
    lines = [f"differs: {line}" for line in changed] or ["the environment is the same"]
    print(*lines, sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = config.out or Path(folder) / "run"
        phases = expected.get("phases", [])
        if phases:
            experiment.run(replace(options, out=out, num_epochs=phases[0]))
            for num_epochs in phases[1:]:
                experiment.run(replace(options, resume=out, num_epochs=num_epochs))
            experiment.run(dataclasses.replace(options, resume=out))
        else:
            experiment.run(dataclasses.replace(options, out=out))
        different = compare_runs(path, out)
    if different:
        because = " (see the differences of the environment above)" if changed else ""
        raise NotIdenticalError(f"not identical: {', '.join(different)}{because}")
    print("\nidentical: parameters, state and metrics, bit for bit")
    return changed


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
