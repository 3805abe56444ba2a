"""Exact nearest neighbors by blocked matrix products."""

import functools
import importlib
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from jaxnet._checks import require_positive
from jaxnet.metrics.pairwise import map_blocks, require_same_dim, squared_distances

_BACKENDS = ("jax", "faiss")


class Neighbors(NamedTuple):
    """The nearest examples of each query, sorted by distance.

    Attributes:
        distances: Euclidean distances in increasing order, `(num_queries, k)`.
        indices: their rows in the data that were searched, `(num_queries, k)`.
    """

    distances: Float[Array, "..."]
    indices: Int[Array, "..."]


def nearest_neighbors(
    queries: Float[Array, "num_queries *dim"],
    x: Float[Array, "n ..."],
    k: int,
    *,
    exclude: Integer[Array, "..."] | None = None,
    block_size: int = 256,
    backend: str = "jax",
) -> Neighbors:
    """Find the k examples with the smallest Euclidean distance `||q - x_i||` to each query `q`.

    The search is exhaustive. `2 k + 8` candidates are selected by squared distances from a matrix
    product (`squared_distances` of centered data); their distances are then computed again from
    differences, which is accurate for small distances, and sorted. The result is exact up to
    rounding in the selection of candidates. Of equal distances the lower index comes first. The
    distances are differentiable, with gradient 0 at distance 0.

    For cosine similarity normalize the rows of both arrays to length 1: the order is the same, and
    the similarity is `1 - distance**2 / 2`.

    Args:
        queries: query vectors, `(num_queries, dim)`.
        x: examples to search, `(n, dim)`.
        k: number of neighbors; static.
        exclude: one index of `x` for each query that is not returned as its neighbor, or -1,
            `(num_queries,)`; `jnp.arange(n)` if the queries are `x` itself. None excludes nothing.
        block_size: queries per block; memory grows with `block_size * n`. Static.
        backend: "jax" computes inside the traced program; "faiss" selects the candidates with the
            flat index of the library faiss, in float32, on the host.

    Returns:
        `Neighbors`, two arrays `(num_queries, k)`.

    Raises:
        ValueError: `queries` or `x` is not a matrix with at least one row, or their dimensions
            differ; `k` is outside 1 to n, or 1 to n - 1 with `exclude`; `exclude` is not one index
            from -1 to n - 1 for each query; `block_size` is below 1; `backend` is unknown; concrete
            arrays hold NaN or infinity (for traced ones distances may be NaN); arrays are traced
            with faiss.
        ImportError: faiss is not installed.

    >>> x = jnp.array([[0.0], [1.0], [3.0], [6.0]])
    >>> neighbors = nearest_neighbors(x, x, 2, exclude=jnp.arange(4))
    >>> neighbors.indices.tolist()
    [[1, 2], [0, 2], [1, 0], [2, 1]]
    >>> neighbors.distances[3].tolist()
    [3.0, 5.0]

    Source: Johnson et al. (2019), "Billion-scale similarity search with GPUs", section 2 and eq. 2.
    """
    _check_arrays(queries, x)
    require_positive("nearest_neighbors", block_size=block_size)
    limit = len(x) - (exclude is not None)
    if not 1 <= k <= limit:
        counted = "examples" if exclude is None else "examples without the excluded one"
        raise ValueError(
            f"nearest_neighbors: k must lie between 1 and {limit}, the number of {counted}, "
            f"found {k}"
        )
    if exclude is None:
        exclude = jnp.full(len(queries), -1)
    else:
        _check_exclude(exclude, len(queries), len(x))
    if backend == "jax":
        return _search(queries, x, exclude, k=k, block_size=block_size)
    if backend == "faiss":
        return _search_with_faiss(queries, x, exclude, k=k, block_size=block_size)
    raise ValueError(
        f"nearest_neighbors: backend must be one of {', '.join(_BACKENDS)}, found {backend!r}"
    )


