"""Options of experiments.clustering."""

import dataclasses
from typing import Annotated, ClassVar, Literal

import pydantic
import tyro

from experiments.config import (
    DataOptions,
    DescentOptions,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    OptimizerOptions,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    WatchOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Restarts(Options):
    num_restarts: PositiveInt = 10
    """Runs of k-means or of the mixture from different starts, of which the best is taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Mixture(Options):
    covariance: Literal["full", "diagonal", "spherical"] = "full"
    """Covariances of the components of the Gaussian mixture."""
    min_variance: NonNegativeFloat = 1e-3
    """Number that is added to the variances of the Gaussian mixture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pretrained(_Restarts, DescentOptions, WatchOptions):
    batch_size: PositiveInt | Literal["all"] = 256
    """Examples in a batch; all uses the whole data in each step."""
    hidden_dims: tuple[PositiveInt, ...] = (256, 256, 512)
    """Sizes of the hidden layers of the encoder; the decoder has them in reverse order."""
    activation: Literal["relu", "silu"] = "relu"
    """Activation of the hidden layers."""
    code_dim: PositiveInt = 10
    """Numbers in a code."""
    augment: bool = False
    """Train on slightly shifted, rotated and scaled images, as DEC-DA does."""
    pretrain_epochs: PositiveInt = 100
    """Passes over the data for the autoencoder alone."""
    pretrain_rate: PositiveFloat = 1e-3
    """Peak learning rate of the autoencoder alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deep(_Pretrained, OptimizerOptions):
    """Options of methods that train a network together with its clusters."""

    learning_rate: PositiveFloat | None = 1e-3
    """Peak learning rate of network and clusters together; None is for optimizers that have no
    learning rate, such as lbfgs."""
    num_epochs: PositiveInt = 50
    """Passes over the data for network and clusters together, after the pretraining."""
    reset: bool = False
    """Reset the encoder softly and compute new clusters from time to time, as BRB does."""
    reset_every: PositiveInt = 10
    """Epochs between two resets."""
    reset_factor: Fraction = 0.8
    """Fraction of the parameters of the encoder that a reset keeps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeans(_Restarts):
    """k-means on the examples."""

    name: Annotated[Literal["kmeans"], tyro.conf.Suppress] = "kmeans"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianMixture(_Mixture, _Restarts):
    """A Gaussian mixture on the examples."""

    name: Annotated[Literal["gmm"], tyro.conf.Suppress] = "gmm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderKMeans(_Pretrained):
    """k-means on the codes of an autoencoder."""

    name: Annotated[Literal["autoencoder_kmeans"], tyro.conf.Suppress] = "autoencoder_kmeans"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dec(Deep):
    """Deep embedded clustering (Xie, Girshick, Farhadi 2016)."""

    name: Annotated[Literal["dec"], tyro.conf.Suppress] = "dec"
    refresh_every: PositiveInt = 30
    """Steps between two computations of the target distribution."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Idec(Deep):
    """DEC that keeps the reconstruction (Guo et al. 2017)."""

    name: Annotated[Literal["idec"], tyro.conf.Suppress] = "idec"
    refresh_every: PositiveInt = 30
    """Steps between two computations of the target distribution."""
    clustering_weight: NonNegativeFloat = 6.4
    """Weight of the clusters relative to the squared error of the reconstruction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dcn(Deep):
    """Deep clustering network: k-means and reconstruction together (Yang et al. 2017)."""

    name: Annotated[Literal["dcn"], tyro.conf.Suppress] = "dcn"
    clustering_weight: NonNegativeFloat = 1.0
    """Weight of the clusters relative to the squared error of the reconstruction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vade(Deep):
    """Variational autoencoder with a mixture as prior (Jiang et al. 2017)."""

    name: Annotated[Literal["vade"], tyro.conf.Suppress] = "vade"
    num_epochs: PositiveInt = 100
    """Passes over the data for network and clusters together, after the pretraining."""
    min_variance: NonNegativeFloat = 0.01
    """Number that is added to the variances of the Gaussian mixture at the start."""
    output_std: NonNegativeFloat = 0.3
    """Standard deviation of inputs around their reconstruction; 0 uses Bernoulli pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class N2d(_Mixture, _Pretrained):
    """UMAP on the codes of an autoencoder, then a Gaussian mixture (McConville et al. 2020);
    needs the extra umap."""

    name: Annotated[Literal["n2d"], tyro.conf.Suppress] = "n2d"
    embedding_dim: PositiveInt | Literal["num_clusters"] = "num_clusters"
    """Numbers to which UMAP reduces a code; num_clusters is one for each cluster."""
    num_neighbors: Annotated[int, pydantic.Field(ge=2)] = 20
    """Nearest codes of each code that UMAP takes into account."""


Method = KMeans | GaussianMixture | AutoencoderKMeans | Dec | Idec | Dcn | Vade | N2d


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(DataOptions, RunOptions):
    """Find clusters in unlabelled data. Labels, where there are any, only evaluate the clusters."""

    experiment: ClassVar[str] = "clustering"

    dataset: str = "digits"
    """Name of the data set, unless --data names a file: digits, mnist, mnist_test (its 10 000 test
    images), fashion_mnist, olivetti_faces, emails, breast_cancer, wine or iris."""
    method: Annotated[Method, pydantic.Field(discriminator="name")] = Dec()
    """How to cluster."""
    num_clusters: Annotated[int, pydantic.Field(ge=2)] = 10
    """Number of clusters."""
    query: NonNegativeInt | None = None
    """Index of an example whose nearest neighbors are shown, by its code and by its features; None
    shows none."""
