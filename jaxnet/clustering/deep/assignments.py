"""Soft assignments of codes to centers, and the sharper ones that deep clustering aims at."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.metrics.pairwise import require_same_dim, squared_distances


def student_t_assignments(
    codes: Float[Array, "n code"],
    centers: Float[Array, "k code"],
    *,
    degrees_of_freedom: float | Float[Array, ""] = 1.0,
) -> Float[Array, "n k"]:
    """Soft assignments by a Student t kernel, each row a distribution over the clusters.

    `q_ij = (1 + ||z_i - c_j||^2 / a)^(-(a + 1) / 2) / sum_j' (the same for j')`, with `a` degrees
    of freedom. Xie, Girshick and Farhadi (2016), "Unsupervised deep embedding for clustering
    analysis" (DEC), eq. 1; there `a` is 1. The most probable cluster is the nearest one.

    Args:
        codes: codes `z`, `(n, code)`.
        centers: centers `c`, `(k, code)`.
        degrees_of_freedom: above 0; may be traced.

    Returns:
        Probabilities `q`, `(n, k)`.

    Raises:
        ValueError: codes and centers of different size; degrees of freedom of 0 or below.

    >>> codes, centers = jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 0.0], [1.0, 2.0]])
    >>> [round(value, 3) for value in student_t_assignments(codes, centers)[0].tolist()]
    [0.6, 0.4]
    """
    require_same_dim("student_t_assignments", codes, centers=centers)
    if isinstance(degrees_of_freedom, (int, float)) and degrees_of_freedom <= 0:
        raise ValueError(
            f"student_t_assignments: degrees_of_freedom must be above 0, found "
            f"{degrees_of_freedom}; the published value is 1"
        )
    # Distances do not change with the origin, but their rounding does.
    middle = jax.lax.stop_gradient(jnp.mean(centers, axis=0, keepdims=True))
    squared = squared_distances(codes - middle, centers - middle)
    kernel = -(degrees_of_freedom + 1) / 2 * jnp.log1p(squared / degrees_of_freedom)
    return jax.nn.softmax(kernel, axis=1)


def target_distribution(q: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """Sharper assignments, `p_ij = (q_ij^2 / f_j) / sum_j' (q_ij'^2 / f_j')`, `f_j = sum_i q_ij`.

    The square trusts what is nearly certain, and the frequencies `f` keep large clusters from
    taking over. They are sums over all rows, so `q` must be that of the whole data set. Xie et al.
    (2016), eq. 3.

    Args:
        q: assignments of the whole data set, `(n, k)`.

    Returns:
        Targets `p`, `(n, k)`, each row a distribution.

    >>> q = jnp.array([[0.75, 0.25], [0.25, 0.75]])
    >>> [round(value, 3) for value in target_distribution(q)[0].tolist()]
    [0.9, 0.1]
    """
    # A cluster with no mass at all has the weight 0, and not 0 / 0.
    frequencies = jnp.maximum(jnp.sum(q, axis=0), jnp.finfo(q.dtype).tiny)
    weights = q * (q / frequencies[None])
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def assignment_divergence(p: Float[Array, "n k"], q: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Divergence of each row, `KL(p_i || q_i) = sum_j p_ij log(p_ij / q_ij)`, in nats.

    With targets `p` that are constants, Student t assignments `q` of one degree of freedom, and
    `s_ij = (p_ij - q_ij) / (1 + ||z_i - c_j||^2)`, the sum over the rows has the gradients
    `2 sum_j s_ij (z_i - c_j)` in the codes and `-2 sum_i s_ij (z_i - c_j)` in the centers: Xie et
    al. (2016), eq. 2, 4 and 5.

    Args:
        p: probabilities, which may be 0.
        q: probabilities above 0.

    Returns:
        One divergence for each row.

    >>> p, q = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.full((2, 2), 0.5)
    >>> [round(value, 4) for value in assignment_divergence(p, q).tolist()]
    [0.6931, 0.0]
    """
    xlogy = jax.scipy.special.xlogy
    return jnp.sum(xlogy(p, p) - xlogy(p, q), axis=1)
