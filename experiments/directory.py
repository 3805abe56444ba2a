"""From the options of an experiment to those of `jaxnet.runs`."""

import dataclasses
from typing import Any

from jaxnet import runs


def check_directory(config: Any) -> None:
    """Raise unless the run directory of a config can be made or continued.

    Raises:
        ValueError: as `RunDirectory.check`.
    """
    runs.RunDirectory.check(config.out, resume=getattr(config, "resume", None) is not None)


def open_directory(config: Any, data_sha256: str) -> runs.RunDirectory:
    """The run directory of a resolved config, new or continued.

    Raises:
        ValueError: as `RunDirectory.open`.
    """
    options = dataclasses.asdict(config)
    resume, out = options.pop("resume", None), options.pop("out")
    path = resume or out or runs.new_directory(f"{config.experiment}-{config.dataset}")
    return runs.RunDirectory.open(
        path,
        name=config.experiment,
        config=options,
        data_sha256=data_sha256,
        resume=resume is not None,
    )


def train_options(config: Any) -> runs.TrainOptions:
    """How long to train and what to write, of a resolved config."""
    return runs.TrainOptions(
        num_epochs=config.num_epochs or 1,
        patience=config.patience,
        checkpoint_every=config.checkpoint_every,
        tensorboard=config.tensorboard,
    )
