"""What every experiment's command line shares: options, the watched training loop, errors."""

import contextlib
import dataclasses
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import tyro

import jaxnet as jn
from experiments.progress import Progress
from experiments.recipes import PUBLISHED
from experiments.report import write_report
from experiments.run_directory import RunDirectory, device_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Options of every experiment that trains. What is None is filled in by the recipe."""

    dataset: str
    """Name of the data set."""
    optimizer: str | None = None
    """Any Optax optimizer by name, such as adam, sgd, lbfgs, muon, schedule_free_adamw."""
    learning_rate: float | None = None
    """Peak learning rate."""
    schedule: str | None = None
    """constant, cosine, warmup_cosine, exponential or step."""
    weight_decay: float | None = None
    """Strength of weight decay."""
    clip_norm: float | None = None
    """Largest global norm of a gradient."""
    num_epochs: int | None = None
    """Passes over the training data."""
    batch_size: int | None = None
    """Examples in a batch."""
    num_seeds: int | None = None
    """Networks trained side by side in one compiled program, each from its own seed."""
    seed: int = 0
    """Decides the split of the data and, with the index of the network, all random numbers."""
    out: Path | None = None
    """Run directory, new or empty; by default runs/EXPERIMENT-DATASET-TIME."""


Config = TypeVar("Config", bound=TrainingConfig)
Options = TypeVar("Options")


def resolve(config: Config, recipe: dict[str, Any]) -> Config:
    """Fill in what the command line left open, and check all values.

    Args:
        config: the options of the command line.
        recipe: values for options that are None.

    Returns:
        A config in which every option that the recipe names has a value.

    Raises:
        ValueError: an option out of range, or an unknown optimizer or schedule.
    """
    open_options = {name: value for name, value in recipe.items() if getattr(config, name) is None}
    if config.optimizer is not None and config.optimizer != recipe["optimizer"]:
        # A rate tuned for one optimizer says nothing about another.
        open_options.pop("learning_rate", None)
        open_options.pop("weight_decay", None)
    config = dataclasses.replace(config, **open_options)
    require_positive(config, "num_epochs", "batch_size", "num_seeds")
    if config.seed < 0:
        raise ValueError(f"seed must not be negative, found {config.seed}")
    if config.learning_rate is not None and not 0 < config.learning_rate < math.inf:
        raise ValueError(
            f"learning_rate must be greater than 0 and finite, found {config.learning_rate}"
        )
    make_optimizer(config, num_steps=1)(jax.random.key(0))
    return config


def require_positive(config: Any, *names: str) -> None:
    """Refuse counts below 1.

    Raises:
        ValueError: an option of one of these names that is below 1.
    """
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, found {getattr(config, name)}")


def make_optimizer(config: TrainingConfig, *, num_steps: int) -> Callable[[jax.Array], Any]:
    """The optimizer of a config, as a function of a key for those that draw random numbers.

    Raises:
        ValueError: an unknown optimizer or schedule, or an option that is out of range for it.
    """
    name, kind = config.optimizer or "adam", config.schedule or "constant"
    peak = config.learning_rate
    rate: Any = jn.default_learning_rate(name) if peak is None else peak
    if kind != "constant":
        if rate is None or not jn.takes_schedule(name):
            raise ValueError(f"schedule {kind!r}: optimizer {name!r} takes no schedule")
        rate = jn.schedule(kind, rate, num_steps=num_steps)

    def optimizer(key: jax.Array) -> Any:
        return jn.optimizer(
            name, rate, key=key, weight_decay=config.weight_decay, clip_norm=config.clip_norm
        )

    return optimizer


def require_batch(config: TrainingConfig, num_train: int) -> None:
    """Refuse a batch that is larger than the training data.

    Raises:
        ValueError: a larger batch.
    """
    if (config.batch_size or 1) > num_train:
        raise ValueError(
            f"batch_size must not exceed the {num_train} training examples, "
            f"found {config.batch_size}"
        )


def seed_keys(config: Any) -> jax.Array:
    """One key for each network of the run, `(num_seeds,)`."""
    indices = np.arange(config.num_seeds)
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(config.seed), indices)


class Trained(NamedTuple):
    """A finished training.

    Attributes:
        states: the states of all networks, stacked.
        history: name of a metric -> part ("train", "validation") -> `(num_epochs, num_seeds)`.
    """

    states: jn.TrainState
    history: dict[str, dict[str, np.ndarray]]


def train(
    learner: jn.Learner,
    states: jn.TrainState,
    data: dict[str, Any],
    evaluate: Callable[[Any], dict[str, jax.Array]],
    config: TrainingConfig,
    directory: RunDirectory,
) -> Trained:
    """Train with a person watching: progress on the terminal, metrics in the run directory.

    Args:
        learner: what trains.
        states: initial states, stacked over the seeds.
        data: the training data.
        evaluate: from stacked evaluation parameters to validation metrics, `(num_seeds,)` each.
        config: resolved options.
        directory: where metrics go.

    Raises:
        FloatingPointError: a loss that is not finite; the message names epoch and seed.
    """
    batch_size, num_epochs = config.batch_size or 1, config.num_epochs or 1
    records: list[dict[str, dict[str, np.ndarray]]] = []
    evaluation_params = jax.jit(jax.vmap(jn.evaluation_params))
    num_examples = len(data["x"]) // batch_size * batch_size * len(states.step)
    with Progress(num_epochs, num_examples) as progress:
        run = jn.epochs(learner, states, data, batch_size=batch_size)
        for epoch, (states, metrics) in enumerate(itertools.islice(run, num_epochs), start=1):
            validation = evaluate(evaluation_params(states))
            record = jax.device_get({"train": metrics, "validation": validation})
            _require_finite(record["train"]["loss"], epoch)
            directory.log(epoch, int(states.step[0]), record)
            progress.update(epoch, record)
            records.append(record)
    history: dict[str, dict[str, np.ndarray]] = {}
    for part in records[0]:
        for name in records[0][part]:
            curve = np.stack([record[part][name] for record in records])
            history.setdefault(name, {})[part] = curve
    return Trained(states, history)


def _require_finite(losses: np.ndarray, epoch: int) -> None:
    if not np.isfinite(losses).all():
        seed = int(np.argmin(np.isfinite(losses)))
        raise FloatingPointError(
            f"the loss of network {seed} became {losses[seed]} in epoch {epoch}; "
            "try a smaller --learning-rate or --clip-norm 1"
        )


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent inside: `compile` in the compiler, `train` in the rest, `total`.

    >>> with stopwatch() as seconds:
    ...     _ = jax.jit(lambda x: x + 1)(1.0)
    >>> sorted(seconds)
    ['compile', 'total', 'train']
    """
    seconds = {"compile": 0.0}

    def listen(event: str, duration: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seconds["compile"] += duration

    jax.monitoring.register_event_duration_secs_listener(listen)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        seconds["total"] = time.perf_counter() - start
        seconds["train"] = seconds["total"] - seconds["compile"]


def statistics(values: np.ndarray) -> dict[str, Any]:
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
) -> dict[str, Any]:
    """Write `summary.json` and `report.html`, and print the result.

    Args:
        directory: the run directory, with its figures.
        config: resolved options.
        summary: what the experiment found: `metrics` (of `statistics`), `params_sha256`, `seconds`.
        captions: name of a figure -> its caption, in the order of the report.

    Returns:
        The summary with what every experiment reports.
    """
    summary = {
        "experiment": directory.experiment,
        "dataset": config.dataset,
        "num_seeds": config.num_seeds,
        "unit": "seeds",
        "device": device_name(),
        "published": PUBLISHED.get((directory.experiment, config.dataset)),
    } | summary
    directory.write_summary(summary)
    title = f"{directory.experiment.capitalize()} on {config.dataset}"
    write_report(directory.path, title=title, summary=summary, captions=captions)
    print(f"\n{title}: mean ± standard deviation over {summary['num_seeds']} {summary['unit']}")
    for name, value in summary["metrics"].items():
        print(f"  {name.replace('_', ' '):26} {value['mean']:9.4f} ± {value['std']:.4f}")
    if summary["published"]:
        print(f"published: {summary['published']}")
    seconds = summary["seconds"]
    print(f"{seconds['total']:.1f} s, of which {seconds['compile']:.1f} s compiling")
    print(f"report: {directory.path / 'report.html'}")
    return summary


def main(
    config_class: type[Options], run: Callable[[Options], object], argv: Sequence[str] | None = None
) -> int:
    """The command line of an experiment: a mistake is one line on stderr, not a traceback.

    Returns:
        The exit status: 0, 2 for a mistake in the options or the data, 1 where the numbers went
        wrong (a training that diverged), 130 after Ctrl-C.
    """
    try:
        program = f"python -m experiments.{Path(sys.argv[0]).stem}"
        run(tyro.cli(config_class, prog=program, args=argv))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ArithmeticError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
