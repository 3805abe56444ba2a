"""What the summaries of all runs that train networks have in common."""

from collections.abc import Mapping
from typing import Any

import jax

from experiments.command import statistics
from experiments.data import Split
from experiments.model import stacked_sha256
from jaxnet.runs.training import TrainResult


def summarize(
    params: Any,
    metrics: Mapping[str, Any],
    *,
    num_examples: dict[str, int],
    state_sha256: Any,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """What the summary says of every run that trains networks.

    Args:
        params: of all networks, stacked.
        metrics: name -> one value for each network.
        num_examples: part of the data -> how many.
        state_sha256: hash, or hashes, of the state in which the training ended.
        seconds: of a `stopwatch`.
    """
    return {
        "num_parameters": sum(leaf[0].size for leaf in jax.tree.leaves(params)),
        "num_examples": num_examples,
        "metrics": {name: statistics(values) for name, values in metrics.items()},
        "params_sha256": stacked_sha256(params),
        "state_sha256": state_sha256,
        "seconds": seconds,
    }


def summarize_split(
    trained: TrainResult, metrics: Mapping[str, Any], parts: Split, seconds: dict[str, float]
) -> dict[str, Any]:
    """What the summary says of a training on one part of the data, evaluated on another."""
    summary = summarize(
        trained.params,
        metrics,
        num_examples={name: len(part) for name, part in parts._asdict().items()},
        state_sha256=trained.state_sha256,
        seconds=seconds,
    )
    return summary | {"best_epochs": trained.best_epochs.tolist()}
