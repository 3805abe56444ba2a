"""Skewed numbers as a network needs them: by their rank, by their size, and whether they are 0."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

_NUM_QUANTILES, _FARTHEST = 200, 3.0


class Features(NamedTuple):
    """What was fitted on training rows, by `fit_features`.

    Attributes:
        is_number: which columns have more than two different values, `(columns,)`.
        has_zeros: which of these hold 0 and nothing below it.
        quantiles: scikit-learn's transformation of these to normal numbers; None without any.
        size: median of the numbers that are not 0, of each of these.
        mean: of the logarithms of these.
        scale: standard deviation of the logarithms.
    """

    is_number: np.ndarray
    has_zeros: np.ndarray
    quantiles: Any
    size: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, x: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n features"]:
        """Features of rows: columns of two values as they are, and up to three of each number.

        A number becomes its normal score, that is the normal number with the same rank in the
        training rows, cut to [-3, 3]; `sign(x) log(1 + |x| / size)`, standardized; and, where the
        column holds zeros and nothing below, whether it is 0.

        Args:
            x: columns of a table.
        """
        numbers = x[:, self.is_number].astype(np.float64)
        parts = [x[:, ~self.is_number]]
        if self.quantiles is not None:
            parts += [
                np.clip(self.quantiles.transform(numbers), -_FARTHEST, _FARTHEST),
                (_logarithms(numbers, self.size) - self.mean) / self.scale,
                numbers[:, self.has_zeros] == 0,
            ]
        return np.concatenate(parts, axis=1).astype(np.float32)


def fit_features(x: Float[np.ndarray, "n columns"]) -> Features:
    """Fit the features on training rows.

    Args:
        x: columns of a table: numbers, and categories as columns of 0 and 1.

    >>> x = np.array([[0, 1], [1, 0], [5, 1], [100, 0]], np.float32)
    >>> features = fit_features(x)
    >>> features(x).shape, features(x)[:, -1].tolist()
    ((4, 4), [1.0, 0.0, 0.0, 0.0])
    """
    from sklearn.preprocessing import QuantileTransformer

    is_number = np.array([len(np.unique(column)) > 2 for column in x.T], bool)
    numbers = x[:, is_number].astype(np.float64)
    empty = np.zeros(0)
    if not is_number.any():
        return Features(is_number, np.zeros(0, bool), None, empty, empty, empty)
    quantiles = QuantileTransformer(
        n_quantiles=min(_NUM_QUANTILES, len(x)), output_distribution="normal", random_state=0
    ).fit(numbers)
    size = np.array([np.median(np.abs(column[column != 0])) for column in numbers.T])
    logarithms = _logarithms(numbers, size)
    scale = logarithms.std(axis=0)
    has_zeros = (numbers.min(axis=0) == 0) & (numbers == 0).any(axis=0)
    return Features(
        is_number, has_zeros, quantiles, size, logarithms.mean(axis=0), np.maximum(scale, 1e-6)
    )


def _logarithms(numbers: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.sign(numbers) * np.log1p(np.abs(numbers) / size)
