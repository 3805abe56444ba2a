"""Peers of experiments.speed that cluster; each imports only what it needs."""

import contextlib
import functools
import io
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np

Workload = dict[str, Any]
Train = Callable[[int], Callable[[], float]]
"""Trains from a seed and returns a function that computes a quality of the result, untimed."""


def jaxnet_kmeans(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """`lloyd` from centers that are drawn from the examples."""
    import jax
    import jax.numpy as jnp

    from jaxnet import clustering

    run = jax.jit(functools.partial(clustering.lloyd, tolerance=1e-4))
    data = jnp.asarray(x)

    def train(seed: int) -> Callable[[], float]:
        result = jax.block_until_ready(run(data, jnp.asarray(_centers(workload, x, seed))))
        return lambda: float(result.inertia)

    return f"jax {jax.__version__}", train


def scikit_learn_kmeans(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """`KMeans` from the same centers."""
    import sklearn
    from sklearn.cluster import KMeans

    # It has no annotations, and its defaults do not show all that its options may be.
    kmeans = cast(Callable[..., KMeans], KMeans)

    def train(seed: int) -> Callable[[], float]:
        centers = _centers(workload, x, seed)
        fitted = kmeans(len(centers), init=centers, n_init=1, tol=1e-4).fit(x)
        return lambda: float(cast(float, fitted.inertia_))

    return f"scikit-learn {sklearn.__version__}", train


def _centers(workload: Workload, x: np.ndarray, seed: int) -> np.ndarray:
    return x[np.random.default_rng(seed).choice(len(x), workload["dims"][-1], replace=False)]


def jaxnet_dec(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """Autoencoder, k-means on its codes, deep embedded clustering: one compiled program."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxnet as jn
    from jaxnet import clustering

    network = jn.autoencoders.mlp_autoencoder(workload["dims"])
    options = {"batch_size": workload["batch_size"], "num_epochs": workload["num_epochs"]}
    data = {"x": jnp.asarray(x), "index": jnp.arange(len(x))}

    @jax.jit
    def run(key: jax.Array, data: dict[str, jax.Array]) -> jax.Array:
        objective = jn.autoencoders.reconstruction(network)
        learner = jn.gradient_learner(network.init, objective, optax.adam(1e-3))
        params = jn.fit(learner, key, {"x": data["x"]}, **options)[0].params
        start_key, key = jax.random.split(key)
        fitted = clustering.cluster_codes(start_key, network.encode, params, data["x"], 10)
        learner = jn.gradient_learner(
            lambda _: {"autoencoder": params, "centers": fitted.centers},
            clustering.with_targets(
                clustering.deep_embedded_clustering(network), num_examples=len(x)
            ),
            optax.adam(1e-4),
        )
        hooks = ((30, clustering.refresh_targets(network)),)
        state, _ = jn.fit(learner, key, data, hooks=hooks, **options)
        return clustering.assign_codes(network.encode, state.params, data["x"])

    def train(seed: int) -> Callable[[], float]:
        clusters = jax.block_until_ready(run(jax.random.key(seed), data))
        return lambda: float(jn.metrics.clustering_accuracy(y, clusters))

    return f"jax {jax.__version__}", train


def clustpy_dec(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """`clustpy.deep.DEC` with its own autoencoder of the same sizes; targets of each batch."""
    import torch  # pyright: ignore[reportMissingImports]
    from clustpy import __version__ as version  # pyright: ignore[reportMissingImports]
    from clustpy.deep import DEC  # pyright: ignore[reportMissingImports]
    from scipy.optimize import linear_sum_assignment

    warnings.simplefilter("ignore")
    torch.set_num_threads(workload["num_threads"])

    def train(seed: int) -> Callable[[], float]:
        # It prints its progress, where the peer's answers belong.
        with contextlib.redirect_stdout(io.StringIO()):
            fitted = DEC(
                10,
                batch_size=workload["batch_size"],
                pretrain_epochs=workload["num_epochs"],
                clustering_epochs=workload["num_epochs"],
                embedding_size=workload["dims"][-1],
                random_state=seed,
            ).fit(x)

        def accuracy() -> float:
            counts = np.zeros((10, 10))
            np.add.at(counts, (y, fitted.labels_), 1)
            return float(counts[linear_sum_assignment(-counts)].sum() / len(y))

        return accuracy

    return f"ClustPy {version}, torch {torch.__version__}", train
