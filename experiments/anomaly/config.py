"""Options of experiments.anomaly."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic
import tyro

from experiments.config import (
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
)

Ratios = Annotated[tuple[PositiveInt, ...], pydantic.Field(min_length=1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Online(Options):
    """A network for each series that forecasts the next step and learns from it; scores are how new
    its error and recent means are. No score depends on a later step."""

    name: Annotated[Literal["online"], tyro.conf.Suppress] = "online"
    lags: tuple[PositiveInt, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 36, 48)
    """Steps before the one that is forecast whose values are inputs."""
    seasonal: bool = True
    """Also take the values one day and one week before as inputs."""
    hidden_dims: tuple[PositiveInt, ...] = (32,)
    """Sizes of the hidden layers; none is a linear model."""
    optimizer: str = "adam"
    """Name of any Optax optimizer, such as adam or sgd."""
    learning_rate: PositiveFloat = 5e-4
    """Learning rate."""
    scale_steps: PositiveInt = 2000
    """Steps over which mean and deviation of a series are averaged, exponentially."""
    ratios: Ratios = (8,)
    """Each number r compares the means of the last 1, r and r * r values, and the error of the
    forecast, with those of earlier steps; the scores of several are averaged."""
    error_weight: NonNegativeFloat = 0.5
    """Weight of the error among the means; 0 leaves the network out."""
    rest_steps: NonNegativeInt = 150
    """An alarm is a score above those of this number of steps before it; 0 keeps every score."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Novelty(Options):
    """Distance of the recent means of each step to the nearest of earlier steps, without a
    network."""

    name: Annotated[Literal["novelty"], tyro.conf.Suppress] = "novelty"
    scale_steps: PositiveInt = 2000
    """Steps over which mean and deviation of a series are averaged, exponentially."""
    ratios: Ratios = (4, 6, 8, 10, 12)
    """Each number r compares the means of the last 1, r and r * r values with those of earlier
    steps; the scores of several are averaged."""
    rest_steps: NonNegativeInt = 150
    """An alarm is a score above those of this number of steps before it; 0 keeps every score."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level(Options):
    """Deviation of each value from the mean of the values before it, without a network: what
    online networks are compared with."""

    name: Annotated[Literal["level"], tyro.conf.Suppress] = "level"
    scale_steps: PositiveInt = 2000
    """Steps over which mean and deviation of a series are averaged, exponentially."""
    short_windows: tuple[PositiveInt, ...] = (1, 1, 4, 16)
    """Numbers of recent deviations whose means are compared with earlier ones; the scores are
    added, and a number that stands twice counts twice."""
    rest_steps: NonNegativeInt = 150
    """An alarm is a score above those of this number of steps before it; 0 keeps every score."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Windows(Options):
    num_points: Annotated[int, pydantic.Field(ge=2)] = 32
    """Numbers in a window, which are means of its steps."""
    smooth: FractionBelowOne = 0.03
    """Fraction of the series over which the scores of steps are averaged; 0 averages nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoencoder(_Windows):
    """An autoencoder of the windows of each series; scores are errors of the reconstruction."""

    name: Annotated[Literal["autoencoder"], tyro.conf.Suppress] = "autoencoder"
    num_points: Annotated[int, pydantic.Field(ge=2)] = 16
    """Numbers in a window, which are means of its steps."""
    hidden_dims: tuple[PositiveInt, ...] = (24,)
    """Sizes of the hidden layers of the encoder; the decoder has them in reverse order."""
    code_dim: PositiveInt = 4
    """Numbers in a code."""
    learning_rate: PositiveFloat = 3e-3
    """Learning rate of Adam."""
    num_epochs: PositiveInt = 20
    """Passes over the windows."""
    num_windows: PositiveInt = 1000
    """Windows of each series that are learned from, at equal distances."""
    batch_size: PositiveInt = 50
    """Windows in a batch."""
    checkpoint_every: NonNegativeInt | None = None
    """Steps between checkpoints; None saves one each minute."""
    tensorboard: bool = False
    """Also write event files for TensorBoard."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pca(_Windows):
    """Principal components of the windows of each series."""

    name: Annotated[Literal["pca"], tyro.conf.Suppress] = "pca"
    num_components: PositiveInt = 2
    """Components by which windows are reconstructed; scores are errors of the reconstruction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distance(_Windows):
    """Distance of each window to the most similar one that does not overlap it."""

    name: Annotated[Literal["distance"], tyro.conf.Suppress] = "distance"
    num_neighbors: PositiveInt = 5
    """The rank of the neighbor, from 1."""
    normalize: bool = False
    """Compare the shapes of windows: subtract the mean of each and divide by its deviation."""


Method = Online | Novelty | Level | Autoencoder | Pca | Distance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunOptions):
    """Score the steps of time series by how unusual they are, and list the alarms."""

    experiment: ClassVar[str] = "anomaly"

    dataset: str = "nab"
    """Name of the data set, unless --data names a file: nab."""
    data_dir: Path | None = None
    """Folder with the files of named data sets, such as nab/; None uses the folder that JAXNET_DATA
    names, and downloads what is not there."""
    data: Path | None = None
    """File of the user instead of a named data set: a CSV or Parquet table with a column of times;
    each other column of numbers is a series."""
    time: str | None = None
    """Column of the file that holds the times: dates, or numbers in the order of time."""
    ignore: tuple[str, ...] = ()
    """Columns of the file that are not series."""
    max_alarms: PositiveInt = 20
    """Number of alarms of a file without labels: the steps with the highest scores."""
    method: Annotated[Method, pydantic.Field(discriminator="name")] = Online()
    """How to score."""
    num_seeds: PositiveInt = 3
    """Number of networks for each series, each from its own seed, in one compiled program."""
