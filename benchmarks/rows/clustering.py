"""Rows of deep clustering: ten networks in one program, from the autoencoder to the clusters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import jaxnet as jn
from benchmarks.data import mnist, small
from benchmarks.harness import Clock, spread
from jaxnet import clustering
from jaxnet.training.hooks import Hooks
from jaxnet.typing import Objective

_NUM_CLUSTERS, _BATCH_SIZE, _RATE = 10, 256, 1e-3
# That of the authors' program, 0.025 for distances that are averaged over clusters too, beside a
# squared error that is averaged over pixels of standard deviation 1, where these have 0.308.
_STRENGTH = 2 * 0.025 / 10 * 784 * 0.308**2
_SHIFT, _ROTATION, _SCALE = 0.1, 10.0, 0.1
# Epochs between soft resets (Miklautz et al. 2025), steps between targets (Xie et al. 2016).
_RESET_EVERY, _REFRESH_EVERY = 20, 140


def dcn(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Deep clustering networks with soft resets."""
    return _deep_clustering("dcn", clock, smoke=smoke)


def dec(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Deep embedded clustering with soft resets."""
    return _deep_clustering("dec", clock, smoke=smoke)


def _deep_clustering(method: str, clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Pretrain autoencoders, find clusters of their codes, learn both together.

    All seeds train in one program. Where the time is over, training ends before the last epoch.
    """
    num_seeds, pretrain_epochs, num_epochs = (2, 1, 2) if smoke else (10, 250, 400)
    dims = [784, 32, 10] if smoke else [784, 500, 500, 2000, 10]
    images = mnist()
    images = small(images) if smoke else images
    x = jnp.asarray(np.concatenate([images.x, images.test_x]))
    y = np.concatenate([images.y, images.test_y])
    data = {"x": x, "index": jnp.arange(len(x))}
    steps_per_epoch = len(x) // _BATCH_SIZE
    network = jn.autoencoders.mlp_autoencoder(dims)
    reconstruction = jn.autoencoders.reconstruction(network)
    augmentation = jn.random_affine(
        (28, 28, 1), max_shift=_SHIFT, max_rotation=_ROTATION, max_scale=_SCALE
    )
    keys = jax.random.split(jax.random.key(0), num_seeds)
    pretrain_keys, start_keys, train_keys = (
        jax.vmap(lambda key, name=name: jn.training.fold_in_name(key, name))(keys)
        for name in ("pretrain", "clusters", "train")
    )

    pretraining = jn.training.augmented_learner(
        jn.gradient_learner(network.init, reconstruction, optax.adam(_RATE)), augmentation
    )
    states = jax.jit(jax.vmap(pretraining.init))(pretrain_keys)
    states, pretrained = train(
        pretraining, states, {"x": x}, pretrain_epochs, clock, 0.3 * clock.seconds
    )

    def find(key: Array, params: Any, x: Array) -> Any:
        return {
            "centers": clustering.cluster_codes(
                key, network.encode, params, x, _NUM_CLUSTERS
            ).centers
        }

    found = _one_after_the_other(jax.jit(find), start_keys, states.params, x)
    starts = {"autoencoder": states.params} | found
    before = _accuracies(network, starts, x, y)

    def build(init: Callable[[Array], Any]) -> jn.Learner:
        return _learner(method, init, network, reconstruction, augmentation, len(x))

    every = _RESET_EVERY * steps_per_epoch
    hooks: list[Any] = [(every, clustering.reset_and_recluster(network, find), every)]
    if method == "dec":
        refresh = clustering.refresh_targets(network)
        hooks = [(_REFRESH_EVERY, refresh), *hooks, (every, refresh, every)]

    def init(key: Array, params: Any) -> jn.TrainState:
        return build(lambda _: params).init(key)

    states = jax.jit(jax.vmap(init))(train_keys, starts)
    # Where training starts is in the states; only the step of this learner is used.
    states, trained = train(
        build(network.init), states, data, num_epochs, clock, clock.seconds - 20, hooks=tuple(hooks)
    )
    return {
        "data": images.source,
        "seeds": num_seeds,
        "accuracy": spread(_accuracies(network, states.params, x, y)),
        "accuracy_before_clusters_are_learned": spread(before),
        "pretraining": pretrained,
        "clustering": trained,
    }


def _learner(
    method: str,
    init: Callable[[Array], Any],
    network: jn.autoencoders.Autoencoder,
    reconstruction: Objective,
    augmentation: jn.Network,
    num_examples: int,
) -> jn.Learner:
    """The learner of network and clusters together, on changed images."""
    optimizer = optax.adam(_RATE)
    if method == "dcn":
        return clustering.deep_clustering_network_learner(
            init, network, reconstruction, optimizer, strength=_STRENGTH, augmentation=augmentation
        )
    objective = clustering.deep_embedded_clustering(network)
    objective = clustering.with_targets(objective, num_examples=num_examples)
    learner = jn.gradient_learner(init, objective, optimizer)
    # The targets are those of the unchanged images.
    return jn.training.augmented_learner(learner, augmentation)


def train(
    learner: jn.Learner,
    states: jn.TrainState,
    data: Any,
    num_epochs: int,
    clock: Clock,
    until: float,
    hooks: Hooks = (),
) -> tuple[jn.TrainState, dict[str, Any]]:
    """Train a batch of runs, at most until a time of the clock.

    Args:
        learner: the learner.
        states: where the runs start.
        data: the data set.
        num_epochs: epochs, if the time suffices.
        clock: the clock of the row.
        until: seconds of the clock.
        hooks: of the training.

    Returns:
        The states, and the number of epochs and the seconds that they took.
    """
    start = clock.elapsed()
    first, count = 0.0, 0
    training = jn.epochs(learner, states, data, batch_size=_BATCH_SIZE, hooks=hooks)
    while True:
        states, metrics = jax.block_until_ready(next(training))
        count += 1
        first = first or clock.elapsed() - start
        if count == num_epochs or clock.elapsed() >= until:
            break
    seconds = clock.elapsed() - start
    return states, {
        "epochs": count,
        "seconds": round(seconds, 1),
        "seconds_of_an_epoch": round((seconds - first) / max(count - 1, 1), 3),
        "loss": spread(metrics["loss"]),
    }


def _one_after_the_other(find: Callable[..., Any], keys: Array, params: Any, x: Array) -> Any:
    """The clusters of each network, found with the memory of one."""
    found = [
        find(key, jax.tree.map(lambda leaf, i=index: leaf[i], params), x)
        for index, key in enumerate(keys)
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def _accuracies(
    network: jn.autoencoders.Autoencoder, params: Any, x: Array, y: np.ndarray
) -> list[float]:
    assign = jax.jit(lambda params: clustering.assign_codes(network.encode, params, x))
    clusters = [
        assign(jax.tree.map(lambda leaf, i=index: leaf[i], params))
        for index in range(len(jax.tree.leaves(params)[0]))
    ]
    return [float(jn.metrics.clustering_accuracy(y, np.asarray(labels))) for labels in clusters]
