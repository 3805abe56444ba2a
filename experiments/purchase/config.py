"""Options of experiments.purchase."""

import dataclasses
from typing import Annotated, ClassVar

import pydantic

from experiments.config import (
    DataOptions,
    FractionBelowOne,
    NonNegativeFloat,
    OptimizerOptions,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    WatchOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OptimizerOptions, WatchOptions, DataOptions, RunOptions):
    """Predict which visitors buy: an ensemble of networks for each fold of a cross-validation, all
    in one program, beside gradient boosting on the same folds. It estimates how well this works,
    and leaves no model."""

    experiment: ClassVar[str] = "purchase"

    dataset: str = "online-shoppers"
    """Name of the data set, unless --data names a table with a --label of two classes, of which
    the second is looked for: online-shoppers, which is read in the folder that JAXNET_DATA
    names."""
    num_folds: Annotated[int, pydantic.Field(ge=2)] = 5
    """Folds of the cross-validation."""
    hidden_dims: tuple[PositiveInt, ...] = (128, 64)
    """Sizes of the hidden layers."""
    dropout: FractionBelowOne = 0.3
    """Rate of dropout after each hidden layer."""
    false_positive_cost: PositiveFloat = 1.0
    """Cost of expecting a purchase that does not come."""
    false_negative_cost: PositiveFloat = 5.0
    """Cost of a purchase that is not expected."""
    optimizer: str = "adamw"
    """Name of any Optax optimizer, such as adamw, adam or sgd."""
    schedule: str = "cosine"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    learning_rate: PositiveFloat | None = 2e-3
    """Peak learning rate; None is for optimizers that have no learning rate."""
    weight_decay: NonNegativeFloat | None = 1e-3
    """Weight decay of the optimizer; None uses the optimizer's own default."""
    batch_size: PositiveInt = 256  # pyright: ignore[reportIncompatibleVariableOverride]
    """Examples in a batch, or all of them where there are fewer."""
    num_epochs: PositiveInt = 20
    """Passes over the training data."""
    num_seeds: PositiveInt = 6
    """Networks of the ensemble of each fold, all of which are averaged."""
