"""Expectation maximization of Gaussian mixtures, from a given mixture or from k-means."""

import difflib
import functools
import operator
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnet._checks import require_integer, require_not_negative, require_positive
from jaxnet.clustering.kmeans import assign, fit_kmeans
from jaxnet.clustering.mixture import (
    Covariance,
    GaussianMixture,
    covariance_shape,
    joint_log_density,
    kind_of,
)
from jaxnet.clustering.seeding import require_num_clusters
from jaxnet.metrics.pairwise import EXACT, row_squares
from jaxnet.training._placement import data_mesh, on_mesh, spread


class MixtureFit(NamedTuple):
    """The result of expectation maximization.

    Attributes:
        mixture: the fitted mixture.
        log_likelihood: mean log-density of the data under the mixture, in nats, `()`.
        num_iterations: number of iterations, `()`.
    """

    mixture: GaussianMixture
    log_likelihood: Float[Array, "..."]
    num_iterations: Int[Array, "..."]


def expectation_maximization(
    x: Float[Array, "n dim"],
    start: GaussianMixture,
    *,
    max_iterations: int | Int[Array, ""] = 100,
    tolerance: float | Float[Array, ""] = 1e-3,
    min_variance: float | Float[Array, ""] = 1e-6,
) -> MixtureFit:
    """Maximize the likelihood of a Gaussian mixture by expectation maximization (EM).

    With the responsibilities `r_ik` of the components and `N_k = sum_i r_ik`:

        mu_k = sum_i r_ik x_i / N_k,   pi_k = N_k / n,
        Sigma_k = sum_i r_ik (x_i - mu_k)(x_i - mu_k)^T / N_k + min_variance I;

    `tied` covariances are the mean of `Sigma_k` weighted with `N_k`, `diagonal` ones the diagonal
    of `Sigma_k`, `spherical` ones the mean of that diagonal. The algorithm stops when the mean
    log-likelihood changes by at most `tolerance`.

    Deviations: `min_variance` keeps covariances positive definite; if it is not small compared with
    the variances, the likelihood may decrease slightly. The machine epsilon times the trace is
    added to the diagonal of matrices as well (negligible in float64, 6e-6 for MNIST in float32), so
    that the Cholesky factorization of a rounded matrix does not fail. A component without examples
    keeps its mean and covariance, with a weight near 0.

    Args:
        x: data, `(n, dim)`, finite.
        start: initial mixture; the shape of its covariances determines their kind.
        max_iterations: maximum number of iterations; may be traced.
        tolerance: smallest change of the mean log-likelihood, in nats; may be traced.
        min_variance: added to each variance, in the squared unit of the data; may be traced.

    Returns:
        `MixtureFit`; the log-likelihood is that of the returned mixture.

    Raises:
        TypeError: a number of iterations that is not an integer.
        ValueError: as `log_density`; `max_iterations`, `tolerance` or `min_variance` is below 0
            (traced ones are not checked).

    >>> x = jnp.array([[-3.0], [-1.0], [1.0], [3.0]])
    >>> start = GaussianMixture(jnp.array([0.5, 0.5]), jnp.array([[-1.0], [1.0]]), jnp.ones(2))
    >>> fit = expectation_maximization(x, start)
    >>> [round(mean, 1) for mean in fit.mixture.means.ravel().tolist()]
    [-2.0, 2.0]

    Source: Dempster, Laird and Rubin (1977), "Maximum likelihood from incomplete data via the EM
    algorithm"; Bishop (2006), "Pattern Recognition and Machine Learning", eq. 9.24 to 9.27.
    """
    function = "expectation_maximization"
    require_integer(function, "max_iterations", max_iterations, 0)
    require_not_negative(function, tolerance=tolerance, min_variance=min_variance)
    mesh = data_mesh(x)
    return _expectation_maximization(x, start, max_iterations, tolerance, min_variance, mesh)


@functools.partial(jax.jit, static_argnums=5)
def _expectation_maximization(
    x: Array,
    start: GaussianMixture,
    max_iterations: int | Array,
    tolerance: float | Array,
    min_variance: float | Array,
    mesh: Any,
) -> MixtureFit:
    kind, x = kind_of(start), spread(x, mesh)

    def unfinished(carry: tuple[MixtureFit, Array, Array]) -> Array:
        fit, _, change = carry
        return (fit.num_iterations < max_iterations) & (change > tolerance)

    def iterate(carry: tuple[MixtureFit, Array, Array]) -> tuple[MixtureFit, Array, Array]:
        fit, joint, _ = carry
        mixture = _maximize(x, jax.nn.softmax(joint, axis=1), fit.mixture, kind, min_variance)
        joint = joint_log_density(mixture, x)
        log_likelihood = _mean_log_likelihood(joint)
        change = jnp.abs(log_likelihood - fit.log_likelihood)
        return MixtureFit(mixture, log_likelihood, fit.num_iterations + 1), joint, change

    joint = joint_log_density(start, x)
    fit = MixtureFit(start, _mean_log_likelihood(joint), jnp.zeros((), jnp.int32))
    fit, _, _ = jax.lax.while_loop(
        unfinished, iterate, (fit, joint, jnp.array(jnp.inf, joint.dtype))
    )
    return fit


