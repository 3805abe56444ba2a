"""The models of experiments.reconstruction: what each is, how it learns, and how it is judged."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.reconstruction.deep_belief import pretrain
from jaxnet import boltzmann
from jaxnet.typing import Objective, Optimizer

_CODE_ACTIVATIONS = {"sparse": jax.nn.sigmoid, "contractive": jax.nn.sigmoid}
_ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu, "sigmoid": jax.nn.sigmoid}
_NOISES = {
    "masking": jn.nn.masking_noise,
    "gaussian": jn.nn.gaussian_noise,
    "salt_and_pepper": jn.nn.salt_and_pepper_noise,
}
_BOUND_SAMPLES, _GIBBS_STEPS, _AIS_CHAINS = 10, 2000, 100


Judge = Callable[[Any, Array, Array], dict[str, Array]]


class Model(NamedTuple):
    """A model that rebuilds examples, given as vectors of numbers in [0, 1].

    Attributes:
        learner: from an optimizer to what trains the model; where there is `pretrain`, a second
            argument `init(key) -> params` says where it starts.
        loss: the objective on validation data; None where the model has none that can be compared.
        encode: `(params, x) -> codes`, with nothing drawn.
        rebuild: `(params, x) -> rebuilt examples` in [0, 1], with nothing drawn.
        first_kernel: from parameters to the kernel of the first layer, `(*inputs, units)`.
        network: the autoencoder, or None.
        judge: `(params, x, key)` to more metrics of test examples, one number each, or None.
        judge_by_sampling: the same for log-probabilities, which take long; None where no option
            asks for them.
        sample: `(params, key, number)` to examples that the model draws, or None.
        pretrain: from the keys of the networks to the parameters with which they start, stacked;
            None where they start from what the learner draws.
    """

    learner: Callable[..., jn.Learner]
    loss: Objective | None
    encode: Callable[[Any, Array], Array]
    rebuild: Callable[[Any, Array], Array]
    first_kernel: Callable[[Any], Array]
    network: jn.autoencoders.Autoencoder | None = None
    judge: Judge | None = None
    judge_by_sampling: Judge | None = None
    sample: Callable[[Any, Array, int], Array] | None = None
    pretrain: Callable[[Array], Any] | None = None


def build_model(config: Any, x: Float[Array, "n features"], in_shape: Sequence[int]) -> Model:
    """The model of a resolved config of `experiments.reconstruction`.

    Args:
        config: the options.
        x: the training examples as vectors: where a machine starts, and what is pretrained on.
        in_shape: the shape of one example, for convolutions.

    Raises:
        ValueError: an option out of range.
    """
    if config.model == "rbm":
        return _boltzmann(config, x)
    dims = [x.shape[1], *config.hidden_dims, config.code_dim]
    if config.model == "vae":
        return _variational(config, dims)
    if config.model == "deep_belief":
        return _deep_belief(config, dims, x)
    network = _autoencoder(config, dims, in_shape)
    objective = _reconstruction(config, network)
    if config.model == "denoising":
        objective = jn.with_noise(objective, _NOISES[config.noise_kind](config.noise))
    elif config.model == "sparse" and config.sparsity_penalty == "l1":
        objective = jn.autoencoders.with_l1_sparsity(objective, network, config.sparsity)
    elif config.model == "sparse":
        objective = jn.autoencoders.with_kl_sparsity(
            objective, network, config.sparsity, target=config.sparsity_target
        )
    elif config.model == "contractive":
        objective = jn.autoencoders.with_contraction(
            objective, network, config.contraction, num_probes=1
        )
    return _of_autoencoder(network, objective)


def _autoencoder(
    config: Any, dims: Sequence[int], in_shape: Sequence[int]
) -> jn.autoencoders.Autoencoder:
    activation = _ACTIVATIONS[config.activation]
    code_activation = _CODE_ACTIVATIONS.get(config.model)
    if not config.channels:
        return jn.autoencoders.mlp_autoencoder(
            dims, activation=activation, code_activation=code_activation, tied=config.tied
        )
    if config.tied:
        raise ValueError("tied is for dense layers, found channels too; leave one of them out")
    convolutional = jn.autoencoders.cnn_autoencoder(
        in_shape,
        config.channels,
        dims[1:],
        activation=activation,
        code_activation=code_activation,
    )
    # All models are given vectors.
    return jn.autoencoders.autoencoder(
        jn.chain(jn.nn.reshape(in_shape), convolutional.encoder),
        jn.chain(convolutional.decoder, jn.flatten(len(in_shape))),
    )


def _reconstruction(config: Any, network: jn.autoencoders.Autoencoder) -> Objective:
    bernoulli = config.loss == "bernoulli"
    return (
        jn.autoencoders.bernoulli_reconstruction if bernoulli else jn.autoencoders.reconstruction
    )(network)


def _of_autoencoder(
    network: jn.autoencoders.Autoencoder,
    objective: Objective,
    pretrain: Callable[[Array], Any] | None = None,
) -> Model:
    return Model(
        lambda optimizer, init=network.init: jn.gradient_learner(init, objective, optimizer),
        objective,
        network.encode,
        lambda params, x: jax.nn.sigmoid(network.apply(params, x)),
        lambda params: _first_kernel(params["encoder"]),
        network,
        pretrain=pretrain,
    )


def _first_kernel(params: Any) -> Array:
    """The kernel of the first layer that has one, in a chain or a chain of chains."""
    if "kernel" in params:
        return params["kernel"]
    first = next(name for name in ("conv_0", "dense_0", "chain_0") if name in params)
    return _first_kernel(params[first])


def _deep_belief(config: Any, dims: Sequence[int], x: Array) -> Model:
    network = jn.autoencoders.mlp_autoencoder(dims, activation=jax.nn.sigmoid)
    rbms = boltzmann.stack(dims, code=boltzmann.GAUSSIAN)
    options = {
        "rate": config.pretrain_rate,
        "batch_size": config.batch_size,
        "num_epochs": config.pretrain_epochs,
    }
    start = functools.partial(pretrain, rbms, x=x, **options)
    return _of_autoencoder(network, _reconstruction(config, network), start)


def _variational(config: Any, dims: Sequence[int]) -> Model:
    network = jn.autoencoders.mlp_variational_autoencoder(
        dims, activation=_ACTIVATIONS[config.activation]
    )
    bound = jn.autoencoders.importance_weighted(network, 1)
    objective = jn.autoencoders.negative_elbo(network)
    if config.binarize:
        objective = jn.with_augmentation(objective, jn.nn.bernoulli_sampling())

    def judge(params: Any, x: Array, key: Array) -> dict[str, Array]:
        def negative(index: Array) -> Array:
            return bound(params, {"x": x}, jax.random.fold_in(key, index))[0]

        return {"elbo": -jax.lax.map(negative, jnp.arange(_BOUND_SAMPLES)).mean()}

    def judge_by_sampling(params: Any, x: Array, key: Array) -> dict[str, Array]:
        values = jn.autoencoders.log_likelihood(
            network, params, x, key, num_samples=config.likelihood_samples
        )
        return {"log_likelihood": values.mean()}

    return Model(
        lambda optimizer: jn.gradient_learner(network.init, objective, optimizer),
        objective,
        network.encode,
        lambda params, x: network.likelihood.mean(network.apply(params, x)),
        lambda params: _first_kernel(params["encoder"]),
        network,
        judge,
        judge_by_sampling if config.likelihood_samples else None,
        lambda params, key, number: jn.autoencoders.sample_prior(
            network, params, key, num_samples=number
        ),
    )


def _boltzmann(config: Any, x: Array) -> Model:
    rbm = boltzmann.RBM(x.shape[1], config.code_dim)
    bias = rbm.data_bias(x)
    init = functools.partial(rbm.init, visible_bias=bias)

    def learner(optimizer: Optimizer) -> jn.Learner:
        if config.persistent_chains:
            divergence = boltzmann.persistent_contrastive_divergence(
                rbm, num_chains=config.persistent_chains, num_steps=config.gibbs_steps
            )
        else:
            divergence = boltzmann.contrastive_divergence(rbm, num_steps=config.gibbs_steps)
        learner = jn.gradient_learner(init, divergence, optimizer)
        learner = jn.Learner(learner.init, _renamed(learner.step))
        if config.binarize:
            learner = jn.training.augmented_learner(learner, jn.nn.bernoulli_sampling())
        return learner

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
        learner,
        None,
        rbm.hidden_mean,
        rbm.reconstruct,
        lambda params: params["kernel"],
        judge_by_sampling=judge_by_sampling if config.ais_betas else None,
        sample=sample,
    )


def _renamed(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Call the error of the rebuilt data what it is called for all other models."""

    def renamed(state: Any, batch: Any) -> Any:
        state, metrics = step(state, batch)
        error = metrics.pop("squared_reconstruction_error")
        return state, metrics | {"squared_error": error}

    return renamed
