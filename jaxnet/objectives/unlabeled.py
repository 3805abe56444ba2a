"""What objectives for few labels and many examples without them share.

Their batches come from `side_by_side`: `{"labeled": {"x", "y"}, "unlabeled": {"x"}}`, each part
with an optional `weight`, one number for each example, where 0 masks. The loss is

    classification(labeled) + unlabeled_weight * unsupervised(unlabeled),

two means over examples. A network with state, such as one with batch normalization, makes the
objective stateful; its state is the one after the first pass over the unlabeled examples, and all
other passes of a step leave it as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from jaxnet._checks import require_not_negative
from jaxnet.nn.network import Network, StatefulNetwork, require_network
from jaxnet.objectives.prediction import classification
from jaxnet.objectives.stateful import as_stateful
from jaxnet.objectives.weighting import masked, require_entry, weighted_mean, widen
from jaxnet.typing import AnyObjective, Batch, Params, StatefulObjective

# `(params, extra, x, key) -> (logits, extra)`
Forward = Callable[[Params, PyTree[Any], Any, Array | None], tuple[Array, PyTree[Any]]]


class Unsupervised(NamedTuple):
    """What the examples without labels add to the loss.

    Attributes:
        losses: one for each example, `(n,)`.
        extra: the state of the objective.
        metrics: more numbers for each example, `(n,)` each.
    """

    losses: Float[Array, " n"]
    extra: PyTree[Any]
    metrics: dict[str, Array]


def stateful_forward(network: Network | StatefulNetwork) -> Forward:
    """The forward pass of a network of either kind, with logits in float32 or wider.

    Args:
        network: from inputs to logits `(n, num_classes)`.

    Returns:
        `(params, extra, x, key) -> (logits, extra)`.

    >>> import jaxnet as jn
    >>> network = jn.dense(2, 3)
    >>> params = network.init(jax.random.key(0))
    >>> logits, extra = stateful_forward(network)(params, (), jnp.ones((4, 2)), None)
    >>> logits.shape, extra
    ((4, 3), ())
    """

    def forward(params: Params, extra: PyTree[Any], x: Any, key: Array | None) -> Any:
        if isinstance(network, StatefulNetwork):
            logits, extra = network.apply(params, extra, x, key=key)
        else:
            logits = network.apply(params, x, key=key)
        return widen(logits), extra

    return forward


def split_key(key: Array | None, num: int) -> list[Array | None]:
    """Keys for several uses; without a key, none for each.

    Args:
        key: a key, or None.
        num: number of uses.

    Returns:
        The keys.

    >>> split_key(None, 2)
    [None, None]
    """
    return [None] * num if key is None else list(jax.random.split(key, num))


def augmented(augmentation: Network | None, x: Any, key: Array | None) -> Any:
    """Inputs after an augmentation, if there is one and a key.

    Args:
        augmentation: a network without parameters, or None.
        x: inputs.
        key: a key, or None.

    Returns:
        Inputs of the same shape.

    >>> augmented(None, 3.0, None)
    3.0
    """
    return x if augmentation is None else augmentation.apply({}, x, key=key)


def read_parts(function: str, batch: Batch) -> tuple[Batch, Batch]:
    """The two parts of a batch, checked; masked examples hold zeros.

    Args:
        function: the objective, for messages.
        batch: the batch.

    Returns:
        The labeled and the unlabeled part.

    Raises:
        ValueError: a batch without one of the parts, a part without its entries, weights that are
            not one for each example.

    >>> read_parts("pi_model", {"x": 0, "y": 0})
    Traceback (most recent call last):
        ...
    ValueError: pi_model: the batch has no entry 'labeled', found 'x', 'y'; batches of two data \
sets come from jaxnet.training.side_by_side
    """
    remedy = "batches of two data sets come from jaxnet.training.side_by_side"
    parts = []
    for name in ("labeled", "unlabeled"):
        part = require_entry(function, batch, name, remedy=remedy)
        if not isinstance(part, Mapping):
            raise ValueError(
                f"{function}: the entry {name!r} of the batch is a {type(part).__name__}, expected "
                "a dict with 'x'"
            )
        require_entry(function, part, "x", remedy=f"{name!r} holds the inputs")
        weight = part.get("weight")
        if weight is not None and jnp.ndim(weight) != 1:
            raise ValueError(
                f"{function}: weight has shape {jnp.shape(weight)} in {name!r}, expected one "
                "number for each example"
            )
        parts.append(masked(part))
    return parts[0], parts[1]


def with_unlabeled(
    function: str,
    network: Network | StatefulNetwork,
    unsupervised: Callable[[Params, PyTree[Any], Any, Array | None], Unsupervised],
    *,
    unlabeled_weight: ArrayLike,
    augmentation: Network | None = None,
    init: Callable[[Params, Array], PyTree[Any]] | None = None,
) -> AnyObjective:
    """Classification of labeled examples plus a loss of unlabeled ones.

    Args:
        function: the public function, for messages.
        network: from inputs to logits `(n, num_classes)`.
        unsupervised: `(params, extra, x, key)` to the loss of each unlabeled example, where `extra`
            is the state of the objective.
        unlabeled_weight: factor of the second mean, at least 0; may be traced.
        augmentation: of the labeled examples.
        init: `(params, key) -> extra` where the objective has more state than the network, in a
            NamedTuple whose field `extra` is that of the network.

    Returns:
        An objective, stateful where the network is or there is an `init`.

    >>> import jaxnet as jn
    >>> def entropy_of_noise(params, extra, x, key):
    ...     return Unsupervised(jnp.ones(len(x)), extra, {})
    >>> network = jn.dense(2, 3)
    >>> objective = with_unlabeled("f", network, entropy_of_noise, unlabeled_weight=2.0)
    >>> batch = {"labeled": {"x": jnp.ones((1, 2)), "y": jnp.zeros(1, int)}}
    >>> batch["unlabeled"] = {"x": jnp.ones((3, 2))}
    >>> loss, metrics = objective(network.init(jax.random.key(0)), batch, None)
    >>> bool(loss == metrics["supervised_loss"] + 2), float(metrics["unsupervised_loss"])
    (True, 1.0)
    """
    require_network(function, network, stateful=True)
    if augmentation is not None:
        require_network(function, augmentation, name="augmentation")
    require_not_negative(function, unlabeled_weight=unlabeled_weight)
    supervised = as_stateful(classification(network))

    def apply(params: Params, extra: PyTree[Any], batch: Batch, key: Array | None) -> Any:
        labeled, unlabeled = read_parts(function, batch)
        image_key, label_key, unlabeled_key = split_key(key, 3)
        labeled = {**labeled, "x": augmented(augmentation, labeled["x"], image_key)}
        inner = extra if init is None else extra.extra
        loss, (_, metrics) = supervised.apply(params, inner, labeled, label_key)
        losses, extra, more = unsupervised(params, extra, unlabeled["x"], unlabeled_key)
        weight = unlabeled.get("weight")
        mean = weighted_mean(losses, weight)
        metrics |= {name: weighted_mean(value, weight) for name, value in more.items()}
        metrics |= {"supervised_loss": loss, "unsupervised_loss": mean}
        return loss + jnp.asarray(unlabeled_weight, mean.dtype) * mean, (extra, metrics)

    if init is not None:
        return StatefulObjective(init, apply)
    if isinstance(network, StatefulNetwork):
        return StatefulObjective(network.init_extra, apply)

    def objective(params: Params, batch: Batch, key: Array | None) -> Any:
        loss, (_, metrics) = apply(params, (), batch, key)
        return loss, metrics

    return objective
