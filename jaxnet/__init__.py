"""Functional neural networks in JAX: pure functions for networks, objectives and training."""

from importlib import metadata as _metadata

try:
    _metadata.distribution("jaxnet")
except _metadata.PackageNotFoundError:
    pass
else:
    raise ImportError(
        "the distribution 'jaxnet', another project, is installed beside 'functional-jaxnet'; both "
        "write into the folder jaxnet. Run: pip uninstall -y jaxnet functional-jaxnet, then "
        "install functional-jaxnet again"
    )

from jaxnet.architectures import cnn, mlp
from jaxnet.checks import check_data
from jaxnet.layers import (
    activation,
    conv,
    dense,
    dropout,
    flatten,
    layer_norm,
    max_pool,
    mean_pool,
)
from jaxnet.network import Chain, Network, chain, parallel
from jaxnet.objectives import (
    binary_classification,
    classification,
    l1_penalty,
    l2_penalty,
    regression,
    supervised,
    weighted_mean,
)
from jaxnet.optimizers import (
    default_learning_rate,
    needs_key,
    optimizer,
    optimizer_names,
    schedule,
    schedule_names,
    takes_schedule,
)
from jaxnet.prediction import predict
from jaxnet.training.driver import advance, begin_epoch, epochs, mean_metrics
from jaxnet.training.early_stopping import Best, keep_best, no_best, out_of_patience
from jaxnet.training.fit import fit, run_epoch, run_steps, step_metrics
from jaxnet.training.learner import Learner, TrainState, evaluation_params, gradient_learner

__all__ = [
    "Best",
    "Chain",
    "Learner",
    "Network",
    "TrainState",
    "activation",
    "advance",
    "begin_epoch",
    "binary_classification",
    "chain",
    "check_data",
    "classification",
    "cnn",
    "conv",
    "default_learning_rate",
    "dense",
    "dropout",
    "epochs",
    "evaluation_params",
    "fit",
    "flatten",
    "gradient_learner",
    "keep_best",
    "l1_penalty",
    "l2_penalty",
    "layer_norm",
    "max_pool",
    "mean_metrics",
    "mean_pool",
    "mlp",
    "needs_key",
    "no_best",
    "optimizer",
    "optimizer_names",
    "out_of_patience",
    "parallel",
    "predict",
    "regression",
    "run_epoch",
    "run_steps",
    "schedule",
    "schedule_names",
    "step_metrics",
    "supervised",
    "takes_schedule",
    "weighted_mean",
]
