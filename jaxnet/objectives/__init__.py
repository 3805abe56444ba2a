"""Objectives: `(params, batch, key) -> (loss, metrics)`, what a network is trained for."""

from jaxnet.objectives.adversarial import virtual_adversarial
from jaxnet.objectives.consistency import Teacher, mean_teacher, pi_model
from jaxnet.objectives.distilling import distillation
from jaxnet.objectives.ladders import Ladder, ladder
from jaxnet.objectives.loss_scale import LossScaled, with_loss_scale
from jaxnet.objectives.penalties import with_l1, with_l2
from jaxnet.objectives.prediction import (
    binary_classification,
    classification,
    multilabel_classification,
    regression,
    supervised,
)
from jaxnet.objectives.pseudo_labeling import fixmatch, pseudo_labels
from jaxnet.objectives.quantiles import quantile_regression
from jaxnet.objectives.scheduling import Scheduled, ramp_up, scheduled
from jaxnet.objectives.stateful import as_stateful, transform_objective
from jaxnet.objectives.tasks import multitask
from jaxnet.objectives.transforms import with_augmentation, with_noise
from jaxnet.objectives.weighting import weighted_mean

__all__ = [
    "Ladder",
    "LossScaled",
    "Scheduled",
    "Teacher",
    "as_stateful",
    "binary_classification",
    "classification",
    "distillation",
    "fixmatch",
    "ladder",
    "mean_teacher",
    "multilabel_classification",
    "multitask",
    "pi_model",
    "pseudo_labels",
    "quantile_regression",
    "ramp_up",
    "regression",
    "scheduled",
    "supervised",
    "transform_objective",
    "virtual_adversarial",
    "weighted_mean",
    "with_augmentation",
    "with_l1",
    "with_l2",
    "with_loss_scale",
    "with_noise",
]
