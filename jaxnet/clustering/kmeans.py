"""k-means: Lloyd's algorithm from given centers or from k-means++, as pure functions."""

import functools
import math
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet._checks import require_integer, require_not_negative, require_positive
from jaxnet.clustering.lloyd_steps import assign_and_sum, move_to_means
from jaxnet.clustering.seeding import kmeans_plus_plus, require_num_clusters
from jaxnet.metrics.pairwise import require_same_dim, row_squares, squared_distances
from jaxnet.training._placement import DATA, data_mesh, on_mesh, spread


class KMeans(NamedTuple):
    """The result of k-means: a pytree of arrays, like parameters.

    Attributes:
        centers: means of the clusters, `(num_clusters, dim)`.
        inertia: sum over the examples of the squared distance to the nearest center, `()`.
        num_iterations: number of iterations, `()`.
    """

    centers: Float[Array, "..."]
    inertia: Float[Array, "..."]
    num_iterations: Int[Array, "..."]


@jax.jit
def assign(centers: Float[Array, "k dim"], x: Float[Array, "n dim"]) -> Int[Array, " n"]:
    """Assign each example to its nearest center, `argmin_j ||x_i - c_j||^2`; ties to the first.

    Args:
        centers: centers, `(k, dim)`.
        x: examples, `(n, dim)`, such as new data.

    Returns:
        Clusters from 0 to k - 1, `(n,)`.

    Raises:
        ValueError: the dimensions of examples and centers differ.

    >>> assign(jnp.array([[0.0, 0.0], [4.0, 4.0]]), jnp.array([[1.0, 0.0], [3.0, 5.0]])).tolist()
    [0, 1]

    Source: Lloyd (1982), "Least squares quantization in PCM": the nearest-neighbor partition.
    """
    require_same_dim("assign", x, centers=centers)
    middle = jnp.mean(centers, axis=0, keepdims=True)
    return jnp.argmin(squared_distances(x - middle, centers - middle), axis=1)


def lloyd(
    x: Float[Array, "n dim"],
    centers: Float[Array, "k dim"],
    *,
    max_iterations: int | Int[Array, ""] = 300,
    tolerance: float | Float[Array, ""] = 1e-4,
) -> KMeans:
    """Minimize the inertia `sum_i min_j ||x_i - c_j||^2` by Lloyd's algorithm.

    Each iteration assigns each example to its nearest center, then moves each center to the mean of
    its examples. The algorithm stops when `sum_j ||change of c_j||^2 <= tolerance * v`, where `v`
    is the mean variance of the features; with a tolerance of 0, when no assignment changes.

    A cluster without examples gets the example farthest from its center, which is removed from its
    previous cluster; several empty clusters get different examples. The only example of a cluster
    is never removed. If all examples lie on centers, empty clusters keep their centers.

    With data on a mesh of devices, by `shard_examples` or `replicate`, each device assigns and sums
    its part of the examples, and the sums are reduced; so do all functions of this package.

    The data are centered and read once per iteration, in blocks that fit into the cache of a CPU.
    Memory: one copy of `x` and 20 bytes per example. Under `jax.vmap` over centers there is one
    such copy, and 20 bytes per example and start.

    Args:
        x: data, `(n, dim)`, finite (see `check_clusters`).
        centers: initial centers, `(k, dim)`.
        max_iterations: maximum number of iterations; may be traced.
        tolerance: relative tolerance of the change of the centers, at least 0; may be traced.

    Returns:
        `KMeans`; the inertia is that of the returned centers.

    Raises:
        TypeError: a number of iterations that is not an integer.
        ValueError: the dimensions of examples and centers differ; `max_iterations` or
            `tolerance` is below 0 (traced ones are not checked).

    >>> x = jnp.array([[0.0], [1.0], [2.0], [10.0], [12.0]])
    >>> model = lloyd(x, jnp.array([[0.0], [1.0]]))
    >>> model.centers.tolist(), float(model.inertia), int(model.num_iterations)
    ([[1.0], [11.0]], 4.0, 3)

    Source: Lloyd (1982), "Least squares quantization in PCM"; the tolerance and the reassignment of
    empty clusters are those of `sklearn.cluster.KMeans`.
    """
    require_integer("lloyd", "max_iterations", max_iterations, 0)
    require_not_negative("lloyd", tolerance=tolerance)
    require_same_dim("lloyd", x, centers=centers)
    return _lloyd(x, centers, max_iterations, tolerance, data_mesh(x))


