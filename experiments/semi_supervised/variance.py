"""Which part of the variance of a result is that of the labels drawn, and which of the seeds."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Components(NamedTuple):
    """The mean of results over draws and seeds, and where they vary.

    Attributes:
        mean: over all draws and seeds.
        standard_error: of the mean, over draws and seeds; None for one draw.
        std_draws: standard deviation due to the draw of the labels; None for one draw.
        std_seeds: standard deviation due to the seed, of networks of one draw; None for one seed,
            where `std_draws` is that of both together.
    """

    mean: float
    standard_error: float | None
    std_draws: float | None
    std_seeds: float | None


def variance_components(values: Float[np.ndarray, "draws seeds"]) -> Components:
    """Split the variance of results into that of draws and that of seeds, by analysis of variance.

    The model is `y_ds = mean + a_d + e_ds` with independent `a` of variance `A` (draws) and `e` of
    variance `E` (seeds of one draw). With D draws, S seeds of each, means `y_d` of the draws and
    the mean `y` of all,

        B = S sum_d (y_d - y)^2 / (D - 1)           between draws, of expectation S A + E
        W = sum_ds (y_ds - y_d)^2 / (D (S - 1))     within draws, of expectation E

    so the estimates are `E = W` and `A = max(0, (B - W) / S)`, and the standard error of the mean
    is `sqrt(B / (D S))`.

    Args:
        values: one for each draw and seed.

    Returns:
        Mean, standard error and standard deviations.

    >>> parts = variance_components(np.array([[1.0, 3.0], [7.0, 9.0]]))
    >>> parts.mean, parts.standard_error, round(parts.std_draws**2, 6), round(parts.std_seeds**2, 6)
    (5.0, 3.0, 17.0, 2.0)

    Source: Searle, Casella, McCulloch (1992), "Variance Components", section 3.5.
    """
    values = np.asarray(values, np.float64)
    num_draws, num_seeds = values.shape
    of_draws = values.mean(axis=1)
    within = values.var(axis=1, ddof=1).mean() if num_seeds > 1 else None
    if num_draws == 1:
        std_seeds = None if within is None else math.sqrt(within)
        return Components(float(values.mean()), None, None, std_seeds)
    between = num_seeds * of_draws.var(ddof=1)
    variance = max(0.0, (between - (within or 0.0)) / num_seeds)
    return Components(
        float(values.mean()),
        math.sqrt(between / values.size),
        math.sqrt(variance),
        None if within is None else math.sqrt(within),
    )


def paired_difference(
    values: Float[np.ndarray, "draws seeds"], others: Float[np.ndarray, "draws others"]
) -> tuple[float, float | None]:
    """Mean difference of two methods on the same draws, and its standard error.

    The results of a draw are averaged over its seeds first, since seeds of a draw share its labels.

    Args:
        values: results of a method.
        others: those of the method that it is compared with.

    Returns:
        The mean of `values - others` over draws, and the standard error of this mean, None for one
        draw.

    >>> paired_difference(np.array([[1.0], [2.0]]), np.array([[2.0, 4.0], [3.0, 3.0]]))
    (-1.5, 0.5)
    """
    differences = np.mean(values, axis=1, dtype=np.float64) - np.mean(others, axis=1)
    if len(differences) < 2:
        return float(differences.mean()), None
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return float(differences.mean()), float(error)
