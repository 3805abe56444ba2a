"""Mini-batch k-means as a learner, for data sets larger than memory and for streams."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet.metrics.pairwise import EXACT, require_same_dim, squared_distances
from jaxnet.objectives.weighting import masked, require_entry, require_shape, weighted_mean
from jaxnet.training.state import INIT, Learner, TrainState, initial_state
from jaxnet.typing import Batch, Metrics


def move_centers(
    centers: Float[Array, "k code"],
    counts: Float[Array, " k"],
    codes: Float[Array, "n code"],
    labels: Int[Array, " n"],
    weight: Float[Array, " n"] | None = None,
) -> tuple[Float[Array, "k code"], Float[Array, " k"]]:
    """Update each center to the running mean of all examples ever assigned to it.

    For one example after the other, `n_k <- n_k + 1` and `c_k <- c_k - (c_k - z_i) / n_k`. With
    fixed assignments the order of the examples does not matter, and a batch of `m_k` examples of
    cluster k gives `c_k <- (n_k c_k + sum of their codes) / (n_k + m_k)`.

    Args:
        centers: centers `c`, `(k, code)`.
        counts: number of examples assigned to each center so far, `(k,)`.
        codes: codes `z` of a batch, `(n, code)`.
        labels: clusters of the batch, `(n,)`.
        weight: weight of each example in the counts, at least 0, `(n,)`; None for ones.

    Returns:
        The new centers `(k, code)` and counts `(k,)`; centers without new examples are unchanged.

    >>> centers, counts = move_centers(
    ...     jnp.array([[0.0], [5.0]]), jnp.array([1.0, 1.0]), jnp.array([[1.0], [2.0]]),
    ...     jnp.array([0, 0]),
    ... )
    >>> centers.tolist(), counts.tolist()
    ([[1.0], [5.0]], [3.0, 1.0])

    Source: Sculley (2010), "Web-scale k-means clustering", algorithm 1; Yang et al. (2017),
    "Towards k-means-friendly spaces", eq. 8.
    """
    require_same_dim("move_centers", codes, centers=centers)
    for name, array in (("labels", labels), ("weight", weight)):
        if array is not None:
            require_shape("move_centers", name, array, codes.shape[:1])
    members = (labels[None, :] == jnp.arange(len(centers), dtype=labels.dtype)[:, None]).astype(
        codes.dtype
    )
    if weight is not None:
        members = members * weight[None, :]
        # Masked examples may hold NaN.
        codes = jnp.where(weight[:, None] > 0, codes, 0)
    batch_counts = jnp.sum(members, axis=1)
    total = counts + batch_counts
    # Sum the differences: a running mean of large numbers would lose digits.
    middle = jnp.mean(centers, axis=0, keepdims=True)
    change = jnp.matmul(members, codes - middle, precision=EXACT)
    change -= batch_counts[:, None] * (centers - middle)
    return centers + change / jnp.where(total > 0, total, 1)[:, None], total


def minibatch_kmeans_learner(init: Callable[[Array], Array]) -> Learner:
    """k-means on one batch at a time, with a learning rate for each center.

    A step assigns the examples of the batch to the nearest centers and then applies `move_centers`:
    the learning rate of a center is `1 / v_j`, where `v_j` counts all examples ever assigned to it.
    The initial center has no weight once the first example is assigned.

    As in the paper, a center that is never the nearest one keeps its initial value, so initialize
    with `kmeans_plus_plus` on a sample of the data. In float32 counts are exact up to 16 million,
    where the learning rate is negligible.

    Args:
        init: `init(key) -> centers`, `(num_clusters, dim)`.

    Returns:
        A learner on batches with `x`, `(batch, dim)`, and optionally `weight`, `(batch,)`.
        `state.params` holds `centers`, `(num_clusters, dim)`, and `state.extra` the counts `v`,
        `(num_clusters,)`. Metrics: `loss`, the mean squared distance to the nearest center before
        the update.

    Raises:
        ValueError: `init` returns an array that is not a matrix; in a step, the dimensions of
            examples and centers differ.

    >>> import jaxnet as jn
    >>> x = jnp.array([[0.0], [2.0], [10.0], [12.0]])
    >>> learner = minibatch_kmeans_learner(lambda key: jnp.array([[0.0], [10.0]]))
    >>> state, history = jn.fit(learner, jax.random.key(0), {"x": x}, batch_size=4, num_epochs=3)
    >>> state.params["centers"].ravel().tolist(), history["loss"].tolist()
    ([1.0, 11.0], [2.0, 1.0, 1.0])

    Source: Sculley (2010), "Web-scale k-means clustering", algorithm 1.
    """

    def init_state(key: Array) -> TrainState:
        centers = init(jax.random.fold_in(key, INIT))
        if centers.ndim != 2:
            raise ValueError(
                "minibatch_kmeans_learner: init must return centers (num_clusters, dim), found "
                f"shape {centers.shape}"
            )
        counts = jnp.zeros(len(centers), centers.dtype)
        return initial_state({"centers": centers}, counts, (), key)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        batch = masked(batch)
        x, weight = require_entry("minibatch_kmeans_learner", batch, "x"), batch.get("weight")
        centers, counts = state.params["centers"], state.extra
        require_same_dim("minibatch_kmeans_learner", x, centers=centers)
        middle = jnp.mean(centers, axis=0, keepdims=True)
        distances = squared_distances(x - middle, centers - middle)
        labels = jnp.argmin(distances, axis=1)
        centers, counts = move_centers(centers, counts, x, labels, weight)
        loss = weighted_mean(jnp.min(distances, axis=1), weight)
        state = state._replace(params={"centers": centers}, extra=counts, step=state.step + 1)
        return state, {"loss": loss}

    return Learner(init_state, step)
