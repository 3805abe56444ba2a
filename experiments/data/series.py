"""Labeled series as a data set: those that are known by name, and a user's .ts file."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydantic

from experiments.data.dataset import Dataset, NewRows
from experiments.data.format import from_saved_json, to_saved_json
from experiments.data.ts_files import LabeledSeries, read_ts
from jaxnet.nn import pad_sequences
from jaxnet.typing import Sequences


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesFormat:
    """What new series must be to be predicted.

    Attributes:
        num_channels: numbers of a step.

    >>> SeriesFormat.from_json(SeriesFormat(num_channels=3).to_json())
    SeriesFormat(num_channels=3)
    """

    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")
    kind: ClassVar[str] = "series"

    num_channels: int

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return {}

    def load(self, path: Path) -> NewRows:
        """Read new series.

        Args:
            path: a .ts file, with or without classes.

        Returns:
            Series, and what goes with them.

        Raises:
            ValueError: as `read_ts`, or another number of channels.
        """
        series = read_ts(path)
        num_channels = series.values[0].shape[1]
        if num_channels != self.num_channels:
            raise ValueError(
                f"{path}: the series have {num_channels} channels, expected {self.num_channels} as "
                "in the run"
            )
        x = Sequences(*map(np.asarray, pad_sequences(series.values)))
        return NewRows(x, {}, [""] * len(series.values), [])

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return to_saved_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> "SeriesFormat":
        """Read what `to_json` wrote.

        Args:
            text: JSON.

        Returns:
            The format.

        Raises:
            ValueError: the text is not JSON, or a field is missing, unknown or of another type.
        """
        return from_saved_json(SeriesFormat, text, what="a saved format of series")


def series_dataset(name: str, series: LabeledSeries) -> Dataset:
    """Labeled series as a data set.

    Args:
        name: of the data set.
        series: the series.

    Returns:
        The data set; steps beyond the length of a series are 0.

    >>> values = [np.ones((2, 1), np.float32), np.ones((3, 1), np.float32)]
    >>> dataset = series_dataset("two", LabeledSeries(values, np.arange(2), ("a", "b")))
    >>> dataset.is_series, dataset.x.shape, dataset.length.tolist()
    (True, (2, 3, 1), [2, 3])
    """
    padded = pad_sequences(series.values)
    return Dataset(
        name,
        np.asarray(padded.values),
        series.labels.astype(np.int32),
        class_names=series.class_names,
        length=np.asarray(padded.length),
        num_official_test=series.num_official_test,
        preprocessing=SeriesFormat(num_channels=series.values[0].shape[1]),
    )


def holds_series(path: Path) -> bool:
    """Whether a file is one of series, by its ending."""
    return path.suffix.lower() == ".ts"


def load_series(path: Path) -> Dataset:
    """Load the series of a user's .ts file.

    Args:
        path: of the file.

    Returns:
        The data set, named after the file.

    Raises:
        ValueError: as `read_ts`.
    """
    return series_dataset(path.stem, read_ts(path))
