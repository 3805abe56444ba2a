"""Split conformal prediction: sets of classes and intervals that cover with a given probability.

The scores of some examples that trained nothing give one number, `conformal_quantile`; the set or
the interval of a new example holds what scores at most this number. If calibration and new examples
are exchangeable, it holds the true value with a probability of at least the coverage, whatever the
network. The probability is over calibration and new examples together; for given calibration
examples it follows `coverage_distribution`.
"""

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive, require_range
from jaxnet.metrics.weighting import as_float, example_weights, require_vectors


def min_calibration_size(coverage: float) -> int:
    """The least number of calibration examples with which a coverage is possible.

    `ceil(1 / alpha) - 1` with `alpha = 1 - coverage`; with fewer the conformal quantile is infinite
    and every set holds everything.

    Args:
        coverage: in (0, 1).

    Returns:
        The number.

    Raises:
        ValueError: a coverage out of range.

    >>> min_calibration_size(0.9), min_calibration_size(0.95), min_calibration_size(0.99)
    (9, 19, 99)

    Source: Angelopoulos and Bates (2023), "Conformal Prediction: A Gentle Introduction", section 1.
    """
    _require_coverage("min_calibration_size", coverage)
    # 1 / (1 - 0.9) is a little above 10.
    return math.ceil(1 / (1 - float(coverage)) * (1 - 1e-9)) - 1


def coverage_distribution(num_calibration: int, coverage: float) -> tuple[int, int]:
    """The Beta distribution of the coverage on new examples, given the calibration examples.

    `Beta(n + 1 - l, l)` with `l = floor((n + 1) (1 - coverage))`, for scores without ties. The
    number of m new examples that are covered is then beta-binomial.

    Args:
        num_calibration: number of calibration examples, n.
        coverage: nominal coverage, in (0, 1).

    Returns:
        The two parameters; their mean `(n + 1 - l) / (n + 1)` is at least the nominal coverage. The
        second is 0 with fewer examples than `min_calibration_size`: everything is covered.

    Raises:
        ValueError: a number out of range.

    >>> coverage_distribution(99, 0.9)
    (90, 10)

    Source: Vovk (2012), "Conditional Validity of Inductive Conformal Predictors", proposition 2b;
    Angelopoulos and Bates (2023), section 3.2.
    """
    require_positive("coverage_distribution", num_calibration=num_calibration)
    _require_coverage("coverage_distribution", coverage)
    below = math.floor((num_calibration + 1) * (1 - float(coverage)) * (1 + 1e-9))
    return num_calibration + 1 - below, below


def conformal_quantile(
    scores: Float[Array, " n"],
    *,
    coverage: ArrayLike,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """The score that the score of a new example does not exceed, with a given probability.

    The `ceil((n + 1) coverage)`-th smallest of the n scores, and infinity where that exceeds n;
    with weights the smallest s with `sum_i w_i [s_i <= s] >= coverage (1 + sum_i w_i)`.

    Args:
        scores: scores of the true values of calibration examples, `(n,)`.
        coverage: probability with which a new example is covered, in (0, 1); may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones; relative to
            that of a new example, which is 1. Weight 0 masks an example, whatever it holds.

    Returns:
        The quantile, a scalar; NaN where a score is.

    Raises:
        ValueError: a coverage out of range; shapes do not match.

    >>> scores = jnp.arange(1.0, 10.0)
    >>> float(conformal_quantile(scores, coverage=0.9)), float(
    ...     conformal_quantile(scores, coverage=0.91)
    ... )
    (9.0, inf)

    Sources: Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in a Random World", section
    4.1; weights: Tibshirani et al. (2019), "Conformal Prediction Under Covariate Shift", lemma 3.
    """
    _require_coverage("conformal_quantile", coverage)
    require_vectors("conformal_quantile", scores=scores)
    weight = example_weights("conformal_quantile", len(scores), weight)
    scores = as_float(scores)
    is_nan = jnp.any(jnp.isnan(scores) & (weight > 0))
    present = jnp.where(weight > 0, scores, jnp.inf)
    order = jnp.argsort(present)
    weight = jnp.where(weight > 0, weight, 0)
    sums, total = jnp.cumsum(weight[order]), jnp.sum(weight)
    # 0.9 * 10 examples are 9 examples, although both operations round.
    slack = 1 - 4 * jnp.finfo(sums.dtype).eps
    needed = as_float(coverage) * (total + 1) * slack
    ranked = jnp.append(present[order], jnp.inf)
    quantile = ranked[jnp.sum(sums < needed)]
    return jnp.where(is_nan, jnp.nan, quantile)


def _require_coverage(function: str, coverage: ArrayLike) -> None:
    require_range(
        function,
        "coverage",
        coverage,
        0,
        1,
        include_low=False,
        include_high=False,
        remedy="90 per cent is 0.9",
    )
