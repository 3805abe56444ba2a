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
from jaxtyping import Array, Float, PyTree, Shaped

from jaxnet._checks import is_zero, require_range
from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.typing import AnyObjective, Batch, Metrics, Objective, Params, StatefulObjective

Elementwise = Callable[[Any, Any], tuple[Array, dict[str, Array]]]


def weighted_mean(
    values: Shaped[Array, "*batch"], weight: Shaped[Array, "*weighted"] | None = None
) -> Float[Array, ""]:
    """Weighted mean `sum(weight * values) / sum(weight)`; weight 0 masks a value.

    Args:
        values: one value for each example, or for each element of each example.
        weight: weights of the leading axes of `values`, or None for ones. Axes of `values` beyond
            those of `weight` are averaged first.

    Returns:
        The mean. A masked value may be anything, NaN too. Where every weight is 0 it is 0.

    Raises:
        ValueError: weights whose shape is not that of the leading axes of `values`.

    >>> float(weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])))
    2.0
    >>> float(weighted_mean(jnp.array([[1.0, 3.0], [5.0, 9.0]]), jnp.array([1.0, 0.0])))
    2.0
    """
    if weight is None:
        return jnp.mean(values)
    if values.shape[: weight.ndim] != weight.shape:
        raise ValueError(
            f"weight has shape {weight.shape}, expected that of the leading axes of the values, "
            f"whose shape is {values.shape}: one weight for each example, or for each element"
        )
    values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
    total = jnp.sum(weight)
    weighted = jnp.sum(jnp.where(weight > 0, values * weight, 0))
    return weighted / jnp.where(total > 0, total, 1)


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
        The objective: weighted means of the losses and of each metric. It is stateful where the
        network is. What an example of weight 0 holds changes neither the loss nor a gradient.

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

    def means(outputs: Any, batch: Batch) -> tuple[Array, Metrics]:
        losses, metrics = elementwise(outputs, batch["y"])
        weight = batch.get("weight")
        return weighted_mean(losses, weight), {
            name: weighted_mean(values, weight) for name, values in metrics.items()
        }

    if isinstance(network, StatefulNetwork):

        def apply(params: Params, extra: PyTree[Any], batch: Batch, key: Array | None) -> Any:
            batch = masked(batch)
            outputs, extra = network.apply(params, extra, batch["x"], key=key)
            loss, metrics = means(outputs, batch)
            return loss, (extra, metrics)

        return StatefulObjective(network.init_extra, apply)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch = masked(batch)
        return means(network.apply(params, batch["x"], key=key), batch)

    return objective


def masked(batch: Batch) -> Batch:
    """A batch in which examples of weight 0 hold zeros, whatever they held before.

    The weight of a loss does not keep a NaN of an input out of a gradient; a zero does.

    Args:
        batch: a batch, with or without `weight`.

    Returns:
        A batch of the same structure.

    >>> masked({"x": jnp.array([[1.0], [jnp.nan]]), "weight": jnp.array([1.0, 0.0])})["x"].tolist()
    [[1.0], [0.0]]
    """
    weight = batch.get("weight")
    if weight is None:
        return batch
    present = (weight > 0).any(axis=tuple(range(1, weight.ndim)))

    def keep(leaf: Array) -> Array:
        if jnp.shape(leaf)[:1] != present.shape:
            raise ValueError(
                f"weight has shape {weight.shape}, expected {jnp.shape(leaf)[0]} examples as in "
                "the rest of the batch"
            )
        mask = present.reshape(-1, *[1] * (jnp.ndim(leaf) - 1))
        return jnp.where(mask, leaf, jnp.zeros_like(leaf))

    return {
        name: leaf if name == "weight" else jax.tree.map(keep, leaf) for name, leaf in batch.items()
    }


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
        if outputs.size != targets.size or len(outputs) != len(targets):
            raise ValueError(
                f"regression: targets y have shape {targets.shape}, expected {outputs.shape} as "
                "the network's outputs (or without the last axis where it is 1)"
            )
        squared = optax.losses.squared_error(outputs, targets.reshape(outputs.shape))
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
        [0, num_classes). Metrics: `accuracy`. Labels are not checked here, inside the trace: see
        `check_data`.

    Raises:
        ValueError: a label smoothing outside [0, 1); (of the objective) labels whose shape is not
            that of the logits without their last axis.

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
        if outputs.shape[:-1] != targets.shape:
            raise ValueError(
                f"classification: labels y have shape {targets.shape}, expected "
                f"{outputs.shape[:-1]} for logits of shape {outputs.shape}"
            )
        if smooth:
            labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
            labels = optax.losses.smooth_labels(labels, jnp.asarray(label_smoothing))
            losses = optax.losses.softmax_cross_entropy(outputs, labels)
        else:
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return losses, {"accuracy": (outputs.argmax(axis=-1) == targets).astype(outputs.dtype)}

    return supervised(network, elementwise)


@overload
def binary_classification(network: Network) -> Objective: ...


@overload
def binary_classification(network: StatefulNetwork) -> StatefulObjective: ...


def binary_classification(network: Network | StatefulNetwork) -> AnyObjective:
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

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        if outputs.shape != (len(targets), 1):
            raise ValueError(
                f"binary_classification: the network's outputs have shape {outputs.shape}, "
                f"expected one logit for each example, {(len(targets), 1)}; for more classes use "
                "classification"
            )
        logits = outputs[:, 0]
        losses = optax.losses.sigmoid_binary_cross_entropy(logits, targets.astype(logits.dtype))
        return losses, {"accuracy": ((logits > 0) == (targets == 1)).astype(logits.dtype)}

    return supervised(network, elementwise)
