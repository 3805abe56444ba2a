"""Several processes, on one machine or several, that run one program together.

`connect` makes the devices of all processes those of `jax.devices()`. What it adds to
`jax.distributed.initialize` is that mistakes and failures are known everywhere: processes that do
not come, other versions or options are errors that say what to do; a process that fails or dies
ends the others with one message. `Processes` are its functions of agreement, which `jaxnet.runs`
uses: process 0 writes, and all stop at the same step.
"""

from jaxnet.hosts.connection import (
    AUTO,
    SECONDS_TO_CONNECT,
    check_process,
    connect,
    exit_status,
)
from jaxnet.hosts.link import HostError
from jaxnet.hosts.processes import Processes, current, entered

__all__ = [
    "AUTO",
    "HostError",
    "Processes",
    "SECONDS_TO_CONNECT",
    "check_process",
    "connect",
    "current",
    "entered",
    "exit_status",
]
