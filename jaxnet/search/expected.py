"""The expected best of a number of trials, from the results of all."""

import numpy as np
from jaxtyping import Float

from jaxnet._checks import require_integer


def expected_maximum(
    values: Float[np.ndarray, " trials"], *, replacement: bool = True, max_draws: int | None = None
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """Mean and standard deviation of the best of n draws from some results, for n = 1, 2, ...

    With the results sorted, `v_1 <= ... <= v_N`, the best of n draws is at most `v_i` with the
    probability `(i / N)^n`, with replacement: Dodge et al. (2019), "Show your work: improved
    reporting of experimental results", section 3.2. Without replacement it is
    `C(i, n) / C(N, n)`, which is unbiased for `n <= N`, where the other is biased downwards: Tang
    et al. (2020), "Showing your work doesn't always work", eq. 4. The probability of `v_i` is the
    difference to that of `v_{i - 1}`.

    Args:
        values: the results of all trials, finite; larger is better. A trial that failed has the
            worst result, or that of chance: it is not left out.
        replacement: whether a trial may be drawn twice.
        max_draws: the largest n; None is the number of trials.

    Returns:
        Mean and standard deviation of the best, for n = 1 to `max_draws`.

    Raises:
        ValueError: no values, values that are not finite, or more draws than trials without
            replacement.

    >>> mean, std = expected_maximum(np.array([0.0, 1.0]))
    >>> mean.tolist()
    [0.5, 0.75]
    >>> expected_maximum(np.array([0.0, 1.0]), replacement=False)[0].tolist()
    [0.5, 1.0]
    """
    values = np.sort(np.asarray(values, np.float64))
    count = len(values)
    if count == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"expected_maximum: values must be at least one, all finite, found {values}; give the "
            "worst result to a trial that failed"
        )
    limit = None if replacement else count
    draws = count if max_draws is None else max_draws
    require_integer("expected_maximum", "max_draws", draws, 1, limit)
    n, rank = np.arange(1, draws + 1)[:, None], np.arange(count + 1)
    if replacement:
        at_most = (rank / count) ** n
    else:
        # C(i, n) / C(N, n) as a product of n factors that are at most 1.
        factors = np.clip(rank - (n - 1), 0, None) / (count - (n - 1))
        at_most = np.cumprod(factors, axis=0)
    probability = np.diff(at_most, axis=1)
    # Around the mean of all results, so that squares of large numbers do not cancel.
    centered = values - values.mean()
    mean = probability @ centered
    variance = probability @ centered**2 - mean**2
    return values.mean() + mean, np.sqrt(np.clip(variance, 0, None))
