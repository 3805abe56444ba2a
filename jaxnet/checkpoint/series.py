"""The checkpoints of one run: the newest and the best are kept, the newest good one is restored."""

import contextlib
import hashlib
import math
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

from jaxnet._files import discard, remove, tidy
from jaxnet.checkpoint.directory import read, restore, write
from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.index import SUMS, read_index


class Restored(NamedTuple):
    """The result of `Checkpoints.restore`.

    Attributes:
        step: the step at which the state was saved.
        state: the state, a pytree.
        rejected: why each newer checkpoint was rejected, newest first.
    """

    step: int
    state: Any
    rejected: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one run, a directory for each step: the newest, and the best.

    Only one process at a time may write to it.

    Args:
        directory: where they are; it is made when the first is saved.
        keep_last: number of the newest checkpoints to keep.
        is_writer: False for a process that only reads while another one may write.

    Raises:
        ValueError: `keep_last` is below 1.

    >>> import tempfile, jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     checkpoints = Checkpoints(directory, keep_last=2)
    ...     for step, loss in ((10, 0.5), (20, 0.25), (30, 0.75), (40, 0.75)):
    ...         checkpoints.save(step, {"weights": jnp.full(2, step)}, metric=loss)
    ...     steps, newest = checkpoints.steps(), checkpoints.restore({"weights": jnp.zeros(2, int)})
    >>> steps, newest.state["weights"].tolist()
    ([20, 30, 40], [40, 40])
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, keep_last: int = 2, is_writer: bool = True
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last must be at least 1, found {keep_last}")
        self._directory = Path(directory).absolute()
        self._keep_last = keep_last
        if is_writer:
            tidy(self._directory)

    def steps(self) -> list[int]:
        """The steps with a checkpoint, in ascending order; complete, but not verified."""
        if not self._directory.is_dir():
            return []
        return sorted(
            int(path.name)
            for path in self._directory.iterdir()
            if path.name.isascii()
            and path.name.isdigit()
            and path == self.path(int(path.name))
            and path.is_dir()
            and not path.is_symlink()
        )

    def path(self, step: int) -> Path:
        """The directory of a step, such as for `jaxnet.checkpoint.restore` of an older one."""
        return self._directory / f"{step:08d}"

    def save(
        self, step: SupportsIndex, state: PyTree[Any], *, metric: SupportsFloat | None = None
    ) -> None:
        """Save a state, then remove those that are neither among the newest nor the best.

        Args:
            step: number of the step, at least 0; a checkpoint of the same step is replaced.
            state: a pytree of arrays of any shapes.
            metric: a number that is least at the best checkpoint, such as the validation loss; a
                checkpoint with one that is not finite is never the best.

        Raises:
            ValueError: a negative step, or two leaves with the same path.
            TypeError: a leaf is not an array of numbers; it is named.
            OSError: it cannot be written; those before it are unchanged.
        """
        number = operator.index(step)
        if number < 0:
            raise ValueError(f"step must be at least 0, found {number}")
        value = None if metric is None or not math.isfinite(float(metric)) else float(metric)
        path = self.path(number)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"directory: {self._directory} cannot be made: {error.strerror}"
            ) from error
        write(path, state, metric=value, replace=True)
        self.prune(number)

    def prune(self, step: int) -> None:
        """Remove those that are neither this one, nor among the newest, nor the best.

        Args:
            step: the step whose checkpoint has just been written.
        """
        # This step has a good checkpoint again, which supersedes the rejected one.
        remove(_rejected_name(self.path(step)))
        kept = {*self.steps()[-self._keep_last :], step, self.best()}
        for old in set(self.steps()) - kept:
            with contextlib.suppress(OSError):
                discard(self.path(old))

    def best(self) -> int | None:
        """The step with the least metric, the first of equals; None where none has a metric."""
        metrics = {step: self._metric(step) for step in self.steps()}
        known = {step: value for step, value in metrics.items() if value is not None}
        return min(known, key=known.__getitem__) if known else None

    def restore(self, like: PyTree[Any] | Callable[[int], PyTree[Any]]) -> Restored | None:
        """Restore the newest good checkpoint.

        Newer ones, which are corrupt, are renamed to `STEP.rejected`: they no longer count among
        the newest, where they would displace good ones, and a later save of the same step removes
        them. Where all are corrupt they keep their names, so that a run does not silently start
        from the beginning.

        Args:
            like: as in `jaxnet.checkpoint.restore`; or a function from the step to it, where
                shapes depend on the step.

        Returns:
            Step and state, and why each newer checkpoint was rejected; None where there is no
            checkpoint.

        Raises:
            CorruptCheckpointError: there are checkpoints, and all are corrupt.
            CheckpointError: another structure, shape or dtype, where leaves are named.
        """
        tidy(self._directory)
        # A pytree may be callable too, such as a module of a library for networks.
        by_step = callable(like) and jax.tree_util.all_leaves([like])
        rejected: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = restore(self.path(step), like=like(step) if by_step else like)
            except CorruptCheckpointError as error:
                rejected[step] = str(error)
                continue
            reasons = tuple(self._put_aside(newer, reason) for newer, reason in rejected.items())
            return Restored(step, state, reasons)
        if rejected:
            raise CorruptCheckpointError(
                f"{'; '.join(rejected.values())}; there is no good checkpoint in "
                f"{self._directory}: start again in another directory"
            )
        return None

    def read(self, step: SupportsIndex) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Read the arrays of one step by name, as `jaxnet.checkpoint.read` does.

        Args:
            step: one of `steps()`.

        Returns:
            For the path of every leaf its values, verified by their hashes.

        Raises:
            FileNotFoundError: there is no checkpoint of this step.
            CorruptCheckpointError: a byte differs from what was saved, or is missing.
        """
        return read(self.path(operator.index(step)))

    def digest(self, step: SupportsIndex) -> str:
        """SHA-256 of the file of hashes of one step, which is that of all its content.

        Args:
            step: one of `steps()`.

        Returns:
            64 hexadecimal digits.

        Raises:
            OSError: there is no checkpoint of this step.
        """
        return hashlib.sha256((self.path(operator.index(step)) / SUMS).read_bytes()).hexdigest()

    def _put_aside(self, step: int, reason: str) -> str:
        path = self.path(step)
        aside = _rejected_name(path)
        try:
            remove(aside)
            os.rename(path, aside)
        except OSError:
            # In a read-only directory, where no save follows that it could affect.
            return reason
        return f"{reason}; it is now {aside.name}"

    def _metric(self, step: int) -> float | None:
        try:
            return read_index(self.path(step)).metric
        except CheckpointError:
            return None


def _rejected_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.rejected")
