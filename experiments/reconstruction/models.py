"""The models of experiments.reconstruction: networks, learners, and their evaluation."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.precision import autoencoder_in_precision, scaled
from experiments.reconstruction.config import (
    AutoencoderOptions,
    Config,
    Contractive,
    DeepBelief,
    Denoising,
    Rbm,
    Sparse,
    Vae,
)
from jaxnet import boltzmann
from jaxnet.typing import Objective, Optimizer

_ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu, "sigmoid": jax.nn.sigmoid}
_NOISES = {
    "masking": jn.nn.masking_noise,
    "gaussian": jn.nn.gaussian_noise,
    "salt_and_pepper": jn.nn.salt_and_pepper_noise,
}
_BOUND_SAMPLES, _GIBBS_STEPS, _AIS_CHAINS = 10, 2000, 100

Init = Callable[[Array], Any]
Evaluate = Callable[[Any, Array, Array], dict[str, Array]]


class Model(NamedTuple):
    """A model that reconstructs examples, given as vectors of numbers in [0, 1].

    Attributes:
        init: `init(key) -> params`, where the networks start.
        learner: `(optimizer, init)` to the learner of the model.
        loss: the objective on validation data, without the penalty; None where the model has none
            that can be compared.
        encode: `(params, x) -> codes`, with nothing drawn at random.
        reconstruct: `(params, x)` to reconstructions in [0, 1], with nothing drawn at random.
        first_kernel: from parameters to the kernel of the first layer, `(*inputs, units)`.
        network: the autoencoder, or None.
        evaluate: `(params, x, key)` to more metrics of test examples, one number each, or None.
        evaluate_by_sampling: the same for log-probabilities, which take long; None where no option
            asks for them.
        sample: `(params, key, number)` to examples that the model draws, or None.
        rbms: the machines with which the networks are pretrained, from the first layer to the code.
    """

    init: Init
    learner: Callable[[Optimizer, Init], jn.Learner]
    loss: Objective | None
    encode: Callable[[Any, Array], Array]
    reconstruct: Callable[[Any, Array], Array]
    first_kernel: Callable[[Any], Array]
    network: jn.autoencoders.Autoencoder | None = None
    evaluate: Evaluate | None = None
    evaluate_by_sampling: Evaluate | None = None
    sample: Callable[[Any, Array, int], Array] | None = None
    rbms: Sequence[boltzmann.RBM] = ()


def build_model(config: Config, x: Float[Array, "n features"], in_shape: Sequence[int]) -> Model:
    """The model of a options.

    Args:
        config: the options.
        x: the training examples as vectors, from which the biases of a machine start.
        in_shape: the shape of one example, for convolutions.

    Raises:
        ValueError: an option out of range.
    """
    options = config.model
    if isinstance(options, Rbm):
        return _boltzmann(options, x)
    dims = [x.shape[1], *options.hidden_dims, options.code_dim]
    if isinstance(options, Vae):
        return _variational(config, options, dims)
    if isinstance(options, DeepBelief):
        network = jn.autoencoders.mlp_autoencoder(dims, activation=jax.nn.sigmoid)
        network = autoencoder_in_precision(config, network)
        model = _of_autoencoder(config, network, _reconstruction(options.loss, network))
        return model._replace(rbms=boltzmann.stack(dims, code=boltzmann.GAUSSIAN))
    network = _autoencoder(options, dims, in_shape)
    tied = options.tied and not options.channels
    network = autoencoder_in_precision(config, network, tied=tied)
    objective = _reconstruction(options.loss, network)
    if isinstance(options, Denoising):
        objective = jn.with_noise(objective, _NOISES[options.noise_kind](options.noise))
    elif isinstance(options, Sparse) and options.sparsity_penalty == "l1":
        objective = jn.autoencoders.with_l1_sparsity(objective, network, options.sparsity_weight)
    elif isinstance(options, Sparse):
        objective = jn.autoencoders.with_kl_sparsity(
            objective, network, options.sparsity_weight, target=options.sparsity_target
        )
    elif isinstance(options, Contractive):
        objective = jn.autoencoders.with_contraction(
            objective, network, options.contraction_weight, num_probes=1
        )
    return _of_autoencoder(config, network, objective)


def _autoencoder(
    options: AutoencoderOptions, dims: Sequence[int], in_shape: Sequence[int]
) -> jn.autoencoders.Autoencoder:
    activation = _ACTIVATIONS[options.activation]
    code_activation = jax.nn.sigmoid if isinstance(options, Sparse | Contractive) else None
    if not options.channels:
        return jn.autoencoders.mlp_autoencoder(
            dims, activation=activation, code_activation=code_activation, tied=options.tied
        )
    if options.tied:
        raise ValueError("tied is for dense layers, found channels too; leave one of them out")
    convolutional = jn.autoencoders.cnn_autoencoder(
        in_shape,
        options.channels,
        dims[1:],
        activation=activation,
        code_activation=code_activation,
    )
    # All models take vectors.
    return jn.autoencoders.autoencoder(
        jn.chain(jn.nn.reshape(in_shape), convolutional.encoder),
        jn.chain(convolutional.decoder, jn.flatten(len(in_shape))),
    )


def _reconstruction(loss: str, network: jn.autoencoders.Autoencoder) -> Objective:
    if loss == "bernoulli":
        return jn.autoencoders.bernoulli_reconstruction(network)
    return jn.autoencoders.reconstruction(network)


def _of_autoencoder(
    config: Config, network: jn.autoencoders.Autoencoder, objective: Objective
) -> Model:
    return Model(
        network.init,
        _gradient_learner(config, objective),
        objective,
        network.encode,
        lambda params, x: jax.nn.sigmoid(network.apply(params, x)),
        lambda params: _first_kernel(params["encoder"]),
        network,
    )


def _gradient_learner(
    config: Config, objective: Objective
) -> Callable[[Optimizer, Init], jn.Learner]:
    """From an optimizer and a start to the learner of an objective and the penalty of a config."""
    if config.l2_weight:
        objective = jn.with_l2(objective, config.l2_weight)
    return lambda optimizer, init: jn.gradient_learner(init, scaled(config, objective), optimizer)


def _first_kernel(params: Any) -> Array:
    """The kernel of the first layer that has one, in a chain or a chain of chains."""
    if "kernel" in params:
        return params["kernel"]
    first = next(name for name in ("conv_0", "dense_0", "chain_0") if name in params)
    return _first_kernel(params[first])


def _variational(config: Config, options: Vae, dims: Sequence[int]) -> Model:
    network = jn.autoencoders.mlp_variational_autoencoder(
        dims, activation=_ACTIVATIONS[options.activation]
    )
    network = autoencoder_in_precision(config, network)
    bound = jn.autoencoders.importance_weighted(network, 1)
    objective = jn.autoencoders.negative_elbo(network)
    if options.binarize:
        objective = jn.with_augmentation(objective, jn.nn.bernoulli_sampling())

    def evaluate(params: Any, x: Array, key: Array) -> dict[str, Array]:
        def negative(index: Array) -> Array:
            return bound(params, {"x": x}, jax.random.fold_in(key, index))[0]

        _, parts = objective(params, {"x": x}, key)
        elbo = -jax.lax.map(negative, jnp.arange(_BOUND_SAMPLES)).mean()
        return {"elbo": elbo, "kl": parts["kl"]}

    def evaluate_by_sampling(params: Any, x: Array, key: Array) -> dict[str, Array]:
        values = jn.autoencoders.log_likelihood(
            network, params, x, key, num_samples=options.likelihood_samples
        )
        return {"log_likelihood": values.mean()}

    return Model(
        network.init,
        _gradient_learner(config, objective),
        objective,
        network.encode,
        lambda params, x: network.likelihood.mean(network.apply(params, x)),
        lambda params: _first_kernel(params["encoder"]),
        network,
        evaluate,
        evaluate_by_sampling if options.likelihood_samples else None,
        lambda params, key, number: jn.autoencoders.sample_prior(
            network, params, key, num_samples=number
        ),
    )


def _boltzmann(options: Rbm, x: Array) -> Model:
    rbm = boltzmann.RBM(x.shape[1], options.code_dim)
    bias = rbm.data_bias(x)

    def learner(optimizer: Optimizer, init: Init) -> jn.Learner:
        if options.persistent_chains:
            divergence = boltzmann.persistent_contrastive_divergence(
                rbm, num_chains=options.persistent_chains, num_steps=options.gibbs_steps
            )
        else:
            divergence = boltzmann.contrastive_divergence(rbm, num_steps=options.gibbs_steps)
        learner = jn.gradient_learner(init, divergence, optimizer)
        learner = jn.Learner(learner.init, _renamed(learner.step))
        if options.binarize:
            learner = jn.training.augmented_learner(learner, jn.nn.bernoulli_sampling())
        return learner

    def evaluate_by_sampling(params: Any, x: Array, key: Array) -> dict[str, Array]:
        estimate = boltzmann.annealed_importance_sampling(
            rbm,
            params,
            key,
            base_bias=bias,
            betas=boltzmann.annealing_schedule(options.ais_betas),
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
        learner,
        None,
        rbm.hidden_mean,
        rbm.reconstruct,
        lambda params: params["kernel"],
        evaluate_by_sampling=evaluate_by_sampling if options.ais_betas else None,
        sample=sample,
    )


def _renamed(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Rename the error of the reconstruction as for all other models."""

    def renamed(state: Any, batch: Any) -> Any:
        state, metrics = step(state, batch)
        error = metrics.pop("squared_reconstruction_error")
        return state, metrics | {"squared_error": error}

    return renamed
