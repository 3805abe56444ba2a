"""Options of experiments.classification."""

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
    """Logistic regression: one dense layer."""

    name: Annotated[Literal["linear"], tyro.conf.Suppress] = "linear"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mlp(Options):
    """Dense layers with ReLU between them."""

    name: Annotated[Literal["mlp"], tyro.conf.Suppress] = "mlp"
    hidden_dims: tuple[PositiveInt, ...] = (512,)
    """Sizes of the hidden layers."""
    dropout: FractionBelowOne = 0.4
    """Rate of dropout after each hidden layer."""
    input_dropout: FractionBelowOne = 0.0
    """Rate of dropout of the inputs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cnn(Options):
    """Stages of convolutions and pooling, then dense layers; for images."""

    name: Annotated[Literal["cnn"], tyro.conf.Suppress] = "cnn"
    channels: tuple[PositiveInt, ...] = (16, 32)
    """Channels of each stage, which halves height and width."""
    convs_per_stage: PositiveInt = 1
    """Convolutions in each stage."""
    hidden_dims: tuple[PositiveInt, ...] = (64,)
    """Sizes of the hidden dense layers after the stages."""
    dropout: FractionBelowOne = 0.2
    """Rate of dropout after each hidden layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingOptions, DataOptions, RunOptions):
    """Train networks to predict the class of an example."""

    experiment: ClassVar[str] = "classification"

    dataset: str = "digits"
    """Name of the data set, unless --data names a file: digits, breast_cancer, wine, iris, mnist,
    fashion_mnist, olivetti_faces or emails."""
    model: Annotated[Linear | Mlp | Cnn, pydantic.Field(discriminator="name")] = Mlp()
    """The network."""
    learning_rate: PositiveFloat | None = 2e-3
    """Peak learning rate; None is for optimizers that have no learning rate, such as lbfgs."""
    schedule: str = "cosine"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    label_smoothing: FractionBelowOne = 0.1
    """Fraction of the probability of the true class that is spread over all classes; for more than
    two classes."""
    l2_weight: NonNegativeFloat = 0.0
    """Weight of the L2 penalty on the kernels."""
    cross_validate: Annotated[int, pydantic.Field(ge=0)] = 0
    """Number of folds of a cross-validation; 0 trains on one split instead."""
    repeats: PositiveInt = 1
    """Repeats of the cross-validation, each with other folds."""
    false_positive_cost: PositiveFloat = 1.0
    """Cost of predicting the second of two classes for an example of the first."""
    false_negative_cost: PositiveFloat = 1.0
    """Cost of predicting the first of two classes for an example of the second."""
    max_false_positive_rate: OpenFraction | None = None
    """Largest rate of false positives on new data, for which the threshold between two classes is
    chosen instead of for the costs. A cross-validation of K folds then trains K (K + 1) / 2
    networks, of which K (K - 1) / 2, each without two folds, choose the thresholds without the
    fold that tests. None chooses the threshold of least cost."""
