"""Checkpoints that are exact or refused, and parameters as files that other tools read."""

from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.folder import restore, save
from jaxnet.checkpoint.leaves import params_sha256
from jaxnet.checkpoint.safetensors import export_params, import_params
from jaxnet.checkpoint.series import Checkpoints, Restored

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "CorruptCheckpointError",
    "Restored",
    "export_params",
    "import_params",
    "params_sha256",
    "restore",
    "save",
]
