"""Biased matrix factorization: a vector for each user and each item."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxnet import _draws
from jaxnet._checks import require_finite, require_not_negative, require_positive
from jaxnet.nn.network import Network
from jaxnet.objectives.weighting import (
    like_outputs,
    masked,
    require_entry,
    weighted_mean,
    weighted_means,
    widen,
)
from jaxnet.typing import Batch, Metrics, Objective, Params

_STANDARD_DEVIATION = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class MatrixFactorization(Network):
    """A network from pairs of a user and an item to ratings; make one with `matrix_factorization`.

    Attributes:
        num_users: number of users.
        num_items: number of items.
        mean: the rating of an unknown user for an unknown item.

    >>> model = matrix_factorization(3, 5, 2)
    >>> params = model.init(jax.random.key(0))
    >>> model.score_items(params, jnp.array([2, 0])).shape
    (2, 5)
    """

    num_users: int
    num_items: int
    mean: ArrayLike

    def score_items(self, params: Params, users: Int[Array, " n"]) -> Float[Array, "n items"]:
        """Ratings of all items by some users.

        Args:
            params: parameters of the network.
            users: numbers of users, `(n,)`; one that is out of range is unknown.

        Returns:
            Ratings, `(n, num_items)`.
        """
        bias, factors = _rows(params["user"], users)
        items = params["item"]
        ratings = bias[:, None] + items["bias"][None] + factors @ items["factors"].T
        return ratings + jnp.asarray(self.mean, ratings.dtype)


def matrix_factorization(
    num_users: int, num_items: int, dim: int, *, mean: ArrayLike = 0.0
) -> MatrixFactorization:
    """Biased matrix factorization, `r_ui = mean + b_u + b_i + q_i . p_u`.

    Biases start at 0 and factors from a normal distribution of standard deviation 0.1. A user or an
    item that is not known, any number outside of the range such as -1, has bias and factors 0: its
    rating is that of the other one alone.

    Args:
        num_users: number of users, which are integers in [0, num_users).
        num_items: number of items, which are integers in [0, num_items).
        dim: size of a vector of factors.
        mean: the mean of the training ratings; may be traced.

    Returns:
        A network from pairs `(*batch, 2)`, a user and an item, to `(*batch, 1)`. Its parameters are
        tables with a row for each user and each item, `{"user": {"bias", "factors"}, "item": ...}`,
        which `row_sparse_learner` takes.

    Raises:
        TypeError: a size that is not an integer; (of the network) pairs that are not integers.
        ValueError: a size below 1; (of the network) another last axis than 2.

    >>> model = matrix_factorization(3, 5, 2, mean=3.5)
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.array([[0, 4], [-1, -1]]))[1].tolist()
    [3.5]

    Source: Koren, Bell and Volinsky (2009), "Matrix factorization techniques for recommender
    systems", eq. 4.
    """
    require_positive("matrix_factorization", num_users=num_users, num_items=num_items, dim=dim)
    require_finite("matrix_factorization", mean=mean)

    def init(key: Array) -> Params:
        return {
            name: {
                "bias": jnp.zeros(size),
                "factors": _STANDARD_DEVIATION * _draws.normal(own_key, (size, dim)),
            }
            for name, size, own_key in zip(
                ("user", "item"), (num_users, num_items), jax.random.split(key), strict=True
            )
        }

    def apply(
        params: Params, x: Int[Array, "*batch columns"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch 1"]:
        users, items = _pairs("matrix_factorization", x)
        user_bias, user_factors = _rows(params["user"], users)
        item_bias, item_factors = _rows(params["item"], items)
        ratings = user_bias + item_bias + jnp.sum(user_factors * item_factors, axis=-1)
        return (ratings + jnp.asarray(mean, ratings.dtype))[..., None]

    detail = f"{num_users}, {num_items}, {dim}"
    return MatrixFactorization(
        init,
        apply,
        "matrix_factorization",
        detail=detail,
        num_users=num_users,
        num_items=num_items,
        mean=mean,
    )


def factorization_objective(model: MatrixFactorization, strength: ArrayLike = 0.0) -> Objective:
    """Squared error and penalty of each rating, `(r - r_ui)^2 + strength (b_u^2 + b_i^2 + ...)`.

    The penalty `b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2` is added for each rating, so that users and
    items with many ratings are penalized more, as in the source, and only rows that occur in a
    batch have a gradient.

    Args:
        model: the network.
        strength: factor of the penalty, at least 0; may be traced.

    Returns:
        An objective on batches of pairs `x`, `(batch, 2)`, and ratings `y`, `(batch,)`. Metrics:
        `mean_squared_error`.

    Raises:
        TypeError: a strength that is not a number.
        ValueError: a strength that is negative or not finite; (of the objective) other shapes.

    >>> model = matrix_factorization(3, 5, 2)
    >>> objective = factorization_objective(model, 0.02)
    >>> batch = {"x": jnp.array([[0, 4], [2, 1]]), "y": jnp.array([4.0, 2.0])}
    >>> loss, metrics = objective(model.init(jax.random.key(0)), batch, None)
    >>> bool(loss > metrics["mean_squared_error"])
    True

    Source: Koren, Bell and Volinsky (2009), eq. 5.
    """
    require_not_negative("factorization_objective", strength=strength)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch = masked(batch)
        x = require_entry("factorization_objective", batch, "x")
        y = require_entry("factorization_objective", batch, "y")
        outputs = widen(model.apply(params, x, key=key))
        targets = widen(like_outputs("factorization_objective", outputs, jnp.asarray(y)))
        squared = ((outputs - targets) ** 2)[..., 0]
        users, items = _pairs("factorization_objective", x)
        penalty = _squares(params["user"], users) + _squares(params["item"], items)
        loss = weighted_mean(squared + strength * penalty, batch.get("weight"))
        return loss, weighted_means({"mean_squared_error": squared}, batch)

    return objective


def _pairs(function: str, x: Array) -> tuple[Array, Array]:
    if x.ndim == 0 or x.shape[-1] != 2:
        raise ValueError(
            f"{function}: x has shape {x.shape}, expected (*batch, 2): the numbers of a user and "
            "of an item"
        )
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(
            f"{function}: x is of dtype {x.dtype}, expected integers, the numbers of a user and of "
            "an item"
        )
    return x[..., 0], x[..., 1]


def _rows(table: Params, indices: Array) -> tuple[Array, Array]:
    """Biases and factors at some rows; zeros for rows that do not exist."""
    known = (indices >= 0) & (indices < len(table["bias"]))
    safe = jnp.where(known, indices, 0)
    bias, factors = table["bias"][safe], table["factors"][safe]
    return (
        jnp.where(known, bias, jnp.zeros_like(bias)),
        jnp.where(known[..., None], factors, jnp.zeros_like(factors)),
    )


def _squares(table: Params, indices: Array) -> Array:
    bias, factors = _rows(table, indices)
    return widen(bias) ** 2 + jnp.sum(widen(factors) ** 2, axis=-1)
