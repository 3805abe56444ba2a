"""Metrics of classifiers, from predicted classes, logits or probabilities."""

import operator

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet._checks import require_integer
from jaxnet.metrics._binning import assign_bins, checked_weights, sum_by_bin
from jaxnet.metrics.weighting import (
    BinaryLabels,
    as_float,
    example_weights,
    require_logits,
    require_vectors,
    weighted_mean,
)
from jaxnet.objectives.weighting import require_shape


def _nan_where_undefined(
    hits: Shaped[Array, " n"], outputs: Float[Array, "n classes"]
) -> Float[Array, " n"]:
    # argmax and top_k treat NaN as the largest number: a diverged network would score by chance.
    return jnp.where(jnp.isnan(outputs).any(axis=-1), jnp.nan, as_float(hits))


def accuracy(
    logits: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Fraction of the examples whose most probable class is the true class.

    `sum_i w_i [argmax_c logits_ic = y_i] / sum_i w_i`; of equal logits the first is predicted.

    Args:
        logits: logits or probabilities, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The accuracy in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> logits = jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 1.0], [5.0, 1.0]])
    >>> float(accuracy(logits, jnp.array([0, 1, 1, 0])))
    0.75

    Source: `sklearn.metrics.accuracy_score`.
    """
    require_logits("accuracy", "logits", logits)
    require_shape("accuracy", "labels", labels, logits.shape[:1])
    weight = example_weights("accuracy", len(logits), weight)
    hits = jnp.argmax(logits, axis=-1) == labels
    return weighted_mean(_nan_where_undefined(hits, logits), weight)


def top_k_accuracy(
    logits: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    k: int,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Fraction of the examples whose true class is among the `k` most probable classes.

    `sum_i w_i [y_i in top_k(logits_i)] / sum_i w_i`; of equal logits the first classes are
    predicted, so `k=1` equals `accuracy`.

    Args:
        logits: logits or probabilities, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        k: number of predicted classes, from 1 to `classes`; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The top-k accuracy in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: `k` is outside 1 to `classes`; shapes do not match.

    >>> logits = jnp.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    >>> float(top_k_accuracy(logits, jnp.array([2, 1]), k=2))
    0.5

    Source: Russakovsky et al. (2015), "ImageNet Large Scale Visual Recognition Challenge",
    section 4.1 (as an error, with k = 5).
    """
    require_logits("top_k_accuracy", "logits", logits)
    num_classes = logits.shape[-1]
    require_integer(
        "top_k_accuracy",
        "k",
        k,
        1,
        num_classes,
        remedy="choose a smaller k, or check that the last axis of logits is the classes",
    )
    require_shape("top_k_accuracy", "labels", labels, logits.shape[:1])
    weight = example_weights("top_k_accuracy", len(logits), weight)
    _, top_classes = jax.lax.top_k(logits, operator.index(k))
    hits = jnp.any(top_classes == labels[:, None], axis=-1)
    return weighted_mean(_nan_where_undefined(hits, logits), weight)


def confusion_matrix(
    labels: Integer[Array, " n"],
    predictions: Integer[Array, " n"],
    *,
    num_classes: int,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, "classes classes"]:
    """Count the examples of each true class that were predicted as each class.

    `C_ab = sum_i w_i [y_i = a] [prediction_i = b]`, computed as a matrix product of one-hot labels:
    it is deterministic, whereas a scatter on an accelerator may not be.

    Args:
        labels: true classes `(n,)` in [0, num_classes).
        predictions: predicted classes `(n,)` in [0, num_classes).
        num_classes: number of classes, at least 1; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        Sums of weights, `(num_classes, num_classes)`; rows are true classes, columns predicted
        ones. An example with a class outside the range is not counted.

    Raises:
        ValueError: `num_classes` is below 1; shapes do not match.

    >>> confusion_matrix(jnp.array([0, 0, 1]), jnp.array([0, 1, 1]), num_classes=2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]

    Source: `sklearn.metrics.confusion_matrix`.
    """
    require_integer(
        "confusion_matrix",
        "num_classes",
        num_classes,
        1,
        remedy="pass the number of classes of the data",
    )
    require_vectors("confusion_matrix", labels=labels)
    require_shape("confusion_matrix", "predictions", predictions, labels.shape)
    weight = example_weights("confusion_matrix", len(labels), weight)
    num_classes = operator.index(num_classes)
    true_classes = jax.nn.one_hot(labels, num_classes, dtype=weight.dtype) * weight[:, None]
    predicted_classes = jax.nn.one_hot(predictions, num_classes, dtype=weight.dtype)
    # Accelerators round the factors of a matrix product by default, here the weights.
    return jnp.matmul(true_classes.T, predicted_classes, precision=jax.lax.Precision.HIGHEST)


