"""What the deep clustering methods share: codes of all examples, centers to start from, labels."""

from jaxtyping import Array, Float, Int, Shaped

from jaxnet.clustering.kmeans import KMeans, assign, fit_kmeans
from jaxnet.training.prediction import predict
from jaxnet.typing import Apply, Params


def flat_codes(codes: Float[Array, "n *code"]) -> Float[Array, "n dim"]:
    """Codes as vectors, whatever shape the encoder gives them.

    >>> import jax.numpy as jnp
    >>> flat_codes(jnp.ones((5, 2, 3))).shape
    (5, 6)
    """
    return codes.reshape(len(codes), -1)


def encode_all(
    encode: Apply, params: Params, x: Shaped[Array, "n ..."], *, batch_size: int = 1024
) -> Float[Array, "n dim"]:
    """The codes of all examples as vectors, computed in batches of one fixed size.

    Args:
        encode: `encode(params, x)`, such as `network.encode`.
        params: parameters of the network.
        x: the examples.
        batch_size: examples in a batch; bounds the memory.

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
    """k-means on the codes of a trained encoder: a clustering, and where deep clustering starts.

    Xie, Girshick and Farhadi (2016), section 3.3, with 20 restarts of which the best is taken.

    Args:
        key: PRNG key.
        encode: `encode(params, x)`, such as `network.encode`.
        params: parameters of the network.
        x: the examples.
        num_clusters: number of clusters.
        num_restarts: runs of k-means, of which the one of least inertia is returned.
        batch_size: examples that are encoded at once.

    Returns:
        The clustering of the codes; `{"autoencoder": params, "centers": result.centers}` are the
        parameters of the deep clustering methods.

    Raises:
        ValueError: as `kmeans`.

    >>> import jax, jax.numpy as jnp, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = network.init(jax.random.key(0))
    >>> x = jnp.ones((20, 4))
    >>> model = jax.eval_shape(
    ...     lambda key: cluster_codes(key, network.encode, params, x, 3), jax.random.key(2)
    ... )
    >>> model.centers.shape
    (3, 2)
    """
    codes = encode_all(encode, params, x, batch_size=batch_size)
    return fit_kmeans(key, codes, num_clusters, num_restarts=num_restarts)


def assign_codes(
    encode: Apply, params: Params, x: Shaped[Array, "n ..."], *, batch_size: int = 1024
) -> Int[Array, " n"]:
    """The cluster of each example: the center nearest to its code.

    That is the most probable one of `student_t_assignments` as well.

    Args:
        encode: `encode(params["autoencoder"], x)`, such as `network.encode`.
        params: `{"autoencoder": ..., "centers": (k, code)}`.
        x: the examples.
        batch_size: examples that are encoded at once.

    Returns:
        Labels from 0 to k - 1, `(n,)`.

    Raises:
        ValueError: codes and centers of different size.

    >>> import jax, jax.numpy as jnp, jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.eye(2)}
    >>> assign_codes(network.encode, params, jnp.array([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    codes = encode_all(encode, params["autoencoder"], x, batch_size=batch_size)
    return assign(params["centers"], codes)
