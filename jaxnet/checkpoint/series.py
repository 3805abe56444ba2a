"""The checkpoints of one run: the last few and the best, and the newest good one when asked."""

import contextlib
import math
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

from jaxtyping import PyTree

from jaxnet.checkpoint.atomic import discard, remove, tidy
from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.folder import restore, write
from jaxnet.checkpoint.index import read_index


class Restored(NamedTuple):
    """What `Checkpoints.restore` found.

    Attributes:
        step: the step that the state was saved at.
        state: the state.
        refused: why each newer checkpoint was refused, newest first.
    """

    step: int
    state: Any
    refused: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one run, a folder for each step: the last few, and the best.

    Only one process at a time may write to it.

    Args:
        folder: where they are; made when the first is saved.
        keep_last: how many of the newest to keep.

    Raises:
        ValueError: `keep_last` below 1.

    >>> import tempfile, jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, keep_last=2)
    ...     for step, loss in ((10, 0.5), (20, 0.25), (30, 0.75), (40, 0.75)):
    ...         checkpoints.save(step, {"weights": jnp.full(2, step)}, metric=loss)
    ...     steps, newest = checkpoints.steps(), checkpoints.restore({"weights": jnp.zeros(2, int)})
    >>> steps, newest.state["weights"].tolist()
    ([20, 30, 40], [40, 40])
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep_last: int = 2) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last must be at least 1, found {keep_last}")
        self._folder = Path(folder).absolute()
        self._keep_last = keep_last
        tidy(self._folder)

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in ascending order; whole, if not verified."""
        if not self._folder.is_dir():
            return []
        return sorted(
            int(path.name)
            for path in self._folder.iterdir()
            if path.name.isascii()
            and path.name.isdigit()
            and path == self.path(int(path.name))
            and path.is_dir()
            and not path.is_symlink()
        )

    def path(self, step: int) -> Path:
        """The folder of a step, for `jaxnet.checkpoint.restore` where it is not the newest."""
        return self._folder / f"{step:08d}"

    def save(
        self, step: SupportsIndex, state: PyTree[Any], *, metric: SupportsFloat | None = None
    ) -> None:
        """Save a state, and then remove what is neither among the last nor the best nor this.

        Args:
            step: number of the step, at least 0; a checkpoint of the same step is replaced.
            state: any pytree of arrays.
            metric: what the best checkpoint has least of, such as the validation loss; one that is
                not finite is never the best.

        Raises:
            ValueError: a negative step.
            TypeError: a leaf that is no array of numbers; it is named.
            OSError: it cannot be written; those before it are as they were.
        """
        number = operator.index(step)
        if number < 0:
            raise ValueError(f"step must be at least 0, found {number}")
        value = None if metric is None or not math.isfinite(float(metric)) else float(metric)
        path = self.path(number)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"folder: {self._folder} cannot be made: {error.strerror}") from error
        write(path, state, metric=value, replace=True)
        # Now that this step is whole, one that was refused is of no more use.
        remove(_refused_name(path))
        kept = {*self.steps()[-self._keep_last :], number, self.best()}
        for old in set(self.steps()) - kept:
            with contextlib.suppress(OSError):
                discard(self.path(old))

    def best(self) -> int | None:
        """The step with the least metric, the first of equals; None where none has a metric."""
        metrics = {step: self._metric(step) for step in self.steps()}
        known = {step: value for step, value in metrics.items() if value is not None}
        return min(known, key=known.__getitem__) if known else None

    def restore(self, like: PyTree[Any] | Callable[[int], PyTree[Any]]) -> Restored | None:
        """The newest good checkpoint.

        Corrupt ones that are newer are put aside as `STEP.refused`: they no longer count among the
        last, which would push out the good ones, and a later save of the same step removes them.
        Where all are corrupt they stay where they are, so that no run starts again unasked.

        Args:
            like: as in `jaxnet.checkpoint.restore`; or a function from the step to it, where
                shapes depend on the step.

        Returns:
            What was found, with the reason why each newer one was refused; None where there is no
            checkpoint.

        Raises:
            CorruptCheckpointError: there are checkpoints, and all are corrupt.
            CheckpointError: another structure, shape or dtype.
        """
        tidy(self._folder)
        refused: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = restore(self.path(step), like=like(step) if callable(like) else like)
            except CorruptCheckpointError as error:
                refused[step] = str(error)
                continue
            reasons = tuple(self._put_aside(old, reason) for old, reason in refused.items())
            return Restored(step, state, reasons)
        if refused:
            raise CorruptCheckpointError(
                f"{'; '.join(refused.values())}; there is no good checkpoint in {self._folder}: "
                "start again in another folder"
            )
        return None

    def _put_aside(self, step: int, reason: str) -> str:
        path = self.path(step)
        aside = _refused_name(path)
        try:
            remove(aside)
            os.rename(path, aside)
        except OSError:
            # It may be a folder to read only; then nothing is saved that it could push out.
            return reason
        return f"{reason}; it is now {aside.name}"

    def _metric(self, step: int) -> float | None:
        try:
            return read_index(self.path(step)).metric
        except CheckpointError:
            return None


def _refused_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.refused")