def log_loss(
    logits: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean negative log-probability of the true class, in nats.

    `-sum_i w_i log softmax(logits_i)[y_i] / sum_i w_i`.

    Args:
        logits: unnormalized log-probabilities, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The loss, at least 0, a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> float(jnp.exp(log_loss(jnp.zeros((3, 4)), jnp.array([0, 1, 2]))).round(4))
    4.0

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", equation 4.108.
    """
    require_logits("log_loss", "logits", logits)
    require_shape("log_loss", "labels", labels, logits.shape[:1])
    weight = example_weights("log_loss", len(logits), weight)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(as_float(logits), labels)
    return weighted_mean(losses, weight)


def binary_log_loss(
    logit: Float[Array, " n"],
    labels: BinaryLabels,
    *,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean negative log-probability of the true one of two classes, in nats.

    `-sum_i w_i [y_i log p_i + (1 - y_i) log(1 - p_i)] / sum_i w_i` with `p = sigmoid(logit)`.

    Args:
        logit: log-odds of label 1, `(n,)`.
        labels: 1 positive, 0 negative, `(n,)`.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The loss, at least 0, a scalar; NaN without examples.

    Raises:
        ValueError: shapes do not match.

    >>> float(jnp.exp(binary_log_loss(jnp.zeros(3), jnp.array([0, 1, 1]))).round(4))
    2.0

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", equation 4.90.
    """
    require_vectors("binary_log_loss", logit=logit)
    require_shape("binary_log_loss", "labels", labels, logit.shape)
    weight = example_weights("binary_log_loss", len(logit), weight)
    losses = optax.losses.sigmoid_binary_cross_entropy(as_float(logit), as_float(labels))
    return weighted_mean(losses, weight)


def expected_calibration_error(
    probabilities: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    num_bins: int = 15,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean difference of confidence and accuracy over bins of the confidence.

    `sum_m |B_m| / n |acc(B_m) - conf(B_m)|`, where `B_m` holds the examples whose confidence, their
    highest probability, lies in `((m - 1) / num_bins, m / num_bins]`; `acc` is their accuracy,
    `conf` their mean confidence, and `|B_m|` and `n` are sums of weights. Empty bins add 0.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`, such as a softmax.
        labels: true classes `(n,)` in [0, classes).
        num_bins: number of bins of equal width, at least 1; static.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The error in [0, 1], a scalar; NaN without examples.

    Raises:
        ValueError: `num_bins` is below 1; shapes do not match.

    >>> probabilities = jnp.array([[0.75, 0.25]] * 4)
    >>> float(expected_calibration_error(probabilities, jnp.array([0, 0, 0, 1])))
    0.0
    >>> float(expected_calibration_error(probabilities, jnp.array([0, 0, 0, 0])))
    0.25

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3.
    """
    require_integer("expected_calibration_error", "num_bins", num_bins, 1, remedy="15 is customary")
    weight = checked_weights("expected_calibration_error", probabilities, labels, weight)
    num_bins = operator.index(num_bins)
    confidences = as_float(jnp.max(probabilities, axis=-1))
    hits = as_float(jnp.argmax(probabilities, axis=-1) == labels)
    bins = assign_bins(confidences, weight, num_bins, "width")
    gaps = jnp.where(weight > 0, (hits - confidences) * weight, 0)
    # |B_m| |acc - conf| is the absolute sum of the gaps in B_m: no division by an empty bin.
    return jnp.sum(jnp.abs(sum_by_bin(gaps, bins, num_bins))) / jnp.sum(weight)
