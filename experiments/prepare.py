"""From a config to data that are loaded, checked, split and scaled; nothing is written."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from experiments.config import DataOptions, RunOptions, TableOptions
from experiments.data import (
    Dataset,
    Split,
    Standardization,
    holds_images,
    holds_series,
    load,
    load_labelled_images,
    load_recordings,
    load_series,
    load_table,
    load_texts,
    split,
)
from experiments.facts import named_facts
from experiments.training import check_directory
from jaxnet import runs
from jaxnet.runs.records import read_hashed_json

TABLE_OPTIONS = tuple(TableOptions.__dataclass_fields__)

Task = Literal["classification", "regression"]
Config = TypeVar("Config", bound=RunOptions)


class Loaded(Protocol):
    """Data with a name, and sentences on how they were read."""

    @property
    def name(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...


Data = TypeVar("Data", bound=Loaded)


class Prepared(NamedTuple, Generic[Config]):
    """What a run starts from.

    Attributes:
        config: the config with the name of the data, absolute paths and the number of threads.
        dataset: the data as they were loaded.
        parts: the split; where the data are not split, all examples are the training part.
        inputs: what scales the inputs, fitted on the training part.
        x: all examples, scaled: `(n, ...)`, or sequences.
    """

    config: Config
    dataset: Dataset
    parts: Split
    inputs: Standardization
    x: Any


def prepare(
    config: Config,
    *,
    load: Callable[[Config], Dataset],
    check: Callable[[Config, Dataset], None],
    fit: Callable[[Config, Dataset, np.ndarray], Standardization] | None,
    scale: Callable[[Config, Standardization, Any], Any],
    divide: bool = True,
) -> Prepared[Config]:
    """Load, check, split and scale the data of a run.

    Args:
        config: the options.
        load: the data set of a config.
        check: raises where options do not fit the data.
        fit: what scales the inputs, fitted on some rows; None leaves them as they are.
        scale: examples as the networks take them.
        divide: whether to split the data into training, validation and test parts.

    Returns:
        Data and config.

    Raises:
        ValueError: a mistake in the options or the data; nothing was written.
    """
    config, dataset = load_checked(config, load, check)
    rows = np.arange(len(dataset.x))
    parts = Split(rows, rows[:0], rows[:0])
    if divide:
        fraction = getattr(config, "validation_fraction", 0.2)
        parts = split(dataset, seed=config.seed, validation_fraction=fraction)
    if fit is None:
        unscaled = Standardization(np.zeros((), np.float32), np.ones((), np.float32))
        return Prepared(config, dataset, parts, unscaled, dataset.inputs)
    inputs = fit(config, dataset, parts.train)
    return Prepared(config, dataset, parts, inputs, scale(config, inputs, dataset.inputs))


def load_checked(
    config: Config, load: Callable[[Config], Data], check: Callable[[Config, Data], None]
) -> tuple[Config, Data]:
    """Load the data of a run, print notes on how they were read, and check that the options fit.

    Args:
        config: the options.
        load: the data of a config, with `name` and `notes`.
        check: raises where options do not fit the data.

    Returns:
        The resolved config, and the data.

    Raises:
        ValueError: a mistake in the options or the data; nothing was written.
    """
    check_directory(config)
    data = load(config)
    for note in data.notes:
        print(f"note: {note}", flush=True)
    config = resolve(config, data.name)
    check(config, data)
    return config, data


def resolve(config: Config, name: str) -> Config:
    """Name the data, and the files by paths that hold wherever the run is resumed from.

    Args:
        config: the options.
        name: of the data, as they were loaded.
    """
    paths = {
        name: value.absolute()
        for name, value in vars(config).items()
        if isinstance(value, Path) and name not in ("out", "resume")
    }
    config = resolve_threads(dataclasses.replace(config, dataset=name, **paths))
    if config.resume is None or paths.get("data") is None:
        return config
    # A file that has moved: the run keeps the name that it began with, and the content of the data
    # is compared with the hash of the run when its directory is opened.
    recorded = read_hashed_json(config.resume / "config.json")
    kept = {name: recorded.get(name) for name in ("dataset", "data")}
    if kept["data"] is None or kept["data"] == str(paths["data"]):
        return config
    print(f"the data of the run are read from {paths['data']}", flush=True)
    return dataclasses.replace(config, dataset=kept["dataset"], data=Path(kept["data"]))


def resolve_threads(config: Config) -> Config:
    """Record the size of the thread pool, which the command line has fixed by now.

    Raises:
        ValueError: another size than the pool has.
    """
    threads = runs.available_threads()
    if config.num_threads not in (None, threads):
        raise ValueError(
            f"num_threads is {config.num_threads}, but this process computes with {threads}; "
            f"set NPROC={config.num_threads} before Python starts"
        )
    return dataclasses.replace(config, num_threads=threads)


def is_text(config: DataOptions) -> bool:
    """Whether the data of a config are texts, which become weights of words."""
    if config.data is not None:
        return config.text is not None
    facts = named_facts(config.dataset)
    return facts is not None and (facts.is_text or facts.is_tokens)


def require_vectors(dataset: Dataset, experiment: str) -> None:
    """Raise for sequences where an experiment takes tables and images only.

    Raises:
        ValueError: the examples are series or texts as tokens.
    """
    if dataset.length is not None:
        kind = "texts as tokens" if dataset.is_tokens else "series"
        raise ValueError(
            f"dataset {dataset.name} is {kind}, and experiments.{experiment} takes tables and "
            "images; use experiments.classification"
        )


def load_labelled(config: Any, *, task: Task) -> Dataset:
    """The named data set of a config or the user's table or images, with labels or targets.

    Args:
        config: `DataOptions`, and the seed of the split.
        task: what is predicted.

    Raises:
        ValueError: as `load`, `load_table` and `load_labelled_images`; options of a table without
            one.
        FileNotFoundError: there is no such file.
    """
    if config.data is None:
        return _load_named(config, task)
    if config.text is not None:
        return _load_texts(config, config.data, task)
    if task == "classification" and (sequences := _load_sequences(config, config.data)):
        return sequences
    if task == "classification" and holds_images(config.data):
        return _load_images(config, config.data, needs_labels=True)
    if config.label is None:
        raise ValueError(
            f"data needs --label, the column of {config.data} to predict, found none; name it"
        )
    return _load_table(config, config.data, task)


def load_unlabelled(config: Any) -> Dataset:
    """The named data set of a config, or the user's images or table, whose labels are optional.

    Args:
        config: `DataOptions`, and the seed of the split.

    Raises:
        ValueError: as `load`, `load_table` and `load_labelled_images`; options of a table
            without one.
        FileNotFoundError: there is no such file.
    """
    if config.data is None:
        return _load_named(config, "classification")
    if config.text is not None:
        return _load_texts(config, config.data, "classification")
    if sequences := _load_sequences(config, config.data):
        return sequences
    if holds_images(config.data):
        return _load_images(config, config.data, needs_labels=False)
    return _load_table(config, config.data, "classification")


def _load_texts(config: Any, path: Path, task: Task) -> Dataset:
    if task != "classification":
        raise ValueError("text is for classes, found a regression; leave it out")
    if getattr(config, "group", None) is not None:
        raise ValueError("group is not read beside --text; leave one of the two out")
    return load_texts(path, text=config.text, label=config.label, options=config)


def _load_sequences(config: DataOptions, path: Path) -> Dataset | None:
    """Series or recordings of the user; None where a file holds neither."""
    is_folder = path.is_dir()
    if config.resample and not is_folder:
        raise ValueError(f"resample is for a folder of recordings, found {path}; leave it out")
    if not (is_folder or holds_series(path)):
        return None
    _require_no_table_options(config, path, "recordings" if is_folder else "series")
    if config.label is not None:
        where = "the names of the files" if is_folder else "its last field"
        raise ValueError(f"label: the classes of {path} are in {where}; leave it out")
    return load_recordings(path, resample=config.resample) if is_folder else load_series(path)


def _load_images(config: DataOptions, path: Path, *, needs_labels: bool) -> Dataset:
    _require_no_table_options(config, path, "images")
    return load_labelled_images(path, label=config.label, needs_labels=needs_labels)


def _require_no_table_options(config: DataOptions, path: Path, content: str) -> None:
    for name in TABLE_OPTIONS:
        if getattr(config, name) != getattr(TableOptions(), name):
            raise ValueError(f"{name} is for a table, and {path} holds {content}; leave it out")


def _load_named(config: DataOptions, task: Task) -> Dataset:
    for name in ("label", "text", "resample", *TABLE_OPTIONS):
        if getattr(config, name) != getattr(DataOptions(), name):
            raise ValueError(
                f"{name} is for a user's table, found data set {config.dataset}; name the file of "
                "the table with --data"
            )
    return load(config.dataset, task=task, data_dir=config.data_dir)


def _load_table(config: Any, path: Path, task: Task) -> Dataset:
    group = getattr(config, "group", None)
    return load_table(
        path, label=config.label, task=task, seed=config.seed, options=config, group=group
    )
