"""Look at data on the host, before anything is compiled: inside a trace bad values are silent."""

from typing import Any

import jax.core
import numpy as np
from numpy.typing import ArrayLike


def check_data(x: ArrayLike, y: ArrayLike | None = None, *, num_classes: int | None = None) -> None:
    """Refuse data that would train to nonsense.

    JAX raises nothing for a NaN, a label out of range or a fraction used as a label; this function
    does. It reads the arrays once, on the host.

    Args:
        x: features, `(n, ...)`.
        y: targets `(n, ...)`, or labels `(n,)` where `num_classes` is given; or None.
        num_classes: number of classes, which makes `y` labels in [0, num_classes).

    Raises:
        ValueError: no examples; lengths that differ; features or targets that are NaN or infinite,
            with the first bad row; labels that are negative, too large, fractional, or all of one
            class.

    >>> check_data(np.ones((3, 2)), [0, 1, 1], num_classes=2)
    >>> check_data([[1.0, np.nan]])
    Traceback (most recent call last):
        ...
    ValueError: x: row 0 holds nan at column 1; features must be finite, remove or impute the row
    """
    features = np.asarray(x)
    if features.ndim == 0 or len(features) == 0:
        raise ValueError(f"x holds no examples (shape {features.shape}); at least one is needed")
    _require_finite("x", "features", features)
    if y is None:
        return
    targets = np.asarray(y)
    if targets.ndim == 0 or len(targets) != len(features):
        raise ValueError(
            f"x holds {len(features)} examples and y {targets.size if targets.ndim else 'none'}; "
            "they must be equally many"
        )
    _require_finite("y", "targets", targets)
    if num_classes is not None:
        _check_labels(targets, num_classes)


def check_unit_interval(x: ArrayLike) -> None:
    """Refuse data that no Bernoulli output can make: its mean, a probability, lies in [0, 1].

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


def require_positive(function: str, **sizes: Any) -> None:
    """Refuse sizes below 1; a traced one cannot be looked at.

    Args:
        function: whose arguments they are, for the message.
        sizes: argument -> value.

    Raises:
        ValueError: a size below 1.

    >>> require_positive("dense", in_dim=3, out_dim=0)
    Traceback (most recent call last):
        ...
    ValueError: dense: out_dim must be at least 1, found 0
    """
    for name, size in sizes.items():
        if not isinstance(size, jax.core.Tracer) and size < 1:
            raise ValueError(f"{function}: {name} must be at least 1, found {size}")


def require_not_negative(function: str, **numbers: Any) -> None:
    """Refuse numbers below 0; a traced one cannot be looked at.

    Args:
        function: whose arguments they are, for the message.
        numbers: argument -> value.

    Raises:
        ValueError: a number below 0.

    >>> require_not_negative("with_l2", strength=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: with_l2: strength must not be negative, found -1.0
    """
    for name, number in numbers.items():
        if isinstance(number, (int, float)) and number < 0:
            raise ValueError(f"{function}: {name} must not be negative, found {number}")


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


def require_unit_interval(function: str, **numbers: Any) -> None:
    """Reject numbers outside [0, 1]; traced values cannot be checked.

    Args:
        function: whose arguments they are, for the message.
        numbers: argument -> value.

    Raises:
        ValueError: a number outside [0, 1].

    >>> require_unit_interval("averaged_learner", decay=1.5)
    Traceback (most recent call last):
        ...
    ValueError: averaged_learner: decay must lie in [0, 1], found 1.5
    """
    for name, number in numbers.items():
        if not isinstance(number, jax.core.Tracer) and not 0 <= number <= 1:
            raise ValueError(f"{function}: {name} must lie in [0, 1], found {number}")
