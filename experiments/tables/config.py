"""Options of experiments.tables."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from experiments.config import PositiveInt, RunOptions, WatchOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(WatchOptions, RunOptions):
    """Compare the default network for a user's table with scikit-learn's classifiers."""

    experiment: ClassVar[str] = "tables"
    dataset: ClassVar[str] = "tables"

    tables: tuple[str, ...] = ()
    """Names of the tables; none of them means all that are available, or only the files of --data
    where there are any."""
    data: tuple[Path, ...] = ()
    """Files of the user: CSV, Parquet or NPZ tables."""
    label: tuple[str, ...] = ()
    """Column of the labels of each file."""
    data_dir: Path | None = None
    """Folder with online-shoppers/; None uses the folder that JAXNET_DATA names."""
    num_seeds: PositiveInt = 5
    """Number of splits of each table, each with a network that starts from its own seed; tables of
    fewer than 1000 rows, whose test parts are small, have four times this number."""
