"""Why a checkpoint is refused."""


class CheckpointError(ValueError):
    """A checkpoint that cannot stand in for the state that is asked for."""


class CorruptCheckpointError(CheckpointError):
    """A checkpoint whose bytes are not those that were saved."""
