"""Connect the processes of a program: with each other, and through JAX their devices."""

import atexit
import contextlib
import importlib.metadata
import json
import os
import platform
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxnet.hosts.forwarder import forward
from jaxnet.hosts.link import HostError, Link
from jaxnet.hosts.processes import Processes, entered
from jaxnet.hosts.rendezvous import join, listen, meet, parse_address

AUTO = "auto"
"""The address of a coordinator that JAX finds by the variables of a cluster."""
SECONDS_TO_CONNECT = 50.0
"""How long the processes wait for each other by default."""

# Differences in other packages change no array; these decide what is computed.
_PACKAGES = ("functional-jaxnet", "jax", "jaxlib", "numpy", "optax")
_SECONDS_OF_SHUTDOWN = 30
_MAX_TEXT = 2048


def check_process(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Check the three values that say which process this is.

    Args:
        coordinator: `HOST:PORT` of process 0, or "auto"; None is a program of one process.
        num_processes: number of processes; None with "auto".
        process_id: number of this process, from 0; None with "auto".

    Raises:
        ValueError: a value that is missing, not needed, or out of range.

    >>> check_process("10.0.0.1:1234", 2, 2)
    Traceback (most recent call last):
        ...
    ValueError: process_id must be in [0, 1], one of the numbers of 2 processes, found 2; give each process its own
    """  # noqa: E501
    others = {"num_processes": num_processes, "process_id": process_id}
    given = [name for name, value in others.items() if value is not None]
    if coordinator is None or coordinator == AUTO:
        if given:
            raise ValueError(
                f"{given[0]} is {others[given[0]]}, but coordinator is {coordinator or 'not given'}"
                "; name the address of process 0, HOST:PORT, or leave the number out"
            )
        return
    parse_address(coordinator)
    if num_processes is None or process_id is None:
        missing = next(name for name, value in others.items() if value is None)
        raise ValueError(
            f"{missing} is needed beside coordinator {coordinator}; give it, or use coordinator "
            f"{AUTO} on a cluster that tells its processes their numbers"
        )
    if num_processes < 1:
        raise ValueError(f"num_processes must be at least 1, found {num_processes}")
    if not 0 <= process_id < num_processes:
        raise ValueError(
            f"process_id must be in [0, {num_processes - 1}], one of the numbers of "
            f"{num_processes} processes, found {process_id}; give each process its own"
        )


@contextlib.contextmanager
def connect(
    coordinator: str,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: float = SECONDS_TO_CONNECT,
) -> Iterator[Processes]:
    """Connect this process with the others of a program; all run the same program.

    Inside, `jax.devices()` are the devices of all processes, `jaxnet.runs` writes from process 0
    alone, and whatever ends one process ends the others: an error with its message, a process that
    is killed or cut off within 60 s.

    Args:
        coordinator: `HOST:PORT`, the machine of process 0 and a free port of it; or "auto", where
            the variables of SLURM, Open MPI, Kubernetes or a TPU tell `jax.distributed.initialize`
            the rest. Connections are not encrypted: use a network that you trust.
        num_processes: number of processes.
        process_id: number of this process, from 0.
        timeout: seconds to wait for the others.

    Yields:
        The processes.

    Raises:
        ValueError: numbers out of range, processes that do not come, other versions of packages.
            With "auto" JAX itself ends the process where others do not come.
        RuntimeError: JAX has computed already.
        HostError: another process has an error.

    >>> with connect("127.0.0.1:1", 1, 0) as processes:
    ...     processes.count
    1
    """
    check_process(coordinator, num_processes, process_id)
    if coordinator != AUTO and num_processes == 1:
        with entered(Processes()) as processes:
            yield processes
        return
    link = _connect(coordinator, num_processes, process_id, timeout)
    leave, normal_end = _Leave(), None
    atexit.register(leave)
    try:
        with entered(Processes(link)) as processes:
            try:
                yield processes
            except SystemExit as end:
                if end.code not in (None, 0):
                    raise
                normal_end = end
        link.close()
        jax.distributed.shutdown()
        link.stop()
    except BaseException as error:
        status = exit_status(error)
        # Not a normal end, at which JAX would wait for the others.
        leave.exit_status = status
        earlier = link.fail(_line(error), status)
        if (
            earlier is not None
            and not isinstance(error, HostError)
            and _line(error) not in str(earlier)
        ):
            leave.exit_status = earlier.exit_status
            raise earlier from error
        raise
    finally:
        if leave.exit_status is None:
            atexit.unregister(leave)
    if normal_end is not None:
        raise normal_end


def exit_status(error: BaseException) -> int:
    """The exit status of a program that ends with an error.

    Args:
        error: the error.

    Returns:
        Its `exit_status` or `code` where it has one; 2 for a mistake, 1 for others.

    >>> exit_status(ValueError("rate must be positive")), exit_status(SystemExit(3))
    (2, 3)
    """
    status = getattr(error, "exit_status", getattr(error, "code", None))
    if isinstance(status, int):
        return status
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, ValueError | OSError) else 1


class _Leave:
    """At the end of a program that has failed: end without waiting for the other processes."""

    exit_status: int | None = None

    def __call__(self) -> None:
        if self.exit_status is not None:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(self.exit_status)


def _connect(
    coordinator: str, num_processes: int | None, process_id: int | None, timeout: float
) -> Link:
    if coordinator == AUTO:
        return _connect_by_cluster(timeout)
    assert num_processes is not None and process_id is not None
    host, port = parse_address(coordinator)
    if process_id == 0:
        with listen(host, port) as server, _free_port(host) as free:
            # Free until JAX listens there.
            start = {"port": free.getsockname()[1]}
            others = meet(
                server, num_processes, _facts(), start, address=coordinator, timeout=timeout
            )
        link = Link(0, num_processes, others)
        address, bind = f"{host}:{start['port']}", None
        if host in ("localhost", "127.0.0.1"):
            bind = f"127.0.0.1:{start['port']}"
    else:
        hello = {"process_id": process_id, "num_processes": num_processes, "facts": _facts()}
        connection, start = join([host], port, hello, timeout=timeout)
        link = Link(process_id, num_processes, {0: connection})
        address, bind = f"127.0.0.1:{forward(host, int(start['port']))}", None
    try:
        jax.distributed.initialize(
            address,
            num_processes,
            process_id,
            cluster_detection_method="deactivate",
            coordinator_bind_address=bind,
            initialization_timeout=max(10, int(timeout)),
            shutdown_timeout_seconds=_SECONDS_OF_SHUTDOWN,
        )
    except BaseException as error:
        link.fail(_line(error), exit_status(error))
        raise
    return link


def _connect_by_cluster(timeout: float) -> Link:
    if not jax.distributed.is_initialized():
        try:
            jax.distributed.initialize(
                initialization_timeout=int(timeout), shutdown_timeout_seconds=_SECONDS_OF_SHUTDOWN
            )
        except ValueError as error:
            raise ValueError(
                f"coordinator {AUTO}: no variables of a cluster are found ({error}); give "
                "coordinator HOST:PORT, num_processes and process_id"
            ) from error
    index, count = jax.process_index(), jax.process_count()
    server = listen("", 0) if index == 0 else None
    with contextlib.ExitStack() as stack:
        told: dict[str, Any] = {}
        if server is not None:
            stack.enter_context(server)
            told = {
                "hosts": _own_names(),
                "port": server.getsockname()[1],
                "secret": secrets.token_hex(16),
            }
        told = _broadcast(told)
        facts = _facts()
        if server is not None:
            address = f"{told['hosts'][0]}:{told['port']}"
            facts["secret"] = told["secret"]
            others = meet(server, count, facts, {}, address=address, timeout=timeout)
            return Link(0, count, others)
    hello = {"process_id": index, "num_processes": count, "facts": facts}
    hello["secret"] = told["secret"]
    connection, _ = join(told["hosts"], told["port"], hello, timeout=timeout)
    return Link(index, count, {0: connection})


def _broadcast(value: Mapping[str, Any]) -> dict[str, Any]:
    """What process 0 says, by a collective operation of JAX."""
    text = json.dumps(value).encode()
    if len(text) > _MAX_TEXT:
        raise ValueError(f"the names of this machine are too long: {value}")
    values = np.frombuffer(text.ljust(_MAX_TEXT), np.uint8)
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(values)).tobytes())


def _own_names() -> list[str]:
    """Names and addresses of this machine, by which others may reach it."""
    name = socket.gethostname()
    names = [name, socket.getfqdn()]
    with contextlib.suppress(OSError):
        names += socket.gethostbyname_ex(name)[2]
    return list(dict.fromkeys(names))


def _free_port(host: str) -> socket.socket:
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("::1" if host == "::1" else "", 0))
    return reserved


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[package] = importlib.metadata.version(package)
    return facts


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        text = f"it ended with exit status {text}"
    return (text or type(error).__name__)[:1000]
