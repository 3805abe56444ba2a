"""Scaling of features and targets, fitted on the training part only.

scikit-learn's `StandardScaler` scales a feature that differs only by the rounding of float32 to
unit variance; here such a feature is constant. Fitted values are two arrays, which are saved with a
run as they are.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from experiments.data.dataset import Inputs
from jaxnet.nn import time_mask
from jaxnet.typing import Sequences

# Of the standard deviation: how far float32 may move a number before that is noticed.
_MAX_ROUNDING = 1e-3


class Standardization(NamedTuple):
    """Fitted values: arrays of the shape of one example, or scalars.

    They are float64 where they were fitted on float64, else float32. A standardized value is
    `(x - mean) / scale`; the scale is never 0.
    """

    mean: np.ndarray
    scale: np.ndarray


def fit_standardization(
    x: Shaped[np.ndarray, "n ..."], *, per_feature: bool = True
) -> Standardization:
    """Mean and standard deviation, computed in float64.

    A feature that varies by no more than the rounding of its dtype is constant: its mean is its
    smallest value and its scale is 1, so that a constant becomes exactly zero.

    Args:
        x: training features or targets `(n, ...)`, in any unit.
        per_feature: one mean and scale for each feature, or one for all (images).

    Returns:
        Mean and scale in the unit of `x`: shape `x.shape[1:]`, or `()` for one for all.

    Raises:
        ValueError: there are no examples.

    >>> fitted = fit_standardization(np.array([[0.1, 1.0], [0.1, 3.0]]))
    >>> standardize(fitted, np.array([[0.1, 3.0]])).tolist()
    [[0.0, 1.0]]
    """
    _require_values(x)
    x = _floating(x)
    axis = 0 if per_feature else None
    low, high = (extreme(axis=axis).astype(np.float64) for extreme in (x.min, x.max))
    mean, deviation = (moment(axis=axis, dtype=np.float64) for moment in (x.mean, x.std))
    # A deviation below float32's smallest normal number would become a scale of 0.
    constant = high - low <= np.finfo(x.dtype).eps * np.maximum(abs(low), abs(high))
    constant |= deviation < np.finfo(np.float32).tiny
    return Standardization(
        np.where(constant, low, mean).astype(x.dtype),
        np.where(constant, 1.0, deviation).astype(x.dtype),
    )


def valid_steps(x: Sequences) -> Shaped[np.ndarray, "steps ..."]:
    """The steps of all sequences, without padding, one after the other.

    >>> valid_steps(Sequences(np.array([[1, 0], [2, 3]]), np.array([1, 2]))).tolist()
    [1, 2, 3]
    """
    return np.asarray(x.values)[np.asarray(time_mask(x))]


def standardize_inputs(standardization: Standardization, x: Inputs) -> Inputs:
    """`standardize` an array, or each step of series; tokens stay as they are.

    Args:
        standardization: fitted on examples, or on the channels of `valid_steps`.
        x: an array or sequences.

    Returns:
        The same kind; what the padding holds is not defined.
    """
    if not isinstance(x, Sequences):
        return standardize(standardization, x)
    values = np.asarray(x.values)
    if not np.issubdtype(values.dtype, np.integer):
        values = standardize(standardization, values)
    return Sequences(values, np.asarray(x.length))


def standardize(
    standardization: Standardization, x: Shaped[np.ndarray, "n ..."]
) -> Float[np.ndarray, "n ..."]:
    """Apply a fitted standardization.

    Args:
        standardization: from `fit_standardization`, `fit_unit_interval` or `fit_idf`.
        x: values `(n, ...)` in the unit of the fitted values.

    Returns:
        `(x - mean) / scale`, without unit, float32, of the shape of `x`.

    >>> fitted = Standardization(np.float32(1.0), np.float32(2.0))
    >>> standardize(fitted, np.array([5.0])).tolist()
    [2.0]
    """
    # In the dtype that was fitted: 0.1 in float64 is not the mean that float32 holds, and numbers
    # that float32 cannot tell apart are subtracted in float64.
    dtype = np.result_type(standardization.mean)
    x = np.asarray(x, np.float64 if dtype == np.float64 else np.float32)
    standardized = (x - standardization.mean) / standardization.scale
    return standardized.astype(np.float32, copy=False)


def fit_unit_interval(x: Shaped[np.ndarray, "n ..."]) -> Standardization:
    """The smallest value and the range of each feature, which `standardize` maps to [0, 1].

    Args:
        x: training features `(n, ...)`, in any unit.

    Returns:
        Smallest value and range in the unit of `x`, as a `Standardization`; the range of a constant
        feature is 1. Other data may leave [0, 1], by as much as they leave the range.

    Raises:
        ValueError: there are no examples.

    >>> fitted = fit_unit_interval(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> standardize(fitted, np.array([[2.0, 5.0], [4.0, 5.0]])).tolist()
    [[0.5, 0.0], [1.5, 0.0]]
    """
    _require_values(x)
    x = _floating(x)
    low, extent = x.min(axis=0), np.ptp(x, axis=0)
    return Standardization(low, np.where(extent == 0, x.dtype.type(1), extent))


def needs_float64(values: Float[np.ndarray, " n"]) -> bool:
    """Whether float32 would move numbers noticeably, compared with how much they vary.

    Args:
        values: finite numbers `(n,)`, float64.

    >>> needs_float64(1.7e9 + np.arange(10.0)), needs_float64(2000 + np.arange(10.0))
    (True, False)
    """
    if not len(values):
        return False
    largest = np.float32(np.abs(values).max())
    deviation = values.std()
    return bool(deviation > 0 and np.spacing(largest) / 2 > _MAX_ROUNDING * deviation)


def _floating(x: np.ndarray) -> np.ndarray:
    """Float64 as it is, everything else as float32."""
    return np.asarray(x, np.float64 if np.asarray(x).dtype == np.float64 else np.float32)


def _require_values(x: np.ndarray) -> None:
    if x.size == 0:
        raise ValueError(f"x has shape {x.shape} and holds no values; at least one is needed")
