"""Metrics over a whole data set: pure functions that work under `jax.jit` and `jax.vmap`.

- An example of weight 0 is ignored, whatever its values are: padded data give the same result as
  data without padding.
- NaN in an example of positive weight makes the metric NaN.
- Sums accumulate in JAX's default float type: float32, which counts exactly up to 2**24 examples,
  or float64 under `jax_enable_x64`.
- Labels are not checked inside a trace; call `jaxnet.check_data` before.

`best_assignment`, `clustering_accuracy`, `contingency_table` and the metrics of anomalies in series
(`nab_score`, `vus_pr`, `vus_roc`, `hits_at_false_alarms`) run on the host instead, in NumPy.

>>> import jax.numpy as jnp
>>> from jaxnet import metrics
>>> logits, labels = jnp.array([[2.0, 1.0], [0.0, 3.0], [9.0, 9.0]]), jnp.array([0, 0, 1])
>>> float(metrics.accuracy(logits, labels, weight=jnp.array([1.0, 1.0, 0.0])))
0.5
"""

from jaxnet.metrics.anomaly import HitsAtBudget, hits_at_false_alarms
from jaxnet.metrics.brier import BrierParts, brier_decomposition, brier_score
from jaxnet.metrics.calibration import (
    ReliabilityDiagram,
    calibration_error_floor,
    debiased_calibration_error,
    reliability_diagram,
)
from jaxnet.metrics.classification import (
    accuracy,
    binary_log_loss,
    confusion_matrix,
    expected_calibration_error,
    log_loss,
    top_k_accuracy,
)
from jaxnet.metrics.clustering import (
    best_assignment,
    clustering_accuracy,
    contingency_table,
)
from jaxnet.metrics.curves import ThresholdCurve, average_precision, roc_auc, threshold_curve
from jaxnet.metrics.intervals import (
    interval_coverage,
    interval_score,
    pinball_loss,
    set_coverage,
)
from jaxnet.metrics.nab import NAB_PROFILES, NabProfile, NabScore, nab_score
from jaxnet.metrics.pairwise import squared_distances
from jaxnet.metrics.ranking import ndcg_at_k, recall_at_k
from jaxnet.metrics.regression import mean_squared_error, r2_score
from jaxnet.metrics.silhouette import silhouette_samples, silhouette_score
from jaxnet.metrics.thresholds import cost_threshold, threshold_at_false_positive_rate
from jaxnet.metrics.vus import vus_pr, vus_roc

__all__ = [
    "BrierParts",
    "HitsAtBudget",
    "NAB_PROFILES",
    "NabProfile",
    "NabScore",
    "ReliabilityDiagram",
    "ThresholdCurve",
    "accuracy",
    "average_precision",
    "best_assignment",
    "binary_log_loss",
    "brier_decomposition",
    "brier_score",
    "calibration_error_floor",
    "clustering_accuracy",
    "confusion_matrix",
    "contingency_table",
    "cost_threshold",
    "debiased_calibration_error",
    "expected_calibration_error",
    "hits_at_false_alarms",
    "interval_coverage",
    "interval_score",
    "log_loss",
    "mean_squared_error",
    "nab_score",
    "ndcg_at_k",
    "pinball_loss",
    "r2_score",
    "recall_at_k",
    "reliability_diagram",
    "roc_auc",
    "set_coverage",
    "silhouette_samples",
    "silhouette_score",
    "squared_distances",
    "threshold_at_false_positive_rate",
    "threshold_curve",
    "top_k_accuracy",
    "vus_pr",
    "vus_roc",
]
