"""Evaluation of trained classifiers: metrics, a decision threshold, figures."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, ScalarLike

from experiments.classification.config import Config
from experiments.classification.probabilities import (
    class_logits,
    class_probabilities,
    predicted_classes,
)
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.report.figures.text import display_text
from jaxnet import metrics
from jaxnet.runs.directory import RunDirectory

# Standard errors that the best of many thresholds gains by chance with a probability of 5 %.
_SIGNIFICANT = math.sqrt(-2 * math.log(0.05))


def learning_metrics(
    outputs: Float[Array, "n outputs"],
    labels: Int[Array, " n"],
    weight: Float[Array, " n"] | None = None,
) -> dict[str, Array]:
    """Log loss (without penalties) and accuracy, after each epoch."""
    logits = class_logits(outputs)
    return {
        "loss": metrics.log_loss(logits, labels, weight=weight),
        "accuracy": metrics.accuracy(logits, labels, weight=weight),
    }


def final_metrics(
    outputs: Float[Array, "n outputs"],
    labels: Int[Array, " n"],
    weight: Float[Array, " n"] | None = None,
) -> dict[str, Array]:
    """All metrics of one network that need no decision threshold."""
    logits = class_logits(outputs)
    num_classes = logits.shape[-1]
    result = {
        "accuracy": metrics.accuracy(logits, labels, weight=weight),
        "log_loss": metrics.log_loss(logits, labels, weight=weight),
        "calibration_error": metrics.expected_calibration_error(
            jax.nn.softmax(logits), labels, weight=weight
        ),
    }
    if num_classes >= 5:
        result["top_2_accuracy"] = metrics.top_k_accuracy(logits, labels, k=2, weight=weight)
    if num_classes == 2:
        scores = logits[:, 1] - logits[:, 0]
        result["roc_auc"] = metrics.roc_auc(scores, labels, weight=weight)
        result["average_precision"] = metrics.average_precision(scores, labels, weight=weight)
    return result


class Costs(NamedTuple):
    """Costs of wrong decisions.

    Attributes:
        false_positive: cost of predicting the positive class for a negative example.
        false_negative: cost of predicting the negative class for a positive example.
    """

    false_positive: float
    false_negative: float


def choose_threshold(
    outputs: Float[Array, "n 1"], labels: Int[Array, " n"], costs: Costs
) -> Float[Array, ""]:
    """The probability threshold of least expected cost, for one network.

    For calibrated probabilities it is `c = false_positive / (false_positive + false_negative)`,
    0.5 for equal costs. The threshold of least cost on validation data replaces it only where its
    gain there is significant, as the best of many thresholds gains something by chance: beyond `c`,
    the sum of gains over the examples in the order of their scores is a random walk, whose value at
    its maximum is, in standard errors, about Rayleigh distributed. So a gain above
    `sqrt(-2 log 0.05) = 2.45` standard errors has a probability of 5 % where there is none.

    Sources: Elkan (2001), "The Foundations of Cost-Sensitive Learning", equation 2; Durrett,
    Iglehart and Miller (1977), "Weak convergence to Brownian meander and Brownian excursion".
    """
    scores = jax.nn.sigmoid(outputs[:, 0])
    default = costs.false_positive / (costs.false_positive + costs.false_negative)
    threshold, _ = metrics.cost_threshold(
        scores,
        labels,
        false_positive_cost=costs.false_positive,
        false_negative_cost=costs.false_negative,
    )
    threshold = jnp.clip(threshold, 0.0, 1.0)

    def cost_at(threshold: ScalarLike) -> Float[Array, " n"]:
        positive = scores >= threshold
        return jnp.where(
            labels == 1,
            costs.false_negative * ~positive,
            costs.false_positive * positive,
        )

    gain = cost_at(default) - cost_at(threshold)
    # That of calibrated probabilities too: rare and dear errors may be missing in a sample.
    switched = (scores >= default) != (scores >= threshold)
    spread = (costs.false_positive + costs.false_negative) ** 2 * scores * (1 - scores)
    variance = jnp.maximum(len(labels) * jnp.var(gain), jnp.sum(switched * spread))
    return jnp.where(jnp.sum(gain) > _SIGNIFICANT * jnp.sqrt(variance), threshold, default)


def budget_on(max_false_positive_rate: float, num_negatives: int) -> float:
    """The false positive rate on some examples with which that on new ones stays within a budget.

    Of `n` negatives and a new one, exchangeable with them, each is as likely as the others to have
    the highest score. So a threshold that exactly `m` of the `n` reach is reached by the new one
    with a probability of at most `(m + 1) / (n + 1)`, and `m` is the largest with which that is
    within the budget. (The rate `m / n` itself would exceed it by one in `n` on average.)

    Args:
        max_false_positive_rate: the budget, in (0, 1).
        num_negatives: negative examples on which a threshold is chosen, `n`.

    Returns:
        `(m + 1/2) / n`: the half keeps it clear of rounding.

    Raises:
        ValueError: too few negatives: even `m = 0` exceeds the budget.

    >>> budget_on(0.01, 299)
    0.008361204013377926

    Source: Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in a Random World": the
    validity of conformal predictors.
    """
    allowed = math.floor(max_false_positive_rate * (num_negatives + 1) * (1 + 1e-12)) - 1
    if allowed < 0:
        raise ValueError(
            f"max_false_positive_rate {max_false_positive_rate} needs at least "
            f"{math.ceil(1 / max_false_positive_rate) - 1} negative examples to choose a threshold "
            f"on, and there are {num_negatives}; allow a higher rate, add examples, or choose it "
            "on more of them with --cross-validate"
        )
    return (allowed + 0.5) / num_negatives


def threshold_within(
    outputs: Float[Array, "n 1"],
    labels: Int[Array, " n"],
    budget: ScalarLike,
    weight: Float[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """The lowest probability threshold within a budget of `budget_on`, for one network."""
    threshold = metrics.threshold_at_false_positive_rate(
        jax.nn.sigmoid(outputs[:, 0]), labels, budget=budget, weight=weight
    )
    # Where a negative has the highest score, no positive decision is allowed: just above 1, which
    # JSON can hold.
    return jnp.minimum(threshold, jnp.nextafter(jnp.ones_like(threshold), 2))


def decision_metrics(
    outputs: Float[Array, "n 1"],
    labels: Int[Array, " n"],
    threshold: Array,
    costs: Costs,
    weight: Float[Array, " n"] | None = None,
) -> dict[str, Array]:
    """Rates of the decision `probability >= threshold`, and its mean cost, for one network."""
    positive = jax.nn.sigmoid(outputs[:, 0]) >= threshold
    predictions = positive.astype(labels.dtype)
    counts = metrics.confusion_matrix(labels, predictions, num_classes=2, weight=weight)
    (true_negative, false_positive), (false_negative, true_positive) = counts
    total = counts.sum()
    cost = costs.false_positive * false_positive + costs.false_negative * false_negative
    return {
        "threshold": threshold,
        "accuracy_at_threshold": (true_negative + true_positive) / total,
        "false_positive_rate": false_positive / (false_positive + true_negative),
        "false_negative_rate": false_negative / (false_negative + true_positive),
        "precision": true_positive / jnp.maximum(true_positive + false_positive, 1),
        "recall": true_positive / (true_positive + false_negative),
        "cost": cost / total,
    }


def _default_threshold(costs: Costs, outputs: Array, labels: Array) -> Array:
    """The threshold of least cost for calibrated probabilities."""
    return jnp.full((), costs.false_positive / (costs.false_positive + costs.false_negative))


def decide(
    config: Config,
    validated: tuple[Float[Array, "networks n 1"], Int[Array, " n"]],
    tested: tuple[Float[Array, "networks m 1"], Int[Array, " m"]],
    budget: float | None,
) -> dict[str, Array]:
    """Choose the threshold of each network on validation data and evaluate it on test data.

    Args:
        config: the costs.
        validated: outputs and labels of the validation data; of none, the threshold is that for
            calibrated probabilities.
        tested: outputs and labels of the test data.
        budget: of `budget_on`; None chooses the threshold of least cost.

    Returns:
        `decision_metrics`, `(networks,)` each.
    """
    costs = Costs(config.false_positive_cost, config.false_negative_cost)
    choose: Callable[..., Array] = functools.partial(choose_threshold, costs=costs)
    if len(validated[1]) == 0:
        choose = functools.partial(_default_threshold, costs)
    elif budget is not None:
        choose = functools.partial(threshold_within, budget=budget)
    rates = functools.partial(decision_metrics, costs=costs)

    @jax.jit
    def decide_all(validated: Any, tested: Any) -> dict[str, Array]:
        thresholds = jax.vmap(choose, (0, None))(*validated)
        outputs, labels = tested
        return jax.vmap(rates, (0, None, 0))(outputs, labels, thresholds)

    return decide_all(validated, tested)


def draw_learning(
    directory: RunDirectory, history: dict[str, dict[str, np.ndarray]]
) -> dict[str, str]:
    """Save the learning curves; the name of the figure and its caption, as `draw_figure`."""
    caption = (
        "Learning curves: mean and range over the networks. The training loss includes dropout, "
        "label smoothing and penalties."
    )
    return draw_figure(
        directory, "learning_curves", caption, lambda: figures.learning_curves(history)
    )


def draw(
    directory: RunDirectory,
    outputs: Float[np.ndarray, "seeds n outputs"],
    labels: Int[np.ndarray, " n"],
    class_names: tuple[str, ...],
    *,
    images: np.ndarray | None,
    threshold: float | None,
) -> dict[str, str]:
    """Save the figures of a tested classifier.

    Args:
        directory: the run directory.
        outputs: outputs of all networks on the test set.
        labels: true classes.
        class_names: names of the classes.
        images: the test images, in [0, 1], or None.
        threshold: the decision threshold, for two classes.

    Returns:
        Name of each figure -> its caption.
    """
    probabilities = np.asarray(class_probabilities(outputs))
    counts = confusion_counts(predicted_classes(outputs), labels, len(class_names))
    captions = draw_figure(
        directory,
        "confusion",
        "Confusion matrix on the test set, over all networks.",
        lambda: figures.confusion_matrix(counts, class_names),
    )
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    if images is not None and len(wrong):
        wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:24]
        titles = [
            f"{display_text(class_names[probabilities[i].argmax()], 11)}, "
            f"not {display_text(class_names[labels[i]], 11)}\np = {probabilities[i].max():.2f}"
            for i in wrong
        ]
        captions |= draw_figure(
            directory,
            "mistakes",
            "Most confident mistakes of the mean probability of all networks on the test set.",
            lambda: figures.image_grid(images[wrong], titles),
        )
    if threshold is not None:
        curve = jax.jit(metrics.threshold_curve)(
            jax.device_put(probabilities[:, 1]), jax.device_put(labels)
        )
        rates = {
            "false positive rate": np.asarray(curve.false_positive_rate),
            "false negative rate": np.asarray(curve.false_negative_rate),
            "precision": np.asarray(curve.precision),
        }
        title = f"positive class: {display_text(class_names[1])}"
        captions |= draw_figure(
            directory,
            "threshold",
            "Rates on the test set against the threshold on the mean probability of all networks. "
            "The dashed line is the mean of the thresholds that the networks use.",
            lambda: figures.threshold_curve(np.asarray(curve.thresholds), rates, threshold, title),
        )
    return captions


def confusion_counts(
    predicted: Int[np.ndarray, "networks n"], labels: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Examples of each true class (rows) predicted as each class, over all networks.

    >>> confusion_counts(np.array([[0, 1, 1]]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels.astype(np.int64) * num_classes + predicted
    counts = np.bincount(pairs.ravel(), minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_table(
    outputs: Float[np.ndarray, "networks n outputs"],
    labels: Int[np.ndarray, " n"],
    class_names: tuple[str, ...],
) -> list[tuple[str, ...]]:
    """Test examples, recall and precision of each class, over all networks; worst recall first."""
    predicted = predicted_classes(outputs)
    counts = confusion_counts(predicted, labels, len(class_names))
    right, true, called = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    recall, precision = right / np.maximum(true, 1), right / np.maximum(called, 1)
    rows: list[tuple[str, ...]] = [("class", "test examples", "recall", "precision")]
    for index in np.argsort(recall, kind="stable"):
        rows.append(
            (
                class_names[index],
                str(int(true[index]) // len(predicted)),
                f"{recall[index]:.4f}",
                f"{precision[index]:.4f}" if called[index] else "never predicted",
            )
        )
    return rows