def fit_gaussian_mixture(
    key: Array,
    x: Float[Array, "n dim"],
    num_components: int,
    *,
    covariance: Covariance = "full",
    num_restarts: int = 1,
    max_iterations: int | Int[Array, ""] = 100,
    tolerance: float | Float[Array, ""] = 1e-3,
    min_variance: float | Float[Array, ""] = 1e-6,
) -> MixtureFit:
    """Fit a Gaussian mixture: `expectation_maximization` from the clusters of `fit_kmeans`.

    Restarts run one after the other: unlike those of k-means they share no work, and each needs
    memory of several times the data.

    Args:
        key: PRNG key.
        x: data, `(n, dim)`, finite (see `check_clusters`).
        num_components: number of components; static.
        covariance: "full", "tied", "diagonal" or "spherical", see `GaussianMixture`; static.
        num_restarts: number of runs from different clusters, of which the mixture with the highest
            likelihood is returned; static.
        max_iterations: maximum number of iterations of each run; may be traced.
        tolerance: smallest change of the mean log-likelihood, in nats; may be traced.
        min_variance: added to each variance, in the squared unit of the data; may be traced.

    Returns:
        `MixtureFit` with the highest likelihood.

    Raises:
        ValueError: `covariance` is unknown; `num_components` is below 1 or above the number of
            examples; `num_restarts` is below 1.

    >>> x = jnp.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    >>> fit = fit_gaussian_mixture(jax.random.key(0), x, 2, covariance="spherical")
    >>> sorted(round(mean, 1) for mean in fit.mixture.means.ravel().tolist())
    [-2.0, 2.0]

    Source: Bishop (2006), "Pattern Recognition and Machine Learning", section 9.2.2.
    """
    if covariance not in get_args(Covariance):
        near = difflib.get_close_matches(covariance, get_args(Covariance), n=1, cutoff=0.3)
        remedy = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"fit_gaussian_mixture: covariance must be one of {get_args(Covariance)}, "
            f"found {covariance!r}{remedy}"
        )
    function = "fit_gaussian_mixture"
    require_positive(function, num_restarts=num_restarts, max_iterations=max_iterations)
    require_not_negative(function, tolerance=tolerance, min_variance=min_variance)
    require_num_clusters(function, num_components, len(x), name="num_components")
    num_components, num_restarts = operator.index(num_components), operator.index(num_restarts)
    static = num_components, covariance, num_restarts, data_mesh(x)
    return _restarts(key, x, static, max_iterations, tolerance, min_variance)


@functools.partial(jax.jit, static_argnums=2)
def _restarts(
    key: Array,
    x: Array,
    static: tuple[int, Covariance, int, Any],
    max_iterations: int | Array,
    tolerance: float | Array,
    min_variance: float | Array,
) -> MixtureFit:
    num_components, kind, num_restarts, mesh = static
    x, dim = spread(x, mesh), x.shape[1]
    variance = jnp.mean(row_squares(x - jnp.mean(x, axis=0, keepdims=True))) / dim + min_variance
    shape = covariance_shape(kind, num_components, dim)
    covariances = variance * jnp.eye(dim, dtype=x.dtype) if len(shape) == 3 else variance

    def run(key: Array) -> MixtureFit:
        centers = fit_kmeans(key, x, num_components).centers
        members = jax.nn.one_hot(assign(centers, x), num_components, dtype=x.dtype)
        weights = jnp.full(num_components, 1 / num_components, x.dtype)
        rough = GaussianMixture(weights, centers, jnp.broadcast_to(covariances, shape))
        return expectation_maximization(
            x,
            _maximize(x, members, rough, kind, min_variance),
            max_iterations=max_iterations,
            tolerance=tolerance,
            min_variance=min_variance,
        )

    with on_mesh(mesh):
        fits = jax.lax.map(run, jax.random.split(key, num_restarts))
    best = jnp.argmax(fits.log_likelihood)
    return jax.tree.map(lambda leaf: leaf[best], fits)


def _mean_log_likelihood(joint: Array) -> Array:
    return jnp.mean(jax.nn.logsumexp(joint, axis=1))


def _maximize(
    x: Array,
    memberships: Array,
    previous: GaussianMixture,
    kind: Covariance,
    min_variance: float | Array,
) -> GaussianMixture:
    """The M step: the mixture of maximum likelihood for given responsibilities."""
    eps = jnp.finfo(x.dtype).eps
    sizes = jnp.sum(memberships, axis=0)
    alive = sizes > 10 * eps
    # Weights of the examples in the mean of each component: rows that sum to 1.
    weights = memberships.T / jnp.where(alive, sizes, 1)[:, None]
    means = jnp.matmul(weights, x, precision=EXACT)
    means = jnp.where(alive[:, None], means, previous.means)

    def scatter(pair: tuple[Array, Array]) -> Array:
        weight, mean = pair
        differences = x - mean[None]
        if kind in ("full", "tied"):
            return jnp.matmul((weight[:, None] * differences).T, differences, precision=EXACT)
        return jnp.sum(weight[:, None] * jnp.square(differences), axis=0)

    # One component after the other: memory of a few copies of x, not of k copies.
    if kind == "tied":
        fractions = sizes / jnp.sum(sizes)

        def add(total: Array, component: tuple[Array, Array, Array]) -> tuple[Array, None]:
            return total + component[2] * scatter(component[:2]), None

        total = jnp.zeros_like(previous.covariances[0])
        covariances = jax.lax.scan(add, total, (weights, means, fractions))[0][None]
    else:
        covariances = jax.lax.map(scatter, (weights, means))
    if kind in ("full", "tied"):
        trace = jnp.trace(covariances, axis1=1, axis2=2)[:, None, None]
        covariances += (min_variance + eps * trace) * jnp.eye(x.shape[1], dtype=x.dtype)[None]
    else:
        covariances += min_variance
    if kind == "spherical":
        covariances = jnp.mean(covariances, axis=1)
    if kind != "tied":
        kept = alive.reshape(-1, *[1] * (covariances.ndim - 1))
        covariances = jnp.where(kept, covariances, previous.covariances)
    sizes = jnp.maximum(sizes, 10 * eps)
    return GaussianMixture(sizes / jnp.sum(sizes), means, covariances)
