"""Lower bounds of the evidence `log p(x)` of a variational autoencoder, and estimates of it."""

import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.autoencoders.variational import VariationalAutoencoder, posterior_noise, reparameterize
from jaxnet.objectives.weighting import (
    masked,
    require_entry,
    require_shape,
    weighted_mean,
    weighted_means,
    widen,
)
from jaxnet.typing import Batch, Metrics, Objective, Params


def gaussian_kl(
    mean: Float[Array, "*batch latent_dim"], log_variance: Float[Array, "*batch latent_dim"]
) -> Float[Array, "*batch"]:
    """`KL(N(m, diag(v)) || N(0, I)) = sum_j (m_j^2 + v_j - 1 - log v_j) / 2`.

    Kingma and Welling (2014), appendix B.

    Args:
        mean: the means `m`, `(*batch, latent_dim)`.
        log_variance: the logarithms of the variances `v`, `(*batch, latent_dim)`.

    Returns:
        One divergence, in nats, for each distribution, `(*batch,)`.

    >>> gaussian_kl(jnp.array([1.0, 0.0]), jnp.zeros(2)).item()
    0.5
    """
    require_shape("gaussian_kl", "log_variance", log_variance, mean.shape)
    return (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(axis=-1) / 2


def _sum_over_pixels(values: Array, num_axes: int) -> Array:
    return values.reshape(*values.shape[:num_axes], -1).sum(axis=-1)


def _decode(
    model: VariationalAutoencoder, params: Params, codes: Array, x: Array, key: Array | None
) -> tuple[Array, Array]:
    """`log p(x | code)` and the squared error of its mean, for each code of an example."""
    outputs = widen(model.decode(params, codes, key=key))
    if outputs.shape[codes.ndim - 1 :] != x.shape[1:]:
        raise ValueError(
            f"variational_autoencoder: the decoder's outputs have shape "
            f"{outputs.shape[codes.ndim - 1 :]}, expected that of an example, {x.shape[1:]}"
        )
    num_axes = codes.ndim - 1
    x = jnp.broadcast_to(x, outputs.shape)
    log_prob = _sum_over_pixels(model.likelihood.log_prob(outputs, x), num_axes)
    return log_prob, _sum_over_pixels((x - model.likelihood.mean(outputs)) ** 2, num_axes)


def _posterior(
    model: VariationalAutoencoder, params: Params, x: Array, key: Array | None
) -> tuple[Array, Array]:
    mean, log_variance = model.posterior(params, x, key=key)
    return widen(mean), widen(log_variance)


def _inputs(function: str, batch: Batch) -> tuple[Batch, Array, Array]:
    """The batch without what is masked, its inputs and the data to reconstruct."""
    batch = masked(batch)
    x = require_entry(function, batch, "x")
    target = batch.get("target", x)
    if target.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"{function}: target has shape {target.shape} and x {x.shape}; they must hold the same "
            "number of examples"
        )
    return batch, x, target


def negative_elbo(model: VariationalAutoencoder) -> Objective:
    """Negative evidence lower bound `mean_i E_q[-log p(x_i | z)] + KL(q(z | x_i) || p(z))`.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", eq. 10, in nats, with one code
    drawn for each example and the divergence in closed form.

    Args:
        model: the variational autoencoder.

    Returns:
        An objective on batches of `x`, `(batch, ...)`. Metrics: the parts of the bound,
        `reconstruction` and `kl`, whose sum is the loss, and `squared_error` of the reconstruction.
        Without a key the code is the posterior mean: this serves to compare `squared_error`, but
        the loss is not a bound; use `importance_weighted` or `log_likelihood`, with a key.

    Raises:
        ValueError: (of the objective) outputs and inputs of different shapes.

    >>> import jaxnet as jn
    >>> model = jn.autoencoders.mlp_variational_autoencoder([6, 2])
    >>> params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    >>> objective = jax.jit(negative_elbo(model))
    >>> loss, metrics = objective(params, {"x": jnp.ones((4, 6))}, jax.random.key(1))
    >>> bool(abs(loss - 6 * jnp.log(2)) < 1e-5), float(metrics["kl"])
    (True, 0.0)
    """

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch, x, target = _inputs("negative_elbo", batch)
        mean, log_variance = _posterior(model, params, x, key)
        noise = 0.0 if key is None else posterior_noise(key, mean)
        codes = reparameterize(mean, log_variance, noise)
        log_prob, squared = _decode(model, params, codes, target, key)
        divergence = gaussian_kl(mean, log_variance)
        values = {"reconstruction": -log_prob, "kl": divergence, "squared_error": squared}
        return weighted_mean(divergence - log_prob, batch.get("weight")), weighted_means(
            values, batch
        )

    return objective


def _log_weights(log_prob: Array, codes: Array, log_variance: Array, noise: Array) -> Array:
    """`log p(x | z) + log p(z) - log q(z | x)`; the constants of the two normals cancel."""
    log_variance = jax.lax.broadcast_to_rank(log_variance, codes.ndim)
    return log_prob + (noise**2 + log_variance - codes**2).sum(axis=-1) / 2


