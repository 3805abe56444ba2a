"""How far probabilities are from frequencies: Brier score, calibration error, diagrams."""

import operator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet._checks import require_integer, require_range
from jaxnet.metrics.weighting import as_float, example_weights, require_logits, weighted_mean
from jaxnet.objectives.weighting import require_shape

Binning = Literal["width", "mass"]


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
    weight = _checked("brier_score", probabilities, labels, weight)
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

    >>> parts = brier_decomposition(jnp.array([[0.75, 0.25]] * 4), jnp.array([0, 0, 0, 1]))
    >>> [float(part) for part in parts]
    [0.375, 0.0, 0.0, 0.375, 0.0]

    Sources: Murphy (1973), "A New Vector Partition of the Probability Score", equation 6;
    Stephenson, Coelho and Jolliffe (2008), "Two Extra Components in the Brier Score Decomposition",
    equation 5.
    """
    require_integer("brier_decomposition", "num_bins", num_bins, 1, remedy="10 is customary")
    weight = _checked("brier_decomposition", probabilities, labels, weight)
    num_bins = operator.index(num_bins)
    fractions = weight / jnp.sum(weight)

    def of_class(forecast: Array, outcome: Array) -> BrierParts:
        forecast = jnp.where(fractions > 0, forecast, 0)
        bins = _bins(forecast, weight, num_bins, "width")
        sums = _sums_by_bin(jnp.stack([fractions, fractions * forecast, fractions * outcome], 1))
        total, forecasts, outcomes = sums(bins, num_bins).T
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
    is_nan = jnp.any(jnp.isnan(probabilities) & (weight > 0)[:, None])
    return jax.tree.map(lambda part: jnp.where(is_nan, jnp.nan, jnp.sum(part)), parts)


def debiased_calibration_error(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    num_bins: int = 15,
    order: Literal[1, 2] = 2,
    binning: Binning = "mass",
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Calibration error of the confidence, less what the chance of finitely many labels adds.

    With mean confidence `c_m`, accuracy `a_m`, weight fraction `f_m` and number of examples `n_m`
    of bin m, and `s_m^2 = a_m (1 - a_m) / (n_m - 1)`, the variance of the accuracy:

        order 2: sqrt(max(0, sum_m f_m [(c_m - a_m)^2 - s_m^2]))
        order 1: sum_m f_m [2 |c_m - a_m| - E|c_m - a_m + s_m z|],  z standard normal

    Order 2 without the root is unbiased for the squared error of the bins. Order 1 is the plain
    error of `expected_calibration_error`, whose bias is taken to be what one more draw of the noise
    adds to it; it is approximate, and may be negative. The plain error of perfectly calibrated
    probabilities is above 0, the more so the fewer the examples.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        num_bins: number of bins, at least 1; static.
        order: 2 for the root of a mean square, 1 for a mean absolute difference; static.
        binning: bins of equal "mass", as the source recommends, or of equal "width", those of
            `expected_calibration_error`; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones. The number of
            examples of a bin is then `(sum w)^2 / sum w^2`.

    Returns:
        The error, a scalar; NaN without examples. A bin of one example adds nothing.

    Raises:
        ValueError: `num_bins` is below 1; an unknown order or binning; shapes do not match.

    >>> probabilities = jnp.array([[0.75, 0.25]] * 8)
    >>> float(debiased_calibration_error(probabilities, jnp.array([0, 0, 0, 0, 0, 1, 0, 1])))
    0.0
    >>> float(debiased_calibration_error(probabilities, jnp.zeros(8, int)))
    0.25

    Source: Kumar, Liang and Ma (2019), "Verified Uncertainty Calibration", section 5 (order 2) and
    the bias correction of the first order in their appendix, here with the closed form of the
    folded normal distribution instead of draws.
    """
    name = "debiased_calibration_error"
    require_integer(name, "num_bins", num_bins, 1, remedy="15 is customary")
    if order not in (1, 2):
        raise ValueError(f"{name}: order must be 1 or 2, found {order!r}")
    weight = _checked(name, probabilities, labels, weight)
    confidence, hits = _top(probabilities, labels)
    bins = _bins(confidence, weight, operator.index(num_bins), binning)
    total, gap, accuracy, number = _gaps(confidence, hits, weight, bins, operator.index(num_bins))
    variance = accuracy * (1 - accuracy) / jnp.maximum(number - 1, 1)
    counts = number > 1 + 1e-6
    if order == 2:
        terms = gap**2 - variance
    else:
        deviation = jnp.sqrt(jnp.maximum(variance, 0))
        ratio = gap / jnp.where(deviation > 0, deviation, 1)
        folded = 2 * deviation * norm.pdf(ratio) + gap * (1 - 2 * norm.cdf(-ratio))
        terms = 2 * jnp.abs(gap) - jnp.where(deviation > 0, folded, jnp.abs(gap))
    # Without the bins of one example, of whose noise nothing is known.
    error = jnp.sum(jnp.where(counts, total * terms, 0)) / jnp.sum(weight)
    error = jnp.where(jnp.isnan(gap).any(), jnp.nan, error)
    return jnp.sqrt(jnp.maximum(error, 0)) if order == 2 else error


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

    >>> diagram = reliability_diagram(
    ...     jnp.array([[0.75, 0.25]] * 4), jnp.array([0, 0, 0, 1]), num_bins=2
    ... )
    >>> diagram.accuracy.tolist(), diagram.weight.tolist()
    ([nan, 0.75], [0.0, 4.0])

    Sources: DeGroot and Fienberg (1983), "The Comparison and Evaluation of Forecasters"; Wilson
    (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    require_integer("reliability_diagram", "num_bins", num_bins, 1, remedy="15 is customary")
    require_range(
        "reliability_diagram", "level", level, 0, 1, include_low=False, include_high=False
    )
    weight = _checked("reliability_diagram", probabilities, labels, weight)
    confidence, hits = _top(probabilities, labels)
    num_bins = operator.index(num_bins)
    bins = _bins(confidence, weight, num_bins, binning)
    total, gap, accuracy, number = _gaps(confidence, hits, weight, bins, num_bins)
    z = norm.ppf((1 + as_float(level)) / 2)
    number = jnp.maximum(number, 1e-30)
    spread = z * jnp.sqrt(accuracy * (1 - accuracy) / number + (z / (2 * number)) ** 2)
    center, scale = accuracy + z**2 / (2 * number), 1 + z**2 / number
    values = (accuracy + gap, accuracy, (center - spread) / scale, (center + spread) / scale)
    shown = [jnp.where(total > 0, value, jnp.nan) for value in values]
    return ReliabilityDiagram(shown[0], shown[1], shown[2], shown[3], total)


def _checked(
    function: str, probabilities: Array, labels: Array, weight: Array | None
) -> Float[Array, " n"]:
    require_logits(function, "probabilities", probabilities)
    require_shape(function, "labels", labels, probabilities.shape[:1])
    return example_weights(function, len(probabilities), weight)


def _top(probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """Confidence and whether the most probable class is the true one."""
    confidence = as_float(jnp.max(probabilities, axis=-1))
    return confidence, as_float(jnp.argmax(probabilities, axis=-1) == labels)


def _bins(values: Array, weight: Array, num_bins: int, binning: Binning) -> Integer[Array, " n"]:
    """The bin of each value: of equal width in (0, 1], or of equal weight with ties together."""
    if binning == "width":
        bins = jnp.ceil(values * num_bins) - 1
    elif binning == "mass":
        present = jnp.where(weight > 0, values, jnp.inf)
        ranked = jnp.sort(present)
        sums = jnp.cumsum(jnp.where(weight > 0, weight, 0)[jnp.argsort(present)])
        below = jnp.concatenate([jnp.zeros(1, sums.dtype), sums])
        rank = below[jnp.searchsorted(ranked, present)] / sums[-1]
        # 6 examples in 3 bins begin at ranks 0, 1/3 and 2/3, which are rounded.
        bins = jnp.floor(rank * num_bins * (1 + 4 * jnp.finfo(rank.dtype).eps))
    else:
        raise ValueError(f"binning must be 'width' or 'mass', found {binning!r}")
    return jnp.clip(jnp.nan_to_num(bins), 0, num_bins - 1).astype(int)


def _sums_by_bin(values: Array):
    """From bins to the sums of the rows of some values in each."""

    def sums(bins: Array, num_bins: int) -> Array:
        members = jax.nn.one_hot(bins, num_bins, dtype=values.dtype)
        return jnp.matmul(members.T, values, precision=jax.lax.Precision.HIGHEST)

    return sums


def _gaps(
    confidence: Array, hits: Array, weight: Array, bins: Array, num_bins: int
) -> tuple[Array, Array, Array, Array]:
    """For each bin: weight, confidence less accuracy, accuracy, and the number of examples."""
    exists = weight > 0
    columns = (weight, weight * (confidence - hits), weight * hits, weight**2)
    columns = jnp.stack([jnp.where(exists, column, 0) for column in columns], axis=1)
    total, gap, hit, squares = _sums_by_bin(columns)(bins, num_bins).T
    size = jnp.where(total > 0, total, 1)
    number = total**2 / jnp.where(squares > 0, squares, 1)
    return total, gap / size, hit / size, number
