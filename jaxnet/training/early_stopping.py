"""Early stopping: the best parameters so far, for every network of a stack on its own."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxnet.typing import Params


class Best(NamedTuple):
    """The parameters with the least value so far.

    Attributes:
        params: the parameters.
        value: what they are judged by, such as the loss on validation data; less is better.
        epoch: the epoch in which they were found, counted from 1; 0 before the first.
    """

    params: Params
    value: Float[Array, "..."]
    epoch: Int[Array, "..."]


def init_best(params: Params) -> Best:
    """What is known before the first epoch: nothing, and so any finite value is better.

    Args:
        params: parameters of the network; for a stack of them, `jax.vmap` this function.

    >>> float(init_best({"bias": jnp.zeros(2)}).value)
    inf
    """
    return Best(params, jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))


def keep_best(
    best: Best,
    params: Params,
    value: Float[Array, ""],
    epoch: int | Int[Array, ""],
    *,
    patience: int,
) -> Best:
    """The better of the best so far and the parameters after an epoch.

    Once `patience` epochs have passed without a better value, the best stays as it is, whatever
    comes later: a network in a stack ends as it would have ended alone, although the others of the
    stack go on.

    Args:
        best: the best so far.
        params: parameters after the epoch; for a stack, `jax.vmap` this function.
        value: what they are judged by; less is better, and NaN is never better.
        epoch: the epoch, counted from 1.
        patience: epochs without a better value after which nothing changes any more.

    >>> best = init_best({"bias": jnp.zeros(1)})
    >>> for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.5, 1.0], start=1):
    ...     params = {"bias": jnp.full(1, epoch)}
    ...     best = keep_best(best, params, jnp.float32(loss), epoch, patience=2)
    >>> int(best.epoch), float(best.value)
    (2, 2.0)
    """
    better = (value < best.value) & ~out_of_patience(best, epoch - 1, patience=patience)
    return jax.tree.map(
        lambda new, old: jnp.where(better, new, old),
        Best(params, value, jnp.asarray(epoch, jnp.int32)),
        best,
    )


def out_of_patience(
    best: Best, epoch: int | Int[Array, ""], *, patience: int
) -> Bool[Array, "..."]:
    """Whether `patience` epochs have passed without a better value.

    Args:
        best: the best so far, or a stack.
        epoch: the last epoch, counted from 1.
        patience: how many epochs to wait for something better.

    >>> best = init_best({"bias": jnp.zeros(1)})._replace(epoch=jnp.int32(3))
    >>> [bool(out_of_patience(best, epoch, patience=2)) for epoch in (4, 5)]
    [False, True]
    """
    return epoch - best.epoch >= patience
