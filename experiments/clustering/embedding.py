"""N2D: UMAP on the codes of an autoencoder, on the host, then a Gaussian mixture.

Source: McConville, Santos-Rodriguez, Piechocki, Craddock (2020), "N2D: (Not Too) Deep Clustering
via Clustering the Local Manifold of an Autoencoded Embedding".
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.clustering.config import N2d


def embedding_dim(options: N2d, num_clusters: int) -> int:
    """Numbers to which UMAP reduces a code."""
    return num_clusters if options.embedding_dim == "num_clusters" else options.embedding_dim


def fit_umap(options: N2d, num_clusters: int, codes: np.ndarray, seed: int) -> tuple[Any, Any]:
    """Fit UMAP on codes; the same codes and seed give the same result.

    Args:
        options: number of neighbors, size of the embedding.
        num_clusters: number of clusters.
        codes: `(n, code_dim)`.
        seed: decides the result.

    Returns:
        The fitted reducer, and the embedding of the codes `(n, embedding_dim)`, float32.
    """
    from umap import UMAP  # pyright: ignore[reportMissingImports]

    reducer = UMAP(
        n_neighbors=options.num_neighbors,
        min_dist=0.0,  # as in the paper, whose number of neighbors is 20
        n_components=embedding_dim(options, num_clusters),
        random_state=seed,
        n_jobs=1,
    )
    return reducer, np.asarray(reducer.fit_transform(codes), np.float32)


def split_seed(key: Array) -> tuple[int, Array]:
    """The seed of UMAP, and the key of the mixture."""
    seed_key, key = jax.random.split(key)
    return int(jax.random.randint(seed_key, (), 0, 2**31 - 1)), key


def start(
    options: N2d,
    num_clusters: int,
    network: jn.autoencoders.Autoencoder,
    find: Callable[[Array, Array], Any],
) -> Callable[[Array, Any, Array], Any]:
    """From a key, the parameters of the autoencoder and examples to those with the mixture.

    Args:
        options: of the method.
        num_clusters: number of clusters.
        network: the autoencoder.
        find: from a key and an embedding to the mixture.
    """

    def embed(key: Array, params: Any, x: Array) -> Any:
        codes = np.asarray(jn.predict(network.encode, params, x))
        seed, key = split_seed(key)
        _, embedded = fit_umap(options, num_clusters, codes, seed)
        embedded = jax.device_put(embedded)
        return {"autoencoder": params, "embedding": embedded} | find(key, embedded)

    return embed


def embed_new(
    options: N2d,
    num_clusters: int,
    codes: tuple[Float[np.ndarray, "n code"], Float[np.ndarray, "m code"]],
    key: Array,
    find: Callable[[Array, Array], Any],
    mixture: Any,
) -> Float[np.ndarray, "m embedding"]:
    """The embedding of new codes by UMAP, which is fitted again on the codes of the run.

    Args:
        options: of the method.
        num_clusters: number of clusters.
        codes: those of the run, and new ones.
        key: the key with which the run started.
        find: from a key and an embedding to the mixture.
        mixture: that of the run.

    Raises:
        ValueError: the mixture on the new embedding differs from that of the run, so that UMAP is
            not that of the run.
    """
    seed, key = split_seed(key)
    reducer, embedded = fit_umap(options, num_clusters, codes[0], seed)
    again = find(key, jax.device_put(embedded))["mixture"]
    if not jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, 1e-3, 1e-3), again, mixture)):
        raise ValueError(
            "run: UMAP, fitted again on the data of the run, differs from that of the run, as "
            "packages, processor or data have changed; run the experiment again"
        )
    return np.asarray(reducer.transform(codes[1]), np.float32)
