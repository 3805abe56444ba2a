"""Gaussian mixtures: log-densities, responsibilities and the BIC, computed in log space."""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from jaxnet.metrics.pairwise import EXACT, require_same_dim, row_squares

Covariance = Literal["full", "tied", "diagonal", "spherical"]
"""Kinds of covariances of a `GaussianMixture`."""


class GaussianMixture(NamedTuple):
    """A mixture of k Gaussians: a pytree of arrays, like parameters.

    The shape of the covariances determines their kind: `full`, one matrix per component; `tied`,
    one matrix for all components; `diagonal`, one variance per component and feature; `spherical`,
    one variance per component.

    Attributes:
        weights: probabilities of the components, which sum to 1, `(k,)`.
        means: means of the components, `(k, dim)`.
        covariances: `(k, dim, dim)` full, `(1, dim, dim)` tied, `(k, dim)` diagonal, `(k,)`
            spherical, in the squared unit of the data.
    """

    weights: Float[Array, "..."]
    means: Float[Array, "..."]
    covariances: Float[Array, "..."]


@jax.jit
def log_density(mixture: GaussianMixture, x: Float[Array, "n dim"]) -> Float[Array, " n"]:
    """Log-density of each example, `log sum_k pi_k N(x_i | mu_k, Sigma_k)`.

    Args:
        mixture: the mixture.
        x: examples, `(n, dim)`.

    Returns:
        Log-densities in nats, `(n,)`.

    Raises:
        ValueError: the dimensions of examples and means differ; the covariances have another shape
            than those of `GaussianMixture`.

    >>> normal = GaussianMixture(jnp.ones(1), jnp.zeros((1, 2)), jnp.ones(1))
    >>> log_densities = log_density(normal, jnp.array([[0.0, 0.0], [3.0, 4.0]]))
    >>> [round(value, 3) for value in log_densities.tolist()]
    [-1.838, -14.338]

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", eq. 9.7.
    """
    return jax.nn.logsumexp(joint_log_density(mixture, x), axis=1)


@jax.jit
def responsibilities(
    mixture: GaussianMixture, x: Float[Array, "n dim"]
) -> Float[Array, "n components"]:
    """Probability of each component given the example, `pi_k N(x_i | mu_k, Sigma_k) / p(x_i)`.

    Args:
        mixture: the mixture.
        x: examples, `(n, dim)`.

    Returns:
        Probabilities, `(n, k)`, each row with sum 1; the `argmax` of a row is its cluster.

    Raises:
        ValueError: as `log_density`.

    >>> pair = GaussianMixture(jnp.array([0.5, 0.5]), jnp.array([[-1.0], [1.0]]), jnp.ones(2))
    >>> responsibilities(pair, jnp.array([[0.0], [5.0]])).round(3).tolist()
    [[0.5, 0.5], [0.0, 1.0]]

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", eq. 9.13.
    """
    return jax.nn.softmax(joint_log_density(mixture, x), axis=1)


@jax.jit
def joint_log_density(
    mixture: GaussianMixture, x: Float[Array, "n dim"]
) -> Float[Array, "n components"]:
    """Joint log-density of examples and components, `log pi_k + log N(x_i | mu_k, Sigma_k)`.

    `log N = -(dim log 2 pi + log |Sigma| + ||L^-1 (x - mu)||^2) / 2` with the Cholesky factor
    `Sigma = L L^T`. Distances are squares of differences, not differences of squares. Components
    are computed one after the other: memory is that of a few copies of `x`, not of k copies.

    Args:
        mixture: the mixture.
        x: examples, `(n, dim)`.

    Returns:
        Log-densities in nats, `(n, k)`.

    Raises:
        ValueError: as `log_density`.

    >>> pair = GaussianMixture(jnp.array([0.2, 0.8]), jnp.array([[-1.0], [1.0]]), jnp.ones(2))
    >>> joint = joint_log_density(pair, jnp.array([[0.0]]))[0]
    >>> round(float(joint[1] - joint[0]), 4) == round(math.log(4), 4)
    True

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", eq. 2.43.
    """
    weights, means, covariances = mixture
    require_same_dim("log_density", x, means=means)
    dim = x.shape[1]
    if kind_of(mixture) in ("full", "tied"):
        factors = jnp.linalg.cholesky(covariances)
        identity = jnp.broadcast_to(jnp.eye(dim, dtype=x.dtype), factors.shape)
        # With the inverse, one matrix product replaces a triangular solve for each example.
        whitening = jnp.matrix_transpose(solve_triangular(factors, identity, lower=True))
        half_log_determinants = jnp.sum(jnp.log(jnp.diagonal(factors, axis1=1, axis2=2)), axis=1)

        def distance(index: Array) -> Array:
            matrix = whitening[jnp.minimum(index, len(whitening) - 1)]
            return row_squares(jnp.matmul(x - means[index][None], matrix, precision=EXACT))

    else:
        variances = covariances.reshape(len(means), -1)
        variances = jnp.broadcast_to(variances, means.shape)
        half_log_determinants = jnp.sum(jnp.log(variances), axis=1) / 2

        def distance(index: Array) -> Array:
            return jnp.matmul(
                jnp.square(x - means[index][None]), 1 / variances[index], precision=EXACT
            )

    distances = jax.lax.map(distance, jnp.arange(len(means)))
    constants = jnp.log(weights) - half_log_determinants - dim * math.log(2 * math.pi) / 2
    return constants[None] - distances.T / 2


