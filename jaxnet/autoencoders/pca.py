"""Principal component analysis: the best linear autoencoder, without any training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# On accelerators a matrix product rounds its factors to fewer bits unless told otherwise.
_EXACT = jax.lax.Precision.HIGHEST


class PCA(NamedTuple):
    """A principal subspace: arrays only, so it may be vmapped, saved and sharded as parameters are.

    Attributes:
        mean: mean of the data, `(dim,)`.
        components: orthonormal directions of the largest variances as rows,
            `(num_components, dim)`.
        variances: variances along them, in decreasing order, `(num_components,)`.
    """

    mean: Float[Array, "..."]
    components: Float[Array, "..."]
    variances: Float[Array, "..."]

    def project(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch num_components"]:
        """The codes of examples, `(x - mean) components^T`."""
        return jnp.matmul(x - self.mean, self.components.T, precision=_EXACT)

    def rebuild(self, codes: Float[Array, "*batch num_components"]) -> Float[Array, "*batch dim"]:
        """The examples that codes stand for, `codes components + mean`."""
        return jnp.matmul(codes, self.components, precision=_EXACT) + self.mean


def fit_pca(x: Float[Array, "n *dim"], num_components: int) -> PCA:
    """Find the directions of largest variance: `mean_i ||x_i - rebuild(project(x_i))||^2` is least.

    More examples than dimensions: eigenvectors of the covariance matrix `(dim, dim)`. Otherwise:
    singular vectors of the centered data. The sign of each component makes its entry of largest
    magnitude positive, as scikit-learn does, so that the result is one and the same everywhere.
    Bishop (2006), "Pattern Recognition and Machine Learning", section 12.1.

    Args:
        x: the data, `(n, dim)`; centered here, not scaled.
        num_components: size of a code.

    Returns:
        A `PCA`, with variances in the convention `1 / (n - 1)`.

    Raises:
        ValueError: data that are not one vector for each of at least two examples; a number of
            components below 1 or above `min(n, dim)`.

    >>> x = jnp.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> model = fit_pca(x, 1)
    >>> [round(value, 3) for value in model.components[0].tolist()]
    [0.6, 0.8]
    >>> bool(jnp.allclose(model.rebuild(model.project(x)), x, atol=1e-5))
    True
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"pca: x must hold at least two examples, each one vector, found shape {x.shape}; "
            "flatten pictures with x.reshape(len(x), -1)"
        )
    n, dim = x.shape
    if not 1 <= num_components <= min(n, dim):
        raise ValueError(
            f"pca: num_components must lie between 1 and {min(n, dim)}, the smaller of examples "
            f"and dimensions, found {num_components}"
        )
    mean = jnp.mean(x, axis=0)
    # Centered before it is squared: the difference of two large squares would lose the digits.
    centered = x - mean[None]
    if n > dim:
        covariance = jnp.matmul(centered.T, centered, precision=_EXACT) / (n - 1)
        values, vectors = jnp.linalg.eigh(covariance)
        # Ascending; and rounding may push a variance of zero below it.
        variances, components = jnp.maximum(values[::-1], 0), vectors.T[::-1]
    else:
        _, singular, components = jnp.linalg.svd(centered, full_matrices=False)
        variances = singular**2 / (n - 1)
    components = components[:num_components]
    largest = jnp.argmax(jnp.abs(components), axis=1)
    signs = jnp.sign(jnp.take_along_axis(components, largest[:, None], axis=1))
    return PCA(mean, components * signs, variances[:num_components])
