"""Several processes, on one machine or several: --coordinator, --num-processes and --process-id.

    # on each machine, with its own number; the address is that of process 0
    python -m experiments.classification --coordinator 10.0.0.1:1234 --num-processes 2 --process-id 0
    # under SLURM, Open MPI or Kubernetes, whose variables say the rest
    srun python -m experiments.classification --coordinator auto

The mesh has the devices of all processes (--num-devices counts all), and what is computed is what
one process with all of them computes, to the bit. Each process reads the data; process 0 prints and
writes to the run directory, which all must see. A run may be resumed on another number of processes.
Processes wait 50 s for each other at the start. Several on one machine with GPUs need devices of their
own, by CUDA_VISIBLE_DEVICES or JAX_LOCAL_DEVICE_IDS. Use a network that you trust.
"""  # noqa: E501

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.config import Options, PositiveInt, RunOptions
from experiments.parsing import read_known
from jaxnet import hosts
from jaxnet.runs import fix_environment, json_values

OPTIONS = ("coordinator", "num_processes", "process_id")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Options(Options):
    """Options that are read before all others, as processes meet before anything can go wrong."""

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    num_threads: PositiveInt | None = None


@contextlib.contextmanager
def connected(config_class: type[Options], arguments: Sequence[str]) -> Iterator[hosts.Processes]:
    """Connect this process with the others that a command line names; only process 0 prints.

    Args:
        config_class: the options of the command.
        arguments: the command line, without the program.

    Yields:
        The processes; without `--coordinator` this one alone.

    Raises:
        ValueError: as `jaxnet.hosts.connect`.
        jaxnet.hosts.HostError: another process ended, or has an error.

    >>> with connected(RunOptions, ["--seed", "3"]) as processes:
    ...     processes.count
    1
    """
    is_run = issubclass(config_class, RunOptions)
    if not is_run or not _names_one(arguments) or {"-h", "--help"} & {*arguments}:
        yield hosts.current()
        return
    given = read_known(_Options, arguments)
    hosts.check_process(given.coordinator, given.num_processes, given.process_id)
    if given.coordinator is None:
        yield hosts.current()
        return
    fix_environment(given.num_threads)
    with contextlib.ExitStack() as stack:
        processes = stack.enter_context(
            hosts.connect(given.coordinator, given.num_processes, given.process_id)
        )
        if not processes.is_first:
            silent = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silent))
        yield processes


def _names_one(arguments: Sequence[str]) -> bool:
    """Whether a command line names one of the options."""
    words = [word.partition("=")[0].lstrip("-").replace("-", "_") for word in arguments]
    return any(name in words for name in OPTIONS)


def require_same_options(config: Any) -> None:
    """Raise, on all processes, where one has other options than process 0.

    Args:
        config: `RunOptions`.

    Raises:
        ValueError: an option that differs; it is named.
    """
    processes = hosts.current()
    if processes.count == 1:
        return
    options = dataclasses.asdict(config)
    options = {name: value for name, value in options.items() if name not in OPTIONS}
    remedy = "give all processes the same options"
    processes.require_same("options", json_values(options), remedy=remedy)
