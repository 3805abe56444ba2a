"""Clusters of new examples, by the networks of a finished run of experiments.clustering."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.clustering import embedding
from experiments.clustering.config import Config, N2d
from experiments.clustering.inputs import example_shape, load_data, scale_inputs
from experiments.clustering.methods import Clustered, build_method, cluster, find_mixture
from experiments.model import SavedModel
from experiments.prepare import is_text
from experiments.training import network_at, seed_keys


def output_mean(config: Config) -> Callable[[jax.Array], jax.Array]:
    """From outputs to reconstructed examples in [0, 1]; weights of words are not bounded by 1."""
    return (lambda outputs: outputs) if is_text(config) else jax.nn.sigmoid


class _Start:
    """The structure of saved parameters, as the `init` of a network.

    Args:
        init: from a key to parameters.
    """

    def __init__(self, init: Callable[[jax.Array], Any]) -> None:
        self.init = init


def build_network(config: Config, in_shape: Sequence[int], num_classes: int) -> _Start:
    """Network and clusters of a config; `init(key)` has the structure of the saved parameters."""
    shape = example_shape(tuple(in_shape))
    method = build_method(config, shape, mean=output_mean(config))
    # As many examples as clusters, at least: only the structure matters.
    size = config.num_clusters + 1
    x = jnp.zeros((size, int(np.prod(shape))))

    def init(key: jax.Array) -> Any:
        params = None if method.network is None else method.network.init(key)
        if isinstance(config.method, N2d):
            width = embedding.embedding_dim(config.method, config.num_clusters)
            found = find_mixture(config.method, config.num_clusters)(key, jnp.zeros((size, width)))
            return {"autoencoder": params} | found
        return method.start(key, params, x)

    return _Start(init)


def predict(config: Config, model: SavedModel, x: np.ndarray) -> dict[str, np.ndarray]:
    """Clusters and memberships of new examples.

    The numbers of clusters are those of the run. Networks number their clusters differently, so
    memberships are those of the first network, which is the one in the report.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled inputs `(n, features)`.

    Returns:
        `cluster` and `membership` (of that cluster) by the first network, its membership in every
        cluster, and the cluster by each other network, `(n,)` each.

    Raises:
        ValueError: n2d, whose UMAP cannot be fitted again as in the run.
    """
    if isinstance(config.method, N2d):
        clustered = _by_embedding(config, model, x)
    else:
        method = build_method(config, example_shape(model.in_shape), mean=output_mean(config))
        clustered = cluster(method, model.params, jax.device_put(x))
    columns = {
        "cluster": clustered.clusters[0],
        "membership": clustered.memberships.max(axis=1),
    }
    columns |= {
        f"membership in {index}": values for index, values in enumerate(clustered.memberships.T)
    }
    return columns | {
        f"cluster by network {index}": clusters
        for index, clusters in enumerate(clustered.clusters)
        if index > 0
    }


def _by_embedding(config: Config, model: SavedModel, x: np.ndarray) -> Clustered:
    """Clusters by N2D: UMAP is fitted again on the codes of the run, and embeds the new ones."""
    options = config.method
    assert isinstance(options, N2d)
    method = build_method(config, example_shape(model.in_shape), mean=output_mean(config))
    network = method.network
    assert network is not None
    of_run = scale_inputs(config, model.inputs, load_data(config).inputs)
    embedded, memberships = [], []
    for index, key in enumerate(seed_keys(config, "start")):
        params = network_at(model.params, index)
        old, new = (
            np.asarray(jn.predict(network.encode, params["autoencoder"], jax.device_put(rows)))
            for rows in (of_run, x)
        )
        embedded.append(
            embedding.embed_new(
                options,
                config.num_clusters,
                (old, new),
                key,
                find_mixture(options, config.num_clusters),
                params["mixture"],
            )
        )
        memberships.append(np.asarray(method.memberships(params, jax.device_put(embedded[-1]))))
    clusters = np.stack([each.argmax(axis=1) for each in memberships])
    return Clustered(embedded, clusters, memberships[0])
