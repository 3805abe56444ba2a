"""Metrics over all examples at once: pure functions, for jit and vmap alike.

Three laws hold for each of them. An example of weight 0 does not exist, whatever its numbers are,
so padded data measure as the data without padding do. A NaN among the numbers of an example that
exists makes the metric NaN, never a plausible number. Sums are taken in JAX's default float type
(float32, which counts exactly up to 2**24 examples; float64 under `jax_enable_x64`).

Labels are not checked here, inside the trace: see `check_data`.
"""

from jaxnet.metrics.classification import (
    accuracy,
    binary_log_loss,
    confusion_matrix,
    expected_calibration_error,
    log_loss,
    top_k_accuracy,
)
from jaxnet.metrics.clustering import (
    adjusted_rand_index,
    best_assignment,
    clustering_accuracy,
    completeness,
    contingency_table,
    homogeneity,
    normalized_mutual_information,
)
from jaxnet.metrics.curves import ThresholdCurve, average_precision, roc_auc, threshold_curve
from jaxnet.metrics.pairwise import squared_distances
from jaxnet.metrics.regression import mean_squared_error, r2_score
from jaxnet.metrics.silhouette import silhouette_samples, silhouette_score
from jaxnet.metrics.thresholds import cost_threshold, threshold_at_false_positive_rate

__all__ = [
    "ThresholdCurve",
    "accuracy",
    "adjusted_rand_index",
    "average_precision",
    "best_assignment",
    "binary_log_loss",
    "clustering_accuracy",
    "completeness",
    "confusion_matrix",
    "contingency_table",
    "cost_threshold",
    "expected_calibration_error",
    "homogeneity",
    "log_loss",
    "mean_squared_error",
    "normalized_mutual_information",
    "r2_score",
    "roc_auc",
    "silhouette_samples",
    "silhouette_score",
    "squared_distances",
    "threshold_at_false_positive_rate",
    "threshold_curve",
    "top_k_accuracy",
]
