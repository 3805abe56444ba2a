"""Rows of a benchmark: each runs in its own process, in the time that is left."""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnet._files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("jax", "jaxlib", "optax", "numpy")


class Row(NamedTuple):
    """One row of a table of results.

    Attributes:
        name: of the row, and of its function in `benchmarks.rows`.
        module: of `benchmarks.rows` with the function.
        what: what is trained or timed.
        reference: the published figure, or the peer that is timed beside it.
        seconds: how long it may run; a row that trains stops then, between two epochs.
        least: seconds below which it is not begun.
    """

    name: str
    module: str
    what: str
    reference: str
    seconds: float
    least: float = 20


class Clock:
    """The time that a row has.

    >>> Clock(60).is_over()
    False
    """

    def __init__(self, seconds: float) -> None:
        self.start = time.perf_counter()
        self.seconds = seconds

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.elapsed() >= self.seconds


def spread(values: Any, digits: int = 4) -> dict[str, Any]:
    """Mean and standard deviation (n - 1) of one number for each seed, and the numbers.

    >>> spread([1.0, 3.0])
    {'mean': 2.0, 'std': 1.4142, 'values': [1.0, 3.0]}
    """
    numbers = np.asarray(values, np.float64).ravel()
    std = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return {
        "mean": round(float(numbers.mean()), digits),
        "std": None if std is None else round(std, digits),
        "values": [round(float(number), digits) for number in numbers],
    }


def rows_parser(
    module: str, description: str, rows: Sequence[Row], *, minutes: float
) -> argparse.ArgumentParser:
    """The options that all commands of benchmarks have.

    Args:
        module: of the command.
        description: of the command.
        rows: all of its rows.
        minutes: default time for all rows.

    Returns:
        A parser with `minutes`, `out`, `rows` and `smoke`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    names = [row.name for row in rows]
    parser.add_argument("--minutes", type=_minutes, default=minutes, help="time for all rows")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="file of results")
    parser.add_argument("--rows", nargs="+", choices=names, default=names, help="rows to run")
    parser.add_argument("--smoke", action="store_true", help="run each row at its smallest size")
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not minutes > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, found {text}")
    return minutes


def run_command(
    rows: Sequence[Row],
    options: argparse.Namespace,
    command: Sequence[str],
    environment: Mapping[str, str],
) -> int:
    """Run the rows that a command line names.

    Args:
        rows: all rows of the command.
        options: parsed by `rows_parser`.
        command: the command line, which is recorded.
        environment: environment variables of the processes.

    Returns:
        The exit status: 1 where a row failed.
    """
    records = run_rows(
        [row for row in rows if row.name in options.rows],
        options.out,
        seconds=60 * options.minutes,
        smoke=options.smoke,
        command=command,
        environment=environment,
    )
    return int(any(record["status"] == "failed" for record in records))


def run_rows(
    rows: Sequence[Row],
    out: Path,
    *,
    seconds: float,
    smoke: bool,
    command: Sequence[str],
    environment: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Run rows one after the other and write the file of results after each.

    Args:
        rows: the rows, most important first.
        out: the JSON file of results.
        seconds: time for all of them; rows for which none is left are skipped, and say so.
        smoke: run each row at its smallest size, to see that it runs.
        command: the command line, which is recorded.
        environment: environment variables of the processes.

    Returns:
        The records of the rows, as in the file.
    """
    clock = Clock(seconds)
    results: list[dict[str, Any]] = []
    header = {
        "command": " ".join(command),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "smoke": smoke,
        "python": platform.python_version(),
        "xla_flags": environment.get("XLA_FLAGS", ""),
        "load_average": round(os.getloadavg()[0], 2),
    }
    for row in rows:
        left = seconds - clock.elapsed()
        record: dict[str, Any] = {
            "name": row.name,
            "what": row.what,
            "reference": row.reference,
        }
        if left < row.least and not smoke:
            record |= {"status": "skipped", "reason": "no time was left"}
        else:
            record |= _run_row(row, min(left, row.seconds), left, smoke, environment)
            print(f"{row.name}: {json.dumps(record)}", flush=True)
        results.append(record)
        device = next((r.pop("device") for r in results if "device" in r), None)
        header = header | ({"device": device} if device else {})
        write_results(out, header | {"rows": results})
    return results


def _run_row(
    row: Row, seconds: float, left: float, smoke: bool, environment: Mapping[str, str]
) -> dict[str, Any]:
    start = time.perf_counter()
    options = [row.module, row.name, str(seconds), str(int(smoke))]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.harness", *options],
            cwd=ROOT,
            env=dict(os.environ) | dict(environment),
            capture_output=True,
            text=True,
            timeout=max(left, 60) + 15,
        )
    except subprocess.TimeoutExpired:
        return {"status": "failed", "reason": "ran past the time that was left"}
    taken = {"seconds": round(time.perf_counter() - start, 1)}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return taken | {"status": "failed", "reason": "\n".join(lines[-12:])[-2000:]}
    return taken | {"status": "done"} | json.loads(done.stdout.strip().splitlines()[-1])


def write_results(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def seconds_of(function: Callable[[], Any]) -> float:
    """Seconds that a call takes, until the arrays of its result are there.

    >>> seconds_of(lambda: None) < 60
    True
    """
    import jax

    start = time.perf_counter()
    result = function()
    jax.block_until_ready([leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)])
    return time.perf_counter() - start


def describe_device() -> dict[str, Any]:
    """Name of the first device, number of devices, and versions of the packages."""
    import importlib.metadata

    import jax

    backend, kind = jax.default_backend(), jax.devices()[0].device_kind
    if backend == "cpu":
        kind = f"{os.cpu_count()} cores of {_processor()}"
    return {
        "platform": backend,
        "kind": kind,
        "count": jax.device_count(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    """The name of the processor, as far as the system knows it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _main(arguments: Sequence[str]) -> None:
    module, name, seconds, smoke = arguments
    function = getattr(importlib.import_module(f"benchmarks.rows.{module}"), name)
    measured = function(Clock(float(seconds)), smoke=smoke == "1")
    print(json.dumps({"measured": measured, "device": describe_device()}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
