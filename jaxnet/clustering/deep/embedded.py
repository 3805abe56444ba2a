"""Deep embedded clustering: codes and centers are learned together from sharpened assignments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxnet._checks import require_not_negative
from jaxnet.autoencoders.network import Autoencoder
from jaxnet.clustering.deep.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from jaxnet.clustering.deep.codes import encode_all, flat_codes
from jaxnet.objectives.supervised import weighted_mean
from jaxnet.training.hooks import Intervention, periodically
from jaxnet.training.learner import evaluation_params, gradient_learner
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics, Objective, Optimizer, Params


def deep_embedded_clustering(
    network: Autoencoder, *, degrees_of_freedom: float | Array = 1.0
) -> Objective:
    """Deep embedded clustering (DEC): `mean_i KL(p_i || q_i)`, with targets `p` from the batch.

    `q_i` are the Student t assignments of the code of example i, and `p` the target distribution
    of the whole data set, a constant that `embedded_clustering_learner` keeps and refreshes. Only
    the encoder and the centers learn. Xie, Girshick and Farhadi (2016), "Unsupervised deep
    embedding for clustering analysis", eq. 2; there the sum over the examples, here the mean.

    Args:
        network: the autoencoder, trained beforehand to rebuild its input.
        degrees_of_freedom: of the Student t kernel.

    Returns:
        An objective on params `{"autoencoder": ..., "centers": (k, code)}` and batches of `x` and
        `p`, `(batch, k)`. Metrics: `divergence`, which is the loss.

    Raises:
        ValueError: (of the objective) a batch without `p`.

    >>> import jax, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.zeros((3, 2))}
    >>> batch = {"x": jnp.ones((5, 4)), "p": jnp.full((5, 3), 1 / 3)}
    >>> objective = jax.jit(deep_embedded_clustering(network), static_argnums=2)
    >>> loss, metrics = objective(params, batch, None)
    >>> bool(abs(loss) < 1e-6), sorted(metrics)
    (True, ['divergence'])
    """

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        if "p" not in batch:
            raise ValueError(
                "deep_embedded_clustering: the batch holds no targets p, found "
                f"{sorted(batch)}; train with embedded_clustering_learner, which keeps them"
            )
        codes = flat_codes(network.encode(params["autoencoder"], batch["x"], key=key))
        q = student_t_assignments(codes, params["centers"], degrees_of_freedom=degrees_of_freedom)
        divergence = assignment_divergence(batch["p"], q)
        loss = weighted_mean(divergence, batch.get("weight"))
        return loss, {"divergence": loss}

    return objective


def improved_deep_embedded_clustering(
    network: Autoencoder,
    reconstruction: Objective,
    *,
    strength: float | Array = 0.1,
    degrees_of_freedom: float | Array = 1.0,
) -> Objective:
    """Improved deep embedded clustering: `reconstruction + strength * mean_i KL(p_i || q_i)`.

    The decoder goes on learning, which keeps the codes from losing what tells examples apart. Guo,
    Gao, Liu and Yin (2017), "Improved deep embedded clustering with local structure preservation"
    (IDEC), eq. 4, with strength 0.1. Their formula sums the squared error over pixels, as
    `jaxnet.reconstruction` does; their program divides it by the number of pixels, to which a
    strength of 0.1 times that number corresponds here.

    Args:
        network: the autoencoder, trained beforehand.
        reconstruction: an objective on the autoencoder's parameters, such as
            `jaxnet.reconstruction(network)` or its `denoising`.
        strength: factor of the divergence, at least 0; may be traced.
        degrees_of_freedom: of the Student t kernel.

    Returns:
        An objective as `deep_embedded_clustering`. Metrics: those of the reconstruction, and
        `divergence`.

    Raises:
        ValueError: a negative strength; (of the objective) a batch without `p`.

    >>> import jax, jaxnet as jn
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> reconstruction = jn.autoencoders.reconstruction(network)
    >>> objective = improved_deep_embedded_clustering(network, reconstruction)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.zeros((3, 2))}
    >>> batch = {"x": jnp.ones((5, 4)), "p": jnp.full((5, 3), 1 / 3)}
    >>> sorted(jax.eval_shape(objective, params, batch, None)[1])
    ['divergence', 'squared_error']
    """
    require_not_negative("improved_deep_embedded_clustering", strength=strength)
    clustering = deep_embedded_clustering(network, degrees_of_freedom=degrees_of_freedom)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        loss, metrics = reconstruction(params["autoencoder"], batch, key)
        divergence, more = clustering(params, batch, key)
        return loss + strength * divergence, metrics | more

    return objective


class TargetState(NamedTuple):
    """The optimizer state of an `embedded_clustering_learner`.

    Attributes:
        optimizer_state: that of the Optax optimizer.
        targets: the target distribution of all examples as it was last refreshed.
    """

    optimizer_state: PyTree[Any]
    targets: Float[Array, "*stack n k"]


def refresh_targets(
    network: Autoencoder, *, degrees_of_freedom: float | Array = 1.0, batch_size: int = 1024
) -> Intervention:
    """Compute the targets of all examples anew, from the parameters as they are.

    `embedded_clustering_learner` does so by itself. It is needed beside it where something else
    changes the centers between two refreshments, such as `reset_and_recluster`.

    Args:
        network: the autoencoder.
        degrees_of_freedom: of the Student t kernel.
        batch_size: examples that are encoded at once; bounds the memory.

    Returns:
        A function `(state, data) -> state` on states with a `TargetState`, which sees `data["x"]`.

    >>> import jax, jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.eye(2)}
    >>> targets = TargetState((), jnp.zeros((2, 2)))
    >>> state = TrainState(params, targets, jax.random.key(0), jnp.zeros((), int))
    >>> state = refresh_targets(network)(state, {"x": jnp.array([[1.0, 0.0], [0.0, 1.0]])})
    >>> [round(value, 3) for value in state.optimizer_state.targets[0].tolist()]
    [0.9, 0.1]
    """

    def refresh(state: TrainState, data: Batch) -> TrainState:
        params = evaluation_params(
            state._replace(optimizer_state=state.optimizer_state.optimizer_state)
        )
        codes = encode_all(network.encode, params["autoencoder"], data["x"], batch_size=batch_size)
        q = student_t_assignments(codes, params["centers"], degrees_of_freedom=degrees_of_freedom)
        targets = target_distribution(q)
        return state._replace(optimizer_state=state.optimizer_state._replace(targets=targets))

    return refresh


def embedded_clustering_learner(
    init: Callable[[Array], Params],
    objective: Objective,
    optimizer: Optimizer,
    network: Autoencoder,
    data: Batch,
    *,
    every: int | Array = 140,
    degrees_of_freedom: float | Array = 1.0,
    batch_size: int = 1024,
) -> Learner:
    """Learn with targets of the whole data set that are refreshed before every T-th step.

    Xie et al. (2016), section 3.1, and Guo et al. (2017), algorithm 1; the authors' programs take
    T = 140 for MNIST (batches of 256) and 30 for smaller data. They stop when hardly an assignment
    changes; here the number of epochs is the caller's.

    Args:
        init: `init(key) -> {"autoencoder": ..., "centers": ...}`, such as a function that returns
            the parameters of a trained autoencoder and the centers of `cluster_codes`.
        objective: `deep_embedded_clustering(network)`, `improved_deep_embedded_clustering(...)`, or
            any other that reads targets `p` from its batch.
        optimizer: as in `gradient_learner`.
        network: the autoencoder.
        data: the whole data set; it has an `x`, and the learner trains on it with a further leaf
            `index`, `jnp.arange(n)`. See `periodically` for where it may come from.
        every: T, steps from one refreshment to the next; may be traced.
        degrees_of_freedom: of the Student t kernel, as in the objective.
        batch_size: examples that are encoded at once for the targets.

    Returns:
        A learner whose `state.optimizer_state` is a `TargetState`, on batches of `x` and `index`.
        Its metrics are those of the objective and `loss`.

    Raises:
        ValueError: a distance below 1; (of the step) a batch without `index`.

    >>> import jax, jaxnet as jn, optax
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> data = {"x": jax.random.normal(jax.random.key(1), (20, 4)), "index": jnp.arange(20)}
    >>> def init(key):
    ...     return {"autoencoder": network.init(key), "centers": jnp.eye(3, 2)}
    >>> def run(key, data):
    ...     objective = deep_embedded_clustering(network)
    ...     learner = embedded_clustering_learner(
    ...         init, objective, optax.sgd(0.1), network, data, every=2
    ...     )
    ...     return jn.fit(learner, key, data, batch_size=5, num_epochs=1)
    >>> state, history = jax.eval_shape(run, jax.random.key(0), data)
    >>> state.optimizer_state.targets.shape, sorted(history)
    ((20, 3), ['divergence', 'loss'])
    """
    learner = gradient_learner(init, objective, optimizer)
    num_examples = len(data["x"])

    def init_state(key: Array) -> TrainState:
        state = learner.init(key)
        centers = evaluation_params(state)["centers"]
        targets = jnp.zeros((num_examples, len(centers)), centers.dtype)
        return state._replace(optimizer_state=TargetState(state.optimizer_state, targets))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if "index" not in batch:
            raise ValueError(
                "embedded_clustering_learner: the batch holds no index, found "
                f"{sorted(batch)}; train on data | {{'index': jnp.arange(len(x))}}"
            )
        optimizer_state, targets = state.optimizer_state
        rows = {name: leaf for name, leaf in batch.items() if name != "index"}
        rows["p"] = targets.at[batch["index"]].get(mode="promise_in_bounds")
        state, metrics = learner.step(state._replace(optimizer_state=optimizer_state), rows)
        return (
            state._replace(optimizer_state=TargetState(state.optimizer_state, targets)),
            metrics,
        )

    refresh = refresh_targets(network, degrees_of_freedom=degrees_of_freedom, batch_size=batch_size)
    return periodically(Learner(init_state, step), refresh, {"x": data["x"]}, every=every)
