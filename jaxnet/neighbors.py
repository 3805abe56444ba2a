"""Exact nearest neighbors, by matrix products in blocks."""

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, PyTree

from jaxnet._checks import require_positive
from jaxnet.metrics.pairwise import require_same_dim, squared_distances

_BACKENDS = ("jax", "faiss")


class Neighbors(NamedTuple):
    """The nearest examples of each query, the nearest first.

    Attributes:
        distances: Euclidean distances in increasing order, `(num_queries, k)`.
        indices: which examples they are, rows of the data searched, `(num_queries, k)`.
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
    """The k examples with the least Euclidean distance `||q - x_i||`, for each query `q`.

    Candidates, `2 k + 8` of them, come from squared distances by a matrix product; their distances
    are then computed anew from differences, so that they are accurate where they are small, and
    sorted. Of equal distances the lower index comes first. The search is exhaustive: the result is
    exact but for rounding in the choice of candidates, as in `squared_distances` of data whose mean
    is zero. The distances are differentiable, with gradient zero where they are zero.

    Cosine similarity: divide the rows of both arrays by their lengths; the order is the same, and
    the similarity is `1 - distance**2 / 2`.

    Args:
        queries: `(num_queries, dim)`.
        x: the examples searched, `(n, dim)`.
        k: number of neighbors; static.
        exclude: for each query an index of `x` that is not its neighbor, `(num_queries,)`, or -1:
            `jnp.arange(n)` where the queries are `x` itself. None excludes nothing.
        block_size: queries at a time; memory grows with `block_size * n`. Static.
        backend: "jax", in the graph; or "faiss", outside of it: the candidates come from the flat
            index of the library faiss, in float32.

    Returns:
        `Neighbors`, two arrays `(num_queries, k)`.

    Raises:
        ValueError: arrays that are not matrices of one width with at least one row; `k` outside 1
            to n, or to n - 1 with `exclude`; an `exclude` that is not one index from -1 to n - 1
            for each query; a block size below 1; an unknown backend; numbers that are NaN or
            infinite (where they are not traced; where they are, distances may be NaN); traced
            arrays with faiss.
        ImportError: faiss is not installed.

    >>> x = jnp.array([[0.0], [1.0], [3.0], [6.0]])
    >>> found = nearest_neighbors(x, x, 2, exclude=jnp.arange(4))
    >>> found.indices.tolist()
    [[1, 2], [0, 2], [1, 0], [2, 1]]
    >>> found.distances[3].tolist()
    [3.0, 5.0]

    Source: Johnson et al. (2019), "Billion-scale similarity search with GPUs", section 2 and eq. 2.
    """
    _check_arrays(queries, x)
    require_positive("nearest_neighbors", block_size=block_size)
    limit = len(x) - (exclude is not None)
    if not 1 <= k <= limit:
        which = "examples" if exclude is None else "examples but the excluded one"
        raise ValueError(
            f"nearest_neighbors: k must lie between 1 and {limit}, the number of {which}, found {k}"
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


def map_blocks(
    function: Callable[..., PyTree[Any]], *arrays: Array, block_size: int
) -> PyTree[Any]:
    """Apply a function of examples to blocks of them, one after the other, to bound the memory.

    Args:
        function: from arrays with a leading axis of `block_size` to a pytree of such arrays. The
            rows of zeros that fill up the last block are thrown away afterwards.
        arrays: arrays with one leading axis, `(n, ...)`.
        block_size: examples in a block; fewer where there are fewer.

    Returns:
        What the function returns, with leading axes of n.

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


def _length(vectors: Array) -> Array:
    # The gradient of a root at zero is infinite, and infinity times zero is NaN: a root of 1 there.
    squares = jnp.sum(jnp.square(vectors), axis=-1)
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), squares)


def _search_with_faiss(
    queries: Array, x: Array, exclude: Array, *, k: int, block_size: int
) -> Neighbors:
    if any(isinstance(array, jax.core.Tracer) for array in (queries, x, exclude)):
        raise ValueError(
            "nearest_neighbors: faiss works on arrays on the host, found a traced one; call it "
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
    rows, asked = (np.asarray(array - mean, np.float32, order="C") for array in (x, queries))
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    # The excluded one may be among the candidates, which are more than k even without it.
    _, candidates = index.search(asked, _num_candidates(k, len(rows)))
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
                f"nearest_neighbors: {name} must hold at least one row, each one vector, found "
                f"shape {rows.shape}; flatten pictures with {name}.reshape(len({name}), -1)"
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
