"""Options and result of a watched training."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxnet._checks import require_positive
from jaxnet.runs.tensorboard import require_tensorboard
from jaxnet.training import TrainState


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How long to train, when to stop, and what to write.

    Attributes:
        num_epochs: passes over the data, at least 1.
        patience: stop a run after this number of epochs without a lower validation loss, and
            return its best parameters; None never stops early.
        checkpoint_every: steps between checkpoints; None saves once a minute, 0 only at the end
            and when interrupted.
        tensorboard: also write event files (extra `tensorboard`).
        may_diverge: whether a training goes on where losses or parameters are not finite, as those
            of a search do, of whose many runs some diverge.

    Raises:
        ValueError: a value out of range; tensorboardX is not installed.

    >>> TrainOptions(num_epochs=0)
    Traceback (most recent call last):
    ...
    ValueError: TrainOptions: num_epochs must be at least 1, found 0
    """

    num_epochs: int
    patience: int | None = None
    checkpoint_every: int | None = None
    tensorboard: bool = False
    may_diverge: bool = False

    def __post_init__(self) -> None:
        require_positive("TrainOptions", num_epochs=self.num_epochs)
        if self.patience is not None:
            require_positive("TrainOptions", patience=self.patience)
        if self.checkpoint_every is not None and self.checkpoint_every < 0:
            raise ValueError(
                f"TrainOptions: checkpoint_every must be at least 0, found {self.checkpoint_every}"
            )
        if self.tensorboard:
            require_tensorboard()


class TrainResult(NamedTuple):
    """The result of a finished training.

    Attributes:
        params: evaluation parameters after the last epoch or, with early stopping, after the best
            epoch of each run; with a leading axis `(runs, ...)` for a batch of runs.
        extra: the other state of the learner, such as batch statistics, of the same epoch.
        history: metric -> part ("train", "validation") -> `(num_epochs,)`, or
            `(num_epochs, runs)` for a batch of runs.
        state_sha256: hash of the complete state after the last step, optimizer included.
        best_epochs: the epoch of `params`, counted from 1; `(runs,)` for a batch of runs.
        states: the training state after the last step, or a batch of them, from which another
            training may go on.
    """

    params: Any
    extra: Any
    history: dict[str, dict[str, np.ndarray]]
    state_sha256: str
    best_epochs: np.ndarray
    states: TrainState
