"""Spaces of settings: what values each setting may have, and how likely they are."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from jaxnet._checks import require_above_zero, require_finite, require_integer


@dataclasses.dataclass(frozen=True)
class Dimension:
    """The values of one setting, as a function of a position in [0, 1); made by the factories.

    A position that is uniform in [0, 1) gives a value of the distribution: `log_uniform` is uniform
    in the logarithm, and all integers or choices are equally likely.

    Attributes:
        kind: which factory made it.
        low: the smallest number; 0 for choices.
        high: the largest number; the number of choices for choices.
        choices: the values of `choice`.
    """

    kind: Literal["uniform", "log_uniform", "integers", "choice"]
    low: int | float
    high: int | float
    choices: tuple[Any, ...] = ()

    @property
    def is_continuous(self) -> bool:
        """Whether the values are real numbers."""
        return self.kind in ("uniform", "log_uniform")

    def value(self, position: int | float) -> Any:
        """The value at a position.

        Args:
            position: in [0, 1).

        >>> log_uniform(1e-4, 1.0).value(0.5), choice(["a", "b"]).value(0.5)
        (0.01, 'b')
        """
        if self.kind == "uniform":
            return min(self.high, self.low + position * (self.high - self.low))
        if self.kind == "log_uniform":
            start, end = math.log(self.low), math.log(self.high)
            value = math.exp(start + position * (end - start))
            return min(max(_rounded(value), self.low), self.high)
        count = self._num_values
        index = min(int(position * count), count - 1)
        return self.choices[index] if self.kind == "choice" else int(self.low) + index

    def position(self, value: Any) -> float:
        """The position of a value: the middle of those that give an integer or a choice.

        Args:
            value: one of the values.

        Raises:
            ValueError: a choice that is not among the choices.

        >>> choice(["a", "b"]).position("b"), uniform(0, 4).position(1.0)
        (0.75, 0.25)
        """
        if self.kind == "uniform":
            return (value - self.low) / (self.high - self.low)
        if self.kind == "log_uniform":
            return math.log(value / self.low) / math.log(self.high / self.low)
        index = self.choices.index(value) if self.kind == "choice" else value - int(self.low)
        return (index + 0.5) / self._num_values

    def spread(self, num_values: int) -> list[Any]:
        """Values at equal distances, ends included, for a grid; all choices.

        Args:
            num_values: number of values of real numbers and, at most, of integers.

        >>> log_uniform(1e-3, 1e-1).spread(3)
        [0.001, 0.01, 0.1]
        """
        if self.kind == "choice":
            return list(self.choices)
        if self.is_continuous:
            positions = np.linspace(0, 1, num_values) if num_values > 1 else [0.5]
            return [self.value(float(position)) for position in positions]
        count = min(num_values, self._num_values)
        return sorted({round(value) for value in np.linspace(self.low, self.high, count)})

    @property
    def _num_values(self) -> int:
        return len(self.choices) or int(self.high) - int(self.low) + 1


Space = Mapping[str, Dimension]
"""The dimension of each setting, by its name."""


def uniform(low: int | float, high: int | float) -> Dimension:
    """Real numbers, all equally likely.

    Args:
        low: the smallest number.
        high: the largest number.

    Returns:
        A dimension of a space.

    Raises:
        ValueError: a number that is not finite, or `high` that is not above `low`.

    >>> uniform(0, 0.5).value(0.5)
    0.25
    """
    require_finite("uniform", low=low, high=high)
    _require_order("uniform", low, high)
    return Dimension("uniform", float(low), float(high))


def log_uniform(low: int | float, high: int | float) -> Dimension:
    """Real numbers above 0 whose logarithms are all equally likely, as for learning rates.

    Args:
        low: the smallest number, above 0.
        high: the largest number.

    Returns:
        A dimension of a space.

    Raises:
        ValueError: a number that is not above 0 and finite, or `high` that is not above `low`.

    >>> log_uniform(0, 1)
    Traceback (most recent call last):
        ...
    ValueError: log_uniform: low must be greater than 0 and finite, found 0
    """
    require_above_zero("log_uniform", low=low, high=high)
    _require_order("log_uniform", low, high)
    return Dimension("log_uniform", float(low), float(high))


def integers(low: int, high: int) -> Dimension:
    """Integers, all equally likely.

    Args:
        low: the smallest integer.
        high: the largest integer.

    Returns:
        A dimension of a space.

    Raises:
        TypeError: a number that is not an integer.
        ValueError: `high` that is not above `low`.

    >>> [integers(1, 4).value(position) for position in (0.0, 0.3, 0.99)]
    [1, 2, 4]
    """
    for name, value in (("low", low), ("high", high)):
        require_integer("integers", name, value, -(2**53), 2**53)
    _require_order("integers", low, high)
    return Dimension("integers", low, high)


def choice(values: Sequence[Any]) -> Dimension:
    """One of some values, all equally likely.

    Args:
        values: the values, all different.

    Returns:
        A dimension of a space.

    Raises:
        ValueError: no value, or one that occurs twice.

    >>> choice([(32,), (64, 64)]).value(0.1)
    (32,)
    """
    values = tuple(values)
    if not values or any(value in values[:index] for index, value in enumerate(values)):
        raise ValueError(f"choice: values must be at least one, all different, found {values}")
    return Dimension("choice", 0, len(values), values)


def require_space(function: str, space: Space) -> None:
    """Raise unless a space has a dimension, and nothing else.

    Args:
        function: the public function, for the message.
        space: the space.

    Raises:
        TypeError: a value that is not a `Dimension`.
        ValueError: no dimension.

    >>> require_space("sobol_samples", {})
    Traceback (most recent call last):
        ...
    ValueError: sobol_samples: space must have at least one setting, found none
    """
    if not space:
        raise ValueError(f"{function}: space must have at least one setting, found none")
    for name, dimension in space.items():
        if not isinstance(dimension, Dimension):
            raise TypeError(
                f"{function}: space[{name!r}] must be uniform(...), log_uniform(...), "
                f"integers(...) or choice(...), found {dimension!r}"
            )


def positions(space: Space, samples: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "n dims"]:
    """The positions of samples, one row for each: what their values are to a model of the results.

    Args:
        space: the space.
        samples: name of a setting -> value, for each sample.

    Returns:
        Numbers in [0, 1].

    >>> positions({"rate": log_uniform(1e-4, 1.0)}, [{"rate": 1e-2}]).tolist()
    [[0.5]]
    """
    rows = [[each.position(sample[name]) for name, each in space.items()] for sample in samples]
    return np.array(rows, np.float64).reshape(len(samples), len(space))


def _require_order(function: str, low: int | float, high: int | float) -> None:
    if not low < high:
        raise ValueError(f"{function}: high must be above low, {low}, found {high}")


def _rounded(value: float) -> float:
    """Without the last digits, which depend on the rounding of logarithms."""
    return float(f"{value:.12g}")
