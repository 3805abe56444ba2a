"""Options of experiments.semi_supervised."""

import dataclasses
from typing import Annotated, ClassVar, Literal, get_args

import pydantic

from experiments.config import (
    DataOptions,
    Fraction,
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    OptimizerOptions,
    Options,
    PositiveFloat,
    PositiveInt,
    RunOptions,
    WatchOptions,
)

MethodName = Literal[
    "supervised",
    "augmented",
    "pseudo_labels",
    "pi_model",
    "mean_teacher",
    "virtual_adversarial",
    "ladder",
    "fixmatch",
    "autoencoder",
    "rbm",
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
# What tables and figures call them.
TITLES: dict[str, str] = {
    "supervised": "supervised",
    "augmented": "supervised, augmented",
    "pseudo_labels": "pseudo-labels",
    "pi_model": "Pi-model",
    "mean_teacher": "mean teacher",
    "virtual_adversarial": "virtual adversarial training",
    "ladder": "ladder network",
    "fixmatch": "FixMatch",
    "autoencoder": "autoencoder, then supervised",
    "rbm": "RBMs, then supervised",
}
# Methods for images only.
OF_IMAGES: tuple[MethodName, ...] = ("fixmatch",)
# Methods that use labels only.
OF_LABELS: tuple[MethodName, ...] = ("supervised", "augmented")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Perturbation(Options):
    """How an example is changed, where a method expects the same prediction."""

    noise: NonNegativeFloat = 0.3
    """Tables and texts: standard deviation of the Gaussian noise on inputs of pi_model and
    mean_teacher, and on the labelled ones of augmented."""
    max_shift: FractionBelowOne = 0.06
    """Images: largest random shift as a fraction of height and width, of augmented, pi_model,
    mean_teacher and fixmatch."""
    max_rotation: NonNegativeFloat = 8.0
    """Images: largest random rotation in degrees."""
    max_scale: FractionBelowOne = 0.08
    """Images: largest random change of the size."""
    ramp: Fraction = 0.3
    """pseudo_labels, pi_model and mean_teacher: fraction of the epochs in which the weight of the
    examples without labels rises from nearly 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabels(Options):
    """Lee (2013)."""

    pseudo_weight: NonNegativeFloat = 1.0
    """pseudo_labels: weight of the loss of the classes that the network itself predicts."""
    pseudo_threshold: FractionBelowOne = 0.95
    """pseudo_labels: least probability of a predicted class that counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Consistency(Options):
    """Laine, Aila (2017); Tarvainen, Valpola (2017)."""

    pi_weight: NonNegativeFloat = 100.0
    """pi_model: weight of the squared difference between two predictions of one example."""
    teacher_weight: NonNegativeFloat = 100.0
    """mean_teacher: weight of the squared difference between network and teacher."""
    teacher_decay: FractionBelowOne = 0.99
    """mean_teacher: decay of the moving average that the teacher is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adversarial(Options):
    """Miyato et al. (2018)."""

    vat_weight: NonNegativeFloat = 1.0
    """virtual_adversarial: weight of the change of the prediction."""
    vat_radius: PositiveFloat = 0.8
    """virtual_adversarial: length of the change of an input."""
    vat_entropy_weight: NonNegativeFloat = 0.1
    """virtual_adversarial: weight of the entropy of the predictions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ladder(Options):
    """Rasmus et al. (2015)."""

    ladder_noise: NonNegativeFloat = 0.3
    """ladder: standard deviation of the noise in each layer."""
    ladder_weights: tuple[NonNegativeFloat, ...] = (10.0, 1.0, 0.1)
    """ladder: weights of the reconstructions of the input and of each layer; the last one counts
    for all layers after it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixMatch(Options):
    """Sohn et al. (2020)."""

    fixmatch_weight: NonNegativeFloat = 1.0
    """fixmatch: weight of the loss of moved images without labels."""
    fixmatch_threshold: FractionBelowOne = 0.7
    """fixmatch: least probability of a predicted class that counts."""
    fixmatch_weak: Fraction = 0.5
    """fixmatch: moves of an image whose class is predicted, and of labelled ones, as a fraction of
    the moves of images that learn it."""
    fixmatch_masking: Fraction = 0.1
    """fixmatch: fraction of the pixels that are set to zero in images that learn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretraining(Options):
    """Vincent et al. (2010); Hinton, Salakhutdinov (2006)."""

    pretrain_epochs: PositiveInt = 50
    """autoencoder and rbm: passes over the data without labels, for rbm in each layer."""
    masking: Fraction = 0.25
    """autoencoder: fraction of the inputs that are set to zero."""
    rbm_rate: PositiveFloat = 0.05
    """rbm: learning rate of the machines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(
    Pretraining,
    FixMatch,
    Ladder,
    Adversarial,
    Consistency,
    PseudoLabels,
    Perturbation,
    OptimizerOptions,
    WatchOptions,
    DataOptions,
    RunOptions,
):
    """Learn from few labels, then from data without labels too: methods of semi-supervised
    learning beside supervised training on the same labels. Options of one method begin with its
    name in their description."""

    experiment: ClassVar[str] = "semi_supervised"

    dataset: str = "digits"
    """Name of the data set, unless --data names a file: digits, mnist, fashion_mnist, nsmc,
    breast_cancer, wine or iris."""
    methods: tuple[MethodName, ...] = METHODS
    """Methods to compare; supervised training is always among them."""
    labels_per_class: PositiveInt | None = 10
    """Labels of each class that are known in a draw; None is all, in a single draw."""
    num_draws: PositiveInt = 10
    """Draws of the labels that are known; the networks of all draws are one compiled program."""
    num_seeds: PositiveInt = 1
    """Networks of each draw, each from its own seed; the variance of seeds needs at least 2."""
    test_size: PositiveInt | None = 500
    """Examples that are held out to measure errors; None is the official test part, or a fifth of
    the labelled examples."""
    evaluate_on: Literal["test", "validation"] = "test"
    """On which examples errors are measured: test, or a validation part of the same size that is
    cut from the training examples, with no use of the test part, to choose settings on."""
    supervised_epochs: NonNegativeInt = 20
    """Passes over the labels alone, with which each method begins."""
    learning_rate: PositiveFloat | None = 5e-3
    """Peak learning rate; None is for optimizers that have no learning rate, such as lbfgs."""
    schedule: str = "cosine"
    """Schedule of the learning rate over each training: constant, cosine, warmup_cosine,
    exponential or step."""
    num_epochs: PositiveInt = 60
    """Passes over the examples without labels, in steps that take labels too."""
    hidden_dims: Annotated[tuple[PositiveInt, ...], pydantic.Field(min_length=1)] = (128, 128)
    """Sizes of the hidden layers."""
    dropout: FractionBelowOne = 0.0
    """Rate of dropout after each hidden layer."""
    labeled_batch_size: PositiveInt = 50
    """Examples with labels in a batch, or all of them where there are fewer."""
    batch_size: PositiveInt = 64  # pyright: ignore[reportIncompatibleVariableOverride]
    """Examples without labels in a batch."""
    num_features: PositiveInt = 256
    """Texts: principal directions of the weights of n-grams that are the inputs of networks, fitted
    on the training texts without labels."""
    predictor: MethodName | None = None
    """Method whose networks predict in experiments.predict; None is the last of the methods that
    do not only use labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods must be different, found {' '.join(self.methods)}")
        if "supervised" not in self.methods:
            object.__setattr__(self, "methods", ("supervised", *self.methods))
        if self.predictor is not None and self.predictor not in self.methods:
            raise ValueError(
                f"predictor {self.predictor} is not one of the methods {' '.join(self.methods)}; "
                "name one of them"
            )
