"""Variational deep embedding: a variational autoencoder whose prior is a Gaussian mixture."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.autoencoders.objectives import sum_per_example
from jaxnet.autoencoders.variational import VariationalAutoencoder, posterior_noise, reparameterize
from jaxnet.objectives.prediction import weighted_mean
from jaxnet.typing import Batch, Metrics, Objective, Params


def mixture_params(
    weights: Float[Array, " k"], means: Float[Array, "k code"], variances: Float[Array, "k code"]
) -> Params:
    """Parameters of a mixture of diagonal Gaussians that any optimizer may change.

    `weights = softmax(logits)` and `variances = exp(log_variances)`, so that no step leaves the
    mixtures. The authors' program learns weights and variances themselves.

    Args:
        weights: above 0, with sum 1; like the others, those of a diagonal `GaussianMixture` of the
            codes.
        means: means, `(k, code)`.
        variances: above 0, `(k, code)`.

    Returns:
        `{"logits": (k,), "means": (k, code), "log_variances": (k, code)}`.

    >>> params = mixture_params(jnp.full(2, 0.5), jnp.eye(2), jnp.ones((2, 2)))
    >>> sorted(params), params["log_variances"].tolist()
    (['log_variances', 'logits', 'means'], [[0.0, 0.0], [0.0, 0.0]])
    """
    return {"logits": jnp.log(weights), "means": means, "log_variances": jnp.log(variances)}


def mixture_responsibilities(mixture: Params, codes: Float[Array, "n code"]) -> Float[Array, "n k"]:
    """Which component a code comes from, `p(c | z) = p(c) p(z | c) / sum_c' p(c') p(z | c')`.

    Jiang, Zheng, Tan, Tang and Zhou (2017), "Variational deep embedding" (VaDE), eq. 16. The
    cluster of an example is the most probable component of its code `model.encode(...)`, the
    posterior mean; the paper averages over codes drawn from the posterior.

    Args:
        mixture: parameters as those of `mixture_params`.
        codes: codes `z`.

    Returns:
        Probabilities, `(n, k)`.

    >>> mixture = mixture_params(jnp.full(2, 0.5), jnp.eye(2), jnp.ones((2, 2)))
    >>> mixture_responsibilities(mixture, jnp.array([[0.5, 0.5], [9.0, 0.0]])).round(2).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
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
    """`KL(q(z | x) q(c | x) || p(z, c))` of a Gaussian and a choice of component to a mixture.

    `sum_c g_c [KL(N(m, v) || N(m_c, v_c)) + log(g_c / p_c)]`, where
    `KL(N(m, v) || N(m_c, v_c)) = sum_j [log(v_cj / v_j) + (v_j + (m_j - m_cj)^2) / v_cj - 1] / 2`.
    These are all terms but the first of Jiang et al. (2017), eq. 12, with their signs turned.

    Args:
        mean: means `m` of the posterior.
        log_variance: logarithms of its variances `v`.
        gamma: probabilities `g` of the components, each row with sum 1.
        mixture: weights `p`, means `m_c` and variances `v_c`, as those of `mixture_params`.

    Returns:
        One divergence for each row, in nats.

    >>> mixture = mixture_params(jnp.full(2, 0.5), jnp.zeros((2, 3)), jnp.ones((2, 3)))
    >>> mixture_kl(jnp.ones((1, 3)), jnp.zeros((1, 3)), jnp.full((1, 2), 0.5), mixture).tolist()
    [1.5]
    """
    log_variances = mixture["log_variances"][None]
    log_ratio = log_variances - log_variance[:, None]
    squared = (mean[:, None] - mixture["means"][None]) ** 2 * jnp.exp(-log_variances)
    gaussian = jnp.sum(log_ratio + jnp.exp(-log_ratio) + squared - 1, axis=-1) / 2
    # A probability that underflows to 0 has the limit 0, and a gradient that is finite.
    log_gamma = jnp.log(jnp.maximum(gamma, jnp.finfo(gamma.dtype).tiny))
    choice = gamma * (log_gamma - jax.nn.log_softmax(mixture["logits"])[None])
    return jnp.sum(gamma * gaussian + choice, axis=1)


def variational_deep_embedding(model: VariationalAutoencoder) -> Objective:
    """Negative evidence lower bound of a variational autoencoder with a mixture as its prior.

    `mean_i E_q[-log p(x_i | z)] + KL(q(z | x_i) q(c | x_i) || p(z, c))`, in nats, with one code
    `z` drawn for each example and `q(c | x) = p(c | z)` of that code. Jiang et al. (2017), eq. 12
    and 16; their program writes some constants otherwise, which do not matter for learning.

    The paper trains the network as a plain autoencoder first, and a Gaussian mixture on its codes
    is the first prior. The former is an objective such as `reconstruction(model)` without its key:
    then the code is the posterior mean.

    Args:
        model: the variational autoencoder; its own prior is not used.

    Returns:
        An objective on params `{"autoencoder": ..., "mixture": mixture_params(...)}` and batches of
        `x`. Metrics: `reconstruction` and `kl`, whose sum is the loss, and `squared_error` of the
        rebuilt input. Without a key the code is the posterior mean, and the loss is no bound.

    Raises:
        ValueError: (of the objective) outputs and inputs of different shapes.

    >>> import jaxnet as jn
    >>> model = jn.autoencoders.mlp_variational_autoencoder([6, 2])
    >>> mixture = mixture_params(jnp.full(3, 1 / 3), jnp.zeros((3, 2)), jnp.ones((3, 2)))
    >>> zeros = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    >>> params = {"autoencoder": zeros, "mixture": mixture}
    >>> objective = jax.jit(variational_deep_embedding(model))
    >>> loss, metrics = objective(params, {"x": jnp.ones((4, 6))}, jax.random.key(1))
    >>> bool(abs(loss - 6 * jnp.log(2)) < 1e-5), bool(abs(metrics["kl"]) < 1e-6)
    (True, True)
    """

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        network, mixture = params["autoencoder"], params["mixture"]
        target = batch.get("target", batch["x"])
        mean, log_variance = model.posterior(network, batch["x"], key=key)
        noise = 0.0 if key is None else posterior_noise(key, mean)
        codes = reparameterize(mean, log_variance, noise)
        outputs = model.decode(network, codes, key=key)
        if outputs.shape != target.shape:
            raise ValueError(
                f"variational_deep_embedding: the decoder's outputs have shape {outputs.shape}, "
                f"expected that of what is to be rebuilt, {target.shape}"
            )
        values = {
            "reconstruction": -sum_per_example(model.likelihood.log_prob(outputs, target)),
            "kl": mixture_kl(mean, log_variance, mixture_responsibilities(mixture, codes), mixture),
            "squared_error": sum_per_example((target - model.likelihood.mean(outputs)) ** 2),
        }
        weight = batch.get("weight")
        metrics = {name: weighted_mean(value, weight) for name, value in values.items()}
        return weighted_mean(values["reconstruction"] + values["kl"], weight), metrics

    return objective
