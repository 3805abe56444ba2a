"""The table of the methods: errors, where they vary, and differences on the same draws."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.semi_supervised.config import TITLES
from experiments.semi_supervised.variance import paired_difference, variance_components

HEADER = ("method", "error %", "± of the mean", "std of draws", "std of seeds", "minus supervised")


class Score(NamedTuple):
    """The errors of a method.

    Attributes:
        errors: fractions of wrong classes `(draws, seeds)`; a deterministic method has one seed.
        seconds: in which it was trained, on all draws.
    """

    errors: Float[np.ndarray, "draws seeds"]
    seconds: float


def table_of(scores: Mapping[str, Score], baseline: str) -> list[tuple[str, ...]]:
    """Rows with per cents: mean, its standard error, standard deviations, paired difference.

    Args:
        scores: the errors by the name of a method.
        baseline: the method that others are compared with on the same draws.

    >>> of_a, of_b = Score(np.array([[0.1], [0.2]]), 1.0), Score(np.array([[0.2], [0.4]]), 1.0)
    >>> table_of({"a": of_a, "b": of_b}, "a")[2]
    ('b', '30.00', '10.00', '14.14', '', '+15.00 ± 5.00', '1.0')
    """
    rows: list[tuple[str, ...]] = [(*HEADER, "seconds")]
    reference = scores[baseline].errors
    for name, score in scores.items():
        parts = variance_components(100 * score.errors)
        difference = "" if name == baseline else _difference(score.errors, reference)
        numbers = (parts.standard_error, parts.std_draws, parts.std_seeds)
        shown = ("" if number is None else f"{number:.2f}" for number in numbers)
        rows.append(
            (
                TITLES.get(name, name),
                f"{parts.mean:.2f}",
                *shown,
                difference,
                f"{score.seconds:.1f}",
            )
        )
    return rows


def components_of(scores: Mapping[str, Score], baseline: str) -> dict[str, dict[str, Any]]:
    """The numbers of the table, as fractions, for `summary.json`.

    Args:
        scores: the errors by the name of a method.
        baseline: the method that others are compared with.
    """
    reference = scores[baseline].errors
    result = {}
    for name, score in scores.items():
        mean, error = paired_difference(score.errors, reference)
        result[name] = variance_components(score.errors)._asdict() | {
            "minus_supervised": mean,
            "minus_supervised_standard_error": error,
        }
    return result


def notes_of(scores: Mapping[str, Score], baseline: str, peers: Mapping[str, Score]) -> list[str]:
    """Sentences on methods that the labels alone, or the best peer, are better than.

    Args:
        scores: of the methods.
        baseline: the method that learns from labels alone.
        peers: of methods of scikit-learn on the same draws.
    """
    notes = []
    for name, score in scores.items():
        mean, error = paired_difference(score.errors, scores[baseline].errors)
        if name != baseline and mean > (error or 0):
            notes.append(
                f"{name} has a larger error than training on the labels alone, by {100 * mean:.2f} "
                "points"
            )
    if peers:
        best = min(peers, key=lambda name: peers[name].errors.mean())
        ours = min(scores, key=lambda name: scores[name].errors.mean())
        mean, error = paired_difference(scores[ours].errors, peers[best].errors)
        if mean > 0:
            notes.append(
                f"no method has a smaller error than {best}: that of {ours} is larger by "
                f"{100 * mean:.2f} points"
            )
    return notes


def _difference(errors: np.ndarray, reference: np.ndarray) -> str:
    mean, error = paired_difference(100 * errors, 100 * reference)
    shown = f"{round(mean, 2) + 0:+.2f}"
    return shown if error is None else f"{shown} ± {error:.2f}"
