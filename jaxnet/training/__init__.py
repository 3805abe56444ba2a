"""Training: learners, the source of their batches, the pure run and the watched run."""

from jaxnet.training.driver import advance, begin_epoch, epochs, mean_metrics
from jaxnet.training.early_stopping import Best, init_best, keep_best, out_of_patience
from jaxnet.training.hooks import periodically
from jaxnet.training.learner import evaluation_params, gradient_learner
from jaxnet.training.prediction import predict
from jaxnet.training.pure import fit, run_epoch, run_steps
from jaxnet.training.state import Learner, TrainState
from jaxnet.training.transforms import augmented_learner

__all__ = [
    "Best",
    "Learner",
    "TrainState",
    "advance",
    "augmented_learner",
    "begin_epoch",
    "epochs",
    "evaluation_params",
    "fit",
    "gradient_learner",
    "init_best",
    "keep_best",
    "mean_metrics",
    "out_of_patience",
    "periodically",
    "predict",
    "run_epoch",
    "run_steps",
]
