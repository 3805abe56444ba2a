"""Deep clustering network: steps of k-means on the codes between steps of the network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet._checks import require_not_negative
from jaxnet.autoencoders.network import Autoencoder
from jaxnet.clustering.deep.codes import flat_codes
from jaxnet.clustering.kmeans import assign
from jaxnet.clustering.minibatch import move_centers
from jaxnet.nn.network import Network
from jaxnet.objectives.weighting import masked, require_entry, weighted_mean
from jaxnet.optim.adapters import require_no_average, update_params
from jaxnet.training.averages import evaluation_extra, evaluation_params, replace_extra
from jaxnet.training.learner import gradient_learner
from jaxnet.training.skipping import was_skipped
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import AnyObjective, Batch, Metrics, Objective, Optimizer, Params


def deep_clustering_network(
    network: Autoencoder,
    reconstruction: Objective,
    *,
    strength: float | Array,
    augmentation: Network | None = None,
) -> Objective:
    """Deep clustering network (DCN): `reconstruction + strength / 2 * mean_i ||f(x_i) - c_s||^2`.

    `s` is the center nearest to the code `f(x_i)`; assignments and centers are constants of the
    gradient. Yang, Fu, Sidiropoulos and Hong (2017), "Towards k-means-friendly spaces", eq. 5.
    There `s` is that of the last visit to the example; here that of its code as it is.

    With an augmentation the loss is the mean over the example and a changed copy of it, which
    shares the center of the unchanged one: so clusters become invariant to the changes, as in the
    program of Miklautz et al. (2025), "Breaking the reclustering barrier in centroid-based deep
    clustering".

    Args:
        network: the autoencoder, trained beforehand to reconstruct its input.
        reconstruction: an objective on the autoencoder's parameters, such as
            `jaxnet.reconstruction(network)`.
        strength: factor of the distances, at least 0; may be traced.
        augmentation: a network without parameters that changes an example at random, such as
            `random_affine`; None leaves the copy out.

    Returns:
        An objective on params `{"autoencoder": ..., "centers": (k, code)}` and batches of `x`.
        Metrics: those of the reconstruction, and `squared_distance` to the nearest center.

    Raises:
        ValueError: a negative strength.

    >>> import jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> reconstruction = jn.autoencoders.reconstruction(network)
    >>> objective = deep_clustering_network(network, reconstruction, strength=0.5)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.eye(3, 2)}
    >>> sorted(jax.eval_shape(objective, params, {"x": jnp.ones((5, 4))}, None)[1])
    ['squared_distance', 'squared_error']
    """
    require_not_negative("deep_clustering_network", strength=strength)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch = masked(batch)
        require_entry("deep_clustering_network", batch, "x")
        centers = jax.lax.stop_gradient(params["centers"])

        def of_view(
            x: Array, labels: Array | None, key: Array | None
        ) -> tuple[tuple[Array, Metrics], Array]:
            loss, metrics = reconstruction(params["autoencoder"], {**batch, "x": x}, key)
            codes = flat_codes(network.encode(params["autoencoder"], x, key=key))
            nearest = assign(centers, jax.lax.stop_gradient(codes)) if labels is None else labels
            squared = jnp.sum((codes - centers[nearest]) ** 2, axis=1)
            distance = weighted_mean(squared, batch.get("weight"))
            metrics = metrics | {"squared_distance": distance}
            return (loss + strength / 2 * distance, metrics), nearest

        if augmentation is None or key is None:
            return of_view(batch["x"], None, key)[0]
        draw_key, changed_key, key = jax.random.split(key, 3)
        changed = augmentation.apply({}, batch["x"], key=draw_key)
        unchanged_values, labels = of_view(batch["x"], None, key)
        changed_values, _ = of_view(changed, labels, changed_key)
        return jax.tree.map(lambda a, b: (a + b) / 2, unchanged_values, changed_values)

    return objective


def deep_clustering_network_learner(
    init: Callable[[Array], Params],
    network: Autoencoder,
    reconstruction: Objective,
    optimizer: Optimizer,
    *,
    strength: float | Array,
    augmentation: Network | None = None,
    transform: Callable[[Objective], AnyObjective] | None = None,
    initial_count: float | Array = 100.0,
) -> Learner:
    """Learn network, assignments and centers one after the other, in each step with one batch.

    A step of the optimizer on the loss of `deep_clustering_network`; new assignments by the new
    codes; the centers' step of `move_centers`. Yang et al. (2017), algorithm 1.

    Args:
        init: `init(key) -> {"autoencoder": ..., "centers": ...}`, such as a function that returns
            the parameters of a trained autoencoder and the centers of `cluster_codes`.
        network: the autoencoder.
        reconstruction: an objective on the autoencoder's parameters.
        optimizer: as in `gradient_learner`, but no schedule-free one.
        strength: factor of the distances; may be traced.
        augmentation: as in `deep_clustering_network`; centers move by the unchanged examples.
        transform: from the objective to the one that is trained, such as `with_loss_scale`.
        initial_count: how many examples each center stands for at the start. The paper does not
            say; the authors' program takes 100.

    Returns:
        A learner whose `state.extra` (within that of the transformed objective, if it has state)
        counts how many examples each center stands for, `(k,)`. Its metrics are those of the
        objective and `loss`.

    Raises:
        ValueError: a negative strength; (at init) a schedule-free optimizer.

    >>> import jaxnet as jn, optax
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> def init(key):
    ...     return {"autoencoder": network.init(key), "centers": jnp.eye(3, 2)}
    >>> learner = deep_clustering_network_learner(
    ...     init, network, jn.autoencoders.reconstruction(network), optax.sgd(0.1), strength=0.5
    ... )
    >>> state, _ = jax.jit(learner.step)(learner.init(jax.random.key(0)), {"x": jnp.ones((5, 4))})
    >>> float(state.extra.sum())
    305.0
    """
    require_not_negative("deep_clustering_network_learner", initial_count=initial_count)
    objective = deep_clustering_network(
        network, reconstruction, strength=strength, augmentation=augmentation
    )
    transformed = objective if transform is None else transform(objective)
    learner = gradient_learner(init, transformed, optimizer)

    def init_state(key: Array) -> TrainState:
        state = learner.init(key)
        require_no_average("deep_clustering_network_learner", state.optimizer_state)
        centers = evaluation_params(state)["centers"]
        return replace_extra(state, jnp.full(len(centers), initial_count, centers.dtype))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        batch = masked(batch)
        # Not the centers after the step, which weight decay may have moved.
        centers = evaluation_params(state)["centers"]
        counts = evaluation_extra(state)
        before = replace_extra(state, ())
        state, metrics = learner.step(before, batch)
        codes = flat_codes(network.encode(evaluation_params(state)["autoencoder"], batch["x"]))
        labels = assign(centers, codes)
        moved = move_centers(centers, counts, codes, labels, batch.get("weight"))
        skipped = was_skipped(before, state)
        if skipped is not None:
            unmoved = evaluation_params(state)["centers"], counts
            moved = jax.tree.map(lambda a, b: jnp.where(skipped, a, b), unmoved, moved)
        centers, counts = moved
        params = update_params(state.params, lambda params: params | {"centers": centers})
        return replace_extra(state._replace(params=params), counts), metrics

    return Learner(init_state, step)
