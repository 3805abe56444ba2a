"""What a model that learned nothing reaches, and notes where a run is not better."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

_HIGHER_IS_BETTER = ("accuracy", "r2", "nmi", "adjusted_rand_index", "silhouette_of_codes")


class Baseline(NamedTuple):
    """A prediction that looks at no example.

    Attributes:
        name: what it predicts.
        metrics: what it reaches, by the name of a metric.
    """

    name: str
    metrics: dict[str, float]


def class_baseline(
    train: Int[np.ndarray, " n"], test: Int[np.ndarray, " m"], class_names: Sequence[str]
) -> Baseline:
    """The most frequent class of the training part, and the frequencies as probabilities.

    Args:
        train: labels of the training part.
        test: labels of the test part.
        class_names: names of the classes.

    Returns:
        Accuracy and log loss on the test part.

    >>> class_baseline(np.array([0, 0, 1]), np.array([0, 1]), ("a", "b")).metrics["accuracy"]
    0.5
    """
    counts = np.bincount(train, minlength=len(class_names)).astype(np.float64)
    # A class without a training example gets one, as infinite losses compare with nothing.
    fractions = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    majority = int(counts.argmax())
    return Baseline(
        f"the most frequent class, {class_names[majority]!r}",
        {
            "accuracy": float((test == majority).mean()),
            "log_loss": float(-np.log(fractions[test]).mean()),
        },
    )


def mean_baseline(train: Float[np.ndarray, " n"], test: Float[np.ndarray, " m"]) -> Baseline:
    """The mean of the training targets for each test example.

    >>> mean_baseline(np.array([0.0, 2.0]), np.array([1.0, 3.0])).metrics["mean_squared_error"]
    2.0
    """
    train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
    errors = test - train.mean()
    variance = test.var()
    squared = float((errors**2).mean())
    return Baseline(
        f"the mean of the training targets, {train.mean():.6g}",
        {
            "mean_squared_error": squared,
            "root_mean_squared_error": float(np.sqrt(squared)),
            "mean_absolute_error": float(np.abs(errors).mean()),
            "r2": float(1 - squared / variance) if variance > 0 else 0.0,
        },
    )


def reconstruction_baseline(
    train: Float[np.ndarray, "n features"], test: Float[np.ndarray, "m features"]
) -> Baseline:
    """The mean of the training examples as the reconstruction of each test example."""
    mean = np.asarray(train).mean(axis=0, dtype=np.float64)
    error = float(((np.asarray(test, np.float64) - mean) ** 2).sum(axis=1).mean())
    return Baseline("the mean of the training examples", {"squared_error": error})


def cluster_baseline(y: Int[np.ndarray, " n"]) -> Baseline:
    """All examples in one cluster.

    >>> cluster_baseline(np.array([0, 0, 1])).metrics["nmi"]
    0.0
    """
    accuracy = float(np.bincount(y).max() / len(y))
    metrics = {"accuracy": accuracy, "nmi": 0.0, "adjusted_rand_index": 0.0}
    return Baseline("one cluster of all examples", metrics)


def compare(baseline: Baseline, metrics: Mapping[str, Any]) -> list[str]:
    """Notes on the metrics in which a run is not better than a baseline.

    Args:
        baseline: the baseline.
        metrics: name -> one value for each network.

    Returns:
        A sentence, or none where the mean over the networks is better in all metrics.

    >>> compare(Baseline("the mean", {"r2": -0.1}), {"r2": np.array([-0.2])})[0][:52]
    'r2 (-0.2) is not better than that of the mean (-0.1)'
    """
    behind = []
    for name, value in baseline.metrics.items():
        if name not in metrics:
            continue
        mean = float(np.mean(np.asarray(metrics[name], np.float64)))
        better = mean > value if name in _HIGHER_IS_BETTER else mean < value
        if not better:
            behind.append((name.replace("_", " "), mean, value))
    if not behind:
        return []
    listed = ", ".join(f"{name} ({mean:.4g})" for name, mean, _ in behind)
    verb, pronoun = ("is", "that") if len(behind) == 1 else ("are", "those")
    values = ", ".join(f"{value:.4g}" for *_, value in behind)
    is_all = len(behind) == len([name for name in baseline.metrics if name in metrics])
    end = ": the model has learned nothing that helps" if is_all else ""
    return [f"{listed} {verb} not better than {pronoun} of {baseline.name} ({values}){end}"]


def note_rising_loss(history: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """A note where the validation loss rose after its lowest value.

    Args:
        history: metric -> part -> `(num_epochs, networks)`.

    Returns:
        A sentence where the mean over the networks rose by more than 5 %.

    >>> losses = np.array([[1.0], [0.5], [0.8]])
    >>> note_rising_loss({"loss": {"validation": losses}})[0][:56]
    'the validation loss rose from 0.5 at epoch 2 to 0.8 at e'
    """
    losses = history.get("loss", {}).get("validation")
    if losses is None or len(losses) < 2:
        return []
    means = np.asarray(losses, np.float64).mean(axis=1)
    best = int(means.argmin())
    if means[-1] <= means[best] + 0.05 * abs(means[best]):
        return []
    return [
        f"the validation loss rose from {means[best]:.4g} at epoch {best + 1} to {means[-1]:.4g} "
        f"at epoch {len(means)}: use fewer epochs (--num-epochs), --patience, or regularization"
    ]
