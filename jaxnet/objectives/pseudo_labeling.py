"""Pseudo-labels: the classes that a network predicts are labels of examples that have none."""

from typing import Any, overload

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from jaxnet._checks import require_range
from jaxnet.nn.network import Network, StatefulNetwork, require_network
from jaxnet.objectives.unlabeled import (
    Unsupervised,
    augmented,
    split_key,
    stateful_forward,
    with_unlabeled,
)
from jaxnet.typing import AnyObjective, Objective, Params, StatefulObjective


@overload
def pseudo_labels(
    network: Network, *, unlabeled_weight: ArrayLike, threshold: ArrayLike = 0.0
) -> Objective: ...


@overload
def pseudo_labels(
    network: StatefulNetwork, *, unlabeled_weight: ArrayLike, threshold: ArrayLike = 0.0
) -> StatefulObjective: ...


def pseudo_labels(
    network: Network | StatefulNetwork, *, unlabeled_weight: ArrayLike, threshold: ArrayLike = 0.0
) -> AnyObjective:
    """Cross-entropy of unlabeled examples with the class that the network predicts for them.

    `-mean_i [max_c p_ic >= threshold] log q_i[argmax_c p_ic]` with the probabilities `p` of the
    network in evaluation mode and `q` of the network in training. Lee (2013), "Pseudo-label",
    eq. 15 and 16; there the threshold is 0, and `p` are the probabilities `q`.

    Args:
        network: from inputs to logits `(n, num_classes)`.
        unlabeled_weight: factor of the unsupervised mean, at least 0; may be traced.
        threshold: probability from which on a prediction counts, in [0, 1]; may be traced.

    Returns:
        An objective on batches `{"labeled": ..., "unlabeled": ...}`. Metrics: `accuracy` on the
        labeled examples, `supervised_loss`, `unsupervised_loss`, and `confident`, the fraction
        of unlabeled examples that count.

    Raises:
        TypeError: a network that is not one.
        ValueError: a weight below 0, a threshold outside [0, 1]; (of the objective) a batch
            without its parts.

    >>> import jaxnet as jn
    >>> network = jn.dense(2, 2)
    >>> params = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    >>> batch = {"labeled": {"x": jnp.zeros((1, 2)), "y": jnp.zeros(1, int)}}
    >>> batch["unlabeled"] = {"x": jnp.array([[1.0, 0.0], [9.0, 0.0]])}
    >>> objective = pseudo_labels(network, threshold=0.9, unlabeled_weight=1.0)
    >>> float(objective(params, batch, None)[1]["confident"])
    0.5
    """
    require_range("pseudo_labels", "threshold", threshold, 0, 1)
    forward = stateful_forward(network)

    def unsupervised(params: Params, extra: PyTree[Any], x: Any, key: Array | None) -> Any:
        targets, _ = forward(jax.lax.stop_gradient(params), extra, x, None)
        logits, extra = forward(params, extra, x, key)
        losses, confident = confident_losses(logits, targets, threshold)
        return Unsupervised(losses, extra, {"confident": confident})

    return with_unlabeled("pseudo_labels", network, unsupervised, unlabeled_weight=unlabeled_weight)


def confident_losses(
    logits: Float[Array, "n classes"], targets: Float[Array, "n classes"], threshold: ArrayLike
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Cross-entropy with the most probable class of others, where that is probable enough.

    Args:
        logits: of the network.
        targets: logits of the predictions that are targets; no gradient goes there.
        threshold: least probability of their most probable class.

    Returns:
        The loss of each example, 0 where it does not count, and 1 where it counts.

    >>> losses, counts = confident_losses(jnp.zeros((1, 2)), jnp.array([[3.0, 0.0]]), 0.9)
    >>> round(float(losses[0]), 3), float(counts[0])
    (0.693, 1.0)
    """
    targets = jax.lax.stop_gradient(targets)
    probabilities = jax.nn.softmax(targets)
    confident = probabilities.max(axis=-1) >= jnp.asarray(threshold, targets.dtype)
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets.argmax(axis=-1))
    return jnp.where(confident, losses, 0), confident.astype(losses.dtype)


@overload
def fixmatch(
    network: Network,
    *,
    weak: Network,
    strong: Network,
    unlabeled_weight: ArrayLike,
    threshold: ArrayLike = 0.95,
) -> Objective: ...


@overload
def fixmatch(
    network: StatefulNetwork,
    *,
    weak: Network,
    strong: Network,
    unlabeled_weight: ArrayLike,
    threshold: ArrayLike = 0.95,
) -> StatefulObjective: ...


def fixmatch(
    network: Network | StatefulNetwork,
    *,
    weak: Network,
    strong: Network,
    unlabeled_weight: ArrayLike,
    threshold: ArrayLike = 0.95,
) -> AnyObjective:
    """Cross-entropy of a strongly augmented example with the class of the weakly augmented one.

    `-mean_i [max_c p_ic >= threshold] log q_i[argmax_c p_ic]` with the probabilities `p` of
    `weak(x_i)`, where no gradient goes, and `q` of `strong(x_i)`. Sohn et al. (2020), "FixMatch",
    eq. 4. Labeled examples are augmented by `weak`, as there.

    Args:
        network: from inputs to logits `(n, num_classes)`.
        weak: a network without parameters that keeps the shape, such as `random_affine`.
        strong: another one, such as `random_affine` with larger ranges and `masking_noise`.
        unlabeled_weight: factor of the unsupervised mean, at least 0; may be traced.
        threshold: probability from which on a prediction counts, in [0, 1]; may be traced.

    Returns:
        An objective on batches `{"labeled": ..., "unlabeled": ...}`. Metrics: `accuracy` on the
        labeled examples, `supervised_loss`, `unsupervised_loss`, and `confident`, the fraction
        of unlabeled examples that count.

    Raises:
        TypeError: a network that is not one.
        ValueError: a weight below 0, a threshold outside [0, 1]; (of the objective) a batch
            without its parts.

    >>> import jaxnet as jn
    >>> network, noise = jn.dense(2, 2), jn.nn.gaussian_noise(0.1)
    >>> x = jnp.ones((3, 2))
    >>> batch = {"labeled": {"x": x, "y": jnp.zeros(3, int)}, "unlabeled": {"x": x}}
    >>> objective = fixmatch(network, weak=noise, strong=noise, unlabeled_weight=1.0)
    >>> params = {"kernel": 9 * jnp.eye(2), "bias": jnp.array([9.0, 0.0])}
    >>> float(objective(params, batch, jax.random.key(1))[1]["confident"])
    1.0
    """
    require_network("fixmatch", strong, name="strong")
    require_range("fixmatch", "threshold", threshold, 0, 1)
    forward = stateful_forward(network)

    def unsupervised(params: Params, extra: PyTree[Any], x: Any, key: Array | None) -> Any:
        keys = split_key(key, 4)
        frozen = jax.lax.stop_gradient(params)
        targets, new = forward(frozen, extra, augmented(weak, x, keys[0]), keys[1])
        logits, _ = forward(params, extra, augmented(strong, x, keys[2]), keys[3])
        losses, confident = confident_losses(logits, targets, threshold)
        return Unsupervised(losses, new, {"confident": confident})

    return with_unlabeled(
        "fixmatch",
        network,
        unsupervised,
        unlabeled_weight=unlabeled_weight,
        augmentation=weak,
    )
