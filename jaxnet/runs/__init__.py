"""Runs that can be trusted: a run directory, watched training, resuming, comparison of results.

`open_run` is for training scripts: the same script, called again, continues an interrupted run and
restores a finished one. `RunDirectory`, `train` and `train_stages` are its parts. A run directory
holds

    config.json          the options, and the epochs of earlier phases
    manifest.json        versions, device, threads, flags, commits, hash of the data, command
    training.json        epochs, batches and a hash of the keys of the training
    metrics.jsonl        the metrics of each epoch
    checkpoints/         the last two and the best complete states
    NAME/                the same files of a stage named NAME
    summary.json         the result of a finished run, with hashes of parameters, states and files

`config.json` and `summary.json` hold a hash of their own content, and the summary those of the
files that decide a result: `verify_run` checks that they belong together.

A resumed run ends bitwise identical to one that nothing interrupted, in the same environment.
`compare_runs` compares two. Names are imported at their first use (extra `runs`).
"""

import importlib as _importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnet.runs.compare import compare_runs
    from jaxnet.runs.directory import RunDirectory
    from jaxnet.runs.environment import (
        available_threads,
        device_name,
        differences,
        fix_environment,
        manifest,
    )
    from jaxnet.runs.integrity import verify_run
    from jaxnet.runs.interruption import Interrupted, deferred_interruption, immediate_interruption
    from jaxnet.runs.names import new_directory
    from jaxnet.runs.options import TrainOptions, TrainResult
    from jaxnet.runs.progress import Progress
    from jaxnet.runs.records import (
        json_values,
        metrics_record,
        read_hashed_json,
        read_json,
        read_log,
    )
    from jaxnet.runs.script import Run, open_run
    from jaxnet.runs.stages import train_stages
    from jaxnet.runs.tensorboard import EventWriter
    from jaxnet.runs.training import start_states, train

_MODULES = {
    "EventWriter": "tensorboard",
    "Interrupted": "interruption",
    "Progress": "progress",
    "Run": "script",
    "RunDirectory": "directory",
    "TrainOptions": "options",
    "TrainResult": "options",
    "available_threads": "environment",
    "compare_runs": "compare",
    "deferred_interruption": "interruption",
    "device_name": "environment",
    "differences": "environment",
    "fix_environment": "environment",
    "immediate_interruption": "interruption",
    "json_values": "records",
    "manifest": "environment",
    "metrics_record": "records",
    "new_directory": "names",
    "open_run": "script",
    "read_hashed_json": "records",
    "read_json": "records",
    "read_log": "records",
    "start_states": "training",
    "train": "training",
    "train_stages": "stages",
    "verify_run": "integrity",
}

__all__ = [
    "EventWriter",
    "Interrupted",
    "Progress",
    "Run",
    "RunDirectory",
    "TrainOptions",
    "TrainResult",
    "available_threads",
    "compare_runs",
    "deferred_interruption",
    "device_name",
    "differences",
    "fix_environment",
    "immediate_interruption",
    "json_values",
    "manifest",
    "metrics_record",
    "new_directory",
    "open_run",
    "read_hashed_json",
    "read_json",
    "read_log",
    "start_states",
    "train",
    "train_stages",
    "verify_run",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(_importlib.import_module(f"jaxnet.runs.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'jaxnet.runs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
