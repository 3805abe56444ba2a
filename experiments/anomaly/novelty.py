"""How new the recent past of each step is: means of recent values, and the error of a forecast."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.anomaly.detection import NO_ERROR, recent_mean, rested, tail_score
from experiments.data.labelled_series import pad_series
from jaxnet import anomaly

# Lengths that series are padded to are multiples of this one, so that few programs are compiled.
_PIECE = 4096


def nearest_earlier(
    vectors: Sequence[Float[np.ndarray, "time dim"]], *, piece: int = _PIECE
) -> list[Float[np.ndarray, " time"]]:
    """`jaxnet.anomaly.novelty_scores` of series of different lengths, in few programs.

    Args:
        vectors: of each series.
        piece: series are padded to multiples of this number of steps.

    Returns:
        Distances, float64.

    >>> [row.tolist() for row in nearest_earlier([np.ones((2, 1)), np.array([[0.0], [3], [1]])])]
    [[0.0, 0.0], [0.0, 3.0, 1.0]]
    """
    groups: dict[int, list[int]] = {}
    for index, rows in enumerate(vectors):
        groups.setdefault(-(-len(rows) // piece) * piece, []).append(index)
    result: list[np.ndarray] = [np.zeros(0)] * len(vectors)
    for length, indices in groups.items():
        padded, _ = pad_series([vectors[index] for index in indices], length)
        distances = np.asarray(anomaly.novelty_scores(jnp.asarray(padded)), np.float64)
        for row, index in enumerate(indices):
            result[index] = distances[row, : len(vectors[index])]
    return result


def novelty_scores(
    values: Sequence[Float[np.ndarray, " time"]],
    errors: Sequence[Float[np.ndarray, " time"]] | None,
    *,
    ratios: Sequence[int],
    rest_steps: int,
) -> list[Float[np.ndarray, " time"]]:
    """Tail scores of the distance of recent means and errors to those of earlier steps.

    For each ratio `r`, the vector of a step holds the means of the last 1, r and r * r values, and
    the error. Its distance to the nearest earlier vector becomes `tail_score`; the mean over the
    ratios becomes `rested`.

    Args:
        values: standardized values of each series, in the order of time.
        errors: weighted errors of the forecasts of each step; None for none.
        ratios: numbers of recent values.
        rest_steps: of `rested`.

    Returns:
        Scores of each series; none depends on a later step.
    """
    totals = [np.zeros(len(rows)) for rows in values]
    for ratio in ratios:
        vectors = [
            np.stack([recent_mean(rows, steps) for steps in (1, ratio, ratio * ratio)], axis=1)
            for rows in values
        ]
        if errors is not None:
            vectors = [
                np.concatenate([each, rows[:, None]], axis=1)
                for each, rows in zip(vectors, errors, strict=True)
            ]
        for total, distances in zip(totals, nearest_earlier(vectors), strict=True):
            total += tail_score(distances + NO_ERROR)
    return [rested(total / len(ratios), rest_steps) for total in totals]
