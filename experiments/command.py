"""What all commands share: start, errors, exit status, and the end of a run."""

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from experiments.config import RunOptions
from experiments.hosts import OPTIONS as HOST_OPTIONS
from experiments.hosts import connected, require_same_options
from experiments.parsing import parse, recorded_config
from experiments.placement import OPTIONS, start_devices
from experiments.protocol import Command
from experiments.report.report import describe_runs, write_report
from jaxnet.doctor import UnsoundBackendError
from jaxnet.hosts import HostError
from jaxnet.runs import RunDirectory, device_name, fix_environment, verify_run
from jaxnet.runs.interruption import Interrupted, immediate_interruption

_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def count_programs() -> Iterator[list[float]]:
    """The seconds that each program took to compile inside.

    >>> with count_programs() as programs:
    ...     _ = jax.jit(lambda x: 2 * x + 1)(1.0)
    >>> len(programs) > 0
    True
    """
    programs: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            programs.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield programs
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent inside: `compile` in the compiler, `train` in the rest, `total`.

    >>> with stopwatch() as seconds:
    ...     _ = jax.jit(lambda x: x + 1)(1.0)
    >>> sorted(seconds)
    ['compile', 'total', 'train']
    """
    seconds = {"compile": 0.0}

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            seconds["compile"] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        seconds["total"] = time.perf_counter() - start
        seconds["train"] = seconds["total"] - seconds["compile"]


def statistics(values: Any) -> dict[str, Any]:
    """Mean, standard deviation (of a sample: n - 1; None for one value) and the values themselves.

    >>> statistics(np.array([1.0, 3.0]))
    {'mean': 2.0, 'std': 1.4142135623730951, 'values': [1.0, 3.0]}
    """
    values = np.asarray(values, np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "std": std, "values": values.tolist()}


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows as aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def finish(
    directory: RunDirectory,
    config: Any,
    summary: dict[str, Any],
    captions: dict[str, str],
    published: str | None = None,
) -> dict[str, Any]:
    """Write `report.html` and `summary.json`, and print the result.

    Args:
        directory: the run directory, with its figures.
        config: resolved options, with `dataset` and `num_seeds`.
        summary: the result: `metrics` (of `statistics`), `params_sha256`, `seconds`, the entries
            of `experiments.summary.describe`, and the `title` of the report where it is another.
        captions: name of a figure -> its caption, in the order of the report.
        published: published figures for this data set.

    Returns:
        The summary with what every experiment reports.
    """
    summary = {
        "experiment": directory.name,
        "dataset": config.dataset,
        "num_seeds": config.num_seeds,
        "unit": "seeds",
        "device": device_name(),
        "published": published,
    } | summary
    title = summary.pop("title", f"{directory.name.capitalize()} on {config.dataset}")
    write_report(directory, title=title, summary=summary, captions=captions)
    # Last: a run with a summary is finished.
    summary = directory.write_summary(summary)
    _print_result(title, summary)
    if summary["published"]:
        print(f"published: {summary['published']}")
    seconds = summary["seconds"]
    print(f"{seconds['total']:.1f} s, of which {seconds['compile']:.1f} s compiling")
    print(f"report: {directory.path / 'report.html'}")
    return summary


def show(value: Mapping[str, Any], num_digits: int = 4) -> str:
    """A metric of `statistics` as text.

    >>> show({"mean": 0.5, "std": 0.25}), show({"mean": 0.5, "std": None}, 2)
    ('0.5000 ± 0.2500', '0.50')
    """
    mean = f"{value['mean']:.{num_digits}f}"
    return mean if value["std"] is None else f"{mean} ± {value['std']:.{num_digits}f}"


def _print_result(title: str, summary: Mapping[str, Any]) -> None:
    over, _ = describe_runs(summary)
    print(f"\n{title}: {over[0].lower()}{over[1:]}")
    baseline = summary.get("baseline")
    expected = {} if baseline is None else baseline["metrics"]
    for name, value in summary["metrics"].items():
        mean, *std = show(value).split(" ± ")
        line = f"  {name.replace('_', ' '):26} {mean:>9}" + (f" ± {std[0]}" if std else "")
        print(line + (f"   baseline {expected[name]:.4f}" if name in expected else ""))
    if baseline is not None:
        print(f"baseline: {baseline['name']}")
    for note in summary.get("notes", ()):
        print(f"warning: {note}")


def is_finished(config: RunOptions, path: Path) -> bool:
    """Whether the run in a directory is finished, and the config asks for no more epochs."""
    if not (path / "summary.json").exists():
        return False
    verify_run(path)
    recorded = recorded_config(type(config), path)
    # On whichever devices it was computed, there is nothing left to compute.
    same = {name: getattr(recorded, name) for name in (*OPTIONS, *HOST_OPTIONS, "num_threads")}
    return dataclasses.replace(config, resume=None, **same) == recorded


def main(command: Command | ModuleType, arguments: Sequence[str] | None = None) -> int:
    """Run a command: a mistake is one line on stderr, not a traceback.

    Args:
        command: the module of the command.
        arguments: the command line without the program; None is that of the process.

    Returns:
        The exit status: 0; 2 for a mistake in the options or the data, or files that cannot be
        read or written; 1 for a numerical failure (a training that diverges, a backend that
        computes wrong sums) or another process that ended; 130 after Ctrl-C and 143 after SIGTERM.
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        with immediate_interruption(), connected(command.Config, given) as processes:
            read = getattr(command, "read_arguments", functools.partial(parse, command))
            config = read(given)
            if isinstance(config, RunOptions):
                fix_environment(config.num_threads)
                require_same_options(config)
                start_devices(config)
                resume = config.resume
                if resume is not None and processes.from_first(
                    "finished", lambda: is_finished(config, resume)
                ):
                    print(f"the run is finished: {resume / 'report.html'}")
                    return 0
            command.run(config)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ArithmeticError, UnsoundBackendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except Interrupted as interrupted:
        advice = f"; continue with --resume {interrupted.path}" if interrupted.path else ""
        print(f"{interrupted}{advice}", file=sys.stderr)
        return interrupted.exit_status
    return 0
