"""Options that experiments share, checked and filled in before anything is written."""

import dataclasses
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import jax
import numpy as np

import jaxnet as jn
from experiments.data import Dataset, holds_images, load, load_labelled_images, load_table
from jaxnet.runs.environment import available_threads

Task = Literal["classification", "regression"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Options of every experiment that leaves a run directory.

    Attributes:
        experiment: name of the experiment.
    """

    experiment: ClassVar[str]

    num_seeds: int | None = None
    """Networks trained side by side in one compiled program, each from its own seed."""
    seed: int = 0
    """Decides the split of the data and, with the index of the network, all random numbers."""
    num_threads: int | None = None
    """Threads of the CPU backend, which decide the last bits; by default all processors."""
    out: Path | None = None
    """Run directory, new or empty; by default runs/EXPERIMENT-DATASET-TIME."""
    resume: Path | None = None
    """Run directory of an interrupted run to continue, with the options of that run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(RunConfig):
    """Options of every experiment that trains. What is None is filled in by the recipe."""

    dataset: str
    """Name of the data set."""
    data: Path | None = None
    """Your own table instead: a CSV, Parquet or NPZ file with a row for each example."""
    label: str | None = None
    """Column of your table to predict."""
    impute: Literal["median"] | None = None
    """Fill missing cells of your table from its training rows; by default they are refused."""
    ignore: tuple[str, ...] = ()
    """Columns of your table that are no features."""
    categories: tuple[str, ...] = ()
    """Columns of your table whose numbers only name something, such as codes."""
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
    patience: int | None = None
    """Stop a network after so many epochs without a lower validation loss; its best is kept."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; by default a minute lies between them, 0 saves only at the end
    and when interrupted."""
    tensorboard: bool = False
    """Also write event files for TensorBoard."""


Config = TypeVar("Config", bound=TrainingConfig)


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
    config = resolve_threads(dataclasses.replace(config, **open_options, **_absolute(config)))
    require_positive(config, "num_epochs", "batch_size", "num_seeds", "patience")
    if config.seed < 0:
        raise ValueError(f"seed must not be negative, found {config.seed}")
    require_rate(config, "learning_rate")
    if config.checkpoint_every is not None and config.checkpoint_every < 0:
        raise ValueError(f"checkpoint_every must not be negative, found {config.checkpoint_every}")
    if config.tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise ValueError(
            "tensorboard needs the package tensorboardX, which is not installed; "
            "run: pip install 'functional-jaxnet[tensorboard]'"
        )
    make_optimizer(config, num_steps=1)(jax.random.key(0))
    return config


def _absolute(config: RunConfig) -> dict[str, Path]:
    """The files and folders of the data by paths that hold wherever the run is resumed from."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        name: value.absolute()
        for name, value in values.items()
        if isinstance(value, Path) and name not in ("out", "resume")
    }


Options = TypeVar("Options", bound=RunConfig)


def resolve_threads(config: Options) -> Options:
    """Record the size of the thread pool, which the command line has fixed by now.

    Raises:
        ValueError: another size than the pool has.
    """
    threads = available_threads()
    if config.num_threads not in (None, threads):
        raise ValueError(
            f"num_threads is {config.num_threads}, but this process computes with {threads}; "
            f"set NPROC={config.num_threads} before Python starts"
        )
    return dataclasses.replace(config, num_threads=threads)


def load_dataset(
    config: TrainingConfig,
    *,
    task: Task,
    data_dir: Path | None = None,
) -> Dataset:
    """The data set that the options name, or the user's own table.

    Raises:
        ValueError: as `load` and `load_table`; options of a table without one.
        FileNotFoundError: no such table.
    """
    if config.data is None:
        return _load_named(config, task, data_dir)
    if config.label is None:
        raise ValueError("data needs --label, the column of the table to predict")
    return _load_own_table(config, config.data, task)


def load_unsupervised(config: TrainingConfig, *, data_dir: Path | None = None) -> Dataset:
    """The data set that the options name, or the user's own pictures or table; labels are optional.

    Raises:
        ValueError: as `load`, `load_table` and `load_labelled_images`; options of a table
            without one.
        FileNotFoundError: no such file.
    """
    if config.data is None:
        return _load_named(config, "classification", data_dir)
    if holds_images(config.data):
        for name in ("impute", "ignore", "categories"):
            if getattr(config, name):
                raise ValueError(f"{name} is for a table, and {config.data} holds pictures")
        return load_labelled_images(config.data, label=config.label)
    return _load_own_table(config, config.data, "classification")


def _load_named(config: TrainingConfig, task: Task, data_dir: Path | None) -> Dataset:
    for name in ("label", "impute", "ignore", "categories"):
        if getattr(config, name):
            raise ValueError(f"{name} is for a table of your own; name its file with --data")
    return load(config.dataset, task=task, data_dir=data_dir)


def _load_own_table(config: TrainingConfig, path: Path, task: Task) -> Dataset:
    return load_table(
        path,
        label=config.label,
        task=task,
        seed=config.seed,
        impute=config.impute,
        ignore=config.ignore,
        categories=config.categories,
    )


def require_positive(config: Any, *names: str) -> None:
    """Refuse counts below 1.

    Raises:
        ValueError: an option of one of these names that is below 1; None passes.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, found {value}")


def require_rate(config: Any, name: str) -> None:
    """Refuse a learning rate that is not above 0 and finite; None passes.

    Raises:
        ValueError: such a rate.
    """
    rate = getattr(config, name)
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"{name} must be greater than 0 and finite, found {rate}")


