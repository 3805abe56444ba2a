"""Data sets as NumPy arrays, named ones and tables of one's own; splits, folds, standardization.

Rooms: `named` (the data sets and `load`), `idx` (the files of MNIST and Fashion-MNIST), `emails`
(SpamAssassin's mails and their words; `mail` parses one, `tar` opens archives), `download`, `own`
(a table of the user's own), `parts` (training, validation and test parts) and `standardization`.
Behind `own`: `table` (reads files, with `delimited`, `npz` and `archive`), `labels` and
`preprocessing` (what is saved with a run). These import Polars; nothing else does.
"""

from experiments.data.dataset import Dataset
from experiments.data.named.emails import fit_idf
from experiments.data.named.registry import CLASSIFICATION, REGRESSION, load
from experiments.data.scaling import (
    Standardization,
    fit_standardization,
    fit_unit_interval,
    standardize,
)
from experiments.data.splits import Split, folds, split
from experiments.data.tables.own import (
    holds_pictures,
    load_features,
    load_labelled_pictures,
    load_pictures,
    load_table,
)

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "Split",
    "Standardization",
    "fit_idf",
    "fit_standardization",
    "fit_unit_interval",
    "folds",
    "holds_pictures",
    "load",
    "load_features",
    "load_labelled_pictures",
    "load_pictures",
    "load_table",
    "split",
    "standardize",
]
