"""The Brier score and its parts."""

import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet._checks import require_integer
from jaxnet.metrics._binning import assign_bins, checked_weights, sum_by_bin
from jaxnet.metrics.weighting import as_float, weighted_mean


class BrierParts(NamedTuple):
    """The parts of a Brier score, `score = reliability - resolution + uncertainty + within_bins`.

    Attributes:
        score: the Brier score.
        reliability: mean squared difference of probability and frequency over bins; 0 is best.
        resolution: variance of the frequencies over bins; large is good.
        uncertainty: variance of the labels, which no forecast changes.
        within_bins: what the first three leave out since the probabilities in a bin differ: their
            variance, less twice their covariance with the labels; 0 where they are equal.
    """

    score: Float[Array, ""]
    reliability: Float[Array, ""]
    resolution: Float[Array, ""]
    uncertainty: Float[Array, ""]
    within_bins: Float[Array, ""]


def brier_score(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean squared difference of the probabilities and the one-hot labels, summed over classes.

    `sum_i w_i sum_k (p_ik - [y_i = k])^2 / sum_i w_i`; with two classes twice the score of the
    probability of one of them (`sklearn.metrics.brier_score_loss` with `scale_by_half=False`).

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The score in [0, 2], a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> float(brier_score(jnp.array([[0.5, 0.5], [1.0, 0.0]]), jnp.array([0, 1])))
    1.25

    Source: Brier (1950), "Verification of Forecasts Expressed in Terms of Probability", equation 2.
    """
    weight = checked_weights("brier_score", probabilities, labels, weight)
    true = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=weight.dtype)
    return weighted_mean(jnp.sum((as_float(probabilities) - true) ** 2, axis=-1), weight)


def brier_decomposition(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    num_bins: int = 10,
    weight: Shaped[Array, " n"] | None = None,
) -> BrierParts:
    """Reliability, resolution and uncertainty of the Brier score, summed over classes; exact.

    For class k, with o = [y = k], and bins m of its probability p, of equal width, with means
    `p_m`, `o_m` and weight fractions `f_m`:

        reliability = sum_m f_m (p_m - o_m)^2       resolution = sum_m f_m (o_m - o)^2
        uncertainty = o (1 - o)
        within_bins = sum_m f_m [var_m(p) - 2 cov_m(p, o)]

    Murphy's three parts are exact where all forecasts in a bin are equal; the within-bin terms make
    the sum exact for any forecasts.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        num_bins: number of bins of each class, at least 1; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The score and its parts, scalars; NaN without examples.

    Raises:
        ValueError: `num_bins` is below 1; shapes do not match.

    >>> probabilities, labels = jnp.array([[0.75, 0.25]] * 4), jnp.array([0, 0, 0, 1])
    >>> parts = jax.jit(brier_decomposition)(probabilities, labels)
    >>> [float(part) for part in parts]
    [0.375, 0.0, 0.0, 0.375, 0.0]

    Sources: Murphy (1973), "A New Vector Partition of the Probability Score", equation 6;
    Stephenson, Coelho and Jolliffe (2008), "Two Extra Components in the Brier Score Decomposition",
    equation 5.
    """
    require_integer("brier_decomposition", "num_bins", num_bins, 1, remedy="10 is customary")
    weight = checked_weights("brier_decomposition", probabilities, labels, weight)
    num_bins = operator.index(num_bins)
    fractions = weight / jnp.sum(weight)

    def of_class(forecast: Array, outcome: Array) -> BrierParts:
        forecast = jnp.where(fractions > 0, forecast, 0)
        bins = assign_bins(forecast, weight, num_bins, "width")
        columns = jnp.stack([fractions, fractions * forecast, fractions * outcome], axis=1)
        total, forecasts, outcomes = sum_by_bin(columns, bins, num_bins).T
        size = jnp.where(total > 0, total, 1)
        mean_forecast, mean_outcome = forecasts / size, outcomes / size
        base = jnp.sum(fractions * outcome)
        # Differences to the means of the bins: no cancellation of squares.
        deviation = forecast - mean_forecast[bins]
        within = jnp.sum(fractions * deviation * (deviation - 2 * (outcome - mean_outcome[bins])))
        return BrierParts(
            jnp.sum(fractions * (forecast - outcome) ** 2),
            jnp.sum(total * (mean_forecast - mean_outcome) ** 2),
            jnp.sum(total * (mean_outcome - base) ** 2),
            base * (1 - base),
            within,
        )

    probabilities = as_float(probabilities)
    true = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=weight.dtype)
    parts = jax.vmap(of_class, (1, 1))(probabilities, true)
    is_nan = jnp.any(jnp.isnan(probabilities) & (weight > 0)[:, None]) | (jnp.sum(weight) == 0)
    return jax.tree.map(lambda part: jnp.where(is_nan, jnp.nan, jnp.sum(part)), parts)
