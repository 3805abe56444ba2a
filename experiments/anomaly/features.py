"""What online networks are given at each step, computed from earlier steps alone."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from experiments.data.labelled_series import Series

_DAY, _WEEK = 86400.0, 7 * 86400.0
# Steps from whose times the length of a step is known.
_FIRST_STEPS = 50


def running_scale(
    values: Float[np.ndarray, " time"], num_steps: int
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Mean and standard deviation of the values up to each step, averaged exponentially.

    `m_t = m_(t-1) + a (x_t - m_(t-1))` with `a = max(1 / t, 1 / num_steps)`: the mean of all values
    at first, and of about the last `num_steps` later.

    Args:
        values: numbers in the order of time.
        num_steps: steps over which is averaged.

    Returns:
        Mean and deviation at each step, in the unit of the values.

    >>> mean, deviation = running_scale(np.array([1.0, 3.0, 2.0]), 100)
    >>> mean.tolist(), deviation.round(3).tolist()
    ([1.0, 2.0, 2.0], [0.0, 1.0, 0.816])
    """
    means, deviations = np.empty(len(values)), np.empty(len(values))
    mean, variance = 0.0, 0.0
    for step, value in enumerate(values.tolist()):
        rate = max(1 / (step + 1), 1 / num_steps)
        difference = value - mean
        mean += rate * difference
        variance = (1 - rate) * (variance + rate * difference * difference)
        means[step], deviations[step] = mean, variance**0.5
    return means, deviations


def standardize(values: Float[np.ndarray, " time"], num_steps: int) -> Float[np.ndarray, " time"]:
    """Each value by mean and deviation up to the step before, `sign(z) log(1 + |z|)`.

    Args:
        values: numbers in the order of time.
        num_steps: of `running_scale`.

    Returns:
        What `forecast_data` has as targets.

    >>> standardize(np.array([1.0, 3.0, 2.0, 4.0]), 100)[2:].round(2).tolist()
    [0.0, 1.24]
    """
    return _scaler(values, num_steps)(values)


def _scaler(values: np.ndarray, num_steps: int) -> Callable[[np.ndarray], np.ndarray]:
    """From a number for each step to that number by what was known before the step."""
    mean, deviation = running_scale(values, num_steps)
    # A constant series has the deviation 0 until it changes.
    deviation = np.maximum(deviation, 1e-3 * np.abs(mean) + 1e-9)
    mean = np.concatenate([values[:1], mean[:-1]])
    deviation = np.concatenate([deviation[:1], deviation[:-1]])

    def scaled(rows: np.ndarray) -> np.ndarray:
        z = (rows - mean) / deviation
        return np.sign(z) * np.log1p(np.abs(z))

    return scaled


def forecast_data(
    series: Series, *, lags: Sequence[int], seasonal: bool, num_steps: int
) -> tuple[Float[np.ndarray, "time dim"], Float[np.ndarray, " time"]]:
    """Inputs and targets of a forecast of each step.

    Values are standardized by mean and deviation up to the step before, and logarithms of both
    signs, `sign(z) log(1 + |z|)`, are taken, so that no spike dominates. Inputs are the values at
    the lags and, if seasonal, one day, a step more and a step less, and one week before, 0 before
    the start; and sine and cosine of the place of the step in the day, twice, and in the week.

    Args:
        series: the series.
        lags: steps before the one that is forecast.
        seasonal: whether to take the values of a day and a week before.
        num_steps: of `running_scale`.

    Returns:
        Inputs `(time, dim)` and targets `(time,)`.

    >>> series = Series("a", np.arange(100) * 3600.0, np.arange(100.0))
    >>> x, y = forecast_data(series, lags=(1, 2), seasonal=True, num_steps=1000)
    >>> x.shape, y.shape
    ((100, 12), (100,))
    """
    values, times = series.values, series.times
    scaled = _scaler(values, num_steps)
    lengths = np.diff(times[:_FIRST_STEPS])
    length = max(float(np.median(lengths)), 1e-9) if len(lengths) else 1.0
    day = round(_DAY / length)
    every = list(lags)
    if seasonal and 1 < day < len(values):
        every += [day, day - 1, day + 1, 7 * day]
    elif seasonal:
        every += [len(values)] * 4
    steps = np.arange(len(values))
    columns = [
        np.where(steps >= lag, scaled(values[np.maximum(steps - lag, 0)]), 0) for lag in every
    ]
    for period in (_DAY, _DAY / 2, _WEEK):
        angle = 2 * np.pi * (times % period) / period
        columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1), scaled(values)
