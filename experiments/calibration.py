"""Which examples calibrate the networks of a run, and what is saved of it with the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import jaxnet as jn

# The validation part is divided by a generator of its own.
_STREAM = 0xCA1


class Holdout(NamedTuple):
    """Sorted indices of the validation examples by what they decide; no two of these overlap.

    Attributes:
        watched: those of the learning curves, early stopping and decision thresholds. Where no
            network stops early, the examples of the other two are among them.
        scaling: those to which probabilities are scaled.
        conformal: those whose scores decide the size of sets or intervals.
    """

    watched: np.ndarray
    scaling: np.ndarray
    conformal: np.ndarray


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What calibrates the predictions of a run: those of the mean of all its networks.

    Attributes:
        temperature: divides the logits of the ensemble, the logarithms of its probabilities.
        scale: multiplies them instead, a factor for each class.
        bias: is added to them then.
        coverage: probability with which a set or an interval holds the true value.
        quantile: largest score of what is in a set, or how far an interval reaches, in the unit of
            the standardized target.
    """

    temperature: float | None = None
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    coverage: float | None = None
    quantile: float | None = None

    def content(self) -> dict[str, Any]:
        """The entries of `model.json`."""
        entries = dataclasses.asdict(self).items()
        return {name: value for name, value in entries if value is not None and value != ()}

    @classmethod
    def of_content(cls, content: Mapping[str, Any] | None, num_classes: int) -> Calibration | None:
        """The calibration of the entries of `model.json`.

        Raises:
            ValueError: entries that no run has written.
        """
        if content is None:
            return None
        try:
            values = dict(content)
            for name in ("scale", "bias"):
                values[name] = tuple(float(value) for value in values.get(name, ()))
            found = cls(**values)
            sizes = {len(found.scale), len(found.bias)} - {0}
            numbers = (found.temperature, found.coverage, found.quantile, *found.scale, *found.bias)
            is_sound = sizes <= {num_classes} and all(
                number is None or math.isfinite(number) for number in numbers
            )
        except TypeError as error:
            raise ValueError(f"its calibration is damaged ({error})") from error
        if not is_sound:
            raise ValueError(f"its calibration is damaged: {dict(content)}")
        return found


def divide_validation(
    validation: np.ndarray, *, seed: int, stops: bool, scales: bool, coverage: float | None
) -> Holdout:
    """Divide the validation examples at random among what is decided by them, in equal parts.

    What decides alone has all of them. The training and the test part stay as they are, so that
    the networks of a run without early stopping are those of the run without calibration.

    Args:
        validation: indices of the validation examples.
        seed: decides the division.
        stops: whether networks stop early.
        scales: whether probabilities are scaled.
        coverage: of sets or intervals; None makes none.

    Returns:
        The parts.

    Raises:
        ValueError: too few examples.

    >>> parts = divide_validation(np.arange(60), seed=0, stops=True, scales=True, coverage=0.9)
    >>> [len(part) for part in parts]
    [20, 20, 20]
    >>> parts = divide_validation(np.arange(60), seed=0, stops=False, scales=True, coverage=0.9)
    >>> [len(part) for part in parts]
    [60, 30, 30]
    """
    uses = [
        name
        for name, is_used in (
            ("watched", stops),
            ("scaling", scales),
            ("conformal", coverage is not None),
        )
        if is_used
    ]
    order = np.random.default_rng([_STREAM, seed]).permutation(validation)
    parts = {
        name: np.sort(part)
        for name, part in zip(uses, np.array_split(order, max(len(uses), 1)), strict=False)
    }
    none = validation[:0]
    held = Holdout(
        parts.get("watched", validation), parts.get("scaling", none), parts.get("conformal", none)
    )
    if scales and not len(held.scaling):
        raise ValueError(
            f"calibrate needs validation examples, found {len(validation)} to be divided by "
            f"{len(uses)}; use a larger --validation-fraction, or leave it out"
        )
    if coverage is not None:
        needed = jn.calibration.min_calibration_size(coverage)
        if len(held.conformal) < needed:
            raise ValueError(
                f"coverage {coverage} needs at least {needed} validation examples of its own, "
                f"found {len(held.conformal)}, of {len(validation)} divided among "
                f"{_listed(uses)}; use a lower --coverage, or more validation examples"
            )
    return held


def _listed(uses: list[str]) -> str:
    names = {"watched": "early stopping", "scaling": "scaling", "conformal": "coverage"}
    return ", ".join(names[use] for use in uses)


def count_held(held: Holdout) -> dict[str, int]:
    """Numbers of examples for a summary, without those that decide nothing.

    >>> part = np.arange(3)
    >>> count_held(Holdout(part, part, part[:0]))
    {'scaling': 3}
    """
    sizes = {"scaling": len(held.scaling), "conformal": len(held.conformal)}
    return {name: size for name, size in sizes.items() if size}


def expected_coverage(num_conformal: int, num_new: int, coverage: float) -> tuple[float, float]:
    """The range in which the coverage of some new examples lies with a probability of 95 %.

    Args:
        num_conformal: examples that decided the sets.
        num_new: new examples.
        coverage: nominal coverage.

    Returns:
        The 2.5 % and the 97.5 % quantile of the beta-binomial distribution, as fractions.

    >>> low, high = expected_coverage(99, 100, 0.9)
    >>> round(low, 2), round(high, 2)
    (0.81, 0.97)
    """
    # A fifth of a second, for this alone.
    from scipy import stats

    a, b = jn.calibration.coverage_distribution(num_conformal, coverage)
    if b == 0:
        return 1.0, 1.0
    low, high = stats.betabinom.ppf([0.025, 0.975], num_new, a, b)
    return float(low) / num_new, float(high) / num_new
