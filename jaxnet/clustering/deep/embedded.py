"""Deep embedded clustering: codes and centers are learned together from sharpened assignments."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_above_zero, require_not_negative, require_positive
from jaxnet.autoencoders.network import Autoencoder
from jaxnet.clustering.deep.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from jaxnet.clustering.deep.codes import encode_all, flat_codes
from jaxnet.objectives.weighting import example_weight, masked, require_entry, weighted_mean
from jaxnet.training.averages import evaluation_params, replace_extra
from jaxnet.training.batches import take_examples
from jaxnet.training.hooks import Hook
from jaxnet.training.state import TrainState
from jaxnet.typing import Batch, Metrics, Objective, Params, StatefulObjective


def deep_embedded_clustering(
    network: Autoencoder, *, degrees_of_freedom: float | Array = 1.0
) -> Objective:
    """Deep embedded clustering (DEC): `mean_i KL(p_i || q_i)`, with targets `p` from the batch.

    `q_i` are the Student t assignments of the code of example i, and `p` the target distribution
    of the whole data set, a constant that `with_targets` holds and `refresh_targets` computes. Only
    the encoder and the centers learn. Xie, Girshick and Farhadi (2016), "Unsupervised deep
    embedding for clustering analysis", eq. 2; there the sum over the examples, here the mean.

    Args:
        network: the autoencoder, trained beforehand to reconstruct its input.
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

    require_above_zero("deep_embedded_clustering", degrees_of_freedom=degrees_of_freedom)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        if "p" not in batch:
            raise ValueError(
                "deep_embedded_clustering: the batch holds no targets p, found "
                f"{sorted(batch)}; wrap it in with_targets, which holds them"
            )
        batch = masked(batch)
        x = require_entry("deep_embedded_clustering", batch, "x")
        codes = flat_codes(network.encode(params["autoencoder"], x, key=key))
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
        batch = masked(batch)
        loss, metrics = reconstruction(params["autoencoder"], batch, key)
        divergence, more = clustering(params, batch, key)
        return loss + strength * divergence, metrics | more

    return objective


def with_targets(objective: Objective, *, num_examples: int) -> StatefulObjective:
    """Give an objective the targets of its examples out of those of the whole data set.

    The targets are state that no gradient changes. The hook `refresh_targets` computes them before
    every T-th step: Xie et al. (2016), section 3.1, and Guo et al. (2017), algorithm 1; the
    authors' programs take T = 140 for MNIST (batches of 256) and 30 for smaller data. They stop
    when hardly an assignment changes; here the number of epochs is the caller's.

    Args:
        objective: `deep_embedded_clustering(network)`, `improved_deep_embedded_clustering(...)`, or
            another one on params with `centers` that reads targets `p` from its batch.
        num_examples: examples of the data set, n.

    Returns:
        A stateful objective on batches with an `index`, from data with `jnp.arange(n)` under that
        name. Its state is the targets, `(n, k)`, zeros before the first refresh.

    Raises:
        ValueError: a number of examples below 1; (of the objective) a batch without `index`.

    >>> import jax, jaxnet as jn, optax
    >>> network = jn.autoencoders.mlp_autoencoder([4, 2])
    >>> data = {"x": jax.random.normal(jax.random.key(1), (20, 4)), "index": jnp.arange(20)}
    >>> def init(key):
    ...     return {"autoencoder": network.init(key), "centers": jnp.eye(3, 2)}
    >>> def run(key, data):
    ...     objective = with_targets(deep_embedded_clustering(network), num_examples=20)
    ...     learner = jn.gradient_learner(init, objective, optax.sgd(0.1))
    ...     hooks = ((2, refresh_targets(network)),)
    ...     return jn.fit(learner, key, data, batch_size=5, num_epochs=1, hooks=hooks)
    >>> state, history = jax.eval_shape(run, jax.random.key(0), data)
    >>> state.extra.shape, sorted(history)
    ((20, 3), ['divergence', 'loss'])
    """
    require_positive("with_targets", num_examples=num_examples)

    def init(params: Params, key: Array) -> Float[Array, "n k"]:
        centers = params["centers"]
        return jnp.zeros((num_examples, len(centers)), centers.dtype)

    def apply(params: Params, targets: Array, batch: Batch, key: Array | None) -> Any:
        if "index" not in batch:
            raise ValueError(
                f"with_targets: the batch holds no index, found {sorted(batch)}; train on "
                "data | {'index': jnp.arange(len(x))}"
            )
        batch = masked(batch)
        rows = {name: leaf for name, leaf in batch.items() if name != "index"}
        rows["p"] = take_examples(targets, batch["index"])
        loss, metrics = objective(params, rows, key)
        return loss, (targets, metrics)

    return StatefulObjective(init, apply)


def refresh_targets(
    network: Autoencoder, *, degrees_of_freedom: float | Array = 1.0, batch_size: int = 1024
) -> Hook:
    """A hook that computes the targets of all examples from the current parameters.

    Args:
        network: the autoencoder.
        degrees_of_freedom: of the Student t kernel, as in the objective.
        batch_size: examples that are encoded at once; bounds the memory.

    Returns:
        A hook `(state, data) -> state` for learners of `with_targets`, which reads `data["x"]`. An
        example counts in the frequencies of the clusters by `data["weight"]`, where there is one.

    Raises:
        ValueError: degrees of freedom that are not above 0, a batch size below 1.

    >>> import jax, jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> params = {"autoencoder": network.init(jax.random.key(0)), "centers": jnp.eye(2)}
    >>> state = jn.TrainState(params, jnp.zeros((2, 2)), (), jax.random.key(0), jnp.zeros((), int))
    >>> state = refresh_targets(network)(state, {"x": jnp.array([[1.0, 0.0], [0.0, 1.0]])})
    >>> [round(value, 3) for value in state.extra[0].tolist()]
    [0.9, 0.1]
    """

    require_above_zero("refresh_targets", degrees_of_freedom=degrees_of_freedom)
    require_positive("refresh_targets", batch_size=batch_size)

    def refresh(state: TrainState, data: Batch) -> TrainState:
        params, data = evaluation_params(state), masked(data)
        x = require_entry("refresh_targets", data, "x")
        codes = encode_all(network.encode, params["autoencoder"], x, batch_size=batch_size)
        q = student_t_assignments(codes, params["centers"], degrees_of_freedom=degrees_of_freedom)
        targets = target_distribution(q, weight=example_weight(data))
        return replace_extra(state, targets)

    return refresh
