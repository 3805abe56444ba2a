"""Comparison of the results of two runs, bit for bit."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxnet.runs.records import read_json, read_log

_RESULTS = ("params_sha256", "state_sha256", "metrics", "winner")


def compare_runs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> tuple[str, ...]:
    """Name what differs between the results of two finished runs.

    Compared are the hashes of parameters and states, the metrics of `summary.json`, the winner of a
    sweep, and each `metrics.jsonl`, those of stages included. Times are not results.

    Args:
        first: a run directory.
        second: another one.

    Returns:
        The parts that differ; empty where the results are bitwise identical.

    Raises:
        ValueError: a run that is not finished.

    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, loss in (("a", 0.5), ("b", 0.25)):
    ...         Path(folder, name).mkdir()
    ...         _ = Path(folder, name, "summary.json").write_text(json.dumps({"metrics": loss}))
    ...     compare_runs(f"{folder}/a", f"{folder}/b")
    ('metrics',)
    """
    summaries = [read_json(Path(path) / "summary.json") for path in (first, second)]
    names = [name for name in _RESULTS if summaries[0].get(name) != summaries[1].get(name)]
    logs = [_logs(Path(path)) for path in (first, second)]
    names += [name for name in sorted({*logs[0], *logs[1]}) if _differ(name, *logs)]
    return tuple(names)


def _logs(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of the run and of its stages, without times."""
    return {
        log.relative_to(path).as_posix(): [
            {name: value for name, value in record.items() if name != "seconds"}
            for record in read_log(log)
        ]
        for log in path.rglob("metrics.jsonl")
    }


def _differ(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    # NaN is not equal to itself.
    return repr(first.get(name, [])) != repr(second.get(name, []))
