"""Consistency: two noisy predictions for the same example without a label are to be equal."""

from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree

from jaxnet._checks import require_range
from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.objectives.unlabeled import (
    Unsupervised,
    augmented,
    split_key,
    stateful_forward,
    with_unlabeled,
)
from jaxnet.typing import AnyObjective, Objective, Params, StatefulObjective


class Teacher(NamedTuple):
    """The `extra` of a learner whose objective has a mean teacher.

    Attributes:
        params: the moving average of the parameters, which `evaluation_params` returns.
        count: number of steps taken.
        extra: the state of the network.
    """

    params: Params
    count: Int[Array, "..."]
    extra: PyTree[Any]


@overload
def pi_model(
    network: Network, *, unlabeled_weight: ArrayLike, augmentation: Network | None = None
) -> Objective: ...


@overload
def pi_model(
    network: StatefulNetwork, *, unlabeled_weight: ArrayLike, augmentation: Network | None = None
) -> StatefulObjective: ...


def pi_model(
    network: Network | StatefulNetwork,
    *,
    unlabeled_weight: ArrayLike,
    augmentation: Network | None = None,
) -> AnyObjective:
    """Squared difference of two predictions of the network for the same unlabeled example.

    `mean_i sum_c (p_ic - p'_ic)^2 / C` with the probabilities of `C` classes of two passes, each
    with its own dropout and augmentation. Laine and Aila (2017), "Temporal ensembling for
    semi-supervised learning", algorithm 1; there labeled examples are in this mean too, which
    they are here where the unlabeled data hold them. Their weight rises from 0: see `scheduled`.

    Args:
        network: from inputs to logits `(n, num_classes)`, with dropout or another noise.
        unlabeled_weight: factor of the unsupervised mean, at least 0; may be traced.
        augmentation: a network without parameters that keeps the shape, such as `random_affine`.

    Returns:
        An objective on batches `{"labeled": ..., "unlabeled": ...}`. Metrics: `accuracy` on the
        labeled examples, `supervised_loss`, `unsupervised_loss`.

    Raises:
        TypeError: a network that is not one.
        ValueError: a weight below 0; (of the objective) a batch without its parts.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 8, 2], dropout=0.5)
    >>> params, x = jax.jit(network.init)(jax.random.key(0)), jnp.ones((3, 2))
    >>> batch = {"labeled": {"x": x, "y": jnp.zeros(3, int)}, "unlabeled": {"x": x}}
    >>> objective = jax.jit(pi_model(network, unlabeled_weight=1.0))
    >>> bool(objective(params, batch, jax.random.key(1))[1]["unsupervised_loss"] > 0)
    True
    """
    forward = stateful_forward(network)

    def unsupervised(params: Params, extra: PyTree[Any], x: Any, key: Array | None) -> Any:
        keys = split_key(key, 4)
        first, new = forward(params, extra, augmented(augmentation, x, keys[0]), keys[1])
        second, _ = forward(params, extra, augmented(augmentation, x, keys[2]), keys[3])
        return Unsupervised(squared_difference(first, second), new, {})

    return with_unlabeled(
        "pi_model",
        network,
        unsupervised,
        unlabeled_weight=unlabeled_weight,
        augmentation=augmentation,
    )


def squared_difference(
    first: Float[Array, "n classes"], second: Float[Array, "n classes"]
) -> Float[Array, " n"]:
    """Mean over classes of the squared difference of two predictions.

    Args:
        first: logits.
        second: logits.

    Returns:
        One number for each example.

    >>> squared_difference(jnp.zeros((1, 2)), jnp.array([[100.0, -100.0]])).tolist()
    [0.25]
    """
    return jnp.mean((jax.nn.softmax(first) - jax.nn.softmax(second)) ** 2, axis=-1)


def mean_teacher(
    network: Network | StatefulNetwork,
    *,
    unlabeled_weight: ArrayLike,
    decay: ArrayLike = 0.99,
    augmentation: Network | None = None,
) -> StatefulObjective:
    """Squared difference of the predictions of the network and of a moving average of it.

    `mean_i sum_c (p_ic - p'_ic)^2 / C` with the probabilities `p` of the network and `p'` of the
    teacher, where no gradient goes, each with its own dropout and augmentation. The parameters of
    the teacher are `t <- d t + (1 - d) params` with `d = min(1 - 1 / (s + 1), decay)` after step
    `s`. Tarvainen and Valpola (2017), "Mean teachers are better role models", eq. 1 and 2, and the
    first steps of the average as in the authors' program. Here the average is taken at the
    beginning of the next step, from the same parameters.

    Args:
        network: from inputs to logits `(n, num_classes)`.
        unlabeled_weight: factor of the unsupervised mean, at least 0; may be traced.
        decay: weight of the old average, in [0, 1]; may be traced.
        augmentation: a network without parameters that keeps the shape, such as `random_affine`.

    Returns:
        An objective on batches `{"labeled": ..., "unlabeled": ...}` whose state is a `Teacher`,
        so that `evaluation_params(state)` are those of the teacher; a network with state is
        evaluated with the state of the student. Metrics: `accuracy` of the student on the labeled
        examples, `supervised_loss`, `unsupervised_loss`.

    Raises:
        TypeError: a network that is not one.
        ValueError: a weight below 0, a decay outside [0, 1]; (of the objective) a batch without
            its parts.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 2])
    >>> objective = mean_teacher(network, unlabeled_weight=1.0, decay=0.5)
    >>> learner = jn.gradient_learner(network.init, objective, optax.sgd(0.1))
    >>> x = jnp.ones((3, 2))
    >>> batch = {"labeled": {"x": x, "y": jnp.zeros(3, int)}, "unlabeled": {"x": x}}
    >>> first_step = jax.jit(lambda key: learner.step(learner.init(key), batch))
    >>> state, _ = first_step(jax.random.key(0))
    >>> jn.evaluation_params(state) is state.extra.params, int(state.extra.count)
    (True, 1)
    """
    require_range("mean_teacher", "decay", decay, 0, 1)
    forward = stateful_forward(network)

    def init(params: Params, key: Array) -> Teacher:
        inner = network.init_extra(params, key) if isinstance(network, StatefulNetwork) else ()
        return Teacher(params, jnp.zeros((), jnp.int32), inner)

    def average(teacher: Teacher, params: Params) -> Params:
        count = teacher.count.astype(jnp.float32)
        weight = jnp.minimum(1 - 1 / (count + 1), jnp.asarray(decay, jnp.float32))

        def blend(old: Array, new: Array) -> Array:
            blended = weight * old.astype(weight.dtype) + (1 - weight) * new.astype(weight.dtype)
            return blended.astype(old.dtype)

        return jax.tree.map(blend, teacher.params, params)

    def unsupervised(params: Params, extra: Teacher, x: Any, key: Array | None) -> Any:
        keys = split_key(key, 4)
        teacher = average(extra, jax.lax.stop_gradient(params))
        inner = extra.extra
        logits, new = forward(params, inner, augmented(augmentation, x, keys[0]), keys[1])
        targets, _ = forward(teacher, inner, augmented(augmentation, x, keys[2]), keys[3])
        losses = squared_difference(logits, jax.lax.stop_gradient(targets))
        return Unsupervised(losses, Teacher(teacher, extra.count + 1, new), {})

    objective = with_unlabeled(
        "mean_teacher",
        network,
        unsupervised,
        unlabeled_weight=unlabeled_weight,
        augmentation=augmentation,
        init=init,
    )
    assert isinstance(objective, StatefulObjective)
    return objective
