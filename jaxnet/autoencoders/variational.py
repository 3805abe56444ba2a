"""Variational autoencoders: the code of an example is a distribution, a diagonal Gaussian."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet import _draws
from jaxnet._checks import require_positive, require_sizes
from jaxnet.autoencoders.likelihoods import Likelihood, bernoulli_likelihood
from jaxnet.autoencoders.network import Autoencoder, autoencoder
from jaxnet.nn.architectures import mlp
from jaxnet.nn.initializers import he_normal
from jaxnet.nn.network import Network
from jaxnet.typing import Initializer, Params

# Folded into the key of the model; its encoder and decoder fold in 0 and 1.
_POSTERIOR = 2


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class VariationalAutoencoder(Autoencoder):
    """An autoencoder whose code is a distribution; create one with `variational_autoencoder`.

    As a network it reconstructs its input: from a code drawn from the posterior with a key, from
    the posterior mean without one. `encode` returns the posterior mean.

    Attributes:
        latent_dim: size of a code; the encoder has twice as many outputs.
        likelihood: the distribution of the data given the outputs of the decoder.

    >>> model = mlp_variational_autoencoder([6, 2])
    >>> params = model.init(jax.random.key(0))
    >>> mean, log_variance = model.posterior(params, jnp.ones((5, 6)))
    >>> mean.shape, log_variance.shape
    ((5, 2), (5, 2))
    """

    latent_dim: int
    likelihood: Likelihood

    def posterior(
        self, params: Params, x: Array, /, *, key: Array | None = None
    ) -> tuple[Array, Array]:
        """Means and log variances of `q(code | x)`.

        Args:
            params: parameters of the model.
            x: inputs, `(*batch, *input)`.
            key: of dropout and noise in the encoder; None for evaluation mode.

        Returns:
            The means and the log variances, each `(*batch, latent_dim)`.

        Raises:
            ValueError: an encoder with another number of outputs.
        """
        outputs = super().encode(params, x, key=key)
        if outputs.shape[-1] != 2 * self.latent_dim:
            raise ValueError(
                f"variational_autoencoder: the encoder has {outputs.shape[-1]} outputs, expected "
                f"{2 * self.latent_dim}, a mean and a log variance for each of latent_dim = "
                f"{self.latent_dim}"
            )
        mean, log_variance = jnp.split(outputs, 2, axis=-1)
        return mean, log_variance

    def encode(self, params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        """Means of the posterior, `(*batch, latent_dim)`, as `posterior` returns them."""
        return self.posterior(params, x, key=key)[0]


def variational_autoencoder(
    encoder: Network,
    decoder: Network,
    latent_dim: int,
    *,
    likelihood: Likelihood | None = None,
) -> VariationalAutoencoder:
    """Combine an encoder and a decoder into a variational autoencoder.

    The code has the prior `N(0, I)` and the posterior `N(mean(x), diag(exp(log_variance(x))))`.
    Kingma and Welling (2014), "Auto-encoding variational Bayes", section 3.

    Args:
        encoder: from the input to `(*batch, 2 * latent_dim)`: first the means, then the log
            variances.
        decoder: from `(*batch, latent_dim)` to the outputs that `likelihood` takes, of the shape
            of the input.
        latent_dim: size of a code.
        likelihood: by default `bernoulli_likelihood()`, whose outputs are logits.

    Returns:
        A network from `(*batch, *input)` to `(*batch, *input)`, trained by `negative_elbo` or
        `importance_weighted`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the network) an encoder with another number of outputs.

    >>> import jaxnet as jn
    >>> model = variational_autoencoder(jn.dense(6, 4), jn.dense(2, 6), 2)
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.ones((5, 6))).shape, model.encode(params, jnp.ones((5, 6))).shape
    ((5, 6), (5, 2))
    """
    require_positive("variational_autoencoder", latent_dim=latent_dim)
    pair = autoencoder(encoder, decoder)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        mean, log_variance = model.posterior(params, x, key=key)
        noise = 0.0 if key is None else posterior_noise(key, mean)
        return model.decode(params, reparameterize(mean, log_variance, noise), key=key)

    model = VariationalAutoencoder(
        pair.init,
        apply,
        "variational_autoencoder",
        encoder=encoder,
        decoder=decoder,
        decoder_params=pair.decoder_params,
        latent_dim=latent_dim,
        likelihood=bernoulli_likelihood() if likelihood is None else likelihood,
    )
    return model


def mlp_variational_autoencoder(
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    likelihood: Likelihood | None = None,
    kernel_init: Initializer = he_normal,
) -> VariationalAutoencoder:
    """Variational autoencoder of an `mlp` and an `mlp` with the sizes in reverse order.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", appendix C, there with one hidden
    layer and tanh.

    Args:
        dims: sizes of input, hidden layers and code; the decoder has them in reverse order.
        activation: applied after each hidden layer.
        likelihood: by default `bernoulli_likelihood()`, whose outputs are logits.
        kernel_init: initializer of the hidden kernels, as in `mlp`.

    Returns:
        A model from `(*batch, dims[0])` to `(*batch, dims[0])`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: fewer than two sizes, or a size below 1.

    >>> model = mlp_variational_autoencoder([784, 200, 200, 50])
    >>> params = jax.eval_shape(model.init, jax.random.key(0))
    >>> params["encoder"]["dense_2"]["kernel"].shape
    (200, 100)
    """
    meaning = "hold at least the sizes of input and code"
    dims = require_sizes("mlp_variational_autoencoder", "dims", dims, meaning, min_length=2)
    encoder = mlp([*dims[:-1], 2 * dims[-1]], activation=activation, kernel_init=kernel_init)
    decoder = mlp(dims[::-1], activation=activation, kernel_init=kernel_init)
    return variational_autoencoder(encoder, decoder, dims[-1], likelihood=likelihood)


def posterior_noise(key: Array, mean: Array, num_samples: int | None = None) -> Array:
    """Standard normal noise for codes, from the stream of the key that the posterior uses.

    Args:
        key: key of the model.
        mean: posterior means, `(*batch, latent_dim)`.
        num_samples: samples for each mean, on a new first axis; None for one without that axis.

    Returns:
        The noise, `(*batch, latent_dim)` or `(num_samples, *batch, latent_dim)`.

    >>> posterior_noise(jax.random.key(0), jnp.zeros((5, 2)), 3).shape
    (3, 5, 2)
    """
    samples = () if num_samples is None else (num_samples,)
    noise_key = jax.random.fold_in(key, _POSTERIOR)
    return _draws.normal(noise_key, (*samples, *mean.shape), mean.dtype)


def reparameterize(mean: Array, log_variance: Array, noise: Array | float) -> Array:
    """Codes as a differentiable function of the posterior: `mean + exp(log_variance / 2) noise`.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", section 2.4.

    Args:
        mean: posterior means, `(*batch, latent_dim)`.
        log_variance: posterior log variances, `(*batch, latent_dim)`.
        noise: standard normal noise that broadcasts with them; 0 for the means.

    Returns:
        The codes.

    >>> reparameterize(jnp.ones(2), jnp.zeros(2), 0.5).tolist()
    [1.5, 1.5]
    """
    scale, rank = jnp.exp(log_variance / 2), max(mean.ndim, jnp.ndim(noise))
    mean, scale = (jax.lax.broadcast_to_rank(values, rank) for values in (mean, scale))
    return mean + scale * noise


def sample_prior(
    model: VariationalAutoencoder, params: Params, key: Array, *, num_samples: int
) -> Float[Array, "num_samples ..."]:
    """Draw codes `z` from the prior `N(0, I)`, and return the expected data `E[x | z]`.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", appendix A.

    Args:
        model: the variational autoencoder.
        params: its parameters.
        key: of the codes.
        num_samples: number of codes.

    Returns:
        The expected data, `(num_samples, *input)`, such as the probabilities of pixels, from which
        `jax.random.bernoulli` draws pixels.

    Raises:
        TypeError: a number of samples that is not an integer.
        ValueError: a number of samples below 1.

    >>> model = mlp_variational_autoencoder([6, 4, 2])
    >>> params = model.init(jax.random.key(0))
    >>> sample_prior(model, params, jax.random.key(1), num_samples=5).shape
    (5, 6)
    """
    require_positive("sample_prior", num_samples=num_samples)
    codes = _draws.normal(key, (num_samples, model.latent_dim))
    return model.likelihood.mean(model.decode(params, codes))
