"""The Laplace approximation of the posterior of a last layer, and its predictions.

A trained network whose last layer is dense is a generalized linear model of its features, the
outputs of `network[:-1]`. The posterior of that layer is a Gaussian around the trained kernel and
bias, whose precision is the generalized Gauss-Newton matrix of the loss plus that of the prior.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet import _draws
from jaxnet._checks import require_above_zero, require_positive
from jaxnet.metrics.weighting import as_float, example_weights
from jaxnet.objectives.weighting import masked_rows, require_shape
from jaxnet.typing import Params

_PRECISE = jax.lax.Precision.HIGHEST
_LOWEST, _HIGHEST, _NUM_HALVINGS = math.log(1e-8), math.log(1e10), 60


class KroneckerPosterior(NamedTuple):
    """A posterior whose precision is a Kronecker product, plus that of the prior.

    Attributes:
        mean: kernel, and in the last row the bias where there is one.
        feature_basis: eigenvectors of the sum of outer products of the features, in columns.
        feature_values: their eigenvalues.
        output_basis: eigenvectors of the mean curvature of the loss by the outputs, in columns.
        output_values: their eigenvalues.
        prior_precision: precision of the Gaussian prior of each parameter.
        log_marginal_likelihood: of the labels, in nats, by the Laplace approximation.
    """

    mean: Float[Array, "dim outputs"]
    feature_basis: Float[Array, "dim dim"]
    feature_values: Float[Array, " dim"]
    output_basis: Float[Array, "outputs outputs"]
    output_values: Float[Array, " outputs"]
    prior_precision: Float[Array, ""]
    log_marginal_likelihood: Float[Array, ""]


class FullPosterior(NamedTuple):
    """A posterior with the whole generalized Gauss-Newton matrix.

    Attributes:
        mean: kernel, and in the last row the bias where there is one.
        basis: eigenvectors of the matrix, in columns; its rows are those of `mean.ravel()`.
        values: their eigenvalues, without the prior.
        prior_precision: precision of the Gaussian prior of each parameter.
        log_marginal_likelihood: of the labels, in nats, by the Laplace approximation.
    """

    mean: Float[Array, "dim outputs"]
    basis: Float[Array, "params params"]
    values: Float[Array, " params"]
    prior_precision: Float[Array, ""]
    log_marginal_likelihood: Float[Array, ""]


def fit_laplace(
    layer: Params,
    features: Float[Array, "n features"],
    targets: Integer[Array, " n"] | Float[Array, "n outputs"],
    *,
    structure: Literal["kronecker", "full"] = "kronecker",
    prior_precision: ArrayLike | None = None,
    noise_variance: ArrayLike = 1.0,
    weight: Shaped[Array, " n"] | None = None,
) -> KroneckerPosterior | FullPosterior:
    """The Gaussian posterior of a trained dense layer, given its inputs.

    With features `phi_i` (and a 1 for the bias) and `L_i` the second derivative of the negative
    log-likelihood by the outputs, `diag(p) - p p^T` for a softmax, `p (1 - p)` for one logistic
    output and `1 / noise_variance` for a regression, the precision is

        full:       sum_i w_i (phi_i phi_i^T) (x) L_i + d I
        kronecker:  (sum_i w_i phi_i phi_i^T) (x) (sum_i w_i L_i / sum_i w_i) + d I

    and `d` is the precision of the prior. Where it is None, it maximizes the marginal likelihood
    `log p(y | W) - d |W|^2 / 2 + sum_j log(d / (v_j + d)) / 2` with the eigenvalues `v_j` of the
    matrix, at the given layer W: the one root of `sum_j v_j / (v_j + d) = d |W|^2` (MacKay 1992).

    Args:
        layer: parameters of the layer, `kernel` `(features, outputs)` and `bias` `(outputs,)` or
            none, trained with the features.
        features: inputs of the layer for the training examples, `(n, features)`.
        targets: labels `(n,)` of a classification, or targets `(n, outputs)` of a regression.
        structure: "kronecker", or "full" for the whole matrix with `dim * outputs` rows; static.
        prior_precision: greater than 0; None chooses it; may be traced.
        noise_variance: variance of the targets of a regression around the outputs, greater than 0;
            may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones.

    Returns:
        The posterior.

    Raises:
        ValueError: a number out of range, an unknown structure, shapes that do not match.

    >>> layer = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    >>> features = jnp.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    >>> posterior = fit_laplace(layer, features, jnp.array([0, 1, 0]), prior_precision=1.0)
    >>> far = 100 * jnp.array([[1.0, 0.0]])
    >>> bool(laplace_probabilities(posterior, far)[0, 0] < 0.95)
    True

    Sources: Daxberger et al. (2021), "Laplace Redux", section 3; Kristiadi, Hein, Hennig (2020),
    "Being Bayesian, Even Just a Bit, Fixes Overconfidence in ReLU Networks"; Ritter, Botev and
    Barber (2018), "A Scalable Laplace Approximation for Neural Networks" (Kronecker).
    """
    if structure not in ("kronecker", "full"):
        raise ValueError(
            f"fit_laplace: structure must be 'kronecker' or 'full', found {structure!r}"
        )
    if prior_precision is not None:
        require_above_zero("fit_laplace", prior_precision=prior_precision)
    require_above_zero("fit_laplace", noise_variance=noise_variance)
    mean = _matrix(layer)
    weight = example_weights("fit_laplace", len(features), weight)
    inputs = _with_one("fit_laplace", as_float(masked_rows(features, weight)), mean)
    outputs = jnp.matmul(inputs, mean, precision=_PRECISE)
    fit, curvature = _likelihood(outputs, targets, as_float(noise_variance))
    log_likelihood = jnp.sum(jnp.where(weight > 0, weight * fit, 0))
    if structure == "kronecker":
        products = jnp.matmul((weight[:, None] * inputs).T, inputs, precision=_PRECISE)
        mean_curvature = jnp.tensordot(weight, curvature, 1, precision=_PRECISE) / jnp.sum(weight)
        feature_values, feature_basis = jnp.linalg.eigh(products)
        output_values, output_basis = jnp.linalg.eigh(mean_curvature)
        feature_values, output_values = (
            jnp.maximum(feature_values, 0),
            jnp.maximum(output_values, 0),
        )
        values = jnp.outer(feature_values, output_values)
        precision = _prior(values, mean, prior_precision)
        evidence = _evidence(log_likelihood, values, mean, precision)
        return KroneckerPosterior(
            mean, feature_basis, feature_values, output_basis, output_values, precision, evidence
        )
    whole = jnp.einsum(
        "n,ni,nj,nkl->ikjl", weight, inputs, inputs, curvature, precision=_PRECISE, optimize=True
    ).reshape(mean.size, mean.size)
    values, basis = jnp.linalg.eigh(whole)
    values = jnp.maximum(values, 0)
    precision = _prior(values, mean, prior_precision)
    evidence = _evidence(log_likelihood, values, mean, precision)
    return FullPosterior(mean, basis, values, precision, evidence)


def laplace_outputs(
    posterior: KroneckerPosterior | FullPosterior, features: Float[Array, "n features"]
) -> tuple[Float[Array, "n outputs"], Float[Array, "n outputs outputs"]]:
    """Mean and covariance of the outputs for some features; they are Gaussian.

    Args:
        posterior: of `fit_laplace`.
        features: inputs of the layer, `(n, features)`.

    Returns:
        The mean, the outputs of the trained layer, and the covariance, to which a regression adds
        the variance of its noise.

    Raises:
        ValueError: another number of features.

    >>> layer = {"kernel": jnp.ones((1, 1))}
    >>> posterior = fit_laplace(layer, jnp.ones((3, 1)), jnp.ones((3, 1)), prior_precision=1.0)
    >>> mean, covariance = laplace_outputs(posterior, jnp.full((1, 1), 2.0))
    >>> mean.tolist(), covariance.tolist()
    ([[2.0]], [[[1.0]]])

    Source: Daxberger et al. (2021), "Laplace Redux", equation 6, where the model is linear already.
    """
    inputs = _with_one("laplace_outputs", as_float(features), posterior.mean)
    mean = jnp.matmul(inputs, posterior.mean, precision=_PRECISE)
    if isinstance(posterior, KroneckerPosterior):
        rotated = jnp.matmul(inputs, posterior.feature_basis, precision=_PRECISE)
        values = jnp.outer(posterior.feature_values, posterior.output_values)
        variances = jnp.matmul(
            rotated**2, 1 / (values + posterior.prior_precision), precision=_PRECISE
        )
        basis = posterior.output_basis
        factor = basis[None] * jnp.sqrt(variances)[:, None]
    else:
        dim, num_outputs = posterior.mean.shape
        scaled = posterior.basis / jnp.sqrt(posterior.values + posterior.prior_precision)[None]
        factor = jnp.einsum(
            "nd,dkp->nkp", inputs, scaled.reshape(dim, num_outputs, -1), precision=_PRECISE
        )
    return mean, jnp.einsum("nkp,nlp->nkl", factor, factor, precision=_PRECISE)


def laplace_probabilities(
    posterior: KroneckerPosterior | FullPosterior,
    features: Float[Array, "n features"],
    *,
    key: Array | None = None,
    num_samples: int = 100,
) -> Float[Array, "n classes"]:
    """Probabilities of the classes, averaged over the posterior of the layer.

    Args:
        posterior: of `fit_laplace` for labels.
        features: inputs of the layer, `(n, features)`.
        key: draws outputs, over whose probabilities the mean is taken; None takes
            `probit_probabilities` instead.
        num_samples: number of draws, at least 1; static.

    Returns:
        The probabilities, `(n, classes)`; two columns for one logistic output.

    Raises:
        ValueError: no draws; another number of features.

    >>> layer = {"kernel": jnp.ones((1, 1))}
    >>> posterior = fit_laplace(layer, jnp.ones((3, 1)), jnp.array([1, 1, 0]), prior_precision=1.0)
    >>> laplace_probabilities(posterior, jnp.zeros((1, 1))).tolist()
    [[0.5, 0.5]]

    Source: Daxberger et al. (2021), "Laplace Redux", section 3.
    """
    require_positive("laplace_probabilities", num_samples=num_samples)
    mean, covariance = laplace_outputs(posterior, features)
    if key is None:
        variances = jnp.diagonal(covariance, axis1=-2, axis2=-1)
        return probit_probabilities(mean, variances)
    # The covariance of logits of a softmax is singular, which an eigendecomposition allows.
    values, basis = jnp.linalg.eigh(covariance)
    factor = basis * jnp.sqrt(jnp.maximum(values, 0))[:, None]
    noise = _draws.normal(key, (num_samples, *mean.shape), mean.dtype)
    drawn = mean[None] + jnp.einsum("nkp,snp->snk", factor, noise, precision=_PRECISE)
    return jnp.mean(_probabilities(drawn), axis=0)


def probit_probabilities(
    mean: Float[Array, "n outputs"], variance: Float[Array, "n outputs"]
) -> Float[Array, "n classes"]:
    """The mean of a softmax, or a sigmoid, of Gaussian outputs: `softmax(m / sqrt(1 + pi v / 8))`.

    The sigmoid is close to the cumulative normal distribution of `sqrt(pi / 8) z`, of which the
    mean is known. For a softmax it ignores the covariances of the outputs.

    Args:
        mean: means of the outputs, `(n, outputs)`; one output is the log-odds of the second class.
        variance: variances of the outputs, `(n, outputs)`.

    Returns:
        The probabilities, `(n, classes)`; two columns for one output.

    Raises:
        ValueError: shapes do not match.

    >>> probabilities = probit_probabilities(jnp.array([[2.0]]), jnp.array([[8 / jnp.pi * 3]]))
    >>> bool(abs(probabilities[0, 1] - jax.nn.sigmoid(1.0)) < 1e-6)
    True

    Sources: MacKay (1992), "The Evidence Framework Applied to Classification Networks", section 4;
    Lu, Ie and Sha (2020), "Mean-Field Approximation to Gaussian-Softmax Integral", equation 7.
    """
    require_shape("probit_probabilities", "variance", variance, mean.shape)
    return _probabilities(mean / jnp.sqrt(1 + jnp.pi / 8 * variance))


def _probabilities(outputs: Array) -> Array:
    if outputs.shape[-1] == 1:
        outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)
    return jax.nn.softmax(outputs)


def _matrix(layer: Params) -> Float[Array, "dim outputs"]:
    kernel = layer.get("kernel") if isinstance(layer, dict) else None
    if kernel is None or jnp.ndim(kernel) != 2:
        raise ValueError(
            "fit_laplace: layer must hold the kernel (features, outputs) of a dense layer, found "
            f"{jax.tree.map(jnp.shape, layer)}; pass the parameters of the last part of a chain"
        )
    kernel, bias = as_float(kernel), layer.get("bias")
    return kernel if bias is None else jnp.concatenate([kernel, as_float(bias)[None]])


def _with_one(function: str, features: Array, mean: Array) -> Float[Array, "n dim"]:
    """Features, and a 1 where the layer has a bias."""
    missing = len(mean) - features.shape[-1]
    if features.ndim != 2 or missing not in (0, 1):
        raise ValueError(
            f"{function}: features have shape {features.shape}, expected (n, features) for a layer "
            f"of {len(mean)} rows, bias included; pass the outputs of network[:-1]"
        )
    return jnp.concatenate([features, jnp.ones((len(features), missing), features.dtype)], axis=1)


def _likelihood(outputs: Array, targets: Array, noise_variance: Array) -> tuple[Array, Array]:
    """Log-likelihood of each example, and its negative second derivative by the outputs."""
    num_outputs = outputs.shape[-1]
    if jnp.issubdtype(targets.dtype, jnp.floating):
        require_shape("fit_laplace", "targets", targets, outputs.shape)
        fit = jax.scipy.stats.norm.logpdf(as_float(targets), outputs, jnp.sqrt(noise_variance))
        curvature = jnp.eye(num_outputs, dtype=outputs.dtype) / noise_variance
        return jnp.sum(fit, axis=-1), jnp.broadcast_to(curvature, (len(outputs), *curvature.shape))
    require_shape("fit_laplace", "targets", targets, outputs.shape[:1])
    if num_outputs == 1:
        sign = jnp.where(targets == 1, 1, -1).astype(outputs.dtype)
        probabilities = jax.nn.sigmoid(outputs)
        curvature = (probabilities * (1 - probabilities))[..., None]
        return jax.nn.log_sigmoid(sign * outputs[:, 0]), curvature
    logs = jax.nn.log_softmax(outputs)
    probabilities = jnp.exp(logs)
    diagonal = probabilities[..., None] * jnp.eye(num_outputs, dtype=outputs.dtype)[None]
    curvature = diagonal - probabilities[..., None] * probabilities[:, None]
    true = jax.nn.one_hot(targets, num_outputs, dtype=outputs.dtype)
    return jnp.sum(true * logs, axis=-1), curvature


def _prior(values: Array, mean: Array, given: ArrayLike | None) -> Float[Array, ""]:
    """The given precision, or the one of the highest marginal likelihood."""
    if given is not None:
        return as_float(given)
    square = jnp.sum(mean**2)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        precision = jnp.exp(middle)
        rises = jnp.sum(values / (values + precision)) > precision * square
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    ends = (jnp.full((), end, mean.dtype) for end in (_LOWEST, _HIGHEST))
    low, high = jax.lax.fori_loop(0, _NUM_HALVINGS, halve, tuple(ends))
    return jnp.exp((low + high) / 2)


def _evidence(log_likelihood: Array, values: Array, mean: Array, precision: Array) -> Array:
    prior = -precision * jnp.sum(mean**2) / 2
    return log_likelihood + prior - jnp.sum(jnp.log1p(values / precision)) / 2
