"""Random arrays that XLA compiles quickly: bitwise those of `jax.random`.

With `jax_threefry_partitionable`, the default, a number is a function of the key and of its place
in the flat array: here it is drawn flat and reshaped. XLA on CPU compiles a draw of three or four
axes, or of two under `vmap`, two to eight times as slowly, because it unrolls the inner loops, and
such a draw runs no faster.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float


def normal(key: Array, shape: Sequence[SupportsIndex], dtype: Any = float) -> Float[Array, "..."]:
    """`jax.random.normal`: standard normal numbers of a shape.

    >>> bool((normal(jax.random.key(0), (3, 4)) == jax.random.normal(jax.random.key(0), (3, 4))).all())
    True
    """  # noqa: E501
    return _flat(jax.random.normal, key, shape, dtype)


def uniform(key: Array, shape: Sequence[SupportsIndex], dtype: Any = float) -> Float[Array, "..."]:
    """`jax.random.uniform`: numbers in [0, 1) of a shape.

    >>> uniform(jax.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return _flat(jax.random.uniform, key, shape, dtype)


def bernoulli(
    key: Array, probability: ArrayLike, shape: Sequence[SupportsIndex] | None = None
) -> Bool[Array, "..."]:
    """`jax.random.bernoulli`: True with a probability, by default one for each number.

    >>> bernoulli(jax.random.key(0), jnp.array([0.0, 1.0])).tolist()
    [False, True]
    """
    probability = jnp.asarray(probability, dtype=jnp.result_type(float, probability))
    shape = probability.shape if shape is None else shape
    return uniform(key, shape, probability.dtype) < probability


def _flat(
    draw: Callable[..., Array], key: Array, shape: Sequence[SupportsIndex], dtype: Any
) -> Array:
    sizes = tuple(map(operator.index, shape))
    return draw(key, (math.prod(sizes),), dtype).reshape(sizes)
