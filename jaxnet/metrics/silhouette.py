"""The silhouette: how well clusters are separated, measured without labels."""

import functools
import operator

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxnet._checks import require_integer, require_positive
from jaxnet._data import check_data
from jaxnet.metrics.pairwise import EXACT, map_blocks, squared_distances


def silhouette_samples(
    x: Float[Array, "n *dim"],
    clusters: Integer[Array, "..."],
    *,
    num_clusters: int,
    block_size: int = 256,
) -> Float[Array, " n"]:
    """Silhouette coefficient of each example, `s_i = (b_i - a_i) / max(a_i, b_i)`.

    `a_i` is the mean Euclidean distance to the other examples of its cluster, `b_i` the smallest
    of the mean distances to the examples of each other cluster. 1 means well inside its cluster, 0
    between two clusters, -1 in the wrong cluster. The coefficient is 0 for the only example of a
    cluster.

    Memory grows with `block_size * n`, not `n * n`: distances of a block of examples to all others,
    multiplied with one-hot clusters, are sums over clusters. Distances come from
    `squared_distances` of centered data; in float32, distances below a thousandth of the standard
    deviation of the data are dominated by rounding.

    Args:
        x: examples, `(n, dim)`.
        clusters: cluster of each example in [0, num_clusters), `(n,)`; use `jax.vmap` for a batch
            of clusterings.
        num_clusters: number of clusters, at least 2, some of which may be empty; static.
        block_size: examples per block. Static.

    Returns:
        The coefficients in [-1, 1], `(n,)`; NaN if fewer than two clusters hold an example, and for
        an example whose (traced) cluster lies outside the range.

    Raises:
        ValueError: the examples are not vectors or not finite; `clusters` is not one cluster for
            each example, or out of range; `num_clusters` is below 2, or `block_size` below 1.

    >>> x = jnp.array([[0.0], [2.0], [10.0]])
    >>> silhouette_samples(x, jnp.array([0, 0, 1]), num_clusters=2).tolist()
    [0.800000011920929, 0.75, 0.0]

    Source: Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation of
    cluster analysis", section 2; `sklearn.metrics.silhouette_samples`, which also rejects as many
    clusters as examples.
    """
    _check(x, clusters, num_clusters, block_size)
    num_clusters, block_size = operator.index(num_clusters), operator.index(block_size)
    return _coefficients(x, clusters, num_clusters=num_clusters, block_size=block_size)


def silhouette_score(
    x: Float[Array, "n *dim"],
    clusters: Integer[Array, "..."],
    *,
    num_clusters: int,
    block_size: int = 256,
) -> Float[Array, ""]:
    """Mean silhouette coefficient of a clustering, `sum_i s_i / n` over `silhouette_samples`.

    Args:
        x: examples, `(n, dim)`.
        clusters: cluster of each example in [0, num_clusters), `(n,)`; use `jax.vmap` for a batch
            of clusterings.
        num_clusters: number of clusters, at least 2, some of which may be empty; static.
        block_size: examples per block; memory grows with `block_size * n`. Static.

    Returns:
        The mean in [-1, 1], a scalar; NaN if a coefficient is NaN.

    Raises:
        ValueError: as `silhouette_samples`.

    >>> x = jnp.array([[0.0], [2.0], [10.0], [12.0]])
    >>> round(float(silhouette_score(x, jnp.array([0, 0, 1, 1]), num_clusters=2)), 4)
    0.798

    Source: Rousseeuw (1987), as `silhouette_samples`, section 4: the average silhouette width.
    """
    return jnp.mean(
        silhouette_samples(x, clusters, num_clusters=num_clusters, block_size=block_size)
    )


@functools.partial(jax.jit, static_argnames=("num_clusters", "block_size"))
def _coefficients(x: Array, clusters: Array, *, num_clusters: int, block_size: int) -> Array:
    centered = x - jnp.mean(x, axis=0, keepdims=True)
    members = jax.nn.one_hot(clusters, num_clusters, dtype=x.dtype)
    sizes = jnp.sum(members, axis=0)

    def coefficients(rows: Array, memberships: Array, row_indices: Array) -> Array:
        distances = jnp.sqrt(squared_distances(rows, centered))
        # The distance of an example to itself is not 0 but the root of a rounding error.
        distances = jnp.where(jnp.arange(len(x))[None, :] == row_indices[:, None], 0, distances)
        sums = jnp.matmul(distances, members, precision=EXACT)
        size = memberships @ sizes
        inside = jnp.sum(memberships * sums, axis=1) / jnp.maximum(size - 1, 1)
        others = jnp.where(
            (memberships == 0) & (sizes > 0)[None], sums / jnp.maximum(sizes, 1)[None], jnp.inf
        )
        outside = jnp.min(others, axis=1)
        largest = jnp.maximum(inside, outside)
        ratio = (outside - inside) / jnp.where(largest > 0, largest, 1)
        return jnp.where(size == 0, jnp.nan, jnp.where(size == 1, 0, ratio))

    indices = jnp.arange(len(x))
    values = map_blocks(coefficients, centered, members, indices, block_size=block_size)
    return jnp.where(jnp.sum(sizes > 0) >= 2, values, jnp.nan)


def _check(x: Array, clusters: Array, num_clusters: int, block_size: int) -> None:
    require_positive("silhouette", block_size=block_size)
    remedy = "the silhouette compares a cluster with another one"
    require_integer("silhouette", "num_clusters", num_clusters, 2, remedy=remedy)
    num_clusters = operator.index(num_clusters)
    if x.ndim != 2:
        raise ValueError(
            f"silhouette: x must hold one vector for each example, found shape {x.shape}; flatten "
            "images with x.reshape(len(x), -1)"
        )
    if clusters.shape != x.shape[:1]:
        raise ValueError(
            f"silhouette: clusters must be one integer for each of {len(x)} examples, found shape "
            f"{clusters.shape}; use jax.vmap for a batch of clusterings"
        )
    if not isinstance(x, jax.core.Tracer):
        check_data(x)
    if not isinstance(clusters, jax.core.Tracer):
        values = np.asarray(clusters)
        if values.min() < 0 or values.max() >= num_clusters:
            raise ValueError(
                f"silhouette: clusters must be integers from 0 to {num_clusters - 1}, found "
                f"{values.min()} to {values.max()}"
            )
