"""Checks of data on the host, before compilation: a trace does not see values."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxnet.typing import Sequences

Inputs = ArrayLike | Mapping[str, Any] | tuple[Any, ...]


def check_data(x: Inputs, y: Inputs | None = None, *, num_classes: int | None = None) -> None:
    """Raise for data that a network cannot be trained on.

    JAX raises nothing for a NaN, a label out of range or a fraction used as a label; this function
    does. It reads the arrays once, on the host.

    Args:
        x: features, `(n, ...)`; or a dict or tuple of them, for networks with several inputs; or
            sequences, whose padding may hold anything.
        y: targets `(n, ...)`, or labels `(n,)` where `num_classes` is given; or a dict or tuple of
            targets; or None.
        num_classes: number of classes, which makes `y` labels in [0, num_classes).

    Raises:
        ValueError: no examples; lengths that differ; a sequence without steps, or with more than
            its array holds; features or targets that are NaN or infinite, with the first bad row;
            labels that are negative, too large, fractional, or all of one class.

    >>> check_data(np.ones((3, 2)), [0, 1, 1], num_classes=2)
    >>> check_data([[1.0, np.nan]])
    Traceback (most recent call last):
        ...
    ValueError: x: row 0 holds nan at column 1; features must be finite, remove or impute the row
    """
    features = _named_arrays("x", x)
    targets = {} if y is None else _named_arrays("y", y)
    first, num_examples = next(iter(features)), None
    for name, values in (features | targets).items():
        if values.ndim == 0 or len(values) == 0:
            shape = values.shape
            raise ValueError(f"{name} holds no examples (shape {shape}); at least one is needed")
        num_examples = len(values) if num_examples is None else num_examples
        if len(values) != num_examples:
            raise ValueError(
                f"{first} holds {num_examples} examples and {name} {len(values)}; they must be "
                "equally many"
            )
        _require_finite(name, "features" if name in features else "targets", values)
    if num_classes is not None:
        for values in targets.values():
            _check_labels(values, num_classes)


def as_arrays(function: str, name: str, tree: Any) -> Any:
    """The leaves of a pytree as JAX arrays: of NumPy arrays, DataFrames, Series and tensors.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        tree: an array, or a dict or another pytree of them. Traced arrays pass.

    Returns:
        The same structure of JAX arrays.

    Raises:
        TypeError: a leaf that is not an array of numbers, such as a Python list of numbers, which
            is a pytree of its own.

    >>> as_arrays("fit", "data", {"x": np.ones((3, 2), np.float16)})["x"].dtype
    dtype('float16')
    >>> as_arrays("fit", "data", {"x": [1.0, 2.0]})
    Traceback (most recent call last):
        ...
    TypeError: fit: data['x'][0] is a float, expected arrays of numbers; use numpy.asarray for lists
    """

    def convert(path: Any, leaf: Any) -> Any:
        if isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):
            return leaf
        where, kind = f"{function}: {name}{jax.tree_util.keystr(path)}", type(leaf).__name__
        if isinstance(leaf, np.ma.MaskedArray):
            raise TypeError(
                f"{where} is a {kind}, whose mask would be lost; use its data and a 'weight' of 0"
            )
        if not hasattr(leaf, "__array__"):
            raise TypeError(
                f"{where} is a {kind}, expected arrays of numbers; use numpy.asarray for lists"
            )
        array = np.asarray(leaf)
        if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
            raise TypeError(
                f"{where} is a {kind} of dtype {array.dtype}, expected numbers; encode text and "
                "dates as numbers, and leave out columns of other types"
            )
        # Unlike `jnp.asarray`, which compiles a program for each shape.
        return jax.device_put(array)

    return jax.tree_util.tree_map_with_path(convert, tree)


def _named_arrays(name: str, values: Inputs) -> dict[str, np.ndarray]:
    """The arrays of a nested dict, tuple or list by their paths; anything else is one array."""
    if isinstance(values, Sequences):
        return _sequence_arrays(name, values)
    if isinstance(values, Mapping):
        items = [(f"{name}/{key}", value) for key, value in values.items()]
    elif isinstance(values, (tuple, list)) and any(hasattr(value, "shape") for value in values):
        items = [(f"{name}/{index}", value) for index, value in enumerate(values)]
    else:
        return {name: np.asarray(values)}
    if not items:
        raise ValueError(f"{name} holds no arrays; at least one is needed")
    return {path: leaf for key, value in items for path, leaf in _named_arrays(key, value).items()}


def _sequence_arrays(name: str, sequences: Sequences) -> dict[str, np.ndarray]:
    """The steps of sequences, 0 for the padding, which may hold anything, and their lengths."""
    values, length = map(np.asarray, sequences)
    if length.ndim != 1 or values.shape[:1] != length.shape or values.ndim < 2:
        raise ValueError(
            f"{name}: sequences must have values (n, time, ...) and one length for each, found "
            f"shapes {values.shape} and {length.shape}"
        )
    wrong = (length < 1) | (length > values.shape[1]) | (length != np.floor(length))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: row {row} has length {length[row]}, expected a whole number from 1 to "
            f"{values.shape[1]}; remove sequences without steps"
        )
    mask = np.arange(values.shape[1]) < length[:, None]
    mask = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
    return {name: np.where(mask, values, 0), f"{name}/length": length}


def check_unit_interval(x: ArrayLike) -> None:
    """Raise for data outside [0, 1], which a Bernoulli output, whose mean lies there, cannot fit.

    It reads the array once, on the host.

    Args:
        x: pixels, `(n, ...)`.

    Raises:
        ValueError: as `check_data`; a number outside [0, 1], with its first row and the remedy.

    >>> check_unit_interval([[0.0, 0.5], [1.0, 0.25]])
    >>> check_unit_interval([[0.0, 128.0], [255.0, 0.0]])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: x: row 0 holds 128.0 at column 1; a Bernoulli output needs ...
    """
    check_data(x)
    rows = np.asarray(x)
    rows = rows.reshape(len(rows), -1)
    low, high = rows.min(), rows.max()
    if low >= 0 and high <= 1:
        return
    outside = (rows < 0) | (rows > 1)
    row = int(np.argmax(outside.any(axis=1)))
    column = int(np.argmax(outside[row]))
    remedy = (
        "divide by the largest value that a pixel can have, 255 for bytes"
        if low >= 0
        else "scale them to [0, 1], or use a Gaussian output and squared error"
    )
    raise ValueError(
        f"x: row {row} holds {rows[row, column]} at column {column}; a Bernoulli output needs "
        f"numbers in [0, 1], found a range of {low} to {high}: {remedy}"
    )


def _require_finite(name: str, kind: str, values: np.ndarray) -> None:
    if not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
        raise ValueError(f"{name}: {kind} must be numbers, found dtype {values.dtype}")
    rows = values.reshape(len(values), -1)
    finite = np.isfinite(rows)
    if finite.all():
        return
    row = int(np.argmin(finite.all(axis=1)))
    column = int(np.argmin(finite[row]))
    where = f" at column {column}" if rows.shape[1] > 1 else ""
    raise ValueError(
        f"{name}: row {row} holds {rows[row, column]}{where}; {kind} must be finite, "
        "remove or impute the row"
    )


def _check_labels(labels: np.ndarray, num_classes: int) -> None:
    if labels.ndim != 1:
        raise ValueError(
            f"y: labels must be one integer for each example, found shape {labels.shape}"
        )
    for wrong, problem in (
        (labels != np.floor(labels), "is a fraction"),
        (labels < 0, "is negative"),
        (labels >= num_classes, "is too large"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"y: the label {labels[row]} of row {row} {problem}; labels must be integers "
                f"from 0 to {num_classes - 1}"
            )
    if (labels == labels[0]).all():
        raise ValueError(
            f"y: every label is {labels[0]}; a classifier needs examples of at least two classes"
        )
