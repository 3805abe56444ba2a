"""The methods of experiments.clustering: start, training, codes and memberships of each."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.clustering import embedding
from experiments.clustering.config import (
    AutoencoderKMeans,
    Config,
    Dcn,
    Dec,
    Deep,
    GaussianMixture,
    Idec,
    KMeans,
    N2d,
    Vade,
)
from experiments.placement import Placement
from experiments.precision import autoencoder_in_precision, scaled, scaling
from experiments.training import batch_size, network_at
from jaxnet import clustering
from jaxnet.autoencoders.variational import posterior_noise, reparameterize
from jaxnet.training.hooks import Hooks
from jaxnet.typing import Objective, Optimizer

# From a key and codes to the parameters of the clusters, by name; and from a key, the parameters of
# the autoencoder, and examples.
FindInCodes = Callable[[Array, Array], Any]
Find = Callable[[Array, Any, Array], Any]
_ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu}
# As DEC-DA: changes that leave the class of a digit as it is.
_SHIFT, _ROTATION, _SCALE = 0.1, 10.0, 0.1


class Method(NamedTuple):
    """A way to cluster examples, given as vectors.

    Attributes:
        network: the autoencoder; None where the codes are the examples themselves.
        pretrain: from an optimizer to the learner of the autoencoder alone; None without one.
        start: `(key, autoencoder's parameters, x)` to the parameters of the clustering.
        codes: `(params, x) -> codes`.
        memberships: `(params, codes)` to probabilities of the clusters, `(n, k)`.
        learner: `(optimizer, num_examples, init)` to the learner of network and clusters together,
            where `init(key)` are parameters of `start`; None where the method ends with these.
        hooks: from the number of examples to the hooks of that training.
        on_host: whether `start` computes on the host and cannot be compiled.
    """

    network: jn.autoencoders.Autoencoder | None
    pretrain: Callable[[Optimizer], jn.Learner] | None
    start: Find
    codes: Callable[[Any, Array], Array]
    memberships: Callable[[Any, Array], Array]
    learner: Callable[[Optimizer, int, Callable[[Array], Any]], jn.Learner] | None = None
    hooks: Callable[[int], Hooks] = lambda num_examples: ()
    on_host: bool = False


def build_method(
    config: Config,
    in_shape: Sequence[int],
    *,
    mean: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Method:
    """The method of a config.

    Args:
        config: the options.
        in_shape: the shape of one example, before it is a vector.
        mean: from outputs to the reconstruction, as in `autoencoders.reconstruction`.

    Raises:
        ValueError: an option out of range.
    """
    options, num_clusters = config.method, config.num_clusters
    num_features = int(np.prod(in_shape))
    if isinstance(options, KMeans):
        find = _of_examples(_centers(options.num_restarts, num_clusters))
        return Method(None, None, find, _same, _by_distance)
    if isinstance(options, GaussianMixture):
        find = _of_examples(find_mixture(options, num_clusters))
        return Method(None, None, find, _same, _by_mixture)
    dims = [num_features, *options.hidden_dims, options.code_dim]
    activation = _ACTIVATIONS[options.activation]
    if isinstance(options, Vade):
        likelihood = jn.autoencoders.bernoulli_likelihood()
        if options.output_std:
            likelihood = jn.autoencoders.gaussian_likelihood(options.output_std, mean=mean)
        network = jn.autoencoders.mlp_variational_autoencoder(
            dims, activation=activation, likelihood=likelihood
        )
        network = autoencoder_in_precision(config, network)
        prior = _prior(options, num_clusters)
        find, recluster = _of_codes(network, prior), _of_drawn_codes(network, prior)
    else:
        network = jn.autoencoders.mlp_autoencoder(dims, activation=activation)
        network = autoencoder_in_precision(config, network)
        find = _of_codes(network, _centers(options.num_restarts, num_clusters))
        recluster = find
    change = _changing(options.augment, in_shape)
    reconstruction = jn.autoencoders.reconstruction(network, mean=mean)
    # Without its key a variational autoencoder reconstructs from the mean of the code.
    variational = isinstance(options, Vade)
    pretraining = _without_key(reconstruction) if variational else reconstruction

    def pretrain(optimizer: Optimizer) -> jn.Learner:
        return change(jn.gradient_learner(network.init, scaled(config, pretraining), optimizer))

    def start(key: Array, params: Any, x: Array) -> Any:
        return {"autoencoder": params} | find(key, params, x)

    method = Method(network, pretrain, start, _codes(network), _by_distance)
    if isinstance(options, AutoencoderKMeans):
        return method
    if isinstance(options, N2d):
        embed = embedding.start(options, num_clusters, network, find_mixture(options, num_clusters))
        return method._replace(start=embed, codes=_embedding, memberships=_by_mixture, on_host=True)

    def learner(
        optimizer: Optimizer, num_examples: int, init: Callable[[Array], Any]
    ) -> jn.Learner:
        objective = (config, options, network, reconstruction)
        return change(_build_learner(*objective, init, optimizer, num_examples))

    def hooks(num_examples: int) -> Hooks:
        return _hooks(options, network, recluster, num_examples)

    method = method._replace(learner=learner, hooks=hooks)
    return method._replace(memberships=_by_prior) if variational else method


def _same(params: Any, x: Array) -> Array:
    return x


def _codes(network: jn.autoencoders.Autoencoder) -> Callable[[Any, Array], Array]:
    return lambda params, x: jn.predict(network.encode, params["autoencoder"], x)


def _embedding(params: Any, x: Array) -> Array:
    return params["embedding"]


def _by_distance(params: Any, codes: Array) -> Array:
    return clustering.student_t_assignments(codes, params["centers"])


def _by_mixture(params: Any, codes: Array) -> Array:
    return clustering.responsibilities(params["mixture"], codes)


def _by_prior(params: Any, codes: Array) -> Array:
    return clustering.mixture_responsibilities(params["mixture"], codes)


def _centers(num_restarts: int, num_clusters: int) -> FindInCodes:
    def find(key: Array, codes: Array) -> Any:
        result = clustering.fit_kmeans(key, codes, num_clusters, num_restarts=num_restarts)
        return {"centers": result.centers}

    return find


def find_mixture(options: GaussianMixture | N2d, num_clusters: int) -> FindInCodes:
    """From a key and codes to the Gaussian mixture of a method."""
    return _mixture(options, num_clusters, options.covariance)


def _mixture(
    options: GaussianMixture | N2d | Vade, num_clusters: int, covariance: Any
) -> FindInCodes:
    def find(key: Array, codes: Array) -> Any:
        fitted = clustering.fit_gaussian_mixture(
            key,
            codes,
            num_clusters,
            covariance=covariance,
            num_restarts=options.num_restarts,
            min_variance=options.min_variance,
        )
        return {"mixture": fitted.mixture}

    return find


def _prior(options: Vade, num_clusters: int) -> FindInCodes:
    find = _mixture(options, num_clusters, "diagonal")
    return lambda key, codes: {"mixture": clustering.mixture_params(*find(key, codes)["mixture"])}


def _of_examples(find: FindInCodes) -> Find:
    return lambda key, params, x: find(key, x)


def _of_codes(network: jn.autoencoders.Autoencoder, find: FindInCodes) -> Find:
    return lambda key, params, x: find(key, jn.predict(network.encode, params, x))


def _of_drawn_codes(network: jn.autoencoders.VariationalAutoencoder, find: FindInCodes) -> Find:
    """From codes that are drawn from their posteriors, whose spread the prior must cover."""

    def posterior(params: Any, x: Array) -> Array:
        return jnp.concatenate(network.posterior(params, x), axis=-1)

    def find_in_drawn(key: Array, params: Any, x: Array) -> Any:
        mean, log_variance = jnp.split(jn.predict(posterior, params, x), 2, axis=-1)
        noise_key, key = jax.random.split(key)
        noise = posterior_noise(noise_key, mean)
        return find(key, reparameterize(mean, log_variance, noise))

    return find_in_drawn


def _without_key(objective: Objective) -> Objective:
    return lambda params, batch, key: objective(params, batch, None)


def _changing(augment: bool, in_shape: Sequence[int]) -> Callable[[jn.Learner], jn.Learner]:
    """Augment the images of a learner, where that is asked for."""
    if not augment:
        return lambda learner: learner
    augmentation = jn.random_affine(
        in_shape, max_shift=_SHIFT, max_rotation=_ROTATION, max_scale=_SCALE
    )
    return lambda learner: jn.training.augmented_learner(learner, augmentation)


def _hooks(options: Deep, network: Any, recluster: Find, num_examples: int) -> Hooks:
    """Targets of DEC and IDEC; soft resets with new clusters (BRB), which new targets follow."""
    hooks: list[Any] = []
    targets = isinstance(options, Dec | Idec)
    if targets:
        hooks.append((options.refresh_every, clustering.refresh_targets(network)))
    if options.reset:
        every = options.reset_every * (num_examples // batch_size(options, num_examples))
        reset = clustering.reset_and_recluster(network, recluster, factor=options.reset_factor)
        hooks.append((every, reset, every))
        if targets:
            hooks.append((every, clustering.refresh_targets(network), every))
    return hooks


def _build_learner(
    config: Config,
    options: Deep,
    network: Any,
    reconstruction: Objective,
    init: Callable[[Array], Any],
    optimizer: Optimizer,
    num_examples: int,
) -> jn.Learner:
    """The learner of network and clusters together."""
    if isinstance(options, Dcn):
        return clustering.deep_clustering_network_learner(
            init,
            network,
            reconstruction,
            optimizer,
            strength=options.clustering_weight,
            transform=scaling(config),
        )
    if isinstance(options, Vade):
        objective = clustering.variational_deep_embedding(network)
        return jn.gradient_learner(init, scaled(config, objective), optimizer)
    if isinstance(options, Idec):
        objective = clustering.improved_deep_embedded_clustering(
            network, reconstruction, strength=options.clustering_weight
        )
    else:
        assert isinstance(options, Dec)
        objective = clustering.deep_embedded_clustering(network)
    objective = clustering.with_targets(objective, num_examples=num_examples)
    return jn.gradient_learner(init, scaled(config, objective), optimizer)


def start_all(method: Method, keys: Array, params: Any, x: Array, placement: Placement) -> Any:
    """The parameters with which the clustering of each network starts, stacked.

    One network after the other, so that memory is needed for one only; with several devices along
    `run`, one at a time on each of them.

    Args:
        method: the method.
        keys: one for each network.
        params: of the trained autoencoders, stacked; None where there are none.
        x: the examples, `(n, features)`.
        placement: how the networks are spread over devices.
    """
    width = 1 if method.on_host else placement.shape("run")
    if width > 1:
        start_each = jax.jit(jax.vmap(method.start, (0, 0, None)))
        chunks = [
            start_each(*placement.over_runs((keys[rows], network_at(params, rows))), x)
            for rows in np.arange(len(keys)).reshape(-1, width)
        ]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *chunks)
    start = method.start if method.on_host else jax.jit(method.start)
    starts = [start(key, network_at(params, index), x) for index, key in enumerate(keys)]
    stack = jax.jit(lambda *trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees))
    return stack(*starts)


class Clustered(NamedTuple):
    """Codes and clusters of examples by all networks, on the host.

    Attributes:
        codes: of each network, `(n, code)`.
        clusters: `(networks, n)`.
        memberships: probabilities of the clusters by the first network, `(n, k)`.
    """

    codes: list[np.ndarray]
    clusters: np.ndarray
    memberships: np.ndarray


@functools.partial(jax.jit, static_argnums=0)
def _codes_and_memberships(method: Method, params: Any, x: Array) -> tuple[Array, Array]:
    codes = method.codes(params, x)
    return codes, method.memberships(params, codes)


def cluster(method: Method, params: Any, x: Float[Array, "n features"]) -> Clustered:
    """Codes and clusters of all examples by each network, one after the other.

    Args:
        method: the method.
        params: of `start_all` or trained, stacked.
        x: the examples.
    """
    codes, memberships = [], []
    for index in range(len(jax.tree.leaves(params)[0])):
        of_network = network_at(params, index)
        code, membership = jax.device_get(_codes_and_memberships(method, of_network, x))
        # Examples that are their own codes are kept once.
        codes.append(codes[0] if codes and method.network is None else code)
        memberships.append(membership)
    clusters = np.stack([membership.argmax(axis=1) for membership in memberships])
    return Clustered(codes, clusters, memberships[0])
