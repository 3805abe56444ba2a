"""Figures of the experiments: functions from arrays to a Matplotlib figure.

`curves` shows metrics over epochs, steps, rates and thresholds, `matrices` counts, `points`
examples and errors, `images` images, `sweeps` trials, and `calibration` reliability, sets and
intervals; `style` holds the colors, axes and legends that they share.
"""

from experiments.report.figures.calibration import (
    prediction_intervals,
    reliability_curves,
    set_sizes,
)
from experiments.report.figures.curves import (
    learning_curves,
    optimizer_curves,
    rate_curves,
    threshold_curve,
)
from experiments.report.figures.images import filters, image_grid, image_rows
from experiments.report.figures.matrices import confusion_matrix, contingency_table
from experiments.report.figures.points import code_map, errors_by, fitted_line, predictions
from experiments.report.figures.sweeps import SettingAxis, expected_best, setting_scatter

__all__ = [
    "SettingAxis",
    "code_map",
    "confusion_matrix",
    "contingency_table",
    "errors_by",
    "expected_best",
    "filters",
    "fitted_line",
    "image_grid",
    "image_rows",
    "learning_curves",
    "optimizer_curves",
    "prediction_intervals",
    "predictions",
    "rate_curves",
    "reliability_curves",
    "set_sizes",
    "setting_scatter",
    "threshold_curve",
]
