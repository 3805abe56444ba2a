"""Options of experiments.timeseries."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from experiments.config import PositiveFloat, PositiveInt, RunOptions, WatchOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(WatchOptions, RunOptions):
    """Classify sets of time series by random convolutions, beside ROCKET."""

    experiment: ClassVar[str] = "timeseries"
    dataset: ClassVar[str] = "series"

    sets: tuple[str, ...] = ()
    """Names of the sets, such as GunPoint; none of them means all."""
    data_dir: Path | None = None
    """Folder with timeseries/; None uses the folder that JAXNET_DATA names, and downloads what is
    not there and has an address."""
    num_seeds: PositiveInt = 5
    """Number of networks for each set, each with its own random convolutions."""
    num_features: PositiveInt = 9996
    """Random features, rounded down to a multiple of 84."""
    l2_weight: PositiveFloat = 1e-4
    """Weight of the L2 penalty on the trained layer, whose inputs have a mean square norm of 1."""
    num_epochs: PositiveInt = 60
    """Steps of L-BFGS, each on all training series."""
    peer: bool = True
    """Also train ROCKET where the package aeon is installed."""
