"""Soft assignments of codes to centers, and the sharper target distribution of DEC."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_above_zero
from jaxnet.metrics.pairwise import require_same_dim, squared_distances
from jaxnet.objectives.weighting import require_shape, weighted_sum


def student_t_assignments(
    codes: Float[Array, "n code"],
    centers: Float[Array, "k code"],
    *,
    degrees_of_freedom: float | Float[Array, ""] = 1.0,
) -> Float[Array, "n k"]:
    """Soft assignments by a Student t kernel, each row a distribution over the clusters.

    `q_ij = (1 + ||z_i - c_j||^2 / a)^(-(a + 1) / 2) / sum_j' (the same for j')`, with `a` degrees
    of freedom; in the paper `a` is 1. The most probable cluster is that of the nearest center.

    Args:
        codes: codes `z`, `(n, code)`.
        centers: centers `c`, `(k, code)`.
        degrees_of_freedom: `a`, above 0; may be traced.

    Returns:
        Probabilities `q`, `(n, k)`, each row with sum 1.

    Raises:
        ValueError: the dimensions of codes and centers differ; `degrees_of_freedom` is not above 0
            (a traced one is not checked).

    >>> codes, centers = jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 0.0], [1.0, 2.0]])
    >>> [round(value, 3) for value in student_t_assignments(codes, centers)[0].tolist()]
    [0.6, 0.4]

    Source: Xie, Girshick and Farhadi (2016), "Unsupervised deep embedding for clustering analysis"
    (DEC), eq. 1.
    """
    require_same_dim("student_t_assignments", codes, centers=centers)
    require_above_zero("student_t_assignments", degrees_of_freedom=degrees_of_freedom)
    # Distances do not depend on the origin, but their rounding errors do.
    middle = jax.lax.stop_gradient(jnp.mean(centers, axis=0, keepdims=True))
    squared = squared_distances(codes - middle, centers - middle)
    kernel = -(degrees_of_freedom + 1) / 2 * jnp.log1p(squared / degrees_of_freedom)
    return jax.nn.softmax(kernel, axis=1)


def target_distribution(
    q: Float[Array, "n k"], *, weight: Shaped[Array, " n"] | None = None
) -> Float[Array, "n k"]:
    """Sharper assignments, `p_ij = (q_ij^2 / f_j) / sum_j' (q_ij'^2 / f_j')`, `f_j = sum_i q_ij`.

    The square emphasizes confident assignments, and the division by the frequencies `f` keeps large
    clusters from absorbing the others. Frequencies are sums over all rows, so `q` must be that of
    the whole data set.

    Args:
        q: assignments of the whole data set, `(n, k)`, each row with sum 1.
        weight: one weight of at least 0 for each example in the frequencies, `f_j = sum_i w_i
            q_ij`; None for ones.

    Returns:
        Targets `p`, `(n, k)`, each row with sum 1.

    Raises:
        ValueError: weights that are not one for each example.

    >>> q = jnp.array([[0.75, 0.25], [0.25, 0.75]])
    >>> [round(value, 3) for value in target_distribution(q)[0].tolist()]
    [0.9, 0.1]

    Source: Xie et al. (2016), "Unsupervised deep embedding for clustering analysis", eq. 3.
    """
    # A cluster of probability 0 has the weight 0, not 0 / 0.
    if weight is None:
        frequencies = jnp.sum(q, axis=0)
    else:
        require_shape("target_distribution", "weight", weight, q.shape[:1])
        frequencies = weighted_sum(q, weight)
    frequencies = jnp.maximum(frequencies, jnp.finfo(q.dtype).tiny)
    weights = q * (q / frequencies[None])
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def assignment_divergence(p: Float[Array, "n k"], q: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Kullback-Leibler divergence of each row, `KL(p_i || q_i) = sum_j p_ij log(p_ij / q_ij)`.

    For constant targets `p`, Student t assignments `q` with one degree of freedom, and
    `s_ij = (p_ij - q_ij) / (1 + ||z_i - c_j||^2)`, the sum over the rows has the gradients
    `2 sum_j s_ij (z_i - c_j)` in the codes and `-2 sum_i s_ij (z_i - c_j)` in the centers.

    Args:
        p: probabilities of at least 0, `(n, k)`.
        q: probabilities above 0, `(n, k)`.

    Returns:
        Divergences in nats, `(n,)`.

    Raises:
        ValueError: different shapes.

    >>> p, q = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.full((2, 2), 0.5)
    >>> [round(value, 4) for value in assignment_divergence(p, q).tolist()]
    [0.6931, 0.0]

    Source: Xie et al. (2016), "Unsupervised deep embedding for clustering analysis", eq. 2, 4
    and 5.
    """
    require_shape("assignment_divergence", "p", p, q.shape, remedy="one target for each cluster")
    xlogy = jax.scipy.special.xlogy
    return jnp.sum(xlogy(p, p) - xlogy(p, q), axis=1)
