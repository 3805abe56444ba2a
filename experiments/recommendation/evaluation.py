"""Errors of ratings and quality of rankings, of networks and peers, on what is held out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command import show, statistics
from experiments.data.interactions import Interactions
from experiments.recommendation import peers
from experiments.recommendation.config import Config
from experiments.recommendation.models import RANKING
from experiments.recommendation.splits import Split
from jaxnet import metrics

NDCG, RECALL = 10, 20
MAX_RANK = 50
_EDGES = (0, 1, 3, 10, 30, 100)


class Tested(NamedTuple):
    """How predictors did on the parts that were held out.

    Attributes:
        metrics: predictor -> metric -> one value for each seed; the method has the name "method".
        curves: predictor -> numbers for a figure, means over parts and seeds: RMSE by the number of
            ratings of an item, or recall by rank.
        notes: what a reader should know.
    """

    metrics: dict[str, dict[str, np.ndarray]]
    curves: dict[str, np.ndarray]
    notes: tuple[str, ...]


def evaluate_parts(
    config: Config,
    interactions: Interactions,
    split: Split,
    scores_of: Any,
) -> Tested:
    """Compare what was predicted for each part with what was held out.

    Args:
        config: the options.
        interactions: the data: for a ranking those that count as chosen.
        split: the parts.
        scores_of: `scores_of(seed, part)`, ratings or scores `(users, items)`.
    """
    is_ranking = isinstance(config.method, RANKING)
    test = _test_ranking if is_ranking else _test_ratings
    metrics_of: dict[str, list[list[dict[str, float]]]] = {}
    curves_of: dict[str, list[np.ndarray]] = {}
    notes, cold = [], 0
    values = np.ones(len(interactions.pairs), np.float32)
    ratings = interactions.matrix(values if interactions.ratings is None else interactions.ratings)
    for part in range(split.num_parts):
        known = interactions.matrix(split.known(part), missing=False)
        held_out = interactions.matrix(~split.known(part), missing=False)
        rows = interactions.pairs[~split.known(part)]
        has_user, has_item = np.any(known, axis=1), np.any(known, axis=0)
        cold += len(rows) - int(np.sum(has_user[rows[:, 0]] & has_item[rows[:, 1]]))
        predictors = {"method": [scores_of(seed, part) for seed in range(config.num_seeds)]}
        predictors |= _peers(is_ranking, ratings, known, held_out)
        for name, predicted in predictors.items():
            seeds = metrics_of.setdefault(name, [[] for _ in predicted])
            for values_of_seed, scores in zip(seeds, predicted, strict=True):
                reached, curve = test(scores, ratings, known, held_out)
                values_of_seed.append(reached)
                curves_of.setdefault(name, []).append(curve)
    if cold:
        total = int((split.code < split.num_parts).sum())
        notes.append(
            f"{cold / total:.1%} of what is held out is of users or items of whom nothing else is "
            "known; all predictors are tested on it too"
        )
    return Tested(
        {
            name: {
                metric: np.array([np.mean([part[metric] for part in parts]) for parts in seeds])
                for metric in seeds[0][0]
            }
            for name, seeds in metrics_of.items()
        },
        {name: _mean(curves) for name, curves in curves_of.items()},
        tuple(notes),
    )


def _mean(curves: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.array(curves)
    present = ~np.isnan(stacked)
    return np.where(present, stacked, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


def _peers(
    is_ranking: bool, ratings: np.ndarray, known: np.ndarray, held_out: np.ndarray
) -> dict[str, list[np.ndarray]]:
    if is_ranking:
        return {
            "popularity": [peers.popularity(known)],
            "cosines of items": [peers.neighbor_scores(known)],
        }
    return {
        "biases": [peers.bias_ratings(ratings, known)],
        "40 nearest items": [peers.neighbor_ratings(ratings, known, held_out)],
    }


def _test_ratings(
    scores: np.ndarray, ratings: np.ndarray, known: np.ndarray, held_out: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Errors of ratings, which are cut to the range of the known ones."""
    low, high = ratings[known].min(), ratings[known].max()
    errors = (np.clip(scores, low, high) - ratings)[held_out].astype(np.float64)
    counts = np.broadcast_to(known.sum(axis=0), known.shape)[held_out]
    group = np.digitize(counts, _EDGES[1:])
    sums = np.bincount(group, errors**2, len(_EDGES))
    sizes = np.bincount(group, minlength=len(_EDGES))
    curve = np.sqrt(np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan))
    return {"rmse": float(np.sqrt((errors**2).mean())), "mae": float(np.abs(errors).mean())}, curve


def _test_ranking(
    scores: np.ndarray, ratings: np.ndarray, known: np.ndarray, held_out: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    values, recall = _rank(jnp.asarray(scores), jnp.asarray(held_out), jnp.asarray(known))
    return {name: float(value) for name, value in values.items()}, np.asarray(recall)


@jax.jit
def _rank(scores: jax.Array, held_out: jax.Array, known: jax.Array) -> Any:
    num_items = scores.shape[1]
    values = {
        f"ndcg_at_{NDCG}": metrics.ndcg_at_k(
            scores, held_out, k=min(NDCG, num_items), excluded=known
        ),
        f"recall_at_{RECALL}": metrics.recall_at_k(
            scores, held_out, k=min(RECALL, num_items), excluded=known
        ),
    }
    ranks = range(1, min(MAX_RANK, num_items) + 1, 7)
    curve = [metrics.recall_at_k(scores, held_out, k=rank, excluded=known) for rank in ranks]
    return values, jnp.stack(curve)


def ranks_of_curve(num_items: int) -> list[int]:
    """The ranks at which `Tested.curves` holds the recall."""
    return list(range(1, min(MAX_RANK, num_items) + 1, 7))


def groups_of_curve() -> list[str]:
    """How many ratings the items have by which `Tested.curves` groups errors.

    >>> groups_of_curve()[:3]
    ['0', '1 to 2', '3 to 9']
    """
    names = []
    for low, following in zip(_EDGES, (*_EDGES[1:], None), strict=True):
        if following is None:
            names.append(f"{low} or more")
        else:
            names.append(f"{low}" if following == low + 1 else f"{low} to {following - 1}")
    return names


def test_table(tested: Tested, method: str) -> list[tuple[str, ...]]:
    """Rows of text: the method and its peers.

    Args:
        tested: the values.
        method: what the method is called.
    """
    names = list(next(iter(tested.metrics.values())))
    rows: list[tuple[str, ...]] = [("predictor", *(name.replace("_", " ") for name in names))]
    for predictor, values in tested.metrics.items():
        label = method if predictor == "method" else predictor
        rows.append((label, *(show(statistics(values[name])) for name in names)))
    return rows


def compare_with_peers(tested: Tested) -> list[str]:
    """Notes where a peer is as good as the method."""
    own: Mapping[str, np.ndarray] = tested.metrics["method"]
    notes = []
    for name, values in tested.metrics.items():
        for metric, expected in values.items():
            if name == "method" or metric == "mae":
                continue
            difference = float(own[metric].mean() - expected.mean())
            if (difference >= 0) if metric == "rmse" else (difference <= 0):
                notes.append(
                    f"{metric.replace('_', ' ')} is not better than that of {name}, "
                    f"{expected.mean():.4f}"
                )
    return notes
