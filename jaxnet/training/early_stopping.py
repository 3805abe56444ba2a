"""Early stopping: the best parameters so far, for every run of a batch by itself."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxnet._checks import require_integer, require_positive
from jaxnet.training.state import owned
from jaxnet.typing import Params


class Best(NamedTuple):
    """The parameters with the least value so far.

    Attributes:
        params: the parameters.
        value: what they are compared by, such as the loss on validation data; less is better.
        epoch: the epoch after which they were found, counted from 1; 0 before the first.
    """

    params: Params
    value: Float[Array, "..."]
    epoch: Int[Array, "..."]


class EarlyStopped(NamedTuple):
    """The `extra` of a state that was trained with early stopping.

    `evaluation_params` and `evaluation_extra` find the best in it.

    Attributes:
        best: the best so far; its `params` are the pair of evaluation parameters and extra state.
        extra: the extra state of the learner.
    """

    best: Best
    extra: PyTree[Any]


def init_best(params: Params, dtype: DTypeLike | None = None) -> Best:
    """The best before the first epoch, which any finite value improves.

    Args:
        params: parameters of the network; for a batch of runs, `jax.vmap` this function.
        dtype: that of the values which follow, so that `keep_best` is compiled once; None leaves it
            to the first of them.

    Returns:
        The parameters with an infinite value.

    >>> float(init_best({"bias": jnp.zeros(2)}).value)
    inf
    """
    return Best(owned(params), jnp.full((), jnp.inf, dtype), jnp.zeros((), jnp.int32))


def keep_best(
    best: Best,
    params: Params,
    value: Float[Array, "*runs"],
    epoch: int | Int[Array, "*runs"],
    *,
    patience: int,
) -> Best:
    """The better of the best so far and the parameters after an epoch.

    Once `patience` epochs have passed without a better value, the best stays as it is, whatever
    comes later: a run of a batch ends as it would have ended alone, although the others go on.

    Args:
        best: the best so far.
        params: parameters after the epoch.
        value: what they are compared by; less is better, and NaN is never better. For a batch of
            runs `jax.vmap` this function, or give one value for each run, the first axis of
            every parameter.
        epoch: the epoch, counted from 1.
        patience: epochs without a better value after which nothing changes any more.

    Returns:
        The best after the epoch.

    Raises:
        ValueError: a patience below 1; values that are not those of the runs of the parameters.

    >>> best = init_best({"bias": jnp.zeros(1)})
    >>> for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.5, 1.0], start=1):
    ...     params = {"bias": jnp.full(1, epoch)}
    ...     best = keep_best(best, params, jnp.float32(loss), epoch, patience=2)
    >>> int(best.epoch), float(best.value)
    (2, 2.0)
    """
    if jnp.ndim(epoch) == 0:
        require_integer("keep_best", "epoch", epoch, 1)
    better = (value < best.value) & ~out_of_patience(best, epoch - 1, patience=patience)

    def choose(new: Array, old: Array) -> Array:
        if new.shape[: better.ndim] != better.shape:
            raise ValueError(
                f"keep_best: the values have shape {better.shape}, expected the leading axes of "
                f"the parameters, where one has shape {new.shape}: one value for each run"
            )
        return jnp.where(better.reshape(better.shape + (1,) * (new.ndim - better.ndim)), new, old)

    epochs = jnp.broadcast_to(jnp.asarray(epoch, jnp.int32), better.shape)
    new = Best(params, jnp.asarray(value), epochs)
    old = Best(best.params, *(jnp.broadcast_to(leaf, better.shape) for leaf in best[1:]))
    return jax.tree.map(choose, new, old)


def out_of_patience(
    best: Best, epoch: int | Int[Array, ""], *, patience: int
) -> Bool[Array, "..."]:
    """Whether `patience` epochs have passed without a better value.

    Args:
        best: the best so far, or that of each run of a batch.
        epoch: the last epoch, counted from 1.
        patience: number of epochs to wait for a better value, at least 1.

    Returns:
        A truth value for each run.

    Raises:
        ValueError: a patience below 1.

    >>> best = init_best({"bias": jnp.zeros(1)})._replace(epoch=jnp.int32(3))
    >>> [bool(out_of_patience(best, epoch, patience=2)) for epoch in (4, 5)]
    [False, True]
    """
    require_positive("early stopping", patience=patience)
    if jnp.ndim(epoch) == 0:
        require_integer("early stopping", "epoch", epoch, 0)
    return epoch - best.epoch >= patience
