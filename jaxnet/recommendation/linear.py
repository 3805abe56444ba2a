"""EASE: a linear model of items by items, in closed form."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_above_zero


def fit_ease(x: Shaped[Array, "users items"], strength: ArrayLike) -> Float[Array, "items items"]:
    """Fit EASE: `min_B |X - X B|^2 + strength |B|^2` with zeros on the diagonal of `B`.

    `B_ij = -P_ij / P_jj` for `i != j`, with `P = (X^T X + strength I)^-1`. With fewer users than
    items, `P = (I - X^T (X X^T + strength I)^-1 X) / strength` is computed from a system of the
    size of the users. Memory is that of a few matrices of items by items.

    Args:
        x: 1 for the items of each user and 0 for others, or counts, `(users, items)`.
        strength: of the penalty, greater than 0; hundreds for large data; may be traced.

    Returns:
        `B`, `(items, items)`: the scores of the items for users are `x @ B`.

    Raises:
        TypeError: a strength that is not a number.
        ValueError: a strength that is not greater than 0 and finite.

    >>> x = jnp.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    >>> weights = fit_ease(x, 1.0)
    >>> scores = jnp.array([1.0, 0.0, 0.0]) @ weights
    >>> int(scores.argmax()), float(weights[1, 1])
    (1, 0.0)

    Source: Steck (2019), "Embarrassingly shallow autoencoders for sparse data", section
    3.1.
    """
    require_above_zero("fit_ease", strength=strength)
    x = jnp.asarray(x, jnp.result_type(float))
    return _fit(x, jnp.asarray(strength, x.dtype))


@jax.jit
def _fit(x: Array, strength: Array) -> Array:
    num_users, num_items = x.shape
    highest = jax.lax.Precision.HIGHEST
    if num_users < num_items:
        gram = jnp.matmul(x, x.T, precision=highest) + strength * jnp.eye(num_users, dtype=x.dtype)
        solved = jax.scipy.linalg.solve(gram, x, assume_a="pos")
        # Times the strength, which cancels below.
        inverse = jnp.eye(num_items, dtype=x.dtype) - jnp.matmul(x.T, solved, precision=highest)
    else:
        gram = jnp.matmul(x.T, x, precision=highest) + strength * jnp.eye(num_items, dtype=x.dtype)
        inverse = jax.scipy.linalg.inv(gram)
    weights = -inverse / jnp.diag(inverse)[None]
    return jnp.fill_diagonal(weights, 0.0, inplace=False)
