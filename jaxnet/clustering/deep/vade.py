"""Variational deep embedding: a variational autoencoder with a Gaussian mixture as its prior."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.autoencoders.objectives import sum_per_example
from jaxnet.autoencoders.variational import VariationalAutoencoder, posterior_noise, reparameterize
from jaxnet.metrics.pairwise import require_same_dim
from jaxnet.objectives.weighting import (
    masked,
    require_entry,
    require_shape,
    weighted_mean,
    weighted_means,
    widen,
)
from jaxnet.typing import Batch, Metrics, Objective, Params


def mixture_params(
    weights: Float[Array, " k"], means: Float[Array, "k code"], variances: Float[Array, "k code"]
) -> Params:
    """Unconstrained parameters of a mixture of diagonal Gaussians.

    `weights = softmax(logits)` and `variances = exp(log_variances)`: every optimizer step gives a
    valid mixture. Deviation: the authors' program optimizes weights and variances directly.

    Args:
        weights: probabilities of the components, above 0 with sum 1, `(k,)`, such as those of a
            diagonal `GaussianMixture` of the codes.
        means: means of the components, `(k, code)`.
        variances: variances of the components, above 0, `(k, code)`.

    Returns:
        `{"logits": (k,), "means": (k, code), "log_variances": (k, code)}`.

    >>> params = mixture_params(jnp.full(2, 0.5), jnp.eye(2), jnp.ones((2, 2)))
    >>> sorted(params), params["log_variances"].tolist()
    (['log_variances', 'logits', 'means'], [[0.0, 0.0], [0.0, 0.0]])
    """
    return {"logits": jnp.log(weights), "means": means, "log_variances": jnp.log(variances)}


def mixture_responsibilities(mixture: Params, codes: Float[Array, "n code"]) -> Float[Array, "n k"]:
    """Probability of each component given the code, `p(c) p(z | c) / sum_c' p(c') p(z | c')`.

    The cluster of an example is the most probable component of its code `model.encode(...)`, the
    posterior mean. Deviation: the paper averages over codes drawn from the posterior.

    Args:
        mixture: parameters as returned by `mixture_params`.
        codes: codes `z`, `(n, code)`.

    Returns:
        Probabilities, `(n, k)`, each row with sum 1.

    >>> mixture = mixture_params(jnp.full(2, 0.5), jnp.eye(2), jnp.ones((2, 2)))
    >>> mixture_responsibilities(mixture, jnp.array([[0.5, 0.5], [9.0, 0.0]])).round(2).tolist()
    [[0.5, 0.5], [1.0, 0.0]]

    Source: Jiang, Zheng, Tan, Tang and Zhou (2017), "Variational deep embedding" (VaDE), eq. 16.
    """
    require_same_dim("mixture_responsibilities", codes, means=mixture["means"])
    log_variances = mixture["log_variances"][None]
    squared = (codes[:, None] - mixture["means"][None]) ** 2 * jnp.exp(-log_variances)
    log_density = -jnp.sum(squared + log_variances + math.log(2 * math.pi), axis=-1) / 2
    return jax.nn.softmax(mixture["logits"][None] + log_density, axis=1)


def mixture_kl(
    mean: Float[Array, "n code"],
    log_variance: Float[Array, "n code"],
    gamma: Float[Array, "n k"],
    mixture: Params,
) -> Float[Array, " n"]:
    """Divergence `KL(q(z | x) q(c | x) || p(z, c))` of code and component from a mixture prior.

    `sum_c g_c [KL(N(m, v) || N(m_c, v_c)) + log(g_c / p_c)]`, where
    `KL(N(m, v) || N(m_c, v_c)) = sum_j [log(v_cj / v_j) + (v_j + (m_j - m_cj)^2) / v_cj - 1] / 2`.

    Args:
        mean: means `m` of the posterior, `(n, code)`.
        log_variance: logarithms of its variances `v`, `(n, code)`.
        gamma: probabilities `g` of the components, `(n, k)`, each row with sum 1.
        mixture: weights `p`, means `m_c` and variances `v_c` as returned by `mixture_params`.

    Returns:
        Divergences in nats, `(n,)`.

    >>> mixture = mixture_params(jnp.full(2, 0.5), jnp.zeros((2, 3)), jnp.ones((2, 3)))
    >>> mixture_kl(jnp.ones((1, 3)), jnp.zeros((1, 3)), jnp.full((1, 2), 0.5), mixture).tolist()
    [1.5]

    Source: Jiang et al. (2017), "Variational deep embedding", eq. 12: the negative of all terms but
    the first.
    """
    require_same_dim("mixture_kl", mean, means=mixture["means"])
    require_shape("mixture_kl", "log_variance", log_variance, mean.shape)
    require_shape("mixture_kl", "gamma", gamma, (len(mean), len(mixture["means"])))
    log_variances = mixture["log_variances"][None]
    log_ratio = log_variances - log_variance[:, None]
    squared = (mean[:, None] - mixture["means"][None]) ** 2 * jnp.exp(-log_variances)
    gaussian = jnp.sum(log_ratio + jnp.exp(-log_ratio) + squared - 1, axis=-1) / 2
    # A probability that underflows to 0 contributes 0, with a finite gradient.
    log_gamma = jnp.log(jnp.maximum(gamma, jnp.finfo(gamma.dtype).tiny))
    component = gamma * (log_gamma - jax.nn.log_softmax(mixture["logits"])[None])
    return jnp.sum(gamma * gaussian + component, axis=1)


def variational_deep_embedding(model: VariationalAutoencoder) -> Objective:
    """Negative evidence lower bound of a variational autoencoder with a mixture as its prior.

    `mean_i E_q[-log p(x_i | z)] + KL(q(z | x_i) q(c | x_i) || p(z, c))` in nats, with one code `z`
    drawn for each example and `q(c | x) = p(c | z)` of that code. The authors' program has other
    additive constants.

    The paper first trains the network as a plain autoencoder, with an objective such as
    `reconstruction(model)` without a key, for which the code is the posterior mean; a Gaussian
    mixture fitted to the codes is the initial prior.

    Args:
        model: the variational autoencoder; its standard normal prior is not used.

    Returns:
        An objective on params `{"autoencoder": ..., "mixture": mixture_params(...)}` and batches
        with `x`, optionally `target` and `weight`. Metrics: `reconstruction` and `kl`, whose sum is
        the loss, and `squared_error` of the reconstruction. Without a key the code is the posterior
        mean, and the loss is not a bound.

    Raises:
        ValueError: when the objective is called: outputs and targets have different shapes.

    >>> import jaxnet as jn
    >>> model = jn.autoencoders.mlp_variational_autoencoder([6, 2])
    >>> mixture = mixture_params(jnp.full(3, 1 / 3), jnp.zeros((3, 2)), jnp.ones((3, 2)))
    >>> zeros = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    >>> params = {"autoencoder": zeros, "mixture": mixture}
    >>> objective = jax.jit(variational_deep_embedding(model))
    >>> loss, metrics = objective(params, {"x": jnp.ones((4, 6))}, jax.random.key(1))
    >>> bool(abs(loss - 6 * jnp.log(2)) < 1e-5), bool(abs(metrics["kl"]) < 1e-6)
    (True, True)

    Source: Jiang et al. (2017), "Variational deep embedding", eq. 12 and 16.
    """

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        network, mixture = params["autoencoder"], params["mixture"]
        batch = masked(batch)
        x = require_entry("variational_deep_embedding", batch, "x")
        target = batch.get("target", x)
        mean, log_variance = map(widen, model.posterior(network, x, key=key))
        noise = 0.0 if key is None else posterior_noise(key, mean)
        codes = reparameterize(mean, log_variance, noise)
        outputs = widen(model.decode(network, codes, key=key))
        if outputs.shape != target.shape:
            raise ValueError(
                f"variational_deep_embedding: the decoder's outputs have shape {outputs.shape}, "
                f"expected that of the target, {target.shape}; "
                "change the size of the last layer of the decoder"
            )
        values = {
            "reconstruction": -sum_per_example(model.likelihood.log_prob(outputs, target)),
            "kl": mixture_kl(mean, log_variance, mixture_responsibilities(mixture, codes), mixture),
            "squared_error": sum_per_example((target - model.likelihood.mean(outputs)) ** 2),
        }
        loss = weighted_mean(values["reconstruction"] + values["kl"], batch.get("weight"))
        return loss, weighted_means(values, batch)

    return objective
