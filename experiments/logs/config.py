"""Options of experiments.logs."""

import dataclasses
from typing import Annotated, ClassVar, Literal

import pydantic

from experiments.config import (
    DataOptions,
    FractionBelowOne,
    NonNegativeFloat,
    OpenFraction,
    OptimizerOptions,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    WatchOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OptimizerOptions, WatchOptions, DataOptions, RunOptions):
    """Tell users apart by their events, and list the blocks of each log that someone else may have
    made. The first part of each log is known to be the user's own."""

    experiment: ClassVar[str] = "logs"

    dataset: str = "generated"
    """Name of the data set, unless --data names a file: generated, or schonlau."""
    user: str = "user"
    """Column of the file with the name of the user."""
    event: str = "event"
    """Column of the file with the name of the event, such as a command; any text is an event."""
    time: str | None = None
    """Column of the file with the times, dates or numbers, by which the rows are sorted; None keeps
    the order of the file."""
    label: str | None = None
    """Column of the file that is 1 for events of someone else and 0 for the user's own; None where
    this is not known, so that alarms are listed and no error is measured."""
    train_fraction: OpenFraction = 0.34
    """Part of each log of the file, from its beginning, that is known to be the user's own."""
    block_size: Annotated[int, pydantic.Field(ge=2)] = 100
    """Number of events that are scored together."""
    hidden_dims: tuple[PositiveInt, ...] = (512,)
    """Sizes of the hidden layers; none is a linear model."""
    dropout: FractionBelowOne = 0.5
    """Rate of dropout of the hidden layers."""
    stride: PositiveInt = 10
    """Events between the first events of two training blocks, which overlap."""
    num_folds: Annotated[int, pydantic.Field(ge=2)] = 5
    """Number of groups of users that are left out once each, as strangers whose last training
    blocks are compared with those of the other users, to choose the threshold; at most half the
    number of users is used."""
    false_alarm_cost: PositiveFloat = 6.0
    """Cost of a rate of false alarms relative to the same rate of missed blocks."""
    optimizer: str = "adamw"
    """Name of any Optax optimizer, such as adamw, adam or sgd."""
    schedule: str = "cosine"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    weight_decay: NonNegativeFloat | None = 1e-3
    """Weight decay of the optimizer; None uses the optimizer's own default."""
    learning_rate: PositiveFloat | None = 3e-3
    """Peak learning rate; None is for optimizers that have no learning rate."""
    batch_size: PositiveInt | Literal["all"] = 256
    """Training blocks in a batch, or all of them where there are fewer."""
    num_epochs: PositiveInt | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Passes over the training blocks; None makes about 1000 steps."""
    num_seeds: PositiveInt = 5
    """Number of networks that are trained in one compiled program, each from its own seed."""
