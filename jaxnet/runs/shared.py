"""Checkpoints of a run that several processes share."""

from collections.abc import Callable
from typing import Any

from jaxnet.checkpoint import CheckpointError, Checkpoints, Restored, restore
from jaxnet.hosts import Processes


def restore_shared(
    checkpoints: Checkpoints, like: Callable[[int], Any], processes: Processes
) -> Restored | None:
    """Restore the newest good checkpoint, the same on all processes.

    Args:
        checkpoints: of the run, in a directory that all processes see.
        like: from a step to the structure of the state.
        processes: which share the run.

    Returns:
        As `Checkpoints.restore`; what was rejected is known to process 0 only.

    Raises:
        CheckpointError: as `Checkpoints.restore`; a process that does not see the checkpoint of
            process 0, or another one.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder)
    ...     checkpoints.save(3, {"x": np.ones(2)})
    ...     restored = restore_shared(checkpoints, lambda step: {"x": np.zeros(2)}, Processes())
    >>> restored.step, restored.state["x"].tolist()
    (3, [1.0, 1.0])
    """
    restored = checkpoints.restore(like=like) if processes.is_first else None
    step = processes.gather("checkpoint", None if restored is None else restored.step)[0]
    if step is None:
        return None
    if restored is None:
        try:
            restored = Restored(step, restore(checkpoints.path(step), like=like(step)), ())
        except FileNotFoundError as error:
            raise CheckpointError(
                f"process {processes.index} does not see the checkpoint of step {step}, which "
                f"process 0 has ({error}); name a directory that all processes share"
            ) from error
    hashes = checkpoints.digest(step)
    processes.require_same("checkpoint", hashes, remedy="name a directory that they share")
    return restored
