"""Checkpoints that are restored exactly or rejected, and parameters as `safetensors` files.

A checkpoint holds any pytree of arrays, typed PRNG keys included. It is written completely or not
at all, and every leaf and file is verified by its SHA-256 when it is read.
"""

from jaxnet.checkpoint.directory import read, restore, save
from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.leaves import params_sha256
from jaxnet.checkpoint.safetensors import export_params, import_params
from jaxnet.checkpoint.series import Checkpoints, Restored
from jaxnet.checkpoint.shared import BackgroundSaver

__all__ = [
    "BackgroundSaver",
    "CheckpointError",
    "Checkpoints",
    "CorruptCheckpointError",
    "Restored",
    "export_params",
    "import_params",
    "params_sha256",
    "read",
    "restore",
    "save",
]
