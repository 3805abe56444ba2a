"""Intervals of a regression that hold the true number with a given probability."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.calibration import Calibration, expected_coverage
from experiments.regression.config import Config
from experiments.regression.network import has_quantiles
from experiments.report import figures
from experiments.report.drawing import draw_figure
from jaxnet import calibration, metrics
from jaxnet.runs.directory import RunDirectory

# Outputs `(networks, n, outputs)` and standardized targets `(n,)`.
Examples = tuple[np.ndarray, np.ndarray]


class Ends(NamedTuple):
    """Intervals in float64.

    Attributes:
        lower: the lower ends, `(n,)`.
        upper: the upper ends, `(n,)`.
    """

    lower: np.ndarray
    upper: np.ndarray


class Calibrated(NamedTuple):
    """Intervals of the test examples, and what they reach.

    Attributes:
        metrics: name -> one value for each network; those of the ensemble have one.
        saved: how far the intervals of the ensemble reach.
        intervals: of the mean prediction, standardized.
        table: rows of text.
    """

    metrics: dict[str, Any]
    saved: Calibration
    intervals: Ends
    table: list[tuple[str, ...]]


def calibrate(config: Config, known: Examples, tested: Examples, scale: float) -> Calibrated:
    """Intervals of each network by itself, and of the mean of all networks.

    Args:
        config: the options, with a coverage.
        known: outputs and targets of the validation examples that decide the width.
        tested: outputs and targets of the test examples.
        scale: standard deviation of the targets, for the widths.

    Returns:
        The intervals.
    """

    def evaluate(known: Array, y: Array, new: Array, targets: Array) -> Any:
        quantile = calibration.conformal_quantile(_scores(config, known, y), coverage=coverage)
        lower, upper = _intervals(config, new, quantile)
        return quantile, {
            "coverage": metrics.interval_coverage(lower, upper, targets),
            "interval_width": scale * jnp.mean(upper - lower),
            "interval_score": scale
            * metrics.interval_score(lower, upper, targets, coverage=coverage),
        }

    assert config.coverage is not None
    coverage = config.coverage
    (outputs, y), (new, targets) = known, tested
    y, targets = jnp.asarray(y, jnp.float32), jnp.asarray(targets, jnp.float32)
    _, found = jax.jit(jax.vmap(evaluate, (0, None, 0, None)))(outputs, y, new, targets)
    mean, mean_new = _mean(outputs), _mean(new)
    quantile, together = jax.jit(evaluate)(mean, y, mean_new, targets)
    saved = Calibration(coverage=coverage, quantile=float(quantile))
    low, high = expected_coverage(len(y), len(targets), coverage)
    rows: list[tuple[str, ...]] = [
        ("of the mean of all networks", "value"),
        ("coverage asked for", f"{coverage:g}"),
        ("coverage of the test examples", f"{float(together['coverage']):.4f}"),
        ("expected in 95 % of splits", f"{low:.4f} to {high:.4f}"),
        ("mean width", f"{float(together['interval_width']):.6g}"),
    ]
    found = dict(found) | {f"ensemble_{name}": value[None] for name, value in together.items()}
    return Calibrated(found, saved, of_ensemble(config, saved, new), rows)


def of_ensemble(
    config: Config, saved: Calibration, outputs: Float[np.ndarray, "networks n outputs"]
) -> Ends:
    """Standardized intervals of the mean of all networks, in float64.

    Args:
        config: the options.
        saved: how far they reach.
        outputs: of all networks.

    Returns:
        The intervals.
    """
    assert saved.quantile is not None
    mean = np.asarray(_mean(outputs), np.float64)
    ends = mean[:, [1, 2]] if has_quantiles(config) else mean[:, [0, 0]]
    lower, upper = ends[:, 0] - saved.quantile, ends[:, 1] + saved.quantile
    middle, crossed = (lower + upper) / 2, lower > upper
    return Ends(np.where(crossed, middle, lower), np.where(crossed, middle, upper))


def _mean(outputs: Any) -> Float[Array, "n outputs"]:
    return jnp.mean(jnp.asarray(outputs), axis=0)


def _scores(config: Config, outputs: Array, targets: Array) -> Array:
    if has_quantiles(config):
        return calibration.quantile_scores(outputs[:, 1], outputs[:, 2], targets)
    return calibration.absolute_residuals(outputs[:, 0], targets)


def _intervals(config: Config, outputs: Array, quantile: Array) -> calibration.Intervals:
    if has_quantiles(config):
        return calibration.quantile_intervals(outputs[:, 1], outputs[:, 2], quantile)
    return calibration.residual_intervals(outputs[:, 0], quantile)


def draw(
    directory: RunDirectory,
    predicted: Float[np.ndarray, " n"],
    lower: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, " n"],
    targets: Float[np.ndarray, " n"],
    *,
    unit: str,
) -> dict[str, str]:
    """Save the figure of the intervals.

    Args:
        directory: the run directory.
        predicted: mean predictions for the test examples.
        lower: lower ends.
        upper: upper ends.
        targets: true values.
        unit: of all of them.

    Returns:
        Name of the figure -> its caption.
    """
    return draw_figure(
        directory,
        "intervals",
        "Intervals of the mean prediction of all networks for test examples. Validation examples "
        "that trained and stopped nothing decided their width.",
        lambda: figures.prediction_intervals(predicted, lower, upper, targets, unit),
    )
