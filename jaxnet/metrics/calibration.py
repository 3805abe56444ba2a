"""How far probabilities are from frequencies: calibration errors and diagrams."""

import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet import _draws
from jaxnet._checks import require_integer, require_range
from jaxnet.metrics._binning import Binning, assign_bins, checked_weights, sum_by_bin
from jaxnet.metrics.weighting import as_float, example_weights, require_logits


class ReliabilityDiagram(NamedTuple):
    """Confidence and accuracy in bins of the confidence; NaN in a bin without examples.

    Attributes:
        confidence: mean confidence.
        accuracy: fraction of the examples that are classified correctly.
        lower: lower end of the interval of the accuracy.
        upper: upper end of the interval of the accuracy.
        weight: sum of the weights of the examples.
    """

    confidence: Float[Array, " bins"]
    accuracy: Float[Array, " bins"]
    lower: Float[Array, " bins"]
    upper: Float[Array, " bins"]
    weight: Float[Array, " bins"]


def debiased_calibration_error(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    num_bins: int = 15,
    binning: Binning = "mass",
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Root mean squared calibration error, less what the chance of finitely many labels adds.

    `sqrt(max(0, sum_m f_m [(c_m - a_m)^2 - a_m (1 - a_m) / (n_m - 1)]))` with mean confidence
    `c_m`, accuracy `a_m`, weight fraction `f_m` and number of examples `n_m` of bin m. The term
    that is subtracted is the variance of the accuracy, so that the sum is unbiased, where the error
    of perfectly calibrated probabilities without it is above 0 (`calibration_error_floor`).

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        num_bins: number of bins, at least 1; static.
        binning: bins of the confidence of equal "mass", as the source recommends, or of equal
            "width", those of `expected_calibration_error`; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones. The number of
            examples of a bin is then `(sum w)^2 / sum w^2`.

    Returns:
        The error in [0, 1], a scalar; NaN without examples. It is at least as large as a mean
        absolute error with the same bins. A bin of one example adds nothing.

    Raises:
        ValueError: `num_bins` is below 1; an unknown binning; shapes do not match.

    >>> probabilities = jnp.array([[0.75, 0.25]] * 8)
    >>> error = jax.jit(debiased_calibration_error)
    >>> float(error(probabilities, jnp.array([0, 0, 0, 0, 0, 1, 0, 1])))
    0.0
    >>> float(error(probabilities, jnp.zeros(8, int)))
    0.25

    Source: Kumar, Liang and Ma (2019), "Verified Uncertainty Calibration", section 5, definition
    5.1.
    """
    name = "debiased_calibration_error"
    require_integer(name, "num_bins", num_bins, 1, remedy="15 is customary")
    weight = checked_weights(name, probabilities, labels, weight)
    num_bins = operator.index(num_bins)
    confidence, hits = _top(probabilities, labels)
    bins = assign_bins(confidence, weight, num_bins, binning)
    total, gap, accuracy, number = _gaps(confidence, hits, weight, bins, num_bins)
    variance = accuracy * (1 - accuracy) / jnp.maximum(number - 1, 1)
    # Of the noise of a single example nothing is known.
    terms = jnp.where(number > 1 + 1e-6, total * (gap**2 - variance), 0)
    error = jnp.sum(terms) / jnp.sum(weight)
    return jnp.where(jnp.isnan(gap).any(), jnp.nan, jnp.sqrt(jnp.maximum(error, 0)))


def calibration_error_floor(
    probabilities: Float[Array, "n classes"],
    key: Array,
    *,
    num_draws: int = 200,
    num_bins: int = 15,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """What `expected_calibration_error` is on average where the probabilities are perfectly right.

    The mean over draws of labels from the probabilities. The fewer the examples, the higher: an
    error of this size says nothing against the calibration.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        key: draws the labels.
        num_draws: number of draws, at least 1; static.
        num_bins: number of bins of equal width, at least 1; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The mean error in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: a count below 1; shapes do not match.

    >>> probabilities = jnp.full((10, 2), 0.5)
    >>> bool(jax.jit(calibration_error_floor)(probabilities, jax.random.key(0)) > 0.1)
    True

    Source: Bröcker and Smith (2007), "Increasing the Reliability of Reliability Diagrams", section
    3 (consistency resampling).
    """
    require_integer("calibration_error_floor", "num_draws", num_draws, 1)
    require_integer("calibration_error_floor", "num_bins", num_bins, 1, remedy="15 is customary")
    require_logits("calibration_error_floor", "probabilities", probabilities)
    weight = example_weights("calibration_error_floor", len(probabilities), weight)
    num_bins, num_draws = operator.index(num_bins), operator.index(num_draws)
    confidence = as_float(jnp.max(probabilities, axis=-1))
    bins = assign_bins(confidence, weight, num_bins, "width")
    is_hit = _draws.uniform(key, (num_draws, len(confidence)), confidence.dtype) < confidence

    def error(hits: Array) -> Array:
        total, gap, *_ = _gaps(confidence, as_float(hits), weight, bins, num_bins)
        return jnp.sum(total * jnp.abs(gap)) / jnp.sum(weight)

    return jnp.mean(jax.lax.map(error, is_hit))


def reliability_diagram(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    num_bins: int = 15,
    binning: Binning = "width",
    level: ArrayLike = 0.95,
    weight: Shaped[Array, " n"] | None = None,
) -> ReliabilityDiagram:
    """Accuracy against confidence, with an interval of the accuracy in each bin.

    The interval is that of Wilson: with `z` the quantile of the level, accuracy `a` of `n` examples
    has `(a + z^2 / 2n +- z sqrt(a (1 - a) / n + z^2 / 4n^2)) / (1 + z^2 / n)`.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        num_bins: number of bins of the confidence, at least 1; static.
        binning: bins of equal "width" or of equal "mass"; static.
        level: probability that an interval covers the true accuracy, in (0, 1); may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The diagram.

    Raises:
        ValueError: a number out of range; an unknown binning; shapes do not match.

    >>> run = jax.jit(reliability_diagram, static_argnames="num_bins")
    >>> diagram = run(jnp.array([[0.75, 0.25]] * 4), jnp.array([0, 0, 0, 1]), num_bins=2)
    >>> diagram.accuracy.tolist(), diagram.weight.tolist()
    ([nan, 0.75], [0.0, 4.0])

    Sources: DeGroot and Fienberg (1983), "The Comparison and Evaluation of Forecasters"; Wilson
    (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    require_integer("reliability_diagram", "num_bins", num_bins, 1, remedy="15 is customary")
    require_range(
        "reliability_diagram", "level", level, 0, 1, include_low=False, include_high=False
    )
    weight = checked_weights("reliability_diagram", probabilities, labels, weight)
    confidence, hits = _top(probabilities, labels)
    num_bins = operator.index(num_bins)
    bins = assign_bins(confidence, weight, num_bins, binning)
    total, gap, accuracy, number = _gaps(confidence, hits, weight, bins, num_bins)
    z = norm.ppf((1 + as_float(level)) / 2)
    number = jnp.maximum(number, 1e-30)
    spread = z * jnp.sqrt(accuracy * (1 - accuracy) / number + (z / (2 * number)) ** 2)
    center, scale = accuracy + z**2 / (2 * number), 1 + z**2 / number
    values = (accuracy + gap, accuracy, (center - spread) / scale, (center + spread) / scale)
    shown = [jnp.where(total > 0, value, jnp.nan) for value in values]
    return ReliabilityDiagram(shown[0], shown[1], shown[2], shown[3], total)


def _top(probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """Confidence and whether the most probable class is the true one."""
    confidence = as_float(jnp.max(probabilities, axis=-1))
    return confidence, as_float(jnp.argmax(probabilities, axis=-1) == labels)


def _gaps(
    confidence: Array, hits: Array, weight: Array, bins: Array, num_bins: int
) -> tuple[Array, Array, Array, Array]:
    """For each bin: weight, confidence less accuracy, accuracy, and the number of examples."""
    exists = weight > 0
    columns = (weight, weight * (confidence - hits), weight * hits, weight**2)
    columns = jnp.stack([jnp.where(exists, column, 0) for column in columns], axis=1)
    total, gap, hit, squares = sum_by_bin(columns, bins, num_bins).T
    size = jnp.where(total > 0, total, 1)
    number = total**2 / jnp.where(squares > 0, squares, 1)
    return total, gap / size, hit / size, number
