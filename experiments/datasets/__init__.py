"""Named data sets as NumPy arrays, with checksums; splits, folds and standardization.

Rooms: `named` (the data sets and `load`), `idx` (the files of MNIST and Fashion-MNIST), `parts`
(training, validation and test parts) and `standardization`.
"""

from experiments.datasets.dataset import Dataset
from experiments.datasets.named import CLASSIFICATION, REGRESSION, load
from experiments.datasets.parts import Split, folds, split
from experiments.datasets.standardization import (
    Standardization,
    fit_standardization,
    standardize,
)

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "Split",
    "Standardization",
    "fit_standardization",
    "folds",
    "load",
    "split",
    "standardize",
]
