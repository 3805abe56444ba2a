"""k-means on batches: a learner as any, for data that do not fit into memory or never end."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet.metrics.pairwise import EXACT, require_same_dim, squared_distances
from jaxnet.objectives.supervised import weighted_mean
from jaxnet.training.state import INIT, Learner, TrainState
from jaxnet.typing import Batch, Metrics


def move_centers(
    centers: Float[Array, "k code"],
    counts: Float[Array, " k"],
    codes: Float[Array, "n code"],
    labels: Int[Array, " n"],
    weight: Float[Array, " n"] | None = None,
) -> tuple[Float[Array, "k code"], Float[Array, " k"]]:
    """Move each center to the mean of all that was ever assigned to it.

    One example after the other: `n_k <- n_k + 1`, `c_k <- c_k - (c_k - z_i) / n_k`, Sculley (2010),
    algorithm 1, and Yang et al. (2017), eq. 8. For assignments that are given, the
    order of the examples does not matter, and a batch is
    `c_k <- (n_k c_k + sum of its codes) / (n_k + their number)`.

    Args:
        centers: centers `c`, `(k, code)`.
        counts: how many examples each center stands for so far, `n`.
        codes: codes `z` of a batch, `(n, code)`.
        labels: their clusters.
        weight: as how many examples each of them counts, by default 1.

    Returns:
        The new centers and counts; a center without examples stays.

    >>> centers, counts = move_centers(
    ...     jnp.array([[0.0], [5.0]]), jnp.array([1.0, 1.0]), jnp.array([[1.0], [2.0]]),
    ...     jnp.array([0, 0]),
    ... )
    >>> centers.tolist(), counts.tolist()
    ([[1.0], [5.0]], [3.0, 1.0])
    """
    members = (labels == jnp.arange(len(centers))[:, None]).astype(codes.dtype)
    if weight is not None:
        members = members * weight
        # What is masked may be anything, NaN too.
        codes = jnp.where(weight[:, None] > 0, codes, 0)
    new = jnp.sum(members, axis=1)
    total = counts + new
    # What they differ by is summed: a running mean of large numbers would lose digits.
    middle = jnp.mean(centers, axis=0)
    change = jnp.matmul(members, codes - middle, precision=EXACT)
    change -= new[:, None] * (centers - middle)
    return centers + change / jnp.where(total > 0, total, 1)[:, None], total


def minibatch_kmeans_learner(init: Callable[[Array], Array]) -> Learner:
    """Cluster by k-means, one batch at a time, with a learning rate for each center.

    Examples are assigned to the nearest of the centers as they are before the batch. Then center j
    takes in its examples one after the other, `v_j <- v_j + 1`, `c_j <- c_j + (x_i - c_j) / v_j`,
    where `v_j` counts all examples that it ever had: algorithm 1 of Sculley (2010), "Web-scale
    k-means clustering". Their order does not matter: it is `c_j <- (v_j c_j + sum_i x_i) / (v_j +
    m)` for m examples, and computed so. The start of a center has no weight beside its first
    examples.

    As in the paper, a center that no example is near stays where it started, so start from
    `kmeans_plus_plus` on some of the data. In float32 counts are exact up to 16 million; far
    beyond it a center hardly moves in any case.

    Args:
        init: `init(key) -> centers`, `(num_clusters, dim)`.

    Returns:
        A learner on batches whose `x` has shape `(batch, dim)`; `weight`, where there is one,
        counts an example so many times. `state.params` holds `centers`, and `state.extra` is
        `v`, the counts. Metrics:
        `loss`, the mean squared distance to the nearest center before the update.

    Raises:
        ValueError: (of `init`) centers that are not one vector each; (of `step`) examples and
            centers of different dimension.

    >>> import jaxnet as jn
    >>> x = jnp.array([[0.0], [2.0], [10.0], [12.0]])
    >>> learner = minibatch_kmeans_learner(lambda key: jnp.array([[0.0], [10.0]]))
    >>> state, history = jn.fit(learner, jax.random.key(0), {"x": x}, batch_size=4, num_epochs=3)
    >>> state.params["centers"].ravel().tolist(), history["loss"].tolist()
    ([1.0, 11.0], [2.0, 1.0, 1.0])
    """

    def init_state(key: Array) -> TrainState:
        centers = init(jax.random.fold_in(key, INIT))
        if centers.ndim != 2:
            raise ValueError(
                "minibatch_kmeans_learner: init must return centers (num_clusters, dim), found "
                f"shape {centers.shape}"
            )
        counts = jnp.zeros(len(centers), centers.dtype)
        return TrainState({"centers": centers}, counts, (), key, jnp.zeros((), jnp.int32))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        x, weight = batch["x"], batch.get("weight")
        centers, counts = state.params["centers"], state.extra
        require_same_dim("minibatch_kmeans_learner", x, centers=centers)
        middle = jnp.mean(centers, axis=0)
        distances = squared_distances(x - middle, centers - middle)
        labels = jnp.argmin(distances, axis=1)
        centers, counts = move_centers(centers, counts, x, labels, weight)
        loss = weighted_mean(jnp.min(distances, axis=1), weight)
        state = state._replace(params={"centers": centers}, extra=counts, step=state.step + 1)
        return state, {"loss": loss}

    return Learner(init_state, step)
