"""The two steps of Lloyd's algorithm: assign examples to centers; move centers to their means."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet.metrics.pairwise import EXACT, row_squares


class Assignment(NamedTuple):
    """The assignment of examples to their nearest centers.

    Attributes:
        labels: the nearest center of each example, `(n,)`.
        distances: its squared distance, `(n,)`.
        sums: sum of the examples of each center, `(k, dim)`.
        counts: number of examples of each center, `(k,)`.
    """

    labels: Int[Array, " n"]
    distances: Float[Array, " n"]
    sums: Float[Array, "k dim"]
    counts: Float[Array, " k"]


def assign_and_sum(
    x: Float[Array, "n dim"], squares: Float[Array, " n"], centers: Float[Array, "k dim"]
) -> Assignment:
    """Assign examples to the nearest centers, and sum the examples of each cluster.

    Both use a block of the data while it is in the cache.

    Args:
        x: data, `(n, dim)`, centered.
        squares: squared norms of the rows, `row_squares(x)`, the same in all iterations.
        centers: centers, `(k, dim)`.

    Returns:
        `Assignment`.

    >>> x = jnp.array([[-3.0], [1.0], [2.0]])
    >>> result = assign_and_sum(x, jnp.array([9.0, 1.0, 4.0]), jnp.array([[-3.0], [1.0]]))
    >>> result.labels.tolist(), result.distances.tolist(), result.sums.ravel().tolist()
    ([0, 1, 1], [0.0, 0.0, 1.0], [-3.0, 3.0])
    """
    # On CPU, blocks of 2000 rows of 784 floats are twice as fast as all 70 000 rows at once; other
    # backends prefer a few large steps.
    return jax.lax.platform_dependent(
        x,
        squares,
        centers,
        cpu=functools.partial(_blocked, block_size=2048),
        default=functools.partial(_blocked, block_size=65_536),
    )


def _blocked(x: Array, squares: Array, centers: Array, *, block_size: int) -> Assignment:
    n, num_clusters = len(x), len(centers)
    block_size = min(block_size, n)
    num_blocks = -(-n // block_size)
    # 2 x.c - ||c||^2 is largest for the smallest distance.
    factors, offsets = 2 * centers.T, row_squares(centers)[None, :]

    def step(carry: tuple[Array, Array], index: Array):
        sums, counts = carry
        # The last block ends with the data; rows that it shares with the previous block count once.
        start = jnp.minimum(index * block_size, n - block_size)
        rows = jax.lax.dynamic_slice_in_dim(x, start, block_size)
        scores = jnp.matmul(rows, factors, precision=EXACT) - offsets
        labels = jnp.argmax(scores, axis=1).astype(jnp.int32)
        is_new = start + jnp.arange(block_size) >= index * block_size
        members = (labels[None, :] == jnp.arange(num_clusters)[:, None]) & is_new[None, :]
        members = members.astype(x.dtype)
        sums += jnp.matmul(members, rows, precision=EXACT)
        return (sums, counts + jnp.sum(members, axis=1)), (
            labels,
            jnp.max(scores, axis=1),
        )

    start = jnp.zeros_like(centers), jnp.zeros(num_clusters, x.dtype)
    (sums, counts), parts = jax.lax.scan(step, start, jnp.arange(num_blocks))
    overlap = num_blocks * block_size - n

    def joined(parts: Array) -> Array:
        return jnp.concatenate([parts[:-1].ravel(), parts[-1, overlap:]])

    distances = jnp.maximum(squares - joined(parts[1]), 0)
    return Assignment(joined(parts[0]), distances, sums, counts)


def move_to_means(
    x: Float[Array, "n dim"], centers: Float[Array, "k dim"], assignment: Assignment
) -> Float[Array, "k dim"]:
    """Move centers to the means of their examples, and empty clusters to the farthest examples.

    Args:
        x: data, `(n, dim)`.
        centers: centers, `(k, dim)`; those of empty clusters are kept if no example is left.
        assignment: the assignment of `x` to `centers`.

    Returns:
        The new centers, `(k, dim)`.

    >>> x = jnp.array([[0.0], [1.0], [5.0]])
    >>> assignment = Assignment(
    ...     jnp.array([0, 0, 0]), jnp.array([0.0, 1.0, 25.0]), jnp.array([[6.0], [0.0]]),
    ...     jnp.array([3.0, 0.0]),
    ... )
    >>> move_to_means(x, jnp.array([[0.0], [99.0]]), assignment).tolist()
    [[0.5], [5.0]]
    """
    labels, distances, sums, counts = assignment

    # A loop that usually has no iteration: under vmap, `jax.lax.cond` computes both branches.
    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        _, counts, distances = carry
        return jnp.any(counts == 0) & jnp.any(distances > 0)

    def reseed(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        sums, counts, distances = carry
        farthest = jnp.argmax(distances)
        empty, previous = jnp.argmin(counts), labels[farthest]
        can_move = counts[previous] > 1
        to = (jnp.arange(len(counts)) == empty) & can_move
        origin = (jnp.arange(len(counts)) == previous) & can_move
        sums = jnp.where(to[:, None], x[farthest][None], sums)
        sums = jnp.where(origin[:, None], sums - x[farthest][None], sums)
        counts = jnp.where(to, 1, jnp.where(origin, counts - 1, counts))
        distances = jnp.where(jnp.arange(len(distances)) == farthest, 0, distances)
        return sums, counts, distances

    sums, counts, _ = jax.lax.while_loop(unfinished, reseed, (sums, counts, distances))
    means = sums / jnp.maximum(counts, 1)[:, None]
    return jnp.where(counts[:, None] > 0, means, centers)
