"""k-means: Lloyd's algorithm, from centers given or found, as one pure function."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet._checks import require_positive
from jaxnet.clustering.lloyd_steps import assign_and_sum, move_centers
from jaxnet.clustering.seeding import kmeans_plus_plus, require_num_clusters
from jaxnet.metrics.pairwise import require_same_dim, row_squares, squared_distances


class KMeans(NamedTuple):
    """A clustering: arrays only, so it may be vmapped, saved and sharded as parameters are.

    Attributes:
        centers: means of the clusters, `(num_clusters, dim)`.
        inertia: sum over the data of the squared distance to the nearest center, `()`.
        num_iterations: iterations taken, `()`.
    """

    centers: Float[Array, "..."]
    inertia: Float[Array, "..."]
    num_iterations: Int[Array, "..."]


@jax.jit
def assign(centers: Float[Array, "k dim"], x: Float[Array, "n dim"]) -> Int[Array, " n"]:
    """The nearest center of each example, `argmin_j ||x_i - c_j||^2`; the first of equal ones.

    Args:
        centers: centers, `(k, dim)`.
        x: examples, `(n, dim)`, not only those that the centers were found on.

    Returns:
        Labels from 0 to k - 1, `(n,)`.

    Raises:
        ValueError: examples and centers of different dimension.

    >>> assign(jnp.array([[0.0, 0.0], [4.0, 4.0]]), jnp.array([[1.0, 0.0], [3.0, 5.0]])).tolist()
    [0, 1]
    """
    require_same_dim("assign", x, centers=centers)
    middle = jnp.mean(centers, axis=0, keepdims=True)
    return jnp.argmin(squared_distances(x - middle, centers - middle), axis=1)


@jax.jit
def lloyd(
    x: Float[Array, "n dim"],
    centers: Float[Array, "k dim"],
    *,
    max_iterations: int | Int[Array, ""] = 300,
    tolerance: float | Float[Array, ""] = 1e-4,
) -> KMeans:
    """Lower the inertia `sum_i min_j ||x_i - c_j||^2` by Lloyd's algorithm until it stands still.

    In turn: assign each example to its nearest center; move each center to the mean of its
    examples. It stops when `sum_j ||change of c_j||^2 <= tolerance * v`, where `v` is the mean of
    the variances of the features (so the scale of the data does not matter); with a tolerance of
    0, when no assignment changes any more. Lloyd (1982), "Least squares quantization in PCM".

    A cluster that loses all its examples gets the example farthest from its center, which its old
    cluster gives away; several of them get the farthest ones, each its own. A cluster never gives
    away its only example. Where all examples sit on centers, empty clusters stay where they are.

    The data are centered, and read once in each iteration, in blocks of examples that stay in the
    cache of a CPU. Memory: one more copy of `x`, and 20 bytes for each example. Under
    `jax.vmap` over centers there is one such copy, and those bytes for each start.

    Args:
        x: data, `(n, dim)`, finite: `check_clusters` looks.
        centers: where to start, `(k, dim)`.
        max_iterations: iterations after which it stops in any case; may be traced.
        tolerance: see above; may be traced.

    Returns:
        The centers, with the inertia of exactly these centers.

    Raises:
        ValueError: examples and centers of different dimension.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [10.0], [12.0]])
    >>> model = lloyd(x, jnp.array([[0.0], [1.0]]))
    >>> model.centers.tolist(), float(model.inertia), int(model.num_iterations)
    ([[1.0], [11.0]], 4.0, 3)
    """
    require_same_dim("lloyd", x, centers=centers)
    mean = jnp.mean(x, axis=0, keepdims=True)
    x = x - mean
    squares = row_squares(x)
    threshold = tolerance * jnp.mean(squares) / x.shape[1]

    def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, _, change, iteration = carry
        return (change > threshold) & (iteration < max_iterations)

    def iterate(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        centers, labels, _, iteration = carry
        assignment = assign_and_sum(x, squares, centers)
        moved = move_centers(x, centers, assignment)
        change = jnp.sum((moved - centers) ** 2)
        # Centers of the same examples are the same, but a fused multiply-add in their difference
        # need not give 0.
        change = jnp.where(jnp.any(assignment.labels != labels), change, 0)
        return moved, assignment.labels, change, iteration + 1

    start = (
        centers - mean,
        jnp.full(len(x), -1, jnp.int32),
        jnp.array(jnp.inf, x.dtype),
        jnp.zeros((), jnp.int32),
    )
    centers, _, _, iterations = jax.lax.while_loop(unfinished, iterate, start)
    inertia = jnp.sum(assign_and_sum(x, squares, centers).distances)
    return KMeans(centers + mean, inertia, iterations)


def fit_kmeans(
    key: Array,
    x: Float[Array, "n dim"],
    num_clusters: int,
    *,
    num_restarts: int = 1,
    max_iterations: int | Int[Array, ""] = 300,
    tolerance: float | Float[Array, ""] = 1e-4,
) -> KMeans:
    """Cluster data: the best of several runs of `lloyd` from greedy `kmeans_plus_plus`.

    The candidates of a step of k-means++ are `2 + floor(log num_clusters)`. All restarts run in
    one program, which multiplies each block of the data with the centers of all of them; it goes
    on until the last has finished. `jax.vmap` over keys gives every run, not only the best.

    Args:
        key: PRNG key.
        x: data, `(n, dim)`, finite: `check_clusters` looks.
        num_clusters: number of clusters.
        num_restarts: runs, of which the one of least inertia is returned.
        max_iterations: as in `lloyd`.
        tolerance: as in `lloyd`.

    Returns:
        The clustering of least inertia.

    Raises:
        ValueError: a number of clusters below 1 or above that of the examples; a number of
            restarts below 1.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [10.0], [12.0]])
    >>> model = fit_kmeans(jax.random.key(0), x, 2, num_restarts=4)
    >>> sorted(model.centers.ravel().tolist()), float(model.inertia)
    ([1.0, 11.0], 4.0)
    """
    require_positive("kmeans", num_restarts=num_restarts)
    require_num_clusters("kmeans", num_clusters, len(x))
    return _restarts(key, x, num_clusters, num_restarts, max_iterations, tolerance)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _restarts(
    key: Array,
    x: Array,
    num_clusters: int,
    num_restarts: int,
    max_iterations: int | Array,
    tolerance: float | Array,
) -> KMeans:
    num_candidates = 2 + int(math.log(num_clusters))

    def run(key: Array) -> KMeans:
        start = kmeans_plus_plus(key, x, num_clusters, num_candidates=num_candidates)
        return lloyd(x, start, max_iterations=max_iterations, tolerance=tolerance)

    runs = jax.vmap(run)(jax.random.split(key, num_restarts))
    best = jnp.argmin(runs.inertia)
    return jax.tree.map(lambda leaf: leaf[best], runs)
