"""Codes of a whole data set, their initial centers and their clusters, for deep clustering."""

from jaxtyping import Array, Float, Int, Shaped

from jaxnet.clustering.kmeans import KMeans, assign, fit_kmeans
from jaxnet.objectives.weighting import widen
from jaxnet.training.prediction import predict
from jaxnet.typing import Apply, Params


def flat_codes(codes: Float[Array, "n *code"]) -> Float[Array, "n dim"]:
    """Flatten codes to vectors.

    Args:
        codes: codes of any shape, `(n, ...)`.

    Returns:
        The codes, `(n, dim)`, in float32 or wider.

    >>> import jax.numpy as jnp
    >>> flat_codes(jnp.ones((5, 2, 3))).shape
    (5, 6)
    """
    return widen(codes).reshape(len(codes), -1)


def encode_all(
    encode: Apply, params: Params, x: Shaped[Array, "n ..."], *, batch_size: int = 1024
) -> Float[Array, "n dim"]:
    """Encode a whole data set in batches of one fixed size, as vectors.

    Args:
        encode: `encode(params, x)` such as `network.encode`.
        params: parameters of the network.
        x: examples, `(n, ...)`.
        batch_size: number of examples encoded at once; bounds the memory.

    Returns:
        The codes, `(n, dim)`.

    >>> import jax, jax.numpy as jnp, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = network.init(jax.random.key(0))
    >>> encode_all(network.encode, params, jnp.ones((5, 4)), batch_size=2).shape
    (5, 2)
    """
    return flat_codes(predict(encode, params, x, batch_size=batch_size))


def cluster_codes(
    key: Array,
    encode: Apply,
    params: Params,
    x: Shaped[Array, "n ..."],
    num_clusters: int,
    *,
    num_restarts: int = 20,
    batch_size: int = 1024,
) -> KMeans:
    """Cluster the codes of a trained encoder by k-means, the initialization of deep clustering.

    `fit_kmeans` of `encode_all`.

    Args:
        key: PRNG key.
        encode: `encode(params, x)` such as `network.encode`.
        params: parameters of the network.
        x: examples, `(n, ...)`.
        num_clusters: number of clusters.
        num_restarts: number of runs of k-means, of which the one with the smallest inertia is
            returned.
        batch_size: number of examples encoded at once; bounds the memory.

    Returns:
        `KMeans` of the codes; `{"autoencoder": params, "centers": result.centers}` are initial
        parameters of the deep clustering methods.

    Raises:
        ValueError: as `fit_kmeans`.

    >>> import jax, jax.numpy as jnp, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = network.init(jax.random.key(0))
    >>> x = jnp.ones((20, 4))
    >>> model = jax.eval_shape(
    ...     lambda key: cluster_codes(key, network.encode, params, x, 3), jax.random.key(2)
    ... )
    >>> model.centers.shape
    (3, 2)

    Source: Xie, Girshick and Farhadi (2016), "Unsupervised deep embedding for clustering analysis",
    section 3.3, with the best of 20 runs.
    """
    codes = encode_all(encode, params, x, batch_size=batch_size)
    return fit_kmeans(key, codes, num_clusters, num_restarts=num_restarts)


def assign_codes(
    encode: Apply, params: Params, x: Shaped[Array, "n ..."], *, batch_size: int = 1024
) -> Int[Array, " n"]:
    """Assign each example to the center nearest to its code.

    `argmin_j ||z_i - c_j||^2`, which is also the most probable cluster of `student_t_assignments`.

    Args:
        encode: `encode(params["autoencoder"], x)`, such as `network.encode`.
        params: `{"autoencoder": ..., "centers": ...}` with centers `(k, code)`.
        x: examples, `(n, ...)`.
        batch_size: number of examples encoded at once; bounds the memory.

    Returns:
        Clusters from 0 to k - 1, `(n,)`.

    Raises:
        ValueError: the dimensions of codes and centers differ.

    >>> import jax, jax.numpy as jnp, jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.eye(2)}
    >>> assign_codes(network.encode, params, jnp.array([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    codes = encode_all(encode, params["autoencoder"], x, batch_size=batch_size)
    return assign(params["centers"], codes)
