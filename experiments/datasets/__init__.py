"""Data sets as NumPy arrays, named ones and tables of one's own; splits, folds, standardization.

Rooms: `named` (the data sets and `load`), `idx` (the files of MNIST and Fashion-MNIST), `own` (a
table of the user's own), `parts` (training, validation and test parts) and `standardization`.
Behind `own`: `table` (reads files, with `delimited`, `npz` and `archive`), `labels` and
`preprocessing` (what is saved with a run). These import Polars; nothing else does.
"""

from experiments.datasets.dataset import Dataset
from experiments.datasets.named import CLASSIFICATION, REGRESSION, load
from experiments.datasets.own import load_features, load_pictures, load_table
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
    "load_features",
    "load_pictures",
    "load_table",
    "split",
    "standardize",
]
