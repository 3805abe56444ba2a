"""Checks of arguments on the host, before compilation: a trace does not see values."""

import math
import operator
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def require_range(
    function: str,
    name: str,
    value: Any,
    low: int | float,
    high: int | float,
    *,
    include_low: bool = True,
    include_high: bool = True,
    remedy: str = "",
) -> None:
    """Raise unless a number, or each number of an array, lies in a range.

    Python, NumPy and JAX scalars and arrays are checked alike. What `is_hidden` passes.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        value: the number, or an array of any shape.
        low: lower end of the range.
        high: upper end of the range; `math.inf` with `include_high=False` for any finite number.
        include_low: whether `low` itself is allowed.
        include_high: whether `high` itself is allowed.
        remedy: appended to the message.

    Raises:
        TypeError: not a number: a string, a bool, a list.
        ValueError: a number outside the range, or NaN.

    >>> require_range("dropout", "rate", np.float32(1.5), 0, 1, include_high=False)
    Traceback (most recent call last):
        ...
    ValueError: dropout: rate must lie in [0, 1), found 1.5
    """
    if is_hidden(value):
        return
    interval = f"{'[' if include_low else '('}{low:g}, {high:g}{']' if include_high else ')'}"
    remedy = f"; {remedy}" if remedy else ""
    numbers = _as_numbers(value)
    if numbers is None:
        raise TypeError(
            f"{function}: {name} must be a number in {interval}, found {_described(value)}{remedy}"
        )
    inside = numbers >= low if include_low else numbers > low
    inside &= numbers <= high if include_high else numbers < high
    if inside.all():
        return
    bad = np.unravel_index(np.argmin(inside), inside.shape)
    where = f" at index {tuple(map(int, bad))}" if bad else ""
    if low == -math.inf and high == math.inf:
        expected = "be finite"
    elif high < math.inf:
        expected = f"lie in {interval}"
    elif include_low and low == 0 and numbers[bad] < 0:
        expected = "not be negative"
    else:
        expected = f"be {'at least' if include_low else 'greater than'} {low:g} and finite"
    found = value if not bad else numbers[bad]
    raise ValueError(f"{function}: {name} must {expected}, found {found}{where}{remedy}")


def require_not_negative(function: str, **numbers: Any) -> None:
    """Raise, as `require_range`, unless numbers (argument -> value) are at least 0 and finite.

    >>> require_not_negative("with_l2", strength=np.float32(-1))
    Traceback (most recent call last):
        ...
    ValueError: with_l2: strength must not be negative, found -1.0
    """
    for name, number in numbers.items():
        require_range(function, name, number, 0, math.inf, include_high=False)


def require_above_zero(function: str, **numbers: Any) -> None:
    """Raise, as `require_range`, unless numbers (argument -> value) are greater than 0 and finite.

    >>> require_above_zero("optimizer", learning_rate=0.0)
    Traceback (most recent call last):
        ...
    ValueError: optimizer: learning_rate must be greater than 0 and finite, found 0.0
    """
    for name, number in numbers.items():
        require_range(function, name, number, 0, math.inf, include_low=False, include_high=False)


def require_finite(function: str, **numbers: Any) -> None:
    """Raise, as `require_range`, unless numbers (argument -> value) are finite.

    >>> require_finite("lstm", forget_bias=math.nan)
    Traceback (most recent call last):
        ...
    ValueError: lstm: forget_bias must be finite, found nan
    """
    for name, number in numbers.items():
        require_range(
            function, name, number, -math.inf, math.inf, include_low=False, include_high=False
        )


def require_integer(
    function: str, name: str, value: Any, low: int, high: int | None = None, *, remedy: str = ""
) -> None:
    """Raise unless a count or an index is an integer in a range; a traced one passes.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        value: a Python integer, or an integer scalar of NumPy or JAX.
        low: the smallest integer allowed.
        high: the largest integer allowed, or None for no limit.
        remedy: appended to the message.

    Raises:
        TypeError: not an integer: a fraction, a float such as 2.0, a string, a bool.
        ValueError: an integer outside the range.

    >>> require_integer("top_k", "k", np.int64(0), 1, 10)
    Traceback (most recent call last):
        ...
    ValueError: top_k: k must lie between 1 and 10, found 0
    >>> require_integer("top_k", "k", 2.5, 1)
    Traceback (most recent call last):
        ...
    TypeError: top_k: k must be an integer of at least 1, found 2.5 of type float
    """
    if is_hidden(value):
        return
    limits = f"at least {low}" if high is None else f"{low} to {high}"
    remedy = f"; {remedy}" if remedy else ""
    integer = _as_integer(value)
    if integer is None:
        raise TypeError(
            f"{function}: {name} must be an integer of {limits}, found {_described(value)}{remedy}"
        )
    if integer < low or (high is not None and integer > high):
        expected = f"be {limits}" if high is None else f"lie between {low} and {high}"
        raise ValueError(f"{function}: {name} must {expected}, found {integer}{remedy}")


