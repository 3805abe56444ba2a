"""The part of a summary that all runs which train networks have in common."""

from collections.abc import Mapping
from typing import Any

import jax

from experiments.command import statistics
from experiments.data import Split
from experiments.model import stacked_sha256
from jaxnet.runs import TrainResult


def summarize(
    params: Any,
    metrics: Mapping[str, Any],
    *,
    num_examples: dict[str, int],
    state_sha256: Any,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The entries of `summary.json` of a run that trains networks.

    Args:
        params: parameters of all networks, `(networks, ...)`.
        metrics: name -> one value for each network, `(networks,)`.
        num_examples: part of the data -> number of examples.
        state_sha256: hash of the last state, or one for each stage.
        seconds: of a `stopwatch`.

    Returns:
        Number of parameters and examples, statistics of the metrics, hashes and seconds.
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
    """The entries for a training on one part of a split that is evaluated on another.

    Args:
        trained: the result of the training.
        metrics: name -> one value for each network, `(networks,)`.
        parts: the split.
        seconds: of a `stopwatch`.

    Returns:
        Those of `summarize`, and the epoch of the parameters of each network.
    """
    summary = summarize(
        trained.params,
        metrics,
        num_examples={name: len(part) for name, part in parts._asdict().items()},
        state_sha256=trained.state_sha256,
        seconds=seconds,
    )
    return summary | {"best_epochs": trained.best_epochs.tolist()}
