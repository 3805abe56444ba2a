"""Options of experiments.regression."""

import dataclasses
from typing import Annotated, ClassVar, Literal

import pydantic
import tyro

from experiments.config import (
    DataOptions,
    FractionBelowOne,
    NonNegativeFloat,
    OpenFraction,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    TrainingOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear(Options):
    """A linear function: one dense layer, whose coefficients are reported."""

    name: Annotated[Literal["linear"], tyro.conf.Suppress] = "linear"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mlp(Options):
    """Dense layers with ReLU between them."""

    name: Annotated[Literal["mlp"], tyro.conf.Suppress] = "mlp"
    hidden_dims: tuple[PositiveInt, ...] = (32,)
    """Sizes of the hidden layers."""
    dropout: FractionBelowOne = 0.0
    """Rate of dropout after each hidden layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingOptions, DataOptions, RunOptions):
    """Train networks to predict a number."""

    experiment: ClassVar[str] = "regression"

    dataset: str = "line"
    """Name of the data set, unless --data names a file: line, crop_yield or diabetes."""
    model: Annotated[Linear | Mlp, pydantic.Field(discriminator="name")] = Linear()
    """The network."""
    optimizer: str = "lbfgs"
    """Name of any Optax optimizer, such as adam, sgd, lbfgs, muon or schedule_free_adamw."""
    learning_rate: PositiveFloat | None = None
    """Peak learning rate; None is for optimizers that have no learning rate, such as lbfgs."""
    num_epochs: PositiveInt = 50
    """Passes over the training data."""
    batch_size: PositiveInt | Literal["all"] = "all"
    """Examples in a batch; all uses the whole training data in each step."""
    l2_weight: NonNegativeFloat = 0.0
    """Weight of the L2 penalty on the kernels."""
    coverage: OpenFraction | None = None
    """Also predict intervals that hold the true number with this probability, such as 0.9;
    validation examples, where networks stop early a part of their own, decide their width. None
    predicts no intervals."""
    interval: Literal["residual", "quantile"] = "residual"
    """How intervals are made, beside --coverage: of one width around the prediction, or between two
    quantiles that the networks learn too, so that their widths differ."""
