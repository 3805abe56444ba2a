"""Stages: trainings that follow one another, each on what the ones before have learned."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive
from jaxnet.training.averages import evaluation_params
from jaxnet.training.batches import Batches
from jaxnet.training.pure import fit
from jaxnet.training.state import Learner
from jaxnet.typing import Metrics, Params

Previous = tuple[Params, ...]


class Stage(NamedTuple):
    """One of several trainings that follow one another.

    Attributes:
        name: name of the stage.
        learner: `learner(previous) -> Learner`, from the evaluation parameters of the stages
            before, in order, to the learner. Only `init` of the learner may depend on them: `step`
            is compiled once for all runs of a batch.
        data: `data(previous, data) -> data`, from these parameters and the data of the run to the
            training data of the stage; None where the stage trains on the data as they are.
    """

    name: str
    learner: Callable[[Previous], Learner]
    data: Callable[[Previous, Any], Any] | None = None


def check_stages(stages: Sequence[Stage]) -> None:
    """Raise unless the stages have different names.

    Args:
        stages: the stages, in order.

    Raises:
        ValueError: no stage, or two of one name.

    >>> check_stages([])
    Traceback (most recent call last):
    ...
    ValueError: stages must hold at least one stage, found none
    """
    if not stages:
        raise ValueError("stages must hold at least one stage, found none")
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"stages: two are named {name!r}; give each its own name")


def stage_key(key: Array, index: int) -> Array:
    """The key of a stage: its index folded into the key of the run.

    Args:
        key: the key of the run.
        index: index of the stage.

    >>> key = jax.random.key(0)
    >>> bool(stage_key(key, 1) == jax.random.fold_in(key, 1))
    True
    """
    return jax.random.fold_in(key, index)


def fit_stages(
    stages: Sequence[Stage],
    key: Array,
    data: PyTree[Any],
    *,
    num_epochs: int | Sequence[int],
    batch_size: int | None = None,
    batches: Batches | None = None,
) -> tuple[tuple[Params, ...], tuple[Metrics, ...]]:
    """Train the stages one after the other: one pure function, a fold of `fit`.

    Stage i has the key `fold_in(key, i)`. `jaxnet.runs.train_stages` is the same with checkpoints.

    Args:
        stages: the stages, in order.
        key: the key of the run.
        data: the data of the run.
        num_epochs: passes over the data of each stage, or one number for each.
        batch_size: examples in a batch, drawn by `shuffled`.
        batches: another source of batches, instead of `batch_size`.

    Returns:
        The evaluation parameters and the history of each stage.

    Raises:
        ValueError: no stage, two of one name, another number of `num_epochs` than of stages; as
            `fit`.

    >>> import jax.numpy as jnp, jaxnet as jn, optax
    >>> layer = jn.dense(2, 2)
    >>> def learner(previous):
    ...     return jn.gradient_learner(layer.init, jn.regression(layer), optax.sgd(0.1))
    >>> def features(previous, data):
    ...     return data | {"x": layer.apply(previous[-1], data["x"])}
    >>> stages = [Stage("first", learner), Stage("second", learner, features)]
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones((10, 2))}
    >>> params, histories = fit_stages(
    ...     stages, jax.random.key(0), data, num_epochs=(2, 3), batch_size=5
    ... )
    >>> [history["loss"].shape for history in histories]
    [(2,), (3,)]
    """
    check_stages(stages)
    params: tuple[Params, ...] = ()
    histories: tuple[Metrics, ...] = ()
    counts = epochs_of_stages(num_epochs, len(stages))
    for index, (stage, count) in enumerate(zip(stages, counts, strict=True)):
        state, history = fit(
            stage.learner(params),
            stage_key(key, index),
            data if stage.data is None else stage.data(params, data),
            num_epochs=count,
            batch_size=batch_size,
            batches=batches,
        )
        params, histories = (*params, evaluation_params(state)), (*histories, history)
    return params, histories


def epochs_of_stages(num_epochs: int | Sequence[int], num_stages: int) -> list[int]:
    """The number of epochs of each stage.

    Args:
        num_epochs: one number for all, or one for each.
        num_stages: number of stages.

    Raises:
        ValueError: another number of numbers.

    >>> epochs_of_stages(3, 2)
    [3, 3]
    """
    if isinstance(num_epochs, Sequence):
        counts = list(num_epochs)
    else:
        require_positive("stages", num_epochs=num_epochs)
        counts = [operator.index(num_epochs)] * num_stages
    if len(counts) != num_stages:
        raise ValueError(
            f"num_epochs must be one number, or one for each of the {num_stages} stages, found "
            f"{len(counts)}"
        )
    return counts
