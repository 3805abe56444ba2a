"""The two steps of Lloyd's algorithm: assign examples to centers; move centers to their means."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet.metrics.pairwise import EXACT, row_squares
from jaxnet.training._placement import DATA, spread


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
    x: Float[Array, "n dim"],
    squares: Float[Array, " n"],
    centers: Float[Array, "k dim"],
    *,
    num_examples: int | None = None,
    mesh: Any = None,
) -> Assignment:
    """Assign examples to the nearest centers, and sum the examples of each cluster.

    Both use a block of the data while it is in the cache.

    Args:
        x: data, `(n, dim)`, centered.
        squares: squared norms of the rows, `row_squares(x)`, the same in all iterations.
        centers: centers, `(k, dim)`.
        num_examples: number of examples, which rows without meaning follow; None is n.
        mesh: devices along whose axis `data`, a divisor of n, the rows are spread; each sums its
            part, and the sums are added up.

    Returns:
        `Assignment`; rows without meaning have the label 0 and the distance 0, and count nowhere.

    >>> x = jnp.array([[-3.0], [1.0], [2.0]])
    >>> result = assign_and_sum(x, jnp.array([9.0, 1.0, 4.0]), jnp.array([[-3.0], [1.0]]))
    >>> result.labels.tolist(), result.distances.tolist(), result.sums.ravel().tolist()
    ([0, 1, 1], [0.0, 0.0, 1.0], [-3.0, 3.0])
    """
    if mesh is None:
        return _assign_and_sum(x, squares, centers)
    num_parts = mesh.shape[DATA]
    size = len(x) // num_parts
    # An axis that is spread cannot be cut into blocks, so that the parts have one of their own.
    parts = spread((x.reshape(num_parts, size, -1), squares.reshape(num_parts, size)), mesh)
    if num_examples in (None, len(x)):
        each = jax.vmap(_assign_and_sum, (0, 0, None))(*parts, centers)
    else:
        lengths = jnp.clip(num_examples - size * jnp.arange(num_parts), 0, size)
        each = jax.vmap(_assign_and_sum, (0, 0, None, 0))(*parts, centers, lengths)
    return Assignment(
        each.labels.ravel(), each.distances.ravel(), each.sums.sum(axis=0), each.counts.sum(axis=0)
    )


def _assign_and_sum(
    x: Array, squares: Array, centers: Array, length: Array | None = None
) -> Assignment:
    # On CPU, blocks of 2000 rows of 784 floats are twice as fast as all 70 000 rows at once; other
    # backends prefer a few large steps.
    return jax.lax.platform_dependent(
        x,
        squares,
        centers,
        *(() if length is None else (length,)),
        cpu=functools.partial(_blocked, block_size=2048),
        default=functools.partial(_blocked, block_size=65_536),
    )


def _blocked(
    x: Array, squares: Array, centers: Array, length: Array | None = None, *, block_size: int
) -> Assignment:
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
        row = start + jnp.arange(block_size)
        is_new = row >= index * block_size
        if length is not None:
            is_new &= row < length
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

    labels, distances = joined(parts[0]), jnp.maximum(squares - joined(parts[1]), 0)
    if length is not None:
        labels, distances = (jnp.where(jnp.arange(n) < length, a, 0) for a in (labels, distances))
    return Assignment(labels, distances, sums, counts)


def move_to_means(
    x: Float[Array, "n dim"],
    centers: Float[Array, "k dim"],
    assignment: Assignment,
    *,
    mesh: Any = None,
) -> Float[Array, "k dim"]:
    """Move centers to the means of their examples, and empty clusters to the farthest examples.

    Args:
        x: data, `(n, dim)`.
        centers: centers, `(k, dim)`; those of empty clusters are kept if no example is left.
        assignment: the assignment of `x` to `centers`.
        mesh: as in `assign_and_sum`.

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
        example, previous = (_row(array, farthest, mesh) for array in (x, labels))
        empty = jnp.argmin(counts)
        can_move = counts[previous] > 1
        to = (jnp.arange(len(counts)) == empty) & can_move
        origin = (jnp.arange(len(counts)) == previous) & can_move
        sums = jnp.where(to[:, None], example[None], sums)
        sums = jnp.where(origin[:, None], sums - example[None], sums)
        counts = jnp.where(to, 1, jnp.where(origin, counts - 1, counts))
        distances = jnp.where(jnp.arange(len(distances)) == farthest, 0, distances)
        return sums, counts, distances

    sums, counts, _ = jax.lax.while_loop(unfinished, reseed, (sums, counts, distances))
    means = sums / jnp.maximum(counts, 1)[:, None]
    return jnp.where(counts[:, None] > 0, means, centers)


def _row(array: Array, index: Array, mesh: Any) -> Array:
    """One row; of an array that is spread as a sum, since a slice would gather the array."""
    if mesh is None:
        return array[index]
    chosen = (jnp.arange(len(array)) == index).reshape(-1, *[1] * (array.ndim - 1))
    return jnp.sum(jnp.where(chosen, array, 0), axis=0)
