"""Principal component analysis: the best linear autoencoder, in closed form."""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_integer

# On accelerators a matrix product rounds its factors to fewer bits unless told otherwise.
_EXACT = jax.lax.Precision.HIGHEST


class PCA(NamedTuple):
    """A principal subspace: arrays only, so it can be vmapped, saved and sharded like parameters.

    Attributes:
        mean: mean of the data, `(dim,)`.
        components: orthonormal directions of the largest variances as rows,
            `(num_components, dim)`.
        variances: variances along them, in decreasing order, `(num_components,)`.

    >>> model = PCA(jnp.zeros(2), jnp.array([[0.6, 0.8]]), jnp.ones(1))
    >>> model.project(jnp.array([3.0, 4.0])).tolist()
    [5.0]
    """

    mean: Float[Array, "..."]
    components: Float[Array, "..."]
    variances: Float[Array, "..."]

    def project(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch num_components"]:
        """Codes of examples, `(x - mean) components^T`.

        Args:
            x: examples, `(*batch, dim)`.

        Returns:
            Codes, `(*batch, num_components)`.
        """
        return jnp.matmul(x - self.mean, self.components.T, precision=_EXACT)

    def reconstruct(
        self, codes: Float[Array, "*batch num_components"]
    ) -> Float[Array, "*batch dim"]:
        """Reconstructions of examples from their codes, `codes components + mean`.

        Args:
            codes: codes, `(*batch, num_components)`.

        Returns:
            Reconstructions, `(*batch, dim)`.
        """
        return jnp.matmul(codes, self.components, precision=_EXACT) + self.mean


def fit_pca(x: Float[Array, "n *dim"], num_components: int) -> PCA:
    """Find the directions of largest variance, which minimize the reconstruction error.

    The error is `mean_i ||x_i - reconstruct(project(x_i))||^2`. With more examples than dimensions
    the directions are eigenvectors of the covariance matrix `(dim, dim)`, otherwise singular
    vectors of the centered data. The sign of each component makes its entry of largest magnitude
    positive, as in scikit-learn, so that the result does not depend on the solver. Bishop (2006),
    "Pattern Recognition and Machine Learning", section 12.1.

    Args:
        x: the data, `(n, dim)`; centered here, not scaled.
        num_components: size of a code, at most `min(n, dim)`.

    Returns:
        A `PCA`, with variances in the convention `1 / (n - 1)`.

    Raises:
        TypeError: a number of components that is not an integer.
        ValueError: data that are not one vector for each of at least two examples; a number of
            components below 1 or above `min(n, dim)`.

    >>> x = jnp.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> model = fit_pca(x, 1)
    >>> [round(value, 3) for value in model.components[0].tolist()]
    [0.6, 0.8]
    >>> bool(jnp.allclose(model.reconstruct(model.project(x)), x, atol=1e-5))
    True
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"fit_pca: x must hold at least two examples, each one vector, found shape {x.shape}; "
            "flatten images with x.reshape(len(x), -1)"
        )
    n, dim = x.shape
    remedy = "the limit is the smaller of the numbers of examples and dimensions"
    require_integer("fit_pca", "num_components", num_components, 1, min(n, dim), remedy=remedy)
    return _fit_pca(x, operator.index(num_components))


@functools.partial(jax.jit, static_argnums=1)
def _fit_pca(x: Array, num_components: int) -> PCA:
    n, dim = x.shape
    mean = jnp.mean(x, axis=0)
    # Centered before it is squared: the difference of two large squares cancels.
    centered = x - mean[None]
    if n > dim:
        covariance = jnp.matmul(centered.T, centered, precision=_EXACT) / (n - 1)
        values, vectors = jnp.linalg.eigh(covariance)
        # `eigh` sorts in ascending order, and rounding may make a variance of zero negative.
        variances, components = jnp.maximum(values[::-1], 0), vectors.T[::-1]
    else:
        _, singular, components = jnp.linalg.svd(centered, full_matrices=False)
        variances = singular**2 / (n - 1)
    components = components[:num_components]
    largest = jnp.argmax(jnp.abs(components), axis=1)
    signs = jnp.sign(jnp.take_along_axis(components, largest[:, None], axis=1))
    return PCA(mean, components * signs, variances[:num_components])
