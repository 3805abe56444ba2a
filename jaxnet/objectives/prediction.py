"""Objectives of networks that predict targets, `(params, batch, key) -> (loss, metrics)`.

A batch is a dict of arrays that share their first axis: `x` the inputs, an array or a pytree of
arrays, `y` the targets, and optionally `weight`, one number for each example, or for each element
of a loss that has more axes: `(batch,)`, `(batch, time)`, `(batch, outputs)`. Weight 0 masks.
"""

from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from jaxnet._checks import is_zero, require_range
from jaxnet.nn.network import Network, StatefulNetwork, require_network
from jaxnet.objectives.weighting import (
    like_outputs,
    masked,
    masked_rows,
    require_entry,
    require_shape,
    weighted_mean,
    weighted_means,
    widen,
)
from jaxnet.typing import AnyObjective, Batch, Metrics, Objective, Params, StatefulObjective

Elementwise = Callable[[Any, Any], tuple[Array, dict[str, Array]]]


@overload
def supervised(network: Network, elementwise: Elementwise) -> Objective: ...


@overload
def supervised(network: StatefulNetwork, elementwise: Elementwise) -> StatefulObjective: ...


def supervised(network: Network | StatefulNetwork, elementwise: Elementwise) -> AnyObjective:
    """Objective of a network that predicts `batch["y"]` from `batch["x"]`.

    Args:
        network: the model, with or without state.
        elementwise: `(outputs, targets) -> (losses, metrics)`, each with one value for each
            example, or for each element of each example.

    Returns:
        The objective: weighted means of the losses and of each metric, in float32 or wider, as
        `elementwise` is given outputs in float32 or wider. It is stateful where the network is.
        What an example of weight 0 holds changes neither the loss nor a gradient; targets of
        weight 0 may hold anything too where each element has a weight.

    Raises:
        TypeError: a network that is not one.
        ValueError: (of the objective) a batch without `x` or `y`; losses whose shape is not that
            of leading axes of outputs or targets, as after broadcasting.

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

    require_network("supervised", network, stateful=True)

    def read(batch: Batch) -> tuple[Batch, Any]:
        batch = masked(batch)
        inputs = require_entry("objective", batch, "x", remedy="it holds the inputs")
        require_entry("objective", batch, "y", remedy="it holds the targets")
        return batch, inputs

    def means(outputs: Any, batch: Batch) -> tuple[Array, Metrics]:
        outputs, targets = jax.tree.map(widen, outputs), jax.tree.map(jnp.asarray, batch["y"])
        if batch.get("weight") is not None:
            targets = masked_rows(targets, batch["weight"])
        losses, metrics = elementwise(outputs, targets)
        known = [leaf.shape[: losses.ndim] for leaf in jax.tree.leaves((outputs, targets))]
        if losses.ndim == 0 or losses.shape not in known:
            raise ValueError(
                f"supervised: losses have shape {losses.shape}, expected leading axes of outputs "
                f"and targets, {_shapes(outputs)} and {_shapes(targets)}: one value for each "
                "example or element; arrays of different shapes broadcast"
            )
        return weighted_mean(losses, batch.get("weight")), weighted_means(metrics, batch)

    if isinstance(network, StatefulNetwork):

        def apply(params: Params, extra: PyTree[Any], batch: Batch, key: Array | None) -> Any:
            batch, inputs = read(batch)
            outputs, extra = network.apply(params, extra, inputs, key=key)
            loss, metrics = means(outputs, batch)
            return loss, (extra, metrics)

        return StatefulObjective(network.init_extra, apply)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch, inputs = read(batch)
        return means(network.apply(params, inputs, key=key), batch)

    return objective


def _shapes(tree: PyTree[Any]) -> Any:
    return jax.tree.map(jnp.shape, tree)


@overload
def regression(network: Network) -> Objective: ...


@overload
def regression(network: StatefulNetwork) -> StatefulObjective: ...


def regression(network: Network | StatefulNetwork) -> AnyObjective:
    """Mean squared error `mean_i ||network(x_i) - y_i||^2 / output_dim`.

    Args:
        network: from inputs to `(batch, output_dim)`.

    Returns:
        An objective on batches whose `y` has shape `(batch, output_dim)`, or `(batch,)` where
        `output_dim` is 1. Metrics: `mean_squared_error`.

    Raises:
        ValueError: (of the objective) outputs and targets whose shapes differ.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> batch = {"x": jnp.zeros((4, 2)), "y": jnp.full(4, 3.0)}
    >>> loss, metrics = regression(network)(network.init(jax.random.key(0)), batch, None)
    >>> float(loss)
    9.0
    """

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        targets = widen(like_outputs("regression", outputs, targets))
        squared = optax.losses.squared_error(outputs, targets)
        return squared, {"mean_squared_error": squared}

    return supervised(network, elementwise)


@overload
def classification(network: Network, *, label_smoothing: ArrayLike = 0.0) -> Objective: ...


@overload
def classification(
    network: StatefulNetwork, *, label_smoothing: ArrayLike = 0.0
) -> StatefulObjective: ...


def classification(
    network: Network | StatefulNetwork, *, label_smoothing: ArrayLike = 0.0
) -> AnyObjective:
    """Softmax cross-entropy `-mean_i log softmax(network(x_i))[y_i]`.

    Args:
        network: from inputs to logits `(batch, *positions, num_classes)`.
        label_smoothing: probability mass spread evenly over all classes, in [0, 1), Szegedy et al.
            (2016), section 7; may be traced.

    Returns:
        An objective on batches whose `y` holds integer labels `(batch, *positions)` in
        [0, num_classes); or floats `(batch, *positions, num_classes)`, the probabilities of the
        classes (one-hot labels, mixup, distillation), whose largest is the label for the accuracy.
        Metrics: `accuracy`. Values are not checked here, inside the trace: see `check_data`.

    Raises:
        ValueError: a label smoothing outside [0, 1); (of the objective) targets of another shape
            or dtype, logits of a single class.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 4])
    >>> batch = {"x": jnp.zeros((8, 2)), "y": jnp.zeros(8, int)}
    >>> loss, metrics = classification(network)(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss - jnp.log(4)) < 1e-6)
    True
    """
    require_range("classification", "label_smoothing", label_smoothing, 0, 1, include_high=False)
    smooth = not is_zero(label_smoothing)

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        soft = _is_soft(outputs, targets)
        labels = targets.argmax(axis=-1) if soft else targets.astype(int)
        accuracy = outputs.argmax(axis=-1) == labels
        if not soft and not smooth:
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, labels)
            return losses, {"accuracy": accuracy}
        distribution = widen(targets) if soft else jax.nn.one_hot(labels, outputs.shape[-1])
        if smooth:
            distribution = optax.losses.smooth_labels(distribution, jnp.asarray(label_smoothing))
        losses = optax.losses.softmax_cross_entropy(outputs, distribution.astype(outputs.dtype))
        return losses, {"accuracy": accuracy}

    return supervised(network, elementwise)


def _is_soft(outputs: Array, targets: Array) -> bool:
    """Whether targets are distributions over the classes; raise where they are not labels."""
    found = f"classification: y has shape {targets.shape} and dtype {targets.dtype}"
    expected = (
        f"integer labels of shape {outputs.shape[:-1]}, or probabilities (floats) of shape "
        f"{outputs.shape}, for logits of shape {outputs.shape}"
    )
    if outputs.ndim < 2 or outputs.shape[-1] < 2:
        raise ValueError(
            f"classification: the network's outputs have shape {outputs.shape}, expected the "
            "logits of at least two classes; for one logit use binary_classification"
        )
    is_float = jnp.issubdtype(targets.dtype, jnp.floating)
    if targets.shape == outputs.shape and is_float:
        return True
    if targets.shape == outputs.shape:
        remedy = (
            "for one-hot labels use y.astype(float), for several labels of an example "
            "multilabel_classification"
        )
    elif targets.shape != outputs.shape[:-1]:
        remedy = "for labels of shape (n, 1) use y[:, 0]"
    elif is_float:
        remedy = "for labels stored as floats use y.astype(int)"
    else:
        return False
    raise ValueError(f"{found}, expected {expected}; {remedy}")


@overload
def binary_classification(network: Network) -> Objective: ...


@overload
def binary_classification(network: StatefulNetwork) -> StatefulObjective: ...


def binary_classification(network: Network | StatefulNetwork) -> AnyObjective:
    """Logistic loss `-mean_i [y_i log p_i + (1 - y_i) log(1 - p_i)]`, `p = sigmoid(network(x))`.

    Args:
        network: from inputs to one logit `(batch, *positions, 1)`.

    Returns:
        An objective on batches whose `y` holds labels 0 and 1, or probabilities of label 1,
        `(batch, *positions)` or `(batch, *positions, 1)`. Metrics: `accuracy` at the threshold 1/2.

    Raises:
        ValueError: (of the objective) a network with more than one output, targets of another
            shape.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 1])
    >>> batch = {"x": jnp.zeros((8, 2)), "y": jnp.ones(8, int)}
    >>> loss, metrics = binary_classification(network)(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss - jnp.log(2)) < 1e-6)
    True
    """

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        if outputs.ndim < 2 or outputs.shape[-1] != 1:
            raise ValueError(
                f"binary_classification: the network's outputs have shape {outputs.shape}, "
                "expected one logit for each example, (batch, 1); for more classes use "
                "classification"
            )
        targets = like_outputs("binary_classification", outputs, targets)
        return _logistic(outputs[..., 0], targets[..., 0])

    return supervised(network, elementwise)


def _logistic(logits: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
    targets = targets.astype(logits.dtype)
    losses = optax.losses.sigmoid_binary_cross_entropy(logits, targets)
    return losses, {"accuracy": (logits > 0) == (targets > 0.5)}


@overload
def multilabel_classification(network: Network) -> Objective: ...


@overload
def multilabel_classification(network: StatefulNetwork) -> StatefulObjective: ...


def multilabel_classification(network: Network | StatefulNetwork) -> AnyObjective:
    """Mean logistic loss of labels that do not exclude each other.

    `-mean_ij [y_ij log p_ij + (1 - y_ij) log(1 - p_ij)]`, `p = sigmoid(network(x))`. Bishop (2006),
    "Pattern Recognition and Machine Learning", section 5.2, for several binary classifications.

    Args:
        network: from inputs to logits `(batch, *positions, num_labels)`.

    Returns:
        An objective on batches whose `y`, of the shape of the logits, holds 1 for each label that
        an example has and 0 for the others, or probabilities. A `weight` of that shape masks
        labels that are not known. Metrics: `accuracy` at the threshold 1/2, over all labels.

    Raises:
        ValueError: (of the objective) targets whose shape is not that of the logits.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 3])
    >>> batch = {"x": jnp.zeros((2, 2)), "y": jnp.array([[1, 0, 1], [0, 0, 0]])}
    >>> objective = multilabel_classification(network)
    >>> loss, metrics = objective(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss - jnp.log(2)) < 1e-6), round(float(metrics["accuracy"]), 3)
    (True, 0.667)
    """

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        require_shape(
            "multilabel_classification",
            "y",
            targets,
            outputs.shape,
            remedy="one number for each logit, 1 for the labels that an example has",
        )
        return _logistic(outputs, targets)

    return supervised(network, elementwise)
