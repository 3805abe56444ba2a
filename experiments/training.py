"""From options to what a training needs: optimizer, batch size, keys, run directory."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxnet as jn
from experiments.config import DescentOptions, OptimizerOptions, RunOptions, method_field
from experiments.placement import recorded_options
from jaxnet import hosts, runs

# Steps are counted by 32-bit integers.
_MAX_STEPS = 2**31 - 1


def build_optimizer(
    options: DescentOptions, num_train: int, *, learning_rate: float | None, num_epochs: int
) -> Callable[[jax.Array], Any]:
    """The optimizer of some options, as a function of a key for those that draw random numbers.

    Args:
        options: the options.
        num_train: number of training examples.
        learning_rate: peak rate; None is the optimizer's own default.
        num_epochs: passes over the examples, over which a schedule runs.

    Returns:
        From a key to an Optax transformation.

    Raises:
        ValueError: an unknown optimizer or schedule, an option out of range for the optimizer, or
            a batch larger than the training data.
    """
    name, kind = options.optimizer, options.schedule
    num_steps = num_train // batch_size(options, num_train) * num_epochs
    if num_steps > _MAX_STEPS:
        raise ValueError(
            f"num_epochs {num_epochs} are {num_steps} steps, and at most {_MAX_STEPS} can be "
            "counted; use fewer epochs, or larger batches"
        )
    rate: Any = jn.optim.default_learning_rate(name) if learning_rate is None else learning_rate
    if kind != "constant":
        if rate is None or not jn.optim.takes_schedule(name):
            raise ValueError(
                f"schedule {kind!r}: optimizer {name!r} takes no schedule; use --schedule constant"
            )
        rate = jn.schedule(kind, rate, num_steps=num_steps)

    def optimizer(key: jax.Array) -> Any:
        return jn.optimizer(
            name, rate, key=key, weight_decay=options.weight_decay, clip_norm=options.clip_norm
        )

    # Once here, so that a mistake is found before anything is written.
    optimizer(jax.random.key(0))
    return optimizer


def config_optimizer(options: OptimizerOptions, num_train: int) -> Callable[[jax.Array], Any]:
    """The optimizer of options that have a rate and a number of epochs, as `build_optimizer`."""
    return build_optimizer(
        options,
        num_train,
        learning_rate=options.learning_rate,
        num_epochs=options.num_epochs,
    )


def batch_size(options: DescentOptions, num_train: int) -> int:
    """Examples in a batch, for a number of training examples.

    Raises:
        ValueError: more than there are.

    >>> batch_size(DescentOptions(batch_size="all"), 100)
    100
    """
    if options.batch_size == "all":
        return num_train
    if options.batch_size > num_train:
        raise ValueError(
            f"batch_size must not exceed the {num_train} training examples, found "
            f"{options.batch_size}; use a smaller one, or all"
        )
    return options.batch_size


def seed_keys(config: RunOptions, name: str | None = None) -> jax.Array:
    """A key for each network of a run, `(num_seeds,)`.

    Args:
        config: the options of the run.
        name: what the keys are for, such as "probe"; None is for the training itself.
    """
    return network_keys(config.seed, config.num_seeds, name)


def network_keys(seed: int, num_networks: int, name: str | None = None) -> jax.Array:
    """A key for each of some networks, `(num_networks,)`, as `seed_keys`.

    >>> few, many = network_keys(0, 2), network_keys(0, 3)
    >>> bool((few == many[:2]).all()), bool((few == network_keys(0, 2, "probe")).any())
    (True, False)
    """
    key = jax.random.key(seed)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(num_networks))
    if name is None:
        return keys
    return jax.vmap(lambda key: jn.training.fold_in_name(key, name))(keys)


@jax.jit
def network_at(params: Any, index: int | np.ndarray) -> Any:
    """The parameters of one, or some, of several networks, whose leaves are stacked.

    >>> print(network_at({"bias": np.zeros((3, 2))}, 1)["bias"])
    [0. 0.]
    """
    return jax.tree.map(lambda leaf: leaf[index], params)


def train_options(
    config: Any, *, num_epochs: int | None = None, may_diverge: bool = False
) -> runs.TrainOptions:
    """How long to train, when to stop and what to write.

    Args:
        config: `TrainingOptions`, or `OptimizerOptions` with `WatchOptions`.
        num_epochs: passes over the data instead of those of the config.
        may_diverge: whether the training goes on where numbers are not finite.

    Raises:
        ValueError: TensorBoard's package is not installed.
    """
    return runs.TrainOptions(
        num_epochs=num_epochs or config.num_epochs,
        patience=getattr(config, "patience", None),
        checkpoint_every=config.checkpoint_every,
        tensorboard=config.tensorboard,
        may_diverge=may_diverge,
    )


def check_directory(config: Any) -> None:
    """Check that the run directory of a config can be made or continued.

    Raises:
        ValueError: as `RunDirectory.check`.
    """
    if not hosts.current().is_first:
        # Process 0 may have begun already.
        return
    try:
        runs.RunDirectory.check(config.out, resume=getattr(config, "resume", None) is not None)
    except ValueError as error:
        raise ValueError(f"out: {error}") from error


def open_directory(config: Any, data_sha256: str) -> runs.RunDirectory:
    """The run directory of a resolved config, new or continued.

    Raises:
        ValueError: as `RunDirectory.open`.
    """
    options = dataclasses.asdict(config)
    resume, out = options.pop("resume", None), options.pop("out")
    # Results do not depend on who computes them.
    for name in ("coordinator", "num_processes", "process_id"):
        options.pop(name, None)
    if resume is not None:
        options = recorded_options(options, resume)
    path = resume or out
    if path is None:
        name = f"{config.experiment}-{config.dataset}"
        path = hosts.current().from_first("out", lambda: str(runs.new_directory(name)))
    directory = runs.RunDirectory.open(
        path,
        name=config.experiment,
        config=options,
        data_sha256=data_sha256,
        resume=resume is not None,
    )
    if directory.phases:
        print(_describe_schedule(config, directory.phases[-1]), flush=True)
    return directory


def _describe_schedule(config: Any, before: int) -> str:
    """How the learning rate goes on after a finished phase of some epochs."""
    field = method_field(type(config))
    holder = config if hasattr(config, "schedule") else getattr(config, field or "")
    kind, num_epochs = holder.schedule, holder.num_epochs
    peak = holder.learning_rate
    if peak is None:
        peak = jn.optim.default_learning_rate(holder.optimizer)
    if kind == "constant" or peak is None:
        return f"continued from epoch {before} to {num_epochs}; the learning rate stays constant"
    # A schedule is a function of the fraction of the run.
    last, first = (
        float(np.asarray(jn.schedule(kind, peak, num_steps=1000 * epochs)(1000 * before)))
        for epochs in (before, num_epochs)
    )
    return (
        f"continued from epoch {before} to {num_epochs}; the schedule {kind} now spans "
        f"{num_epochs} epochs, so that the learning rate goes from {last:.3g} to {first:.3g} "
        f"after epoch {before}"
    )
