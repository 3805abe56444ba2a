"""The part of a summary that all runs which train networks have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.baselines import Baseline, compare, note_rising_loss
from experiments.command import statistics
from experiments.data import Dataset, Split
from experiments.model import num_parameters, stacked_sha256
from jaxnet.runs import TrainResult


def summarize(
    params: Any,
    metrics: Mapping[str, Any],
    *,
    num_examples: dict[str, int],
    state_sha256: Any,
    seconds: Mapping[str, float],
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
        "num_parameters": num_parameters(params),
        "num_examples": num_examples,
        "metrics": {name: statistics(values) for name, values in metrics.items()},
        "params_sha256": stacked_sha256(params),
        "state_sha256": state_sha256,
        "seconds": seconds,
    }


def describe(
    dataset: Dataset,
    baseline: Baseline,
    metrics: Mapping[str, Any],
    *,
    history: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The entries of `summary.json` that say what the metrics have to be compared with.

    Args:
        dataset: the data.
        baseline: what a model reaches that learned nothing.
        metrics: name -> one value for each network.
        history: of a training whose last parameters were evaluated; None where the best were.
        notes: sentences on the data.

    Returns:
        `data`, `baseline` and `notes`.
    """
    rising = [] if history is None else note_rising_loss(history)
    return {
        "data": describe_data(dataset),
        "baseline": {"name": baseline.name, "metrics": baseline.metrics},
        "notes": [*notes, *compare(baseline, metrics), *rising],
    }


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Sizes of a data set, and how a user's file was read."""
    sizes: dict[str, Any] = {"rows": len(dataset.x)}
    if dataset.length is not None:
        shortest, longest = int(dataset.length.min()), int(dataset.length.max())
        steps = f"{shortest} to {longest}" if shortest < longest else str(longest)
        sizes["tokens" if dataset.is_tokens else "steps"] = steps
        if dataset.is_series:
            sizes["channels"] = dataset.x.shape[2]
    elif dataset.is_image:
        sizes["image"] = " x ".join(map(str, dataset.x.shape[1:]))
    else:
        sizes["features"] = dataset.x.shape[1]
    if dataset.num_classes:
        sizes["classes"] = dataset.num_classes
    if notes := dataset.notes:
        sizes["as read from the file"] = "; ".join(notes)
    if dataset.preprocessing is not None and not dataset.is_named:
        sizes |= dataset.preprocessing.describe()
    return sizes


def summarize_split(
    trained: TrainResult, metrics: Mapping[str, Any], parts: Split, seconds: Mapping[str, float]
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
