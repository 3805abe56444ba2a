"""Options of experiments.reconstruction."""

import dataclasses
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic
import tyro

from experiments.config import (
    DataOptions,
    NonNegativeFloat,
    NonNegativeInt,
    OpenFraction,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    TrainingOptions,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Code(Options):
    code_dim: PositiveInt = 10
    """Numbers in a code."""
    hidden_dims: tuple[PositiveInt, ...] = (512,)
    """Sizes of the hidden layers of the encoder; the decoder has them in reverse order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loss(Options):
    loss: Literal["squared", "bernoulli"] = "squared"
    """Squared error, or the cross-entropy of pixels as probabilities."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(_Loss, _Code):
    """Options of all autoencoders that are not variational."""

    channels: tuple[PositiveInt, ...] = ()
    """Channels of each stage of a convolutional encoder, for images, before the hidden layers."""
    activation: Literal["relu", "silu", "sigmoid"] = "relu"
    """Activation of the hidden layers."""
    tied: bool = True
    """Use the transposed kernels of the encoder in the decoder; for dense layers only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoencoder(AutoencoderOptions):
    """An encoder and a decoder with a narrow code between them."""

    name: Annotated[Literal["autoencoder"], tyro.conf.Suppress] = "autoencoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Denoising(AutoencoderOptions):
    """An autoencoder that reconstructs inputs from noisy ones (Vincent et al. 2008)."""

    name: Annotated[Literal["denoising"], tyro.conf.Suppress] = "denoising"
    noise: NonNegativeFloat = 0.1
    """Probability that a pixel is replaced, or the standard deviation of Gaussian noise."""
    noise_kind: Literal["masking", "gaussian", "salt_and_pepper"] = "masking"
    """Noise: pixels set to 0, numbers added to pixels, or pixels set to 0 or 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sparse(AutoencoderOptions):
    """An autoencoder whose code has few active units."""

    name: Annotated[Literal["sparse"], tyro.conf.Suppress] = "sparse"
    code_dim: PositiveInt = 32
    """Numbers in a code."""
    sparsity_weight: NonNegativeFloat = 0.1
    """Weight of the penalty on the activity of the units of the code."""
    sparsity_penalty: Literal["kl", "l1"] = "kl"
    """Divergence of the mean activity of each unit from the target, or the sum of activities."""
    sparsity_target: OpenFraction = 0.2
    """Mean activity of each unit that the penalty kl aims at."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contractive(AutoencoderOptions):
    """An autoencoder whose code changes little with its input (Rifai et al. 2011)."""

    name: Annotated[Literal["contractive"], tyro.conf.Suppress] = "contractive"
    contraction_weight: NonNegativeFloat = 0.01
    """Weight of the penalty on the Jacobian of the encoder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Binarized(Options):
    binarize: bool = False
    """Train on pixels drawn as 0 or 1 at each step, with their values as probabilities;
    log-probabilities are then those of test images that are drawn once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vae(_Binarized, _Code):
    """A variational autoencoder (Kingma, Welling 2014)."""

    name: Annotated[Literal["vae"], tyro.conf.Suppress] = "vae"
    hidden_dims: tuple[PositiveInt, ...] = (256,)
    """Sizes of the hidden layers of the encoder; the decoder has them in reverse order."""
    activation: Literal["relu", "silu", "sigmoid"] = "relu"
    """Activation of the hidden layers."""
    likelihood_samples: NonNegativeInt = 0
    """Codes that are drawn for each of up to 1000 test examples to estimate log p(x); 0 estimates
    nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rbm(_Binarized):
    """A restricted Boltzmann machine; early stopping watches the squared error, as it has no
    loss."""

    name: Annotated[Literal["rbm"], tyro.conf.Suppress] = "rbm"
    code_dim: PositiveInt = 50
    """Hidden units."""
    gibbs_steps: PositiveInt = 1
    """Gibbs steps for each update, the k of CD-k."""
    persistent_chains: NonNegativeInt = 0
    """Chains that continue from update to update (PCD); 0 starts chains at the data instead."""
    ais_betas: NonNegativeInt = 0
    """Temperatures of annealed importance sampling, at least 4, to estimate log p(x) of up to 1000
    test examples; 0 estimates nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepBelief(_Loss, _Code):
    """A deep belief network: machines trained one after the other, then fine-tuned as an
    autoencoder (Hinton, Salakhutdinov 2006)."""

    name: Annotated[Literal["deep_belief"], tyro.conf.Suppress] = "deep_belief"
    hidden_dims: tuple[PositiveInt, ...] = (256, 64)
    """Sizes of the hidden layers of the encoder, which are logistic; the decoder has them in
    reverse order."""
    pretrain_epochs: PositiveInt = 50
    """Passes over the data for each machine, before the whole is fine-tuned."""
    pretrain_rate: PositiveFloat = 0.01
    """Learning rate of machines of Bernoulli units; Gaussian units have a hundredth of it."""


Model = Autoencoder | Denoising | Sparse | Contractive | Vae | Rbm | DeepBelief


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingOptions, DataOptions, RunOptions):
    """Train networks to reconstruct their input from a short code."""

    experiment: ClassVar[str] = "reconstruction"

    dataset: str = "digits"
    """Name of the data set, unless --data names a file: digits, mnist, fashion_mnist,
    olivetti_faces, or a table: breast_cancer, wine, iris."""
    model: Annotated[Model, pydantic.Field(discriminator="name")] = Autoencoder()
    """The model."""
    optimizer: str = "adamw"
    """Name of any Optax optimizer, such as adam, sgd, lbfgs, muon or schedule_free_adamw."""
    learning_rate: PositiveFloat | None = 4e-3
    """Peak learning rate; None is for optimizers that have no learning rate, such as lbfgs."""
    schedule: str = "cosine"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    weight_decay: NonNegativeFloat | None = 0.3
    """Weight decay of the optimizer; None uses the optimizer's own default."""
    l2_weight: NonNegativeFloat = 0.0
    """Weight of the L2 penalty on the kernels, which is part of the loss: an optimizer such as adam
    scales its gradient, and not that of a weight decay."""
    num_epochs: PositiveInt = 100
    """Passes over the training data."""
    linear_probe: bool = False
    """Also report the test error of a logistic regression on the codes."""
    export_features: Path | None = None
    """New NPZ file for codes (networks, n, code_dim), labels (n,) and split (n,) of all examples;
    None exports nothing."""
    compare_optimizers: tuple[str, ...] = ()
    """Optimizers to compare instead of one training: the same networks under each of them, over a
    grid of learning rates in one program for each, with loss against steps and seconds."""
