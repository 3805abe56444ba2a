"""What every experiment's command line shares: its start, its errors, and the end of a run."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import jax
import numpy as np
import pydantic
import tyro

from experiments.options import RunConfig
from experiments.report.report import write_report
from jaxnet.doctor import UnsoundBackendError
from jaxnet.runs.directory import RunDirectory, read_json
from jaxnet.runs.environment import device_name, fix_environment
from jaxnet.runs.interruption import Interrupted, immediate_interruption


class _Command(Protocol):
    """The options of a command line."""

    experiment: ClassVar[str]


Options = TypeVar("Options", bound=_Command)
Config = TypeVar("Config", bound=RunConfig)


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
        if event == "/jax/core/compile/backend_compile_duration":
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
    """Mean, standard deviation (of a sample: n - 1) and the values themselves.

    >>> statistics(np.array([1.0, 3.0]))
    {'mean': 2.0, 'std': 1.4142135623730951, 'values': [1.0, 3.0]}
    """
    values = np.asarray(values, np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
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
        config: resolved options.
        summary: what the experiment found: `metrics` (of `statistics`), `params_sha256`, `seconds`.
        captions: name of a figure -> its caption, in the order of the report.
        published: results that others published on this data set (`Dataset.published`).

    Returns:
        The summary with what every experiment reports.
    """
    summary = {
        "experiment": directory.experiment,
        "dataset": config.dataset,
        "num_seeds": config.num_seeds,
        "unit": "seeds",
        "device": device_name(),
        "published": published,
    } | summary
    title = f"{directory.experiment.capitalize()} on {config.dataset}"
    write_report(directory, title=title, summary=summary, captions=captions)
    # Last: a run with a summary is one that is finished.
    directory.write_json("summary.json", summary)
    print(f"\n{title}: mean ± standard deviation over {summary['num_seeds']} {summary['unit']}")
    for name, value in summary["metrics"].items():
        print(f"  {name.replace('_', ' '):26} {value['mean']:9.4f} ± {value['std']:.4f}")
    if summary["published"]:
        print(f"published: {summary['published']}")
    seconds = summary["seconds"]
    print(f"{seconds['total']:.1f} s, of which {seconds['compile']:.1f} s compiling")
    print(f"report: {directory.path / 'report.html'}")
    return summary


def recorded_config(config_class: type[Config], path: Path) -> Config:
    """The options of the run in a directory.

    Args:
        config_class: the class of the experiment's options.
        path: the run directory.

    Raises:
        ValueError: no run of this experiment, or options that are damaged.
    """
    recorded = read_json(path / "config.json")
    experiment = config_class.experiment
    found = recorded.pop("experiment", None)
    if found != experiment:
        raise ValueError(
            f"{path} holds a run of {found!r}, expected {experiment!r}; "
            f"use python -m experiments.{found}"
        )
    names = {field.name for field in dataclasses.fields(config_class)}
    if unknown := sorted(set(recorded) - names):
        raise ValueError(f"{path / 'config.json'}: unknown option {unknown[0]!r}")
    try:
        return pydantic.TypeAdapter(config_class).validate_python(recorded)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path / 'config.json'}: option {name!r}: {first['msg']}") from error


def continued(config: Config) -> Config:
    """The options with which an interrupted run continues: its own, all of them.

    Args:
        config: what the command line says, with `resume`.

    Raises:
        ValueError: no such run, or an option that differs from that of the run.
    """
    path = config.resume
    if path is None:
        return config
    recorded = recorded_config(type(config), path)
    default = type(config)()
    for field in dataclasses.fields(config):
        given, own = getattr(config, field.name), getattr(recorded, field.name)
        if field.name not in ("resume", "out") and given not in (getattr(default, field.name), own):
            option = field.name.replace("_", "-")
            raise ValueError(
                f"resume: the run in {path} has --{option} {own}, found {given}; leave the option "
                "out, or start a new run"
            )
    if config.out is not None:
        raise ValueError(f"resume: the run continues in {path}, found --out {config.out}")
    return dataclasses.replace(recorded, resume=path)


def main(
    config_class: type[Options], run: Callable[[Options], object], argv: Sequence[str] | None = None
) -> int:
    """The command line of an experiment: a mistake is one line on stderr, not a traceback.

    Returns:
        The exit status: 0; 2 for a mistake in the options or the data, or files that cannot be
        read or written; 1 where the numbers went wrong (a training that diverged, a backend that
        computes wrong sums); 130 after Ctrl-C and 143 after SIGTERM.
    """
    program = f"python -m experiments.{config_class.experiment}"
    try:
        with immediate_interruption():
            config = tyro.cli(config_class, prog=program, args=argv)
            if isinstance(config, RunConfig):
                config = continued(config)
                if config.num_threads is not None and config.num_threads < 1:
                    raise ValueError(f"num_threads must be at least 1, found {config.num_threads}")
                fix_environment(config.num_threads)
                if config.resume is not None and (config.resume / "summary.json").exists():
                    print(f"the run is finished: {config.resume / 'report.html'}")
                    return 0
            run(config)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ArithmeticError, UnsoundBackendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return interrupted.exit_status
    return 0
