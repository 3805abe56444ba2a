"""Squared Euclidean distances from examples to centers, by one matrix product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# On accelerators a matrix product rounds its factors to fewer bits unless told otherwise.
EXACT = jax.lax.Precision.HIGHEST


def squared_distances(
    x: Float[Array, "n dim"], centers: Float[Array, "k dim"]
) -> Float[Array, "n k"]:
    """Squared distances, `||x_i - c_j||^2 = ||x_i||^2 - 2 x_i.c_j + ||c_j||^2`, at least 0.

    No array of `n k dim` numbers is made. The price is rounding: the error of an entry is of the
    order of `eps sqrt(dim) (||x_i||^2 + ||c_j||^2)`, `eps` being 1.2e-7 in float32, however small
    the distance. So subtract a common mean from both where the data lie far from the origin:
    distances do not change, and the error becomes small beside the spread of the data.

    Args:
        x: examples, `(n, dim)`.
        centers: centers, `(k, dim)`.

    Returns:
        Squared distances, `(n, k)`.

    Raises:
        ValueError: examples and centers of different dimension.

    >>> x = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> squared_distances(x, jnp.array([[0.0, 0.0], [0.0, 4.0], [6.0, 8.0]])).tolist()
    [[0.0, 16.0, 100.0], [25.0, 9.0, 25.0]]
    """
    require_same_dim("squared_distances", x, centers=centers)
    squares = row_squares(x)[:, None] + row_squares(centers)[None, :]
    return jnp.maximum(squares - 2 * jnp.matmul(x, centers.T, precision=EXACT), 0)


def row_squares(x: Float[Array, "n dim"]) -> Float[Array, " n"]:
    """Squared length of each row.

    >>> row_squares(jnp.array([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [25.0, 4.0]
    """
    # A sum over the last axis takes ten times as long on CPU as this product with ones.
    return jnp.matmul(jnp.square(x), jnp.ones(x.shape[1], x.dtype), precision=EXACT)


def require_same_dim(
    function: str, x: Float[Array, "n dim"], **others: Float[Array, "k other"]
) -> None:
    """Refuse centers that do not lie in the space of the examples.

    Args:
        function: whose arguments they are, for the message.
        x: examples.
        others: name of the argument -> vectors as rows.

    Raises:
        ValueError: vectors of another length than the examples.

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
