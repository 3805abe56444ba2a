"""Functional neural networks in JAX: pure functions for networks, objectives and training."""

import importlib as _importlib
from importlib import metadata as _metadata
from typing import TYPE_CHECKING

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

from jaxnet._data import check_data, check_unit_interval
from jaxnet.nn import (
    Chain,
    Network,
    activation,
    chain,
    cnn,
    compute_in,
    conv,
    dense,
    dropout,
    flatten,
    layer_norm,
    max_pool,
    mean_pool,
    mlp,
    parallel,
    random_affine,
    summary,
)
from jaxnet.objectives import (
    binary_classification,
    classification,
    multilabel_classification,
    regression,
    supervised,
    weighted_mean,
    with_augmentation,
    with_l1,
    with_l2,
    with_loss_scale,
    with_noise,
)
from jaxnet.optim import optimizer, optimizer_names, schedule
from jaxnet.training import (
    Learner,
    TrainState,
    Validation,
    epochs,
    evaluate,
    evaluation_params,
    fit,
    gradient_learner,
    predict,
)
from jaxnet.typing import Sequences, StatefulObjective

if TYPE_CHECKING:
    from jaxnet import anomaly as anomaly
    from jaxnet import audio as audio
    from jaxnet import autoencoders as autoencoders
    from jaxnet import boltzmann as boltzmann
    from jaxnet import calibration as calibration
    from jaxnet import checkpoint as checkpoint
    from jaxnet import clustering as clustering
    from jaxnet import doctor as doctor
    from jaxnet import estimators as estimators
    from jaxnet import hosts as hosts
    from jaxnet import metrics as metrics
    from jaxnet import neighbors as neighbors
    from jaxnet import nn as nn
    from jaxnet import objectives as objectives
    from jaxnet import optim as optim
    from jaxnet import recommendation as recommendation
    from jaxnet import runs as runs
    from jaxnet import search as search
    from jaxnet import streams as streams
    from jaxnet import training as training
    from jaxnet import typing as typing

try:
    __version__ = _metadata.version("functional-jaxnet")
except _metadata.PackageNotFoundError:  # run from a source tree
    __version__ = "0+source"

# Imported when they are first used.
_NAMESPACES = frozenset(
    (
        "anomaly",
        "audio",
        "autoencoders",
        "boltzmann",
        "calibration",
        "checkpoint",
        "clustering",
        "doctor",
        "estimators",
        "hosts",
        "metrics",
        "neighbors",
        "nn",
        "objectives",
        "optim",
        "recommendation",
        "runs",
        "search",
        "streams",
        "training",
        "typing",
    )
)

__all__ = [
    "Chain",
    "Learner",
    "Network",
    "Sequences",
    "StatefulObjective",
    "TrainState",
    "Validation",
    "activation",
    "binary_classification",
    "chain",
    "check_data",
    "check_unit_interval",
    "classification",
    "cnn",
    "compute_in",
    "conv",
    "dense",
    "dropout",
    "epochs",
    "evaluate",
    "evaluation_params",
    "fit",
    "flatten",
    "gradient_learner",
    "layer_norm",
    "max_pool",
    "mean_pool",
    "mlp",
    "multilabel_classification",
    "optimizer",
    "optimizer_names",
    "parallel",
    "predict",
    "random_affine",
    "regression",
    "schedule",
    "summary",
    "supervised",
    "weighted_mean",
    "with_augmentation",
    "with_l1",
    "with_l2",
    "with_loss_scale",
    "with_noise",
]


def __getattr__(name: str) -> object:
    if name in _NAMESPACES:
        return _importlib.import_module(f"jaxnet.{name}")
    raise AttributeError(f"module 'jaxnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMESPACES})
