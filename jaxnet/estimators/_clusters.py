"""Networks and clusters that are learned together: learners, programs and starts of the methods."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet import autoencoders, clustering
from jaxnet.estimators._design import Design, Settings, build_autoencoder, build_learner
from jaxnet.estimators._programs import LIMIT, precision
from jaxnet.estimators._rows import PresentRows, blocks, size_class
from jaxnet.optim import optimizer
from jaxnet.training import evaluation_params, fit
from jaxnet.typing import Params

# Those that end with clusters of the codes of the autoencoder, and those that go on from there.
PRETRAINED_ONLY = ("kmeans", "n2d")
METHODS = ("kmeans", "dec", "idec", "dcn", "vade", "n2d")
# Number that is added to variances of a mixture, in the squared unit of the codes.
_MIN_VARIANCE = {"vade": 0.01, "n2d": 1e-3}


class Clusters(NamedTuple):
    """What is static of a clustering, beside the design of its network.

    Attributes:
        method: one of `METHODS`.
        num_clusters: number of clusters.
        refresh_every: steps between two computations of the targets of DEC and IDEC.
        num_restarts: starts of k-means and of mixtures.
    """

    method: str
    num_clusters: int
    refresh_every: int
    num_restarts: int


def find_clusters(
    clusters: Clusters, codes: np.ndarray, key: np.ndarray, dtype: str
) -> dict[str, Any]:
    """The clusters of codes from which a method starts, or with which it ends.

    k-means and the mixture of VaDE are those of codes that are repeated up to a size that programs
    share, where some count once more than others; k-means then goes on with each code once.

    Args:
        clusters: what is static.
        codes: `(n, code_dim)`, those of VaDE drawn from their posteriors.
        key: data of a key.
        dtype: float32 or float64.
    """
    rows = np.arange(len(codes))
    if clusters.method != "n2d":
        rows = np.resize(rows, size_class(len(codes)))
    with precision(dtype):
        x, start = jax.device_put(codes[rows]), jax.random.wrap_key_data(jax.device_put(key))
        restarts = {"num_restarts": clusters.num_restarts}
        if clusters.method not in _MIN_VARIANCE:
            found = clustering.fit_kmeans(start, x, clusters.num_clusters, **restarts)
            first = jax.device_put((np.arange(len(rows)) < len(codes)).astype(dtype))
            return {"centers": np.asarray(_lloyd(found.centers, x, first))}
        is_prior = clusters.method == "vade"
        mixture = clustering.fit_gaussian_mixture(
            start,
            x,
            clusters.num_clusters,
            covariance="diagonal" if is_prior else "full",
            min_variance=_MIN_VARIANCE[clusters.method],
            **restarts,
        ).mixture
        return jax.device_get(
            {"mixture": clustering.mixture_params(*mixture) if is_prior else tuple(mixture)}
        )


@jax.jit
def _lloyd(centers: Array, x: Array, weight: Array) -> Array:
    """Lloyd's algorithm with weights, until no assignment changes; empty clusters stay."""

    def is_changing(carry: tuple[Array, Array, Array]) -> Array:
        _, labels, old = carry
        return jnp.any(labels != old)

    def move(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        centers, labels, _ = carry
        members = jax.nn.one_hot(labels, len(centers), dtype=x.dtype) * weight[:, None]
        counts = members.sum(axis=0)[:, None]
        means = (members.T @ x) / jnp.maximum(counts, 1)
        centers = jnp.where(counts > 0, means, centers)
        return centers, clustering.assign(centers, x), labels

    labels = clustering.assign(centers, x)
    return jax.lax.while_loop(is_changing, move, (centers, labels, labels - 1))[0]


@functools.lru_cache(LIMIT)
def cluster_program(design: Design, clusters: Clusters) -> Callable[..., Any]:
    """The training of network and clusters together, of their start, settings and rows."""
    batches = PresentRows(design.batch_size)

    def run(start: Params, key: Array, settings: Settings, data: Any) -> Any:
        network = build_autoencoder(design, settings)
        total = batches.num_present_steps(data) * design.num_epochs
        learner = _learner(design, clusters, network, settings, (start, total))
        hooks: Any = ()
        if clusters.method in ("dec", "idec"):
            hooks = ((clusters.refresh_every, clustering.refresh_targets(network)),)
        state, history = fit(
            learner,
            jax.random.wrap_key_data(key),
            data,
            batches=batches,
            num_epochs=design.num_epochs,
            hooks=hooks,
        )
        factor = batches.num_steps(data) / batches.num_present_steps(data)
        return evaluation_params(state), {name: row * factor for name, row in history.items()}

    return jax.jit(run)


def _learner(
    design: Design, clusters: Clusters, network: Any, settings: Settings, start_and_total: Any
) -> Any:
    start, total = start_and_total
    weight = settings["clustering_weight"]
    reconstruction = autoencoders.reconstruction(network, mean=lambda outputs: outputs)

    def init(key: Array) -> Params:
        return start

    if clusters.method == "dcn":
        # Its learner makes its own objective of the reconstruction.
        rate = settings["learning_rate"] if design.schedule else None
        decay = settings["weight_decay"] if design.decays else None
        make = functools.partial(optimizer, design.optimizer, rate, weight_decay=decay)
        return clustering.deep_clustering_network_learner(
            init, network, reconstruction, lambda key: make(key=key), strength=weight
        )
    if clusters.method == "vade":
        objective: Any = clustering.variational_deep_embedding(network)
    else:
        objective = clustering.deep_embedded_clustering(network)
        if clusters.method == "idec":
            objective = clustering.improved_deep_embedded_clustering(
                network, reconstruction, strength=weight
            )
        objective = clustering.with_targets(objective, num_examples=design.num_rows)
    return build_learner(design, settings, objective, init, total)


def train_together(
    design: Design,
    clusters: Clusters,
    start: Params,
    settings: Settings,
    data: dict[str, np.ndarray],
    key: np.ndarray,
) -> tuple[Params, dict[str, np.ndarray]]:
    """Train network and clusters together; the parameters and the history, on the host.

    Args:
        design: of the training.
        clusters: what is static of the clusters.
        start: parameters of the autoencoder and of the clusters.
        settings: numbers.
        data: padded rows.
        key: data of a key.
    """
    with precision(design.dtype):
        return jax.device_get(cluster_program(design, clusters)(start, key, settings, data))


def memberships(method: str, params: dict[str, Any], codes: np.ndarray, dtype: str) -> np.ndarray:
    """Probabilities of the clusters for codes, `(n, num_clusters)`.

    Args:
        method: one of `METHODS`.
        params: with `centers` or `mixture`.
        codes: `(n, code_dim)`.
        dtype: float32 or float64.
    """
    parts = []
    with precision(dtype):
        for block, count in blocks(codes):
            if method == "vade":
                values = _by_prior(params["mixture"], block)
            elif method == "n2d":
                values = _by_mixture(params["mixture"], block)
            else:
                values = _by_distance(block, params["centers"])
            parts.append(np.asarray(values)[:count])
    return np.concatenate(parts)


_by_prior = jax.jit(clustering.mixture_responsibilities)
_by_distance = jax.jit(clustering.student_t_assignments)


@jax.jit
def _by_mixture(mixture: Any, codes: Array) -> Array:
    return clustering.responsibilities(clustering.GaussianMixture(*mixture), codes)


def fit_umap(codes: np.ndarray, num_dims: int, num_neighbors: int, seed: int) -> np.ndarray:
    """The embedding of codes by UMAP, `(n, num_dims)`, on the host.

    Args:
        codes: `(n, code_dim)`.
        num_dims: numbers of an embedded code.
        num_neighbors: codes around each that it takes into account.
        seed: decides the result.
    """
    try:
        from umap import UMAP  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "DeepClusterer: method 'n2d' needs the library UMAP; install the extra umap, or choose "
            f"another method of {', '.join(METHODS)}"
        ) from error
    reducer = UMAP(
        n_neighbors=min(num_neighbors, len(codes) - 1),
        min_dist=0.0,  # as in the paper
        n_components=num_dims,
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(codes), codes.dtype)
