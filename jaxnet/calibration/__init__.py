"""Decisions from trained networks: calibrated probabilities, sets and intervals with coverage.

All are functions of outputs on examples that neither trained nor stopped a network, pure, and
vmapped over a batch of runs: `jax.vmap(fit_temperature, (0, None))(logits, labels)` fits one
temperature for each network. Scores of calibration are in `jaxnet.metrics`.

>>> import jax.numpy as jnp
>>> from jaxnet import calibration
>>> logits, labels = 8 * jnp.eye(2)[jnp.array([0, 0, 0, 1, 1, 1])], jnp.array([0, 0, 1, 1, 1, 0])
>>> temperature = calibration.fit_temperature(logits, labels)
>>> print(calibration.scale_logits(logits, temperature)[0].round(3))
[0.693 0.   ]
"""

from jaxnet.calibration.class_sets import (
    adaptive_scores,
    least_ambiguous_scores,
    prediction_sets,
    true_class_scores,
)
from jaxnet.calibration.conformal import (
    conformal_quantile,
    coverage_distribution,
    min_calibration_size,
)
from jaxnet.calibration.intervals import (
    Intervals,
    absolute_residuals,
    quantile_intervals,
    quantile_scores,
    residual_intervals,
)
from jaxnet.calibration.laplace import (
    FullPosterior,
    KroneckerPosterior,
    fit_laplace,
    laplace_outputs,
    laplace_probabilities,
    probit_probabilities,
)
from jaxnet.calibration.scaling import (
    VectorScaling,
    ensemble_logits,
    fit_temperature,
    fit_vector_scaling,
    scale_logits,
)

__all__ = [
    "FullPosterior",
    "Intervals",
    "KroneckerPosterior",
    "VectorScaling",
    "absolute_residuals",
    "adaptive_scores",
    "conformal_quantile",
    "coverage_distribution",
    "ensemble_logits",
    "fit_laplace",
    "fit_temperature",
    "fit_vector_scaling",
    "laplace_outputs",
    "laplace_probabilities",
    "least_ambiguous_scores",
    "min_calibration_size",
    "prediction_sets",
    "probit_probabilities",
    "quantile_intervals",
    "quantile_scores",
    "residual_intervals",
    "scale_logits",
    "true_class_scores",
]
