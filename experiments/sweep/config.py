"""Options of experiments.sweep."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import tyro

from experiments.classification.config import Config as Classification
from experiments.config import PositiveInt, RunOptions
from experiments.regression.config import Config as Regression


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions(RunOptions):
    """Search for the settings of an experiment: chosen on validation data, reported on test data.

    All other options are those of the experiment, which every trial has in common.
    """

    experiment: ClassVar[str] = "sweep"

    over: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A setting and its values, once for each setting: NAME=log:LOW:HIGH and NAME=uniform:LOW:HIGH
    for numbers, NAME=int:LOW:HIGH for integers, NAME=VALUE,VALUE,... for a choice, such as
    hidden_dims=[32],[128],[128,128]."""
    budget: PositiveInt = 64
    """Number of trials; of a grid, the largest."""
    strategy: Literal["random", "sobol", "grid", "halving", "hyperband", "pbt"] = "halving"
    """How trials are chosen and trained: random and sobol samples, or a grid, for all epochs;
    successive halving and Hyperband, which stop most trials early, of a Sobol sequence; pbt is
    population-based training, in which trials copy better ones and change their settings."""
    num_seeds: PositiveInt = 3
    """Number of networks of each trial, each from its own seed; the mean over them is compared."""
    eta: Annotated[int, pydantic.Field(ge=2)] = 3
    """Of the trials of a rung, one of this number is kept (halving, hyperband)."""
    min_epochs: PositiveInt | None = None
    """Fewest epochs of a trial (halving, hyperband); None is a sixteenth of all epochs."""
    grid_values: PositiveInt = 5
    """Values of each setting of a grid that is not a choice."""
    interval: PositiveInt = 5
    """Epochs after which members of a population copy better ones (pbt)."""


_DEFAULT = Classification()


def _experiment_of(value: Any) -> str:
    """The experiment of a config, or of the options of one in a file, by their names."""
    if not isinstance(value, Mapping):
        return value.experiment
    kinds = (Classification, Regression)
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in kinds}
    matching = [kind for kind in kinds if set(value) == names[kind]]
    return matching[0].experiment if matching else Classification.experiment


Trial = Annotated[
    Annotated[Classification, pydantic.Tag("classification")]
    | Annotated[Regression, pydantic.Tag("regression")],
    pydantic.Discriminator(_experiment_of),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(SweepOptions):
    """The options of a sweep, and those of the experiment that all trials have in common."""

    trial: Trial = _DEFAULT
    """The options of a trial without the settings that are searched for."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.trial.dataset
