"""Objectives: `(params, batch, key) -> (loss, metrics)`, the boundary between model and training.

A batch is a dict of arrays that share their first axis: `x` the inputs, `y` the targets, and
optionally `weight`, one number for each example, where 0 masks it. Losses are one value for each
example; only the objective averages.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import is_zero, require_range
from jaxnet.nn.network import Network
from jaxnet.typing import Batch, Metrics, Objective, Params


def weighted_mean(
    values: Shaped[Array, " batch"], weight: Shaped[Array, " batch"] | None = None
) -> Float[Array, ""]:
    """Mean of one value per example; weight 0 masks an example.

    Args:
        values: one value for each example.
        weight: one weight for each example, or None for ones.

    Returns:
        `sum(weight * values) / sum(weight)`; a masked value may be anything, NaN too.

    >>> float(weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])))
    2.0
    """
    if weight is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(weight > 0, values * weight, 0)) / jnp.sum(weight)


def supervised(
    network: Network, per_example: Callable[[Array, Array], tuple[Array, dict[str, Array]]]
) -> Objective:
    """Objective of a network that predicts `batch["y"]` from `batch["x"]`.

    Args:
        network: the model.
        per_example: `(outputs, targets) -> (losses, metrics)`, one value for each example in each
            of them.

    Returns:
        The objective: weighted means of the losses and of each metric.

    >>> import jaxnet as jn
    >>> def absolute(outputs, targets):
    ...     return jnp.abs(outputs[:, 0] - targets), {}
    >>> network = jn.dense(2, 1)
    >>> loss, metrics = supervised(network, absolute)(
    ...     network.init(jax.random.key(0)), {"x": jnp.zeros((4, 2)), "y": jnp.ones(4)}, None
    ... )
    >>> float(loss)
    1.0
    """

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        losses, metrics = per_example(network.apply(params, batch["x"], key=key), batch["y"])
        weight = batch.get("weight")
        means = {name: weighted_mean(values, weight) for name, values in metrics.items()}
        return weighted_mean(losses, weight), means

    return objective


def regression(network: Network) -> Objective:
    """Mean squared error `mean_i ||network(x_i) - y_i||^2 / output_dim`.

    Args:
        network: from inputs to `(batch, output_dim)`.

    Returns:
        An objective on batches whose `y` has shape `(batch, output_dim)`, or `(batch,)` where
        `output_dim` is 1. Metrics: `mean_squared_error`.

    Raises:
        ValueError: (of the objective) outputs and targets that do not fit.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> batch = {"x": jnp.zeros((4, 2)), "y": jnp.full(4, 3.0)}
    >>> loss, metrics = regression(network)(network.init(jax.random.key(0)), batch, None)
    >>> float(loss)
    9.0
    """

    def per_example(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        if outputs.size != targets.size or len(outputs) != len(targets):
            raise ValueError(
                f"regression: targets y have shape {targets.shape}, expected {outputs.shape} as "
                "the network's outputs (or without the last axis where it is 1)"
            )
        squared = optax.losses.squared_error(outputs, targets.reshape(outputs.shape))
        squared = squared.reshape(len(outputs), -1).mean(axis=-1)
        return squared, {"mean_squared_error": squared}

    return supervised(network, per_example)


def classification(network: Network, *, label_smoothing: ArrayLike = 0.0) -> Objective:
    """Softmax cross-entropy `-mean_i log softmax(network(x_i))[y_i]`.

    Args:
        network: from inputs to logits `(batch, num_classes)`.
        label_smoothing: probability mass spread evenly over all classes, in [0, 1); Szegedy et al.
            (2016), section 7; may be traced.

    Returns:
        An objective on batches whose `y` holds integer labels `(batch,)` in [0, num_classes).
        Metrics: `accuracy`. Labels are not checked here, inside the trace: see `check_data`.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 4])
    >>> batch = {"x": jnp.zeros((8, 2)), "y": jnp.zeros(8, int)}
    >>> loss, metrics = classification(network)(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss - jnp.log(4)) < 1e-6)
    True
    """
    require_range("classification", "label_smoothing", label_smoothing, 0, 1, include_high=False)
    smooth = not is_zero(label_smoothing)

    def per_example(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        if smooth:
            labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
            labels = optax.losses.smooth_labels(labels, jnp.asarray(label_smoothing))
            losses = optax.losses.softmax_cross_entropy(outputs, labels)
        else:
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return losses, {"accuracy": (outputs.argmax(axis=-1) == targets).astype(outputs.dtype)}

    return supervised(network, per_example)


def binary_classification(network: Network) -> Objective:
    """Logistic loss `-mean_i [y_i log p_i + (1 - y_i) log(1 - p_i)]`, `p = sigmoid(network(x))`.

    Args:
        network: from inputs to one logit `(batch, 1)`.

    Returns:
        An objective on batches whose `y` holds labels 0 and 1, `(batch,)`. Metrics: `accuracy` at
        the threshold 1/2.

    Raises:
        ValueError: (of the objective) a network with more than one output.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> batch = {"x": jnp.zeros((8, 2)), "y": jnp.ones(8, int)}
    >>> loss, metrics = binary_classification(network)(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss - jnp.log(2)) < 1e-6)
    True
    """

    def per_example(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        if outputs.shape != (len(targets), 1):
            raise ValueError(
                f"binary_classification: the network's outputs have shape {outputs.shape}, "
                f"expected one logit for each example, {(len(targets), 1)}; for more classes use "
                "classification"
            )
        logits = outputs[:, 0]
        losses = optax.losses.sigmoid_binary_cross_entropy(logits, targets.astype(logits.dtype))
        return losses, {"accuracy": ((logits > 0) == (targets == 1)).astype(logits.dtype)}

    return supervised(network, per_example)
