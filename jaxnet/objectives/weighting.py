"""Outputs, targets and weights: checked shapes, wide sums, masks. All losses and metrics use it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree, Shaped

from jaxnet.typing import Batch


def widen(values: ArrayLike) -> Array:
    """Numbers in float32 or wider: losses and metrics lose digits in bfloat16.

    Args:
        values: numbers of any dtype.

    Returns:
        The same numbers; integers and truth values as floats.

    >>> widen(jnp.ones(2, jnp.bfloat16)).dtype, widen(jnp.array([True])).dtype
    (dtype('float32'), dtype('float32'))
    """
    values = jnp.asarray(values)
    # Not `promote_types`, which rejects integers where dtypes promote strictly.
    is_wide = jnp.issubdtype(values.dtype, jnp.inexact) and values.dtype.itemsize >= 4
    return values if is_wide else values.astype(jnp.float32)


def require_shape(
    function: str, name: str, array: Any, expected: tuple[int, ...], *, remedy: str = ""
) -> None:
    """Raise for an array that would broadcast, such as labels `(n, 1)` with predictions `(n,)`.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        array: the array.
        expected: the shape that it must have.
        remedy: what to do, for the message.

    Raises:
        ValueError: another shape.

    >>> require_shape("accuracy", "labels", jnp.zeros((3, 1)), (3,), remedy="use labels[:, 0]")
    Traceback (most recent call last):
        ...
    ValueError: accuracy: labels has shape (3, 1), expected (3,); use labels[:, 0]
    """
    if jnp.shape(array) != expected:
        remedy = remedy or f"reshape {name} or drop the extra examples"
        raise ValueError(
            f"{function}: {name} has shape {jnp.shape(array)}, expected {expected}; {remedy}"
        )


def require_entry(function: str, batch: Batch, name: str, *, remedy: str = "") -> Any:
    """An entry of a batch; raise with the names that there are where it is missing.

    Args:
        function: the objective, for the message.
        batch: the batch.
        name: the entry.
        remedy: what to do, for the message.

    Returns:
        The entry.

    Raises:
        ValueError: no such entry.

    >>> require_entry("classification", {"x": 0, "label": 1}, "y")
    Traceback (most recent call last):
        ...
    ValueError: classification: the batch has no entry 'y', found 'label', 'x'
    """
    if name not in batch:
        entries = ", ".join(map(repr, sorted(batch))) or "none"
        remedy = f"; {remedy}" if remedy else ""
        raise ValueError(f"{function}: the batch has no entry {name!r}, found {entries}{remedy}")
    return batch[name]


def like_outputs(function: str, outputs: Array, targets: Array) -> Array:
    """Targets in the shape of the outputs of a network.

    Args:
        function: the objective, for the message.
        outputs: outputs of the network, `(batch, ...)`.
        targets: targets `y` of the same shape, or without the last axis where it is 1.

    Returns:
        The targets, of the shape of the outputs.

    Raises:
        ValueError: another shape.

    >>> like_outputs("regression", jnp.zeros((3, 1)), jnp.zeros(3)).shape
    (3, 1)
    """
    if outputs.ndim > 0 and outputs.shape[-1] == 1 and targets.shape == outputs.shape[:-1]:
        return targets[..., None]
    if targets.shape != outputs.shape:
        raise ValueError(
            f"{function}: targets y have shape {targets.shape}, expected {outputs.shape} as "
            "the network's outputs (or without the last axis where it is 1)"
        )
    return targets


def weighted_sum(values: Shaped[Array, "n *rest"], weight: Shaped[Array, " n"]) -> Array:
    """`sum_i weight_i values_i`; a value of weight 0 is ignored, even if it is NaN.

    Args:
        values: values, `(n, ...)`.
        weight: weights, `(n,)`.

    Returns:
        The sum, `(...)`.

    >>> float(weighted_sum(jnp.array([1.0, jnp.nan]), jnp.array([2.0, 0.0])))
    2.0
    """
    weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return jnp.sum(jnp.where(weight > 0, values * weight, 0), axis=0)


def weighted_mean(
    values: Shaped[Array, "*batch"], weight: Shaped[Array, "*weighted"] | None = None
) -> Float[Array, ""]:
    """Weighted mean `sum(weight * values) / sum(weight)`; weight 0 masks a value.

    Args:
        values: one value for each example, or for each element of each example.
        weight: weights of the leading axes of `values`, or None for ones. Axes of `values` beyond
            those of `weight` are averaged first.

    Returns:
        The mean, in float32 or wider. A masked value may be anything, NaN too. Where every weight
        is 0 it is 0.

    Raises:
        ValueError: weights whose shape is not that of the leading axes of `values`.

    >>> float(weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])))
    2.0
    >>> float(weighted_mean(jnp.array([[1.0, 3.0], [5.0, 9.0]]), jnp.array([1.0, 0.0])))
    2.0
    """
    values = widen(values)
    if weight is None:
        return jnp.mean(values)
    weight = widen(weight)
    if weight.ndim == 0 or values.shape[: weight.ndim] != weight.shape:
        raise ValueError(
            f"weight has shape {weight.shape}, expected that of the leading axes of the values, "
            f"whose shape is {values.shape}: one weight for each example, or for each element"
        )
    values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
    total = jnp.sum(weight)
    return weighted_sum(values.ravel(), weight.ravel()) / jnp.where(total > 0, total, 1)


def weighted_means(values: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """`weighted_mean` of each metric with the weights of a batch.

    Args:
        values: values for each example, or for each element, by their names.
        batch: the batch, with or without `weight`.

    Returns:
        The means.

    >>> weighted_means({"loss": jnp.array([1.0, 3.0])}, {})["loss"].item()
    2.0
    """
    return {name: weighted_mean(value, batch.get("weight")) for name, value in values.items()}


def example_weight(batch: Batch) -> Float[Array, " n"] | None:
    """One weight for each example: those of its elements count as their mean.

    Args:
        batch: a batch, with or without `weight`.

    Returns:
        The weights, in float32 or wider; None without.

    >>> example_weight({"weight": jnp.array([[1, 0], [1, 1]])}).tolist()
    [0.5, 1.0]
    """
    weight = batch.get("weight")
    return None if weight is None else widen(weight).reshape(len(weight), -1).mean(axis=-1)


def masked(batch: Batch) -> Batch:
    """A batch in which examples of weight 0 hold zeros, whatever they held before.

    The weight of a loss does not keep a NaN of an input out of a gradient; a zero does. An example
    whose elements have weights is masked where all of them are 0.

    Args:
        batch: a batch, with or without `weight`.

    Returns:
        A batch of the same structure.

    Raises:
        ValueError: weights that are not one for each example, or for each element.

    >>> masked({"x": jnp.array([[1.0], [jnp.nan]]), "weight": jnp.array([1.0, 0.0])})["x"].tolist()
    [[1.0], [0.0]]
    """
    weight = batch.get("weight")
    if weight is None:
        return batch
    if jnp.ndim(weight) == 0:
        raise ValueError(
            "weight has shape (), expected one number for each example, or for each element"
        )
    weight = widen(weight)
    present = (weight > 0).any(axis=tuple(range(1, weight.ndim)))
    return {
        name: leaf if name == "weight" else masked_rows(leaf, present)
        for name, leaf in batch.items()
    }


def masked_rows(tree: PyTree[Any], weight: Array) -> Any:
    """Arrays with zeros where the weight is 0, on the axes that they share with it.

    Args:
        tree: arrays `(n, ...)`.
        weight: weights of the examples `(n,)`; or of elements, for arrays that have these axes.

    Returns:
        The same structure.

    Raises:
        ValueError: another number of examples.

    >>> masked_rows(jnp.array([1.0, jnp.nan]), jnp.array([1.0, 0.0])).tolist()
    [1.0, 0.0]
    """

    def keep(leaf: Array) -> Array:
        leaf = jnp.asarray(leaf)
        if leaf.shape[:1] != weight.shape[:1]:
            raise ValueError(
                f"weight has shape {weight.shape}, expected {sum(leaf.shape[:1])} examples as in "
                f"the rest of the batch, where an array has shape {leaf.shape}"
            )
        if leaf.shape[: weight.ndim] != weight.shape:
            return leaf
        mask = (widen(weight) > 0).reshape(weight.shape + (1,) * (leaf.ndim - weight.ndim))
        return jnp.where(mask, leaf, jnp.zeros_like(leaf))

    return jax.tree.map(keep, tree)
