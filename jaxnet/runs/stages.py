"""Watched training of stages: a finished stage is restored, and an interrupted one continued."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxnet import training
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.options import TrainOptions, TrainResult
from jaxnet.runs.training import train
from jaxnet.training import Batches, Learner, Stage, TrainState
from jaxnet.training.stages import Previous, check_stages, stage_key


def train_stages(
    directory: RunDirectory,
    stages: Sequence[Stage],
    keys: Key[Array, "..."],
    data: PyTree[Any],
    *,
    batches: int | Batches,
    options: TrainOptions | Sequence[TrainOptions],
) -> tuple[TrainResult, ...]:
    """Train stages one after the other, each with metrics and checkpoints in a folder of its name.

    The pure function is `jaxnet.training.fit_stages`. A finished stage is restored from its last
    checkpoint and takes no steps; an interrupted one continues from its newest.

    Args:
        directory: the run directory.
        stages: the stages, in order.
        keys: the key of the run, or keys `(runs,)` for a batch of runs; stage i folds in i.
        data: the data of the run, the same for all runs of a batch.
        batches: batch size, or a source of batches, of each stage.
        options: of each stage, or one for each.

    Returns:
        The result of each stage, as of `train`.

    Raises:
        ValueError: as `train`; no stage, two of one name, another number of options than of
            stages; for a batch of runs, a step that depends on the stages before.
        FloatingPointError: a loss or parameters that are not finite.

    >>> import tempfile, jaxnet as jn, optax
    >>> layer = jn.dense(2, 2)
    >>> def learner(previous):
    ...     return jn.gradient_learner(layer.init, jn.regression(layer), optax.sgd(0.1))
    >>> stages = [Stage("first", learner), Stage("second", learner)]
    >>> data, options = {"x": jnp.ones((10, 2)), "y": jnp.ones((10, 2))}, TrainOptions(num_epochs=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     config = {"config": {}, "data_sha256": "abc"}
    ...     with RunDirectory.open(f"{folder}/run", name="example", **config) as directory:
    ...         results = train_stages(
    ...             directory, stages, jax.random.key(0), data, batches=5, options=options
    ...         )  # doctest: +ELLIPSIS
    stage first
    epoch 1/1 ...
    stage second
    epoch 1/1 ...
    >>> results[1].params["kernel"].shape
    (2, 2)
    """
    check_stages(stages)
    each = [options] * len(stages) if isinstance(options, TrainOptions) else list(options)
    if len(each) != len(stages):
        raise ValueError(
            f"options must be one, or one for each of the {len(stages)} stages, found {len(each)}"
        )
    is_batch = jnp.ndim(keys) == 1
    results: tuple[TrainResult, ...] = ()
    for index, (stage, stage_options) in enumerate(zip(stages, each, strict=True)):
        previous = tuple(result.params for result in results)
        if directory.is_writer:
            print(f"stage {stage.name}", flush=True)
        states = _start(stage, index, keys, previous, is_batch=is_batch)
        stage_data = _data(stage, previous, data, is_batch=is_batch)
        is_per_run = is_batch and stage.data is not None
        with _explained(stage):
            result = train(
                directory.stage(stage.name),
                _learner(stage, previous, is_batch=is_batch),
                states,
                stage_data,
                batches=training.per_run(batches) if is_per_run else batches,
                options=stage_options,
            )
        results = (*results, result)
    return results


@contextlib.contextmanager
def _explained(stage: Stage) -> Iterator[None]:
    try:
        yield
    except (TypeError, AttributeError) as error:
        if "ShapeDtypeStruct" not in str(error):
            raise
        raise ValueError(
            f"stage {stage.name!r}: only init of the learner may depend on the parameters of the "
            f"stages before, as its step is compiled once for all runs ({error}); put what the "
            "step needs into the state: init of a StatefulObjective, or the data of the stage"
        ) from error


def _learner(stage: Stage, previous: Previous, *, is_batch: bool) -> Learner:
    """The learner, whose `step` is the same for all runs."""
    if is_batch:
        # Without values: a step that depends on them would be that of one run for all.
        previous = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), previous
        )
    return stage.learner(previous)


def _start(
    stage: Stage, index: int, keys: Array, previous: Previous, *, is_batch: bool
) -> TrainState:
    def init(key: Array, previous: Previous) -> TrainState:
        return stage.learner(previous).init(stage_key(key, index))

    return jax.jit(jax.vmap(init) if is_batch else init)(keys, previous)


def _data(stage: Stage, previous: Previous, data: Any, *, is_batch: bool) -> Any:
    """The training data of the stage; for a batch of runs those of each, on a new first axis."""
    data = jax.tree.map(jnp.asarray, data)
    if stage.data is None:
        return data
    return jax.jit(jax.vmap(stage.data, (0, None)) if is_batch else stage.data)(previous, data)