def refuse_meaningless(
    config: Any, meaning: Mapping[str, Sequence[str]], kind: str, chosen: str
) -> None:
    """Refuse options that were given and have no meaning for what was chosen.

    Args:
        config: the options of the command line.
        meaning: option -> what it is for.
        kind: what is chosen between, such as "model".
        chosen: what was chosen.

    Raises:
        ValueError: such an option.
    """
    for name, known in meaning.items():
        if getattr(config, name) not in (None, 0, ()) and chosen not in known:
            raise ValueError(f"{name} is for {kind} {' or '.join(known)}, found {kind} {chosen}")


def make_optimizer(config: TrainingConfig, *, num_steps: int) -> Callable[[jax.Array], Any]:
    """The optimizer of a config, as a function of a key for those that draw random numbers.

    Raises:
        ValueError: an unknown optimizer or schedule, or an option that is out of range for it.
    """
    name, kind = config.optimizer or "adam", config.schedule or "constant"
    peak = config.learning_rate
    rate: Any = jn.optim.default_learning_rate(name) if peak is None else peak
    if kind != "constant":
        if rate is None or not jn.optim.takes_schedule(name):
            raise ValueError(f"schedule {kind!r}: optimizer {name!r} takes no schedule")
        rate = jn.schedule(kind, rate, num_steps=num_steps)

    def optimizer(key: jax.Array) -> Any:
        return jn.optimizer(
            name, rate, key=key, weight_decay=config.weight_decay, clip_norm=config.clip_norm
        )

    return optimizer


def training_optimizer(config: TrainingConfig, num_train: int) -> Callable[[jax.Array], Any]:
    """The optimizer of a config for a training on so many examples, over which schedules run.

    Raises:
        ValueError: as `make_optimizer`; a batch larger than the training data.
    """
    if (config.batch_size or 1) > num_train:
        raise ValueError(
            f"batch_size must not exceed the {num_train} training examples, "
            f"found {config.batch_size}"
        )
    num_steps = num_train // (config.batch_size or 1) * (config.num_epochs or 1)
    return make_optimizer(config, num_steps=num_steps)


def seed_keys(config: RunConfig, use: str | None = None) -> jax.Array:
    """One key for each network of the run, `(num_seeds,)`: of its training, or of a named use."""
    indices = np.arange(config.num_seeds or 1)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(config.seed), indices)
    if use is None:
        return keys
    return jax.vmap(lambda key: jn.training.fold_in_name(key, use))(keys)
