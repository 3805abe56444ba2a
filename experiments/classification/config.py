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
class Rnn(Options):
    """Recurrent layers over the steps of series, then a dense layer."""

    name: Annotated[Literal["rnn"], tyro.conf.Suppress] = "rnn"
    cell: Literal["gru", "lstm", "elman"] = "gru"
    """The recurrent cell."""
    hidden_dims: tuple[PositiveInt, ...] = (64,)
    """Sizes of the recurrent layers."""
    bidirectional: bool = False
    """Also read each series from its end; the outputs of both directions are concatenated."""
    pooling: Literal["last", "mean", "max"] = "mean"
    """Which output of the last layer goes to the dense layer: that of the last step, or the mean or
    the largest over all steps."""
    dropout: FractionBelowOne = 0.2
    """Rate of dropout after each hidden layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv1d(Options):
    """Blocks of convolutions over the steps of series, then a dense layer."""

    name: Annotated[Literal["conv1d"], tyro.conf.Suppress] = "conv1d"
    channels: tuple[PositiveInt, ...] = (32, 32, 32)
    """Channels of each block, divided among its kernels and a copy of its input."""
    kernel_sizes: tuple[PositiveInt, ...] = (39, 19, 9)
    """Lengths of the kernels of every block in steps."""
    pooling: Literal["mean", "max"] = "mean"
    """What goes to the dense layer: the mean or the largest over all steps."""
    dropout: FractionBelowOne = 0.2
    """Rate of dropout before the dense layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordRecognizer(Options):
    """Short recordings stretched to one length, at random in training; convolutions over time."""

    name: Annotated[Literal["word_recognizer"], tyro.conf.Suppress] = "word_recognizer"
    num_steps: PositiveInt = 24
    """Steps of every recording after the stretch."""
    channels: tuple[PositiveInt, ...] = (64, 64)
    """Channels of each convolution, after which the number of steps is halved."""
    hidden_dim: PositiveInt = 128
    """Size of the hidden layer."""
    dropout: FractionBelowOne = 0.3
    """Rate of dropout before and after the hidden layer."""
    max_shift: FractionBelowOne = 0.15
    """Largest shift of each end of a recording in training, as a fraction of its length, below
    0.5."""
    max_warp: FractionBelowOne = 0.5
    """Largest change of the tempo inside of a recording in training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BagOfEmbeddings(Options):
    """The embeddings of all tokens of a text as one vector, then dense layers."""

    name: Annotated[Literal["bag_of_embeddings"], tyro.conf.Suppress] = "bag_of_embeddings"
    embedding_dim: PositiveInt = 64
    """Size of the embedding of a token."""
    pooling: Literal["mean", "sum", "sqrtn", "max"] = "sqrtn"
    """What becomes of the embeddings of a text: their mean, their sum, their sum divided by the
    square root of their number, or the largest of each of their numbers."""
    hidden_dims: tuple[PositiveInt, ...] = ()
    """Sizes of the hidden layers after the pooling."""
    dropout: FractionBelowOne = 0.3
    """Rate of dropout of the pooled vector and after each hidden layer."""
    token_dropout: FractionBelowOne = 0.0
    """Rate at which tokens of a text are left out in training."""


Model = Linear | Mlp | Cnn | Rnn | Conv1d | WordRecognizer | BagOfEmbeddings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingOptions, DataOptions, RunOptions):
    """Train networks to predict the class of an example."""

    experiment: ClassVar[str] = "classification"

    dataset: str = "digits"
    """Name of the data set, unless --data names a file: digits, breast_cancer, wine, iris, mnist,
    fashion_mnist, olivetti_faces, emails, or a set of series: JapaneseVowels, GunPoint, ..."""
    model: Annotated[Model, pydantic.Field(discriminator="name")] = Mlp()
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
    """Repeats of the cross-validation, each with other folds, or with other seeds where each group
    is left out once."""
    group: str | None = None
    """What examples are grouped by, such as speaker: a column of the user's table, or a grouping of
    the data set. All examples of a group are in the same fold of a cross-validation; without
    --cross-validate, each group is left out once."""
    validation_fraction: FractionBelowOne = 0.2
    """Fraction of the examples outside the test part for validation; 0 trains on all of them, which
    is for official test sets and settings that are known."""
    calibrate: Literal["none", "temperature", "vector"] = "none"
    """How probabilities are scaled to validation examples: by one temperature, or by a factor and
    an offset for each class. Where networks stop early or sets have a coverage, each has a part of
    the validation examples of its own."""
    coverage: OpenFraction | None = None
    """Also predict sets of classes that hold the true class with this probability, such as 0.9; a
    part of the validation examples of their own decides their size. None predicts no sets."""
    false_positive_cost: PositiveFloat = 1.0
    """Cost of predicting the second of two classes for an example of the first."""
    false_negative_cost: PositiveFloat = 1.0
    """Cost of predicting the first of two classes for an example of the second."""
    max_false_positive_rate: OpenFraction | None = None
    """Largest rate of false positives on new data, for which the threshold between two classes is
    chosen instead of for the costs. A cross-validation of K folds then trains K (K + 1) / 2
    networks, of which K (K - 1) / 2, each without two folds, choose the thresholds without the
    fold that tests. None chooses the threshold of least cost."""
