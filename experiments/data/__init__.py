"""Data sets as NumPy arrays: named ones and users' tables and images; splits, folds, scaling.

`dataset` defines what a data set is, `splits` and `scaling` prepare it for training. `named` holds
the data sets that are known by name (`registry`) and their files: `bundled` (scikit-learn's and
generated ones), `idx` (MNIST and Fashion-MNIST), `faces`, and `emails` with `email_message`,
`tar_archive` and `term_weights`; `download` finds or fetches files. `tables` reads the user's:
`user_table` and `images`; behind them `table` (with `delimited`, `encoding`, `header`, `npz` and
`zip_archive`), `inference` (with `cells`, `notation` and `dates`), `labels`, and `preprocessing`
(with `columns` and `fitting`), which is saved with a run. Polars is imported when a table is read,
and not before.
"""

from experiments.data.dataset import Dataset, Inputs, NewRows, take
from experiments.data.named.registry import CLASSIFICATION, REGRESSION, load
from experiments.data.named.term_weights import fit_idf
from experiments.data.new_rows import read_rows
from experiments.data.recordings.load import load_recordings
from experiments.data.scaling import (
    Standardization,
    fit_standardization,
    fit_unit_interval,
    standardize,
    standardize_inputs,
    valid_steps,
)
from experiments.data.series import holds_series, load_series
from experiments.data.splits import Split, folds, split
from experiments.data.tables.images import holds_images, load_images, load_labelled_images
from experiments.data.tables.user_table import load_features, load_table
from experiments.data.texts.text_table import load_texts

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "Inputs",
    "NewRows",
    "Split",
    "Standardization",
    "fit_idf",
    "fit_standardization",
    "fit_unit_interval",
    "folds",
    "holds_images",
    "holds_series",
    "load",
    "load_features",
    "load_images",
    "load_labelled_images",
    "load_recordings",
    "load_series",
    "load_table",
    "load_texts",
    "read_rows",
    "split",
    "standardize",
    "standardize_inputs",
    "take",
    "valid_steps",
]
