"""Squared Euclidean distances by matrix products, and functions mapped over blocks of examples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

EXACT = jax.lax.Precision.HIGHEST
"""Precision of matrix products whose factors an accelerator must not round to fewer bits."""


def squared_distances(
    x: Float[Array, "n dim"], centers: Float[Array, "k dim"]
) -> Float[Array, "n k"]:
    """Squared distances, `||x_i - c_j||^2 = ||x_i||^2 - 2 x_i.c_j + ||c_j||^2`, at least 0.

    Memory is that of the result: no array of `n k dim` numbers is created. The rounding error of an
    entry is of the order of `eps sqrt(dim) (||x_i||^2 + ||c_j||^2)` with `eps = 1.2e-7` in float32,
    however small the distance is. Subtract a common mean from both arguments if the data lie far
    from the origin: the distances stay the same, and the error becomes small compared with the
    variance of the data.

    Args:
        x: examples, `(n, dim)`.
        centers: centers, `(k, dim)`.

    Returns:
        Squared distances, `(n, k)`.

    Raises:
        ValueError: the dimensions of examples and centers differ.

    >>> x = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> squared_distances(x, jnp.array([[0.0, 0.0], [0.0, 4.0], [6.0, 8.0]])).tolist()
    [[0.0, 16.0, 100.0], [25.0, 9.0, 25.0]]

    Source: Johnson et al. (2019), "Billion-scale similarity search with GPUs", eq. 2.
    """
    require_same_dim("squared_distances", x, centers=centers)
    squares = row_squares(x)[:, None] + row_squares(centers)[None, :]
    return jnp.maximum(squares - 2 * jnp.matmul(x, centers.T, precision=EXACT), 0)


def row_squares(x: Float[Array, "n dim"]) -> Float[Array, " n"]:
    """Squared Euclidean norm of each row.

    Args:
        x: rows, `(n, dim)`.

    Returns:
        `||x_i||^2`, `(n,)`.

    >>> row_squares(jnp.array([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [25.0, 4.0]
    """
    # On CPU a sum over the last axis takes ten times as long as this product with ones.
    return jnp.matmul(jnp.square(x), jnp.ones(x.shape[1], x.dtype), precision=EXACT)


def require_same_dim(
    function: str, x: Float[Array, "n dim"], **others: Float[Array, "k other"]
) -> None:
    """Reject vectors whose dimension differs from that of the examples.

    Args:
        function: function whose arguments are checked, for the message.
        x: examples, `(n, dim)`.
        others: name of the argument -> vectors, `(k, dim)`.

    Raises:
        ValueError: an array of `others` has another number of columns than `x`.

    >>> require_same_dim("assign", jnp.ones((5, 3)), centers=jnp.ones((2, 4)))
    Traceback (most recent call last):
        ...
    ValueError: assign: centers have 4 dimensions and x has 3; they must be the same
    """
    for name, rows in others.items():
        if rows.shape[1] != x.shape[1]:
            raise ValueError(
                f"{function}: {name} have {rows.shape[1]} dimensions and x has {x.shape[1]}; "
                "they must be the same"
            )


def map_blocks(
    function: Callable[..., PyTree[Any]], *arrays: Array, block_size: int
) -> PyTree[Any]:
    """Apply a function of examples to one block of them after the other, to bound the memory.

    Args:
        function: maps arrays with a leading axis of `block_size` to a pytree of such arrays, row by
            row. The last block is padded with zeros, and the rows of the padding are dropped from
            the result.
        arrays: arrays with the same leading axis, `(n, ...)`.
        block_size: examples per block, at most n are used; static.

    Returns:
        The outputs of the function with a leading axis of n.

    >>> map_blocks(lambda x: 2 * x, jnp.arange(5), block_size=2).tolist()
    [0, 2, 4, 6, 8]
    """
    n = len(arrays[0])
    size = max(min(block_size, n), 1)
    num_blocks = -(-n // size)

    def split(array: Array) -> Array:
        padding = [(0, num_blocks * size - n)] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(num_blocks, size, *array.shape[1:])

    outputs = jax.lax.map(lambda blocks: function(*blocks), tuple(map(split, arrays)))
    return jax.tree.map(lambda y: y.reshape(num_blocks * size, *y.shape[2:])[:n], outputs)
