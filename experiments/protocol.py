"""What an experiment is: a module with a config, recipes, data, a run, and predictions from it."""

import importlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from experiments import config as options
from experiments.config import DataOptions, Options
from experiments.data import Dataset, Standardization
from experiments.facts import Facts, facts_of, named_facts
from experiments.model import SavedModel

# What a file names is looked up here and never imported otherwise.
EXPERIMENTS = ("classification", "clustering", "reconstruction", "regression", "semi_supervised")
# Commands of a single module that leave a run directory too.
MODULES = ("optimizers",)
# Experiments that leave a run directory, and predict nothing from it.
WITHOUT_PREDICTION = ("anomaly", "purchase", "sweep")
# Those from whose runs `predict` of their own module predicts.
OWN_PREDICTION = ("logs", "recommendation")


class Command(Protocol):
    """A module that is a command: `Config` are its options, and `run` does the work."""

    @property
    def Config(self) -> type[Options]:  # noqa: N802
        """The options."""
        ...

    def run(self, config: Any) -> object:
        """Run the command."""
        ...


class Experiment(Command, Protocol):
    """A command that trains on a data set, leaves a run directory, and can predict from it."""

    def recipe(self, facts: Facts, method: str | None, given: Mapping[str, Any]) -> Any:
        """The default config for data of these sizes and a method; None is the default method.

        Other defaults may depend on options that are given.
        """
        ...

    def load_data(self, config: Any) -> Dataset:
        """The data set of a config."""
        ...

    def check(self, config: Any, dataset: Dataset) -> None:
        """Raise ValueError where options do not fit the data or each other."""
        ...

    def fit_inputs(self, config: Any, dataset: Dataset, rows: np.ndarray) -> Standardization:
        """What scales the inputs, fitted on some rows of the data set."""
        ...

    def scale_inputs(self, config: Any, fitted: Standardization, x: Any) -> Any:
        """Examples as the networks take them."""
        ...

    def build_network(self, config: Any, in_shape: tuple[int, ...], num_classes: int) -> Any:
        """What is trained; its `init(key)` has the structure of the saved parameters."""
        ...

    def prediction_suffix(self, model: SavedModel) -> str:
        """`.csv` where predictions are a table, `.npz` where they are arrays."""
        ...

    def predict(self, config: Any, model: SavedModel, x: Any) -> dict[str, np.ndarray]:
        """Predictions of a run for scaled inputs: columns `(n,)`, or arrays."""
        ...


def find_experiment(name: str) -> Any:
    """The module of an experiment.

    Raises:
        KeyError: there is no experiment of this name.
    """
    if name in MODULES:
        return importlib.import_module(f"experiments.{name}")
    if name not in (*EXPERIMENTS, *WITHOUT_PREDICTION, *OWN_PREDICTION):
        raise KeyError(name)
    return importlib.import_module(f"experiments.{name}.experiment")


def configure(experiment: Any, method: str | None = None, **given: Any) -> Any:
    """The config of a recipe, with some options given: what the command line starts from.

    The recipe depends on the data, which the options name, on the method, and on the optimizer:
    another one than that of the recipe has its own default rate and weight decay.

    Args:
        experiment: the module of an `Experiment`.
        method: name of the model or method; None is the default one for the data.
        given: options of the config or of its method.

    Returns:
        A config of the experiment.

    Raises:
        ValueError: a data set that is unknown or cannot be read; an option that the method does not
            have, or a value out of range.

    >>> from experiments.regression import experiment as regression
    >>> configure(regression, dataset="diabetes", num_seeds=3).optimizer
    'lbfgs'
    """
    known = options.methods(experiment.Config)
    if method is not None and method not in known:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(known)}")
    default = experiment.recipe(_facts(experiment, given), method, given)
    optimizer = given.get("optimizer")
    if optimizer is not None:
        default = with_optimizer(default, optimizer)
    return options.replace(default, **given)


def _facts(experiment: Any, given: Mapping[str, Any]) -> Facts:
    if hasattr(experiment, "facts"):
        return experiment.facts(given)
    # The column of the groups is not a feature.
    names = {*DataOptions.__dataclass_fields__, "group"} & {*experiment.Config.__dataclass_fields__}
    data = {name: value for name, value in given.items() if name in names}
    if data.get("data") is None:
        facts = named_facts(data.get("dataset", experiment.Config().dataset))
        if facts is not None:
            return facts
    return facts_of(experiment.load_data(experiment.Config(**data)))


def with_optimizer(config: Any, name: str) -> Any:
    """A config with another optimizer, which has its own default rate and weight decay.

    Args:
        config: the options.
        name: name of the optimizer.
    """
    from jaxnet import optim

    field = options.method_field(type(config))
    holder = config if hasattr(config, "optimizer") else getattr(config, field or "", None)
    if getattr(holder, "optimizer", name) == name:
        return config
    values: dict[str, Any] = {"optimizer": name, "weight_decay": None}
    if hasattr(holder, "learning_rate"):
        values["learning_rate"] = optim.default_learning_rate(name)
    return options.replace(config, **values)
