"""Options of experiments.recommendation."""

import dataclasses
from typing import Annotated, ClassVar, Literal

import pydantic
import tyro

from experiments.config import (
    DataOptions,
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    OpenFraction,
    OptimizerOptions,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    WatchOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Factorization(Options):
    """Ratings by biased matrix factorization (Koren et al. 2009)."""

    name: Annotated[Literal["factorization"], tyro.conf.Suppress] = "factorization"
    factor_dim: PositiveInt = 50
    """Numbers in the vector of a user and of an item."""
    penalty: NonNegativeFloat = 0.15
    """Weight of the squares of biases and vectors, for each rating."""
    row_sparse: bool = True
    """Update only the rows of users and items in a batch, whose cost does not depend on how many
    users and items there are; Adam then moves a row in the steps that hold it alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Autorec(Options):
    hidden_dim: PositiveInt = 100
    """Hidden units."""
    penalty: NonNegativeFloat = 2e-3
    """Weight of the squares of the kernels."""
    dropout: FractionBelowOne = 0.0
    """Rate of dropout of the hidden units."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemAutorec(_Autorec):
    """Ratings by an autoencoder of the ratings of an item, I-AutoRec (Sedhain et al. 2015)."""

    name: Annotated[Literal["item_autorec"], tyro.conf.Suppress] = "item_autorec"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UserAutorec(_Autorec):
    """Ratings by an autoencoder of the ratings of a user, U-AutoRec (Sedhain et al. 2015)."""

    name: Annotated[Literal["user_autorec"], tyro.conf.Suppress] = "user_autorec"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rbm(Options):
    """Ratings by a restricted Boltzmann machine of the ratings of a user (Salakhutdinov et al.
    2007)."""

    name: Annotated[Literal["rbm"], tyro.conf.Suppress] = "rbm"
    hidden_dim: PositiveInt = 20
    """Hidden units."""
    gibbs_steps: PositiveInt = 1
    """Gibbs steps for each update."""
    penalty: NonNegativeFloat = 1e-3
    """Weight of the squares of the kernel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ease(Options):
    """Rankings by EASE, a linear model in closed form (Steck 2019)."""

    name: Annotated[Literal["ease"], tyro.conf.Suppress] = "ease"
    strength: PositiveFloat = 200.0
    """Weight of the squares of the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultVae(Options):
    """Rankings by a variational autoencoder of the items of a user, Mult-VAE (Liang et al.
    2018)."""

    name: Annotated[Literal["mult_vae"], tyro.conf.Suppress] = "mult_vae"
    hidden_dims: tuple[PositiveInt, ...] = (200,)
    """Sizes of the hidden layers of the encoder; the decoder has them in reverse order."""
    code_dim: PositiveInt = 50
    """Numbers in a code."""
    dropout: FractionBelowOne = 0.5
    """Rate of dropout of the input."""
    kl_weight: NonNegativeFloat = 0.2
    """Weight of the divergence after the first steps."""
    anneal_steps: NonNegativeInt = 200
    """Steps over which the weight of the divergence grows from 0."""


Method = Factorization | ItemAutorec | UserAutorec | Rbm | Ease | MultVae


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(OptimizerOptions, WatchOptions, DataOptions, RunOptions):
    """Predict the ratings of users, or rank the items that they may choose, and recommend items.
    Each part of the data is held out in turn and predicted from the others; the networks that
    recommend are trained on all data."""

    experiment: ClassVar[str] = "recommendation"

    dataset: str = "movielens-latest-small"
    """Name of the data set, unless --data names a file: movielens-latest-small, which is looked for
    in the folder that JAXNET_DATA names, or generated. --data may also be the folder of MovieLens
    100K."""
    method: Annotated[Method, pydantic.Field(discriminator="name")] = Factorization()
    """The method."""
    user: str = "user"
    """Column of the file with the name of the user."""
    item: str = "item"
    """Column of the file with the name of the item."""
    rating: str | None = None
    """Column of the file with the rating; None where a row is an item that the user chose."""
    time: str | None = None
    """Column of the file with the times, dates or numbers; needed for --split time and last."""
    split: Literal["random", "time", "last"] = "random"
    """What is held out: random parts of all rows, one after the other; the last rows of all; or the
    last row of each user."""
    num_folds: Annotated[int, pydantic.Field(ge=2)] = 5
    """Random parts of the rows, each of which is held out once, for --split random."""
    test_fraction: OpenFraction = 0.2
    """Part of the rows that is held out for --split time."""
    relevant_rating: float | None = None
    """Smallest rating that counts as chosen where items are ranked; None takes those above 0.7 of
    the range, from 4 on of 1 to 5, and all rows where there are no ratings."""
    optimizer: str = "adam"
    """Name of any Optax optimizer, such as adam, adagrad or sgd."""
    schedule: str = "cosine"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    learning_rate: PositiveFloat | None = 1e-2
    """Peak learning rate; None is for optimizers that have no learning rate."""
    batch_size: PositiveInt | Literal["all"] = 1024
    """Ratings, items or users in a batch, or all of them where there are fewer."""
    num_epochs: PositiveInt = 20
    """Passes over the data."""
    num_seeds: PositiveInt = 1
    """Number of networks for each part that is held out, all trained in one compiled program."""