@functools.partial(jax.jit, static_argnums=4)
def _lloyd(
    x: Array, centers: Array, max_iterations: int | Array, tolerance: float | Array, mesh: Any
) -> KMeans:
    mean = jnp.mean(spread(x, mesh), axis=0, keepdims=True)
    x = x - mean
    squares = row_squares(x)
    threshold = tolerance * jnp.mean(squares) / x.shape[1]
    assign_all = functools.partial(assign_and_sum, num_examples=len(x), mesh=mesh)
    if mesh is not None and (missing := -len(x) % mesh.shape[DATA]):
        x, squares = jnp.pad(x, [(0, missing), (0, 0)]), jnp.pad(squares, (0, missing))

    def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, _, change, iteration = carry
        return (change > threshold) & (iteration < max_iterations)

    def iterate(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        centers, labels, _, iteration = carry
        assignment = assign_all(x, squares, centers)
        moved = move_to_means(x, centers, assignment, mesh=mesh)
        change = jnp.sum((moved - centers) ** 2)
        # Equal assignments give equal centers, but a fused multiply-add in their difference may
        # give a number other than 0.
        change = jnp.where(jnp.any(assignment.labels != labels), change, 0)
        return moved, assignment.labels, change, iteration + 1

    start = (
        centers - mean,
        jnp.full(len(x), -1, jnp.int32),
        jnp.array(jnp.inf, x.dtype),
        jnp.zeros((), jnp.int32),
    )
    centers, _, _, iterations = jax.lax.while_loop(unfinished, iterate, start)
    inertia = jnp.sum(assign_all(x, squares, centers).distances)
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
    """Cluster data by k-means: the best of several runs of `lloyd` from greedy `kmeans_plus_plus`.

    Each step of k-means++ draws `2 + floor(log num_clusters)` candidates. All restarts run as one
    batch, which multiplies each block of the data with the centers of all restarts, until the last
    one has converged. Use `jax.vmap` over keys to get all runs, not only the best.

    Args:
        key: PRNG key.
        x: data, `(n, dim)`, finite (see `check_clusters`).
        num_clusters: number of clusters; static.
        num_restarts: number of runs, of which the one with the smallest inertia is returned;
            static.
        max_iterations: maximum number of iterations of each run; may be traced.
        tolerance: relative tolerance of the change of the centers, as in `lloyd`; may be traced.

    Returns:
        `KMeans` with the smallest inertia.

    Raises:
        ValueError: `num_clusters` is below 1 or above the number of examples; `num_restarts` is
            below 1.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [10.0], [12.0]])
    >>> model = fit_kmeans(jax.random.key(0), x, 2, num_restarts=4)
    >>> sorted(model.centers.ravel().tolist()), float(model.inertia)
    ([1.0, 11.0], 4.0)

    Source: Lloyd (1982), "Least squares quantization in PCM"; Arthur and Vassilvitskii (2007),
    "k-means++: the advantages of careful seeding".
    """
    require_positive("fit_kmeans", num_restarts=num_restarts, max_iterations=max_iterations)
    require_not_negative("fit_kmeans", tolerance=tolerance)
    require_num_clusters("fit_kmeans", num_clusters, len(x))
    num_clusters, num_restarts = operator.index(num_clusters), operator.index(num_restarts)
    mesh = data_mesh(x)
    return _restarts(key, x, num_clusters, num_restarts, max_iterations, tolerance, mesh)


@functools.partial(jax.jit, static_argnums=(2, 3, 6))
def _restarts(
    key: Array,
    x: Array,
    num_clusters: int,
    num_restarts: int,
    max_iterations: int | Array,
    tolerance: float | Array,
    mesh: Any,
) -> KMeans:
    num_candidates = 2 + int(math.log(num_clusters))

    def run(key: Array) -> KMeans:
        start = kmeans_plus_plus(key, x, num_clusters, num_candidates=num_candidates)
        return lloyd(x, start, max_iterations=max_iterations, tolerance=tolerance)

    with on_mesh(mesh):
        runs = jax.vmap(run)(jax.random.split(key, num_restarts))
    best = jnp.argmin(runs.inertia)
    return jax.tree.map(lambda leaf: leaf[best], runs)
