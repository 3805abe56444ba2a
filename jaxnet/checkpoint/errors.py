"""Why a checkpoint is rejected, and why one could not be written."""

from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that does not fit the requested state, or that another format holds."""


class CorruptCheckpointError(CheckpointError):
    """A checkpoint whose bytes differ from those that were saved."""


def unwritable(kind: str, path: Path, error: OSError) -> OSError:
    """The error of a failed save, as one line that names the path, the reason and the remedy.

    >>> print(unwritable("file", Path("a"), OSError(28, "No space left on device")))
    file a could not be written (No space left on device); nothing of it remains, and what was saved before is unchanged; free disk space, or write to another directory
    """  # noqa: E501
    reason = error.strerror or " ".join(str(error).split())[:300]
    return OSError(
        f"{kind} {path} could not be written ({reason}); nothing of it remains, and what was saved "
        "before is unchanged; free disk space, or write to another directory"
    )
