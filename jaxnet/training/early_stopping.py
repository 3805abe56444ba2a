"""Early stopping: the best parameters so far, for each run of a batch of runs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxnet.typing import Params


class Best(NamedTuple):
    """The parameters with the smallest value so far.

    Attributes:
        params: the parameters.
        value: the value that is minimized, such as the loss on validation data, `()`.
        epoch: the epoch of the parameters, counted from 1; 0 before the first, `()`.
    """

    params: Params
    value: Float[Array, "..."]
    epoch: Int[Array, "..."]


def init_best(params: Params) -> Best:
    """The state before the first epoch, with the value infinity.

    Args:
        params: parameters of one run; use `jax.vmap` for a batch of runs.

    Returns:
        `Best` with these parameters, the value infinity and the epoch 0.

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

    Once `patience` epochs have passed without a smaller value, the best does not change any more: a
    run in a batch of runs ends with the result of the run alone, although the others go on.

    Args:
        best: the best so far.
        params: parameters of one run after the epoch; use `jax.vmap` for a batch of runs.
        value: the value that is minimized, `()`; NaN is never better.
        epoch: the epoch, counted from 1.
        patience: number of epochs without a smaller value after which the best is final.

    Returns:
        `Best` after the epoch.

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
    """Whether `patience` epochs have passed without a smaller value.

    Args:
        best: the best so far, of one run or of a batch of runs.
        epoch: the last epoch, counted from 1.
        patience: number of epochs without a smaller value.

    Returns:
        A boolean for each run.

    >>> best = init_best({"bias": jnp.zeros(1)})._replace(epoch=jnp.int32(3))
    >>> [bool(out_of_patience(best, epoch, patience=2)) for epoch in (4, 5)]
    [False, True]
    """
    return epoch - best.epoch >= patience