def require_positive(function: str, **counts: Any) -> None:
    """Raise, as `require_integer`, unless counts (argument -> value) are integers of at least 1.

    >>> require_positive("dense", in_dim=3, out_dim=0)
    Traceback (most recent call last):
        ...
    ValueError: dense: out_dim must be at least 1, found 0
    """
    for name, count in counts.items():
        require_integer(function, name, count, 1)


def require_choice(function: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise unless a value is one of some names.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        value: the value.
        choices: the names.

    Raises:
        ValueError: another value.

    >>> require_choice("conv", "algorithm", "fast", ("auto", "cpu"))
    Traceback (most recent call last):
        ...
    ValueError: conv: algorithm must be one of "auto", "cpu", found 'fast'
    """
    known = tuple(choices)
    if value not in known:
        names = ", ".join(f'"{choice}"' for choice in known)
        raise ValueError(f"{function}: {name} must be one of {names}, found {value!r}")


def require_sizes(
    function: str,
    name: str,
    sizes: Any,
    meaning: str,
    *,
    length: int | None = None,
    min_length: int = 0,
    remedy: str = "",
) -> tuple[int, ...]:
    """Return sizes as Python integers; raise unless each is an integer of at least 1.

    Args:
        function: the public function, for the message, as is the argument's `name`.
        sizes: the sequence, such as the shape of an image or the sizes of layers.
        meaning: what the sequence must be, for the message.
        length: the exact length, or None for any.
        min_length: the smallest length.
        remedy: appended to the message.

    Raises:
        TypeError: not a sequence of integers.
        ValueError: another length, or a size below 1.

    >>> require_sizes("conv", "kernel_size", (3, 0), "be a height and a width", length=2)
    Traceback (most recent call last):
        ...
    ValueError: conv: kernel_size must be a height and a width, each at least 1, found [3, 0]
    """
    entries = list(sizes) if isinstance(sizes, Iterable) else None
    integers = None if entries is None else [_as_integer(entry) for entry in entries]
    remedy = f"; {remedy}" if remedy else ""
    if integers is None or None in integers:
        raise TypeError(
            f"{function}: {name} must {meaning}, each an integer of at least 1, "
            f"found {_described(sizes) if entries is None else entries}{remedy}"
        )
    fits = len(integers) >= min_length if length is None else len(integers) == length
    known = tuple(integer for integer in integers if integer is not None)
    if not fits or min(known, default=1) < 1:
        raise ValueError(
            f"{function}: {name} must {meaning}, each at least 1, found {list(known)}{remedy}"
        )
    return known


def is_hidden(value: Any) -> bool:
    """Whether a value cannot be read: it is traced, or other processes hold it.

    >>> is_hidden(0.5), is_hidden(np.float32(0.5))
    (False, False)
    """
    if isinstance(value, Tracer):
        return True
    return isinstance(value, jax.Array) and not value.is_fully_addressable


def is_zero(value: Any) -> bool:
    """Whether a number is known to be 0, so that what it multiplies may be left out.

    >>> is_zero(0), is_zero(np.float32(0)), is_zero(0.1)
    (True, True, False)
    """
    return not is_hidden(value) and not np.any(np.asarray(value))


def _as_numbers(value: Any) -> np.ndarray | None:
    """The value as float64, or None where it is not a number or an array of numbers."""
    if isinstance(value, bool) or not isinstance(
        value, (int, float, np.generic, np.ndarray, jax.Array)
    ):
        return None
    array = np.asarray(float(value) if isinstance(value, int) else value)
    is_real = jnp.issubdtype(array.dtype, np.floating) or jnp.issubdtype(array.dtype, np.integer)
    return array.astype(np.float64) if is_real else None


def _as_integer(value: Any) -> int | None:
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _described(value: Any) -> str:
    return f"{value!r} of type {type(value).__name__}"