@jax.jit
def bic(mixture: GaussianMixture, x: Float[Array, "n dim"]) -> Float[Array, ""]:
    """Bayesian information criterion, `p log n - 2 sum_i log p(x_i)`; smaller is better.

    `p` is the number of free parameters: `k - 1` weights, `k dim` means, and for the covariances
    `k dim (dim + 1) / 2` (full), `dim (dim + 1) / 2` (tied), `k dim` (diagonal) or `k` (spherical).

    Args:
        mixture: the mixture.
        x: the data that the mixture was fitted to, `(n, dim)`.

    Returns:
        The criterion in nats, a scalar.

    Raises:
        ValueError: as `log_density`.

    >>> normal = GaussianMixture(jnp.ones(1), jnp.zeros((1, 2)), jnp.ones(1))
    >>> x = jnp.zeros((10, 2))
    >>> round(float(bic(normal, x)), 3), round(3 * math.log(10) + 20 * math.log(2 * math.pi), 3)
    (43.665, 43.665)

    Source: Schwarz (1978), "Estimating the dimension of a model".
    """
    num_components, dim = mixture.means.shape
    num_in_covariances = {
        "full": num_components * dim * (dim + 1) // 2,
        "tied": dim * (dim + 1) // 2,
        "diagonal": num_components * dim,
        "spherical": num_components,
    }[kind_of(mixture)]
    num_parameters = num_components - 1 + num_components * dim + num_in_covariances
    return num_parameters * math.log(len(x)) - 2 * jnp.sum(log_density(mixture, x))


def kind_of(mixture: GaussianMixture) -> Covariance:
    """The kind of the covariances, from their shape; a single matrix for one component is `full`.

    Args:
        mixture: the mixture.

    Returns:
        "full", "tied", "diagonal" or "spherical".

    Raises:
        ValueError: the shape of the covariances does not match that of the means.

    >>> kind_of(GaussianMixture(jnp.ones(3) / 3, jnp.zeros((3, 2)), jnp.ones((1, 2, 2))))
    'tied'
    """
    num_components, dim = mixture.means.shape
    for kind in get_args(Covariance):
        if mixture.covariances.shape == covariance_shape(kind, num_components, dim):
            return kind
    expected = [covariance_shape(kind, num_components, dim) for kind in get_args(Covariance)]
    raise ValueError(
        f"mixture: covariances have shape {mixture.covariances.shape}; with means "
        f"{mixture.means.shape} they must have one of {expected}"
    )


def covariance_shape(kind: Covariance, num_components: int, dim: int) -> tuple[int, ...]:
    """The shape of the covariances of a kind.

    Args:
        kind: "full", "tied", "diagonal" or "spherical".
        num_components: number of components, k.
        dim: number of features.

    Returns:
        The shape, as in `GaussianMixture`.

    >>> covariance_shape("diagonal", 3, 2)
    (3, 2)
    """
    return {
        "full": (num_components, dim, dim),
        "tied": (1, dim, dim),
        "diagonal": (num_components, dim),
        "spherical": (num_components,),
    }[kind]