@functools.partial(jax.jit, static_argnames=("k", "block_size"))
def _search(queries: Array, x: Array, exclude: Array, *, k: int, block_size: int) -> Neighbors:
    mean = jnp.mean(x, axis=0, keepdims=True)
    centered = x - mean

    def search(block: Array, excluded: Array) -> Neighbors:
        squares = squared_distances(block - mean, centered)
        hidden = jnp.arange(len(x))[None, :] == excluded[:, None]
        squares = jnp.where(hidden, jnp.inf, squares)
        _, candidates = jax.lax.top_k(-squares, _num_candidates(k, len(x)))
        return _nearest(block, x, candidates, excluded, k)

    return map_blocks(search, queries, exclude, block_size=block_size)


def _num_candidates(k: int, n: int) -> int:
    return min(n, 2 * k + 8)


def _nearest(queries: Array, x: Array, candidates: Array, exclude: Array, k: int) -> Neighbors:
    distances = _length(queries[:, None] - x[candidates])
    distances = jnp.where(candidates == exclude[:, None], jnp.inf, distances)
    distances, indices = jax.lax.sort((distances, candidates), num_keys=2)
    return Neighbors(distances[:, :k], indices[:, :k])


def _length(vectors: Array) -> Array:
    # The derivative of the square root is infinite at 0, and infinity times 0 is NaN: take the root
    # of 1 there.
    squares = jnp.sum(jnp.square(vectors), axis=-1)
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), squares)


def _search_with_faiss(
    queries: Array, x: Array, exclude: Array, *, k: int, block_size: int
) -> Neighbors:
    if any(isinstance(array, jax.core.Tracer) for array in (queries, x, exclude)):
        raise ValueError(
            "nearest_neighbors: faiss works on arrays on the host, found a traced array; call it "
            'outside of jax.jit and jax.vmap, or use backend="jax"'
        )
    try:
        faiss = importlib.import_module("faiss")
    except ImportError as error:
        raise ImportError(
            'nearest_neighbors: backend="faiss" needs the library faiss; install it with '
            '`pip install faiss-cpu`, or use backend="jax"'
        ) from error
    mean = jnp.mean(x, axis=0, keepdims=True)
    rows, centered_queries = (
        np.asarray(array - mean, np.float32, order="C") for array in (x, queries)
    )
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    # The excluded example may be a candidate: there are more than k candidates without it.
    _, candidates = index.search(centered_queries, _num_candidates(k, len(rows)))
    candidates = jnp.asarray(candidates, jnp.int32)
    return _sort_candidates(queries, x, candidates, exclude, k=k, block_size=block_size)


@functools.partial(jax.jit, static_argnames=("k", "block_size"))
def _sort_candidates(
    queries: Array, x: Array, candidates: Array, exclude: Array, *, k: int, block_size: int
) -> Neighbors:
    def sort(block: Array, candidates: Array, exclude: Array) -> Neighbors:
        return _nearest(block, x, candidates, exclude, k)

    return map_blocks(sort, queries, candidates, exclude, block_size=block_size)


def _check_arrays(queries: Array, x: Array) -> None:
    for name, rows in (("queries", queries), ("x", x)):
        if rows.ndim != 2 or len(rows) == 0:
            raise ValueError(
                f"nearest_neighbors: {name} must hold at least one row, one vector per example, "
                f"found shape {rows.shape}; flatten images with {name}.reshape(len({name}), -1)"
            )
    require_same_dim("nearest_neighbors", x, queries=queries)
    for name, rows in (("queries", queries), ("x", x)):
        if isinstance(rows, jax.core.Tracer):
            continue
        finite = np.isfinite(np.asarray(rows)).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"nearest_neighbors: {name} must be finite, found NaN or infinity in row "
                f"{np.argmin(finite)}; remove or impute the row"
            )


def _check_exclude(exclude: Array, num_queries: int, n: int) -> None:
    if exclude.shape != (num_queries,):
        raise ValueError(
            f"nearest_neighbors: exclude must be one index for each of {num_queries} queries, "
            f"found shape {exclude.shape}"
        )
    if isinstance(exclude, jax.core.Tracer):
        return
    indices = np.asarray(exclude)
    if indices.min() < -1 or indices.max() >= n:
        raise ValueError(
            f"nearest_neighbors: exclude must hold indices from 0 to {n - 1}, or -1 for none, "
            f"found {indices.min()} to {indices.max()}"
        )
