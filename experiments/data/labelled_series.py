"""Time series that an experiment takes, with labelled windows where there are any."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


# Arrays have no single truth value, so two are compared by `sha256`, not by `==`.
@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """One number at each of some times.

    Attributes:
        name: what it is called in reports.
        times: seconds since 1970, in increasing order, float64.
        values: finite numbers, float64.
        windows: first and last step of each labelled window, last step included.
        records: the row of the file, from 1, that each step was read from.
    """

    name: str
    times: Float[np.ndarray, " time"]
    values: Float[np.ndarray, " time"]
    windows: tuple[tuple[int, int], ...] = ()
    records: Int[np.ndarray, " time"] | None = None

    @property
    def labels(self) -> Int[np.ndarray, " time"]:
        """1 for the steps in labelled windows, 0 for others."""
        labels = np.zeros(len(self.values), np.int64)
        for first, last in self.windows:
            labels[first : last + 1] = 1
        return labels


@dataclasses.dataclass(frozen=True, eq=False)
class SeriesCollection:
    """Series that are read, scored and evaluated together.

    Attributes:
        name: of the data set, or the stem of the user's file.
        series: the series.
        is_named: whether the data set is known by its name; False for the user's data.
        is_labelled: whether labelled windows exist, so that scores can be evaluated.
        notes: what a user should know of how a file was read, a sentence each.
    """

    name: str
    series: tuple[Series, ...]
    is_named: bool = False
    is_labelled: bool = False
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 over names, times, values and windows."""
        digest = hashlib.sha256()
        for series in self.series:
            digest.update(f"{series.name} {len(series.values)} {series.windows}\n".encode())
            digest.update(np.ascontiguousarray(series.times, np.float64).tobytes())
            digest.update(np.ascontiguousarray(series.values, np.float64).tobytes())
        return digest.hexdigest()


def pad_series(rows: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Series of different lengths as one array, and weights that are 0 for the padding.

    Args:
        rows: arrays `(time, ...)`.
        length: number of steps of the result, at least that of the longest.

    Returns:
        Arrays `(series, length, ...)`, float32, 0 in the padding, and weights `(series, length)`.

    >>> padded, weight = pad_series([np.ones(3), np.ones(1)], 3)
    >>> padded.tolist(), weight.tolist()
    ([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    """
    padded = np.zeros((len(rows), length, *rows[0].shape[1:]), np.float32)
    weight = np.zeros((len(rows), length), np.float32)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
        weight[index, : len(row)] = 1
    return padded, weight
