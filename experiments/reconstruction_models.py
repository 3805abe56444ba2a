"""The models of experiments.reconstruction: what each is, how it learns, and how it is judged."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxnet as jn
from jaxnet import boltzmann
from jaxnet.objectives import Objective

_ACTIVATIONS = {"sparse": jax.nn.sigmoid, "contractive": jax.nn.sigmoid}
_BOUND_SAMPLES, _GIBBS_STEPS, _AIS_CHAINS = 10, 2000, 100


Judge = Callable[[Any, Array, Array], dict[str, Array]]


class Model(NamedTuple):
    """A model that rebuilds pictures, given as vectors.

    Attributes:
        init: `init(key) -> params`.
        objective: what it learns by.
        encode: `(params, x) -> codes`, with nothing drawn.
        rebuild: `(params, x) -> rebuilt pictures` in [0, 1], with nothing drawn.
        kernel: from parameters to the kernel of the first layer, `(pixels, units)`.
        judge: `(params, x, key)` to more metrics of test pictures, one number each.
        judge_by_sampling: the same for log-probabilities, which take long; None where no option
            asks for them.
        sample: `(params, key, number)` to pictures that the model draws, or None.
        network: the autoencoder, or None.
    """

    init: Callable[[Array], Any]
    objective: Objective
    encode: Callable[[Any, Array], Array]
    rebuild: Callable[[Any, Array], Array]
    kernel: Callable[[Any], Array]
    judge: Judge
    judge_by_sampling: Judge | None
    sample: Callable[[Any, Array, int], Array] | None
    network: jn.Autoencoder | None


def build_model(config: Any, x: Float[Array, "n pixels"]) -> Model:
    """The model of a resolved config of `experiments.reconstruction`.

    Args:
        config: the options.
        x: the training pictures as vectors: their size, and the means where a machine starts.

    Raises:
        ValueError: an option out of range.
    """
    if config.model == "rbm":
        return _boltzmann(config, x)
    dims = [x.shape[1], *config.hidden_dims, config.code_dim]
    if config.model == "vae":
        return _variational(dims, config.likelihood_samples)
    network = jn.mlp_autoencoder(
        dims, code_activation=_ACTIVATIONS.get(config.model), tied=config.tied
    )
    bernoulli = config.loss == "bernoulli"
    objective = (jn.bernoulli_reconstruction if bernoulli else jn.reconstruction)(network)
    if config.model == "denoising":
        objective = jn.denoising(objective, jn.masking_noise(config.noise))
    elif config.model == "sparse":
        objective = jn.kl_sparsity_penalty(
            objective, network, config.sparsity, target=config.sparsity_target
        )
    elif config.model == "contractive":
        objective = jn.contractive_penalty(objective, network, config.contraction, num_probes=1)
    return Model(
        network.init,
        objective,
        network.encode,
        lambda params, x: jax.nn.sigmoid(network.apply(params, x)),
        lambda params: params["encoder"]["dense_0"]["kernel"],
        lambda params, x, key: {},
        None,
        None,
        network,
    )


def _variational(dims: list[int], likelihood_samples: int) -> Model:
    network = jn.mlp_variational_autoencoder(dims)
    bound = jn.importance_weighted(network, 1)

    def judge(params: Any, x: Array, key: Array) -> dict[str, Array]:
        def negative(index: Array) -> Array:
            return bound(params, {"x": x}, jax.random.fold_in(key, index))[0]

        return {"elbo": -jax.lax.map(negative, jnp.arange(_BOUND_SAMPLES)).mean()}

    def judge_by_sampling(params: Any, x: Array, key: Array) -> dict[str, Array]:
        values = jn.log_likelihood(network, params, x, key, num_samples=likelihood_samples)
        return {"log_likelihood": values.mean()}

    return Model(
        network.init,
        jn.negative_elbo(network),
        network.encode,
        lambda params, x: network.likelihood.mean(network.apply(params, x)),
        lambda params: params["encoder"]["dense_0"]["kernel"],
        judge,
        judge_by_sampling if likelihood_samples else None,
        lambda params, key, number: jn.sample_prior(network, params, key, num_samples=number),
        network,
    )


def _boltzmann(config: Any, x: Array) -> Model:
    rbm = boltzmann.RBM(x.shape[1], config.code_dim)
    bias = rbm.data_bias(x)
    divergence = boltzmann.contrastive_divergence(rbm)

    def objective(params: Any, batch: Any, key: Array | None) -> tuple[Array, dict[str, Array]]:
        loss, metrics = divergence(params, batch, key)
        return loss, {
            "squared_error": metrics["squared_reconstruction_error"],
            "free_energy": metrics["free_energy"],
        }

    def judge_by_sampling(params: Any, x: Array, key: Array) -> dict[str, Array]:
        estimate = boltzmann.annealed_importance_sampling(
            rbm,
            params,
            key,
            base_bias=bias,
            betas=boltzmann.annealing_schedule(config.ais_betas),
            num_chains=_AIS_CHAINS,
        )
        values = rbm.log_probability(params, x, estimate.log_partition)
        return {
            "log_probability": values.mean(),
            "log_partition_standard_error": estimate.standard_error,
        }

    def sample(params: Any, key: Array, number: int) -> Array:
        chains = rbm.sample(params, key, num_samples=number, num_steps=_GIBBS_STEPS)
        return rbm.reconstruct(params, chains)

    return Model(
        functools.partial(rbm.init, visible_bias=bias),
        objective,
        rbm.hidden_mean,
        rbm.reconstruct,
        lambda params: params["kernel"],
        lambda params, x, key: {},
        judge_by_sampling if config.ais_betas else None,
        sample,
        None,
    )
