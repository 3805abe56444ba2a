"""Initial centers for k-means, and checks of the data before clustering."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from jaxnet._checks import require_integer, require_positive
from jaxnet._data import check_data
from jaxnet.metrics.pairwise import squared_distances
from jaxnet.training._placement import data_mesh, spread


def kmeans_plus_plus(
    key: Array, x: Float[Array, "n dim"], num_clusters: int, *, num_candidates: int = 1
) -> Float[Array, "num_clusters dim"]:
    """Draw initial centers from the examples, in proportion to squared distances (k-means++).

    The first center is drawn uniformly. Each further center is example i with probability
    `D_i^2 / sum_j D_j^2`, where `D_i` is its distance to the nearest center so far. With several
    candidates per step, the candidate with the smallest remaining sum of `D_j^2` is chosen (greedy
    k-means++).

    Deviation: an example is never chosen twice, and an example at distance 0 from a center only if
    all others are at distance 0 too. So centers differ if enough examples differ by more than the
    rounding error of `squared_distances` (of centered data).

    Args:
        key: PRNG key.
        x: data, `(n, dim)`.
        num_clusters: number of centers; static.
        num_candidates: number of examples drawn in each step after the first; static.

    Returns:
        Centers, `(num_clusters, dim)`: rows of `x` in the order of their choice.

    Raises:
        ValueError: `num_clusters` is below 1 or above the number of examples; `num_candidates` is
            below 1.

    >>> x = jnp.array([[0.0], [0.0], [5.0], [5.0]])
    >>> sorted(kmeans_plus_plus(jax.random.key(0), x, 2).ravel().tolist())
    [0.0, 5.0]

    Source: Arthur and Vassilvitskii (2007), "k-means++: the advantages of careful seeding",
    algorithm 1; the greedy variant is mentioned in section 6.
    """
    require_positive("kmeans_plus_plus", num_candidates=num_candidates)
    require_num_clusters("kmeans_plus_plus", num_clusters, len(x))
    num_clusters, num_candidates = operator.index(num_clusters), operator.index(num_candidates)
    return _draw(key, x, num_clusters, num_candidates, data_mesh(x))


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _draw(key: Array, x: Array, num_clusters: int, num_candidates: int, mesh: Any) -> Array:
    n, x = len(x), spread(x, mesh)
    centered = x - jnp.mean(x, axis=0, keepdims=True)
    limits = jnp.finfo(x.dtype)

    def step(index: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        chosen, nearest = carry
        # Squared distances to the nearest center: infinite before the first one, -1 for centers.
        logits = jnp.log(jnp.clip(nearest, limits.tiny, limits.max))
        logits = jnp.where(nearest < 0, -jnp.inf, logits)
        # Gumbel comparisons, not cumulative sums: rounding cannot give an example of probability 0.
        candidates = jax.random.categorical(
            jax.random.fold_in(key, index), logits, shape=(num_candidates, 1), axis=-1
        )[:, 0]
        distances = squared_distances(centered, centered[candidates])
        distances = jnp.minimum(nearest[:, None], distances)
        distances = jnp.where(jnp.arange(n)[:, None] == candidates[None, :], -1, distances)
        best = jnp.argmin(jnp.sum(distances, axis=0))
        best = jnp.where(index == 0, 0, best)
        return chosen.at[index].set(candidates[best]), distances[:, best]

    start = jnp.zeros(num_clusters, jnp.int32), jnp.full(n, jnp.inf, x.dtype)
    chosen, _ = jax.lax.fori_loop(0, num_clusters, step, start)
    return x[chosen]


def check_clusters(x: ArrayLike, num_clusters: int) -> None:
    """Reject data that cannot form this number of clusters.

    Reads the data once, on the host, and compares rows until enough of them differ.

    Args:
        x: data, `(n, dim)`.
        num_clusters: number of clusters, from 2 to n.

    Raises:
        ValueError: as `check_data`; the data are not one vector for each example; `num_clusters` is
            below 2 or above the number of examples; fewer than `num_clusters` examples are
            different.

    >>> check_clusters([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]], 2)
    >>> check_clusters([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]], 3)
    Traceback (most recent call last):
        ...
    ValueError: x: only 2 of its 3 rows are different, fewer than the 3 clusters; choose at most 2
    """
    check_data(x)
    rows = np.asarray(x)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"x must hold one vector for each example, found shape {rows.shape}; flatten images "
            "with x.reshape(len(x), -1)"
        )
    n = len(rows)
    remedy = f"there are {n} examples"
    require_integer("check_clusters", "num_clusters", num_clusters, 2, n, remedy=remedy)
    different: set[bytes] = set()
    for start in range(0, n, 256):
        # Adding 0 makes -0 and 0 the same bytes.
        different.update(row.tobytes() for row in rows[start : start + 256] + 0)
        if len(different) >= num_clusters:
            return
    if len(different) == 1:
        raise ValueError(
            f"x: all {n} rows are the same, expected at least {num_clusters} different rows for "
            f"{num_clusters} clusters; check how the data were read"
        )
    raise ValueError(
        f"x: only {len(different)} of its {n} rows are different, fewer than the {num_clusters} "
        f"clusters; choose at most {len(different)}"
    )


def require_num_clusters(
    function: str, num_clusters: int, num_examples: int, *, name: str = "num_clusters"
) -> None:
    """Reject fewer than 1 cluster and more clusters than examples.

    Args:
        function: function whose argument is checked, for the message.
        num_clusters: number of clusters.
        num_examples: number of examples.
        name: name of the argument.

    Raises:
        ValueError: the number of clusters is out of range.

    >>> require_num_clusters("kmeans", 4, 3)
    Traceback (most recent call last):
        ...
    ValueError: kmeans: num_clusters must lie between 1 and 3, found 4; each needs an example
    """
    remedy = "each needs an example"
    require_integer(function, name, num_clusters, 1, num_examples, remedy=remedy)