def importance_weighted(model: VariationalAutoencoder, num_samples: int) -> Objective:
    """Negative importance-weighted bound `-mean_i E[log (1/k) sum_j w_ij]`, in nats.

    `w = p(x, z) / q(z | x)` for each of `k` codes drawn for an example. With one code it is an
    estimate of `negative_elbo`, and the bound tightens with `k`. Burda et al. (2016), "Importance
    weighted autoencoders", eq. 8.

    Args:
        model: the variational autoencoder.
        num_samples: codes for each example, `k`.

    Returns:
        An objective on batches of `x`, `(batch, ...)`. Metrics: `reconstruction`, `kl` and
        `squared_error`, means over the codes.

    Raises:
        TypeError: a number of samples that is not an integer.
        ValueError: a number of samples below 1; (of the objective) no key; outputs and inputs of
            different shapes.

    >>> import jaxnet as jn
    >>> model = jn.autoencoders.mlp_variational_autoencoder([6, 2])
    >>> params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    >>> objective = jax.jit(importance_weighted(model, 5))
    >>> loss, _ = objective(params, {"x": jnp.ones((4, 6))}, jax.random.key(1))
    >>> bool(abs(loss - 6 * jnp.log(2)) < 1e-5)
    True
    """
    require_positive("importance_weighted", num_samples=num_samples)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        if key is None:
            raise ValueError(
                "importance_weighted: key is None, expected a key, since the bound is a mean over "
                "drawn codes; pass one in evaluation too"
            )
        batch, x, target = _inputs("importance_weighted", batch)
        mean, log_variance = _posterior(model, params, x, key)
        noise = posterior_noise(key, mean, num_samples)
        codes = reparameterize(mean, log_variance, noise)
        log_prob, squared = _decode(model, params, codes, target, key)
        log_weights = _log_weights(log_prob, codes, log_variance, noise)
        bounds = jax.nn.logsumexp(log_weights, axis=0) - jnp.log(num_samples)
        values = {
            "reconstruction": -log_prob.mean(axis=0),
            "kl": gaussian_kl(mean, log_variance),
            "squared_error": squared.mean(axis=0),
        }
        return weighted_mean(-bounds, batch.get("weight")), weighted_means(values, batch)

    return objective


def log_likelihood(
    model: VariationalAutoencoder,
    params: Params,
    x: Shaped[Array, "n ..."],
    key: Array,
    *,
    num_samples: int,
    chunk_size: int = 100,
) -> Float[Array, " n"]:
    """Estimate `log p(x)` of each example by importance sampling from the posterior, in nats.

    `log (1/k) sum_j p(x, z_j) / q(z_j | x)`, whose mean is a lower bound that tightens with `k`:
    Burda et al. (2016), section 5, report `k = 5000`. What is drawn for an example depends on the
    key, its index and `chunk_size` alone.

    Args:
        model: the variational autoencoder.
        params: its parameters.
        x: the examples, `(n, ...)`.
        key: of the codes.
        num_samples: codes for each example, `k`.
        chunk_size: codes decoded at once, which bounds the memory for all `n` and `k`.

    Returns:
        One estimate for each example, `(n,)`.

    Raises:
        TypeError: a number of samples or a size of chunks that is not an integer.
        ValueError: a number of samples or a size of chunks below 1; outputs and inputs of different
            shapes.

    >>> import jaxnet as jn
    >>> model = jn.autoencoders.mlp_variational_autoencoder([6, 2])
    >>> params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    >>> values = log_likelihood(model, params, jnp.ones((4, 6)), jax.random.key(1), num_samples=50)
    >>> bool(jnp.allclose(values, -6 * jnp.log(2)))
    True
    """
    require_positive("log_likelihood", num_samples=num_samples, chunk_size=chunk_size)
    num_samples, chunk_size = operator.index(num_samples), operator.index(chunk_size)
    x = as_arrays("log_likelihood", "x", x)
    options = {"num_samples": num_samples, "chunk_size": min(chunk_size, num_samples)}
    return compiled_for(model, _log_likelihood, **options)(params, x, key)


def _log_likelihood(
    model: VariationalAutoencoder,
    params: Params,
    x: Array,
    key: Array,
    *,
    num_samples: int,
    chunk_size: int,
) -> Array:
    num_chunks = -(-num_samples // chunk_size)

    def estimate(index_and_example: tuple[Array, Array]) -> Array:
        index, example = index_and_example
        example_key = jax.random.fold_in(key, index)
        mean, log_variance = _posterior(model, params, example, None)

        def chunk(total: Array, number: Array) -> tuple[Array, None]:
            noise_key = jax.random.fold_in(example_key, number)
            noise = posterior_noise(noise_key, mean, chunk_size)
            codes = reparameterize(mean, log_variance, noise)
            log_prob, _ = _decode(model, params, codes, example[None], None)
            log_weights = _log_weights(log_prob, codes, log_variance, noise)
            # The last chunk may hold more codes than were requested.
            requested = number * chunk_size + jnp.arange(chunk_size) < num_samples
            log_weights = jnp.where(requested, log_weights, -jnp.inf)
            return jnp.logaddexp(total, jax.nn.logsumexp(log_weights)), None

        start = jnp.full((), -jnp.inf, mean.dtype)
        return jax.lax.scan(chunk, start, jnp.arange(num_chunks))[0] - jnp.log(num_samples)

    return jax.lax.map(estimate, (jnp.arange(len(x)), x))
