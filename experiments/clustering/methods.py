"""The methods of experiments.clustering: how each starts, how it learns, and what it says."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from jaxnet import clustering
from jaxnet.autoencoders.variational import posterior_noise, reparameterize
from jaxnet.training.hooks import Hooks
from jaxnet.typing import Objective, Optimizer

DEEP = ("autoencoder_kmeans", "dec", "idec", "dcn", "vade", "n2d")
# From a key and codes to the parameters of the clusters, by name; and from a key, the parameters of
# the autoencoder, and examples.
FindInCodes = Callable[[Array, Array], Any]
Find = Callable[[Array, Any, Array], Any]
_ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu}
# As DEC-DA: pictures of digits, that stay what they are.
_SHIFT, _ROTATION, _SCALE = 0.1, 10.0, 0.1


class Method(NamedTuple):
    """A way to cluster examples, given as vectors.

    Attributes:
        network: the autoencoder; None where the codes are the examples themselves.
        pretrain: from an optimizer to what trains the autoencoder first; None without one.
        start: `(key, autoencoder's parameters, x)` to the parameters of the clustering.
        codes: `(params, x) -> codes`.
        memberships: `(params, codes)` to probabilities of the clusters, `(n, k)`.
        learner: `(optimizer, num_examples, init)` to what trains network and clusters together,
            where `init(key)` are parameters of `start`; None where the method ends with these.
        hooks: from the number of examples to the hooks of that training.
    """

    network: jn.autoencoders.Autoencoder | None
    pretrain: Callable[[Optimizer], jn.Learner] | None
    start: Callable[[Array, Any, Array], Any]
    codes: Callable[[Any, Array], Array]
    memberships: Callable[[Any, Array], Array]
    learner: Callable[[Optimizer, int, Callable[[Array], Any]], jn.Learner] | None = None
    hooks: Callable[[int], Hooks] = lambda num_examples: ()


def build_method(
    config: Any,
    num_features: int,
    in_shape: Sequence[int],
    *,
    mean: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Method:
    """The method of a resolved config of `experiments.clustering`.

    Args:
        config: the options.
        num_features: size of an example as a vector.
        in_shape: the shape of one example, for changes of pictures.
        mean: from outputs to the reconstruction, as in `autoencoders.reconstruction`.

    Raises:
        ValueError: an option out of range.
    """
    if config.method == "kmeans":
        return Method(None, None, _of_examples(_centers(config)), _same, _by_distance)
    if config.method == "gmm":
        return Method(None, None, _of_examples(_mixture(config)), _same, _by_mixture)
    dims = [num_features, *config.hidden_dims, config.code_dim]
    activation = _ACTIVATIONS[config.activation]
    if config.method == "vade":
        likelihood = jn.autoencoders.bernoulli_likelihood()
        if config.output_std:
            likelihood = jn.autoencoders.gaussian_likelihood(config.output_std, mean=mean)
        network = jn.autoencoders.mlp_variational_autoencoder(
            dims, activation=activation, likelihood=likelihood
        )
        find = _of_codes(network, _prior(config))
        recluster = _of_drawn_codes(network, _prior(config))
    else:
        network = jn.autoencoders.mlp_autoencoder(dims, activation=activation)
        find = recluster = _of_codes(network, _centers(config))
    change = _changing(config, in_shape)
    reconstruction = jn.autoencoders.reconstruction(network, mean=mean)
    # Without its key a variational autoencoder rebuilds from the mean of the code.
    pretraining = _without_key(reconstruction) if config.method == "vade" else reconstruction

    def pretrain(optimizer: Optimizer) -> jn.Learner:
        return change(jn.gradient_learner(network.init, pretraining, optimizer))

    def train(optimizer: Optimizer, num_examples: int, init: Callable[[Array], Any]) -> jn.Learner:
        return change(
            _build_learner(config, network, reconstruction, init, optimizer, num_examples)
        )

    def hooks(num_examples: int) -> Hooks:
        return _hooks(config, network, recluster, num_examples // config.batch_size)

    def start(key: Array, params: Any, x: Array) -> Any:
        return {"autoencoder": params} | find(key, params, x)

    method = Method(network, pretrain, start, _codes(network), _by_distance, train, hooks)
    match config.method:
        case "autoencoder_kmeans":
            return method._replace(learner=None)
        case "n2d":
            embed = _start_embedding(config, network)
            return method._replace(
                start=embed, codes=_embedding, memberships=_by_mixture, learner=None
            )
        case "vade":
            return method._replace(memberships=_by_prior)
    return method


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


def _centers(config: Any) -> FindInCodes:
    def find(key: Array, codes: Array) -> Any:
        found = clustering.fit_kmeans(
            key, codes, config.num_clusters, num_restarts=config.num_restarts
        )
        return {"centers": found.centers}

    return find


def _mixture(config: Any) -> FindInCodes:
    def find(key: Array, codes: Array) -> Any:
        fitted = clustering.fit_gaussian_mixture(
            key,
            codes,
            config.num_clusters,
            covariance="diagonal" if config.method == "vade" else config.covariance,
            num_restarts=config.num_restarts,
            min_variance=config.min_variance,
        )
        return {"mixture": fitted.mixture}

    return find


def _prior(config: Any) -> FindInCodes:
    find = _mixture(config)
    return lambda key, codes: {"mixture": clustering.mixture_params(*find(key, codes)["mixture"])}


def _of_examples(find: FindInCodes) -> Find:
    return lambda key, params, x: find(key, x)


def _of_codes(network: jn.autoencoders.Autoencoder, find: FindInCodes) -> Find:
    return lambda key, params, x: find(key, jn.predict(network.encode, params, x))


def _of_drawn_codes(network: jn.autoencoders.VariationalAutoencoder, find: FindInCodes) -> Find:
    """From codes drawn from their posteriors, as wide as a prior has to be."""

    def posterior(params: Any, x: Array) -> Array:
        return jnp.concatenate(network.posterior(params, x), axis=-1)

    def find_in_drawn(key: Array, params: Any, x: Array) -> Any:
        mean, log_variance = jnp.split(jn.predict(posterior, params, x), 2, axis=-1)
        noise_key, key = jax.random.split(key)
        noise = posterior_noise(noise_key, mean)
        return find(key, reparameterize(mean, log_variance, noise))

    return find_in_drawn


def _start_embedding(
    config: Any, network: jn.autoencoders.Autoencoder
) -> Callable[[Array, Any, Array], Any]:
    """N2D: UMAP on the codes, on the host, then a Gaussian mixture. McConville et al. (2020)."""
    from umap import UMAP  # pyright: ignore[reportMissingImports]

    def embed(codes: np.ndarray, seed: np.ndarray) -> np.ndarray:
        reducer = UMAP(
            n_neighbors=config.num_neighbors,
            min_dist=0.0,  # as in the paper, whose number of neighbors is 20
            n_components=config.embedding_dim,
            random_state=int(seed),
            n_jobs=1,
        )
        return np.asarray(reducer.fit_transform(np.asarray(codes)), np.float32)

    find = _mixture(config)

    def start(key: Array, params: Any, x: Array) -> Any:
        codes = np.asarray(jn.predict(network.encode, params, x))
        seed_key, key = jax.random.split(key)
        seed = np.asarray(jax.random.randint(seed_key, (), 0, 2**31 - 1))
        embedding = jnp.asarray(embed(codes, seed))
        return {"embedding": embedding} | find(key, embedding)

    return start


def _without_key(objective: Objective) -> Objective:
    return lambda params, batch, key: objective(params, batch, None)


def _changing(config: Any, in_shape: Sequence[int]) -> Callable[[jn.Learner], jn.Learner]:
    """Let a learner see changed pictures, where that is asked for."""
    if not config.augment:
        return lambda learner: learner
    augmentation = jn.random_affine(
        in_shape, max_shift=_SHIFT, max_rotation=_ROTATION, max_scale=_SCALE
    )
    return lambda learner: jn.training.augmented_learner(learner, augmentation)


def _hooks(config: Any, network: Any, recluster: Find, steps_per_epoch: int) -> Hooks:
    """Targets of DEC and IDEC; soft resets with new clusters (BRB), which new targets follow."""
    hooks: list[Any] = []
    targets = config.method in ("dec", "idec")
    if targets:
        hooks.append((config.refresh_every, clustering.refresh_targets(network)))
    if config.reset:
        every = config.reset_every * steps_per_epoch
        reset = clustering.reset_and_recluster(network, recluster, factor=config.reset_factor)
        hooks.append((every, reset, every))
        if targets:
            hooks.append((every, clustering.refresh_targets(network), every))
    return hooks


def _build_learner(
    config: Any,
    network: Any,
    reconstruction: Objective,
    init: Callable[[Array], Any],
    optimizer: Optimizer,
    num_examples: int,
) -> jn.Learner:
    """What trains network and clusters together."""
    match config.method:
        case "dcn":
            return clustering.deep_clustering_network_learner(
                init, network, reconstruction, optimizer, strength=config.strength
            )
        case "vade":
            objective = clustering.variational_deep_embedding(network)
            return jn.gradient_learner(init, objective, optimizer)
        case "idec":
            objective = clustering.improved_deep_embedded_clustering(
                network, reconstruction, strength=config.strength
            )
        case _:
            objective = clustering.deep_embedded_clustering(network)
    objective = clustering.with_targets(objective, num_examples=num_examples)
    return jn.gradient_learner(init, objective, optimizer)


def start_all(method: Method, keys: Array, params: Any, x: Float[Array, "n features"]) -> Any:
    """The parameters with which the clustering of each network starts, stacked.

    Networks take turns, so that the memory is that of one.

    Args:
        method: the method.
        keys: one for each network.
        params: of the trained autoencoders, stacked; None where there are none.
        x: the examples.
    """
    # UMAP runs outside of JAX.
    start = method.start if method.codes is _embedding else jax.jit(method.start)
    starts = [
        start(
            key,
            None if params is None else jax.tree.map(lambda leaf, i=index: leaf[i], params),
            x,
        )
        for index, key in enumerate(keys)
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)


class Clustered(NamedTuple):
    """What all networks make of the data, on the host.

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
    """Codes and clusters of all examples by each network, which take turns.

    Args:
        method: the method.
        params: of `start_all` or trained, stacked.
        x: the examples.
    """
    codes, memberships = [], []
    for index in range(len(jax.tree.leaves(params)[0])):
        own = jax.tree.map(lambda leaf, i=index: leaf[i], params)
        found = jax.device_get(_codes_and_memberships(method, own, x))
        # Of examples that are their own codes one copy is enough.
        codes.append(codes[0] if codes and method.network is None else found[0])
        memberships.append(found[1])
    return Clustered(codes, np.stack([each.argmax(axis=1) for each in memberships]), memberships[0])
