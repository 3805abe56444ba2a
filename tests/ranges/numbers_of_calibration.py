"""Arguments of calibration and its metrics that are real numbers, or counts."""

import math

import jax.numpy as jnp

from jaxnet import calibration, metrics
from tests.ranges.calls import KEY, LABELS, X, spread, traced

LAYER = {"kernel": jnp.ones((2, 2))}
ONE = jnp.ones(3)
POSTERIOR = calibration.fit_laplace(LAYER, X, LABELS, prior_precision=1.0)

# (function, argument) -> (call, numbers inside the range, numbers outside).
NUMBERS = {
    **{
        (function, "coverage"): (
            spread(function, "coverage", *arguments),
            (0.5, 0.9),
            (0.0, 1.0, -0.5),
        )
        for function, arguments in (
            (calibration.min_calibration_size, ()),
            (calibration.coverage_distribution, (9,)),
        )
    },
    (calibration.conformal_quantile, "coverage"): (
        traced(calibration.conformal_quantile, "coverage", ONE),
        (0.5, 0.9),
        (0.0, 1.0, -0.5),
    ),
    **{
        (function, "pseudocount"): (
            traced(function, "pseudocount", X, LABELS),
            (0.0, 1.0),
            (-1.0, math.inf),
        )
        for function in (calibration.fit_temperature, calibration.fit_vector_scaling)
    },
    **{
        (calibration.fit_laplace, name): (
            traced(calibration.fit_laplace, name, LAYER, X, LABELS),
            (0.5, 2.0),
            (0.0, -1.0, math.inf),
        )
        for name in ("prior_precision", "noise_variance")
    },
    (metrics.pinball_loss, "level"): (
        traced(metrics.pinball_loss, "level", ONE, ONE),
        (0.1, 0.9),
        (0.0, 1.0, -0.5),
    ),
    (metrics.interval_score, "coverage"): (
        traced(metrics.interval_score, "coverage", ONE, ONE, ONE),
        (0.1, 0.9),
        (0.0, 1.0, -0.5),
    ),
    (metrics.reliability_diagram, "level"): (
        traced(metrics.reliability_diagram, "level", X, LABELS),
        (0.1, 0.9),
        (0.0, 1.0, -0.5),
    ),
}

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    **{
        (function, "num_bins"): (traced(function, "num_bins", X, LABELS), 2, 0)
        for function in (
            metrics.brier_decomposition,
            metrics.debiased_calibration_error,
            metrics.reliability_diagram,
        )
    },
    **{
        (metrics.calibration_error_floor, name): (
            traced(metrics.calibration_error_floor, name, X, KEY),
            2,
            0,
        )
        for name in ("num_bins", "num_draws")
    },
    (calibration.coverage_distribution, "num_calibration"): (
        spread(calibration.coverage_distribution, "num_calibration", coverage=0.9),
        2,
        0,
    ),
    (calibration.laplace_probabilities, "num_samples"): (
        traced(calibration.laplace_probabilities, "num_samples", POSTERIOR, X, key=KEY),
        2,
        0,
    ),
}
