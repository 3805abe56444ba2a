"""How the processes of a program find each other, before JAX connects them.

`jax.distributed.initialize` ends a process with the trace of a C++ program where another one does
not come. So they meet first at the address of process 0, where numbers and versions are compared
and every mistake is an error on all of them.
"""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from jaxnet.hosts.frames import frame_length, pack, unpack

_PROTOCOL = 1
_SECONDS_BETWEEN_TRIES = 0.1
_SECONDS_OF_A_HELLO = 5.0
# Longer than process 0 waits, which then says what is missing.
_SECONDS_MORE = 15.0


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        ValueError: another text.

    >>> parse_address("10.0.0.1:1234"), parse_address("[::1]:80")
    (('10.0.0.1', 1234), ('::1', 80))
    >>> parse_address("10.0.0.1")
    Traceback (most recent call last):
        ...
    ValueError: coordinator must be HOST:PORT, such as 10.0.0.1:1234, found '10.0.0.1'; name the machine of process 0 and a free port of it
    """  # noqa: E501
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(
            f"coordinator must be HOST:PORT, such as 10.0.0.1:1234, found {address!r}; name the "
            "machine of process 0 and a free port of it"
        )
    return host, int(port)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a port; on a loopback address only where the host is one.

    Raises:
        ValueError: the port is in use.

    >>> with listen("127.0.0.1", 0) as server:
    ...     server.getsockname()[0]
    '127.0.0.1'
    """
    is_local = host in ("localhost", "127.0.0.1", "::1")
    try:
        if is_local:
            family = socket.AF_INET6 if host == "::1" else socket.AF_INET
            return socket.create_server((host, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise ValueError(
            f"coordinator: port {port} cannot be used on this machine, which is that of process 0 "
            f"({error.strerror or error}); name another port, or end the program that uses it"
        ) from error


def meet(
    server: socket.socket,
    num_processes: int,
    facts: Mapping[str, Any],
    start: Mapping[str, Any],
    *,
    address: str,
    timeout: float,
) -> dict[int, socket.socket]:
    """Wait, on process 0, for all other processes.

    Args:
        server: from `listen`.
        num_processes: number of processes.
        facts: what must be the same on all, such as versions; a name and a value each.
        start: what the others are told once all have come.
        address: where the others connect to, for messages.
        timeout: seconds to wait.

    Returns:
        Process -> connection.

    Raises:
        ValueError: processes that do not come in time, or differ; all of them raise it too.
    """
    deadline = time.monotonic() + timeout
    joined: dict[int, socket.socket] = {}
    problem: str | None = None
    while len(joined) < num_processes - 1 and problem is None:
        server.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            connection, _ = server.accept()
        except TimeoutError:
            missing = [i for i in range(1, num_processes) if i not in joined]
            problem = _missing(missing, num_processes, address, timeout)
            break
        try:
            hello = receive(connection, _SECONDS_OF_A_HELLO)
            process = hello["process_id"]
            problem = _compare(hello, num_processes, facts, joined)
        except (OSError, ValueError, KeyError, TypeError):
            # Another program than one of ours, such as a scan of ports.
            connection.close()
            continue
        if problem is not None:
            _tell([connection], {"error": problem})
            connection.close()
            break
        joined[process] = connection
    if problem is not None:
        _tell(list(joined.values()), {"error": problem})
        for connection in joined.values():
            connection.close()
        raise ValueError(problem)
    _tell(list(joined.values()), {"start": dict(start)})
    return joined


def join(
    hosts: list[str],
    port: int,
    hello: Mapping[str, Any],
    *,
    timeout: float,
) -> tuple[socket.socket, dict[str, Any]]:
    """Connect, on another process, to process 0, and wait until all processes have.

    Args:
        hosts: names or addresses of the machine of process 0, tried in turn.
        port: its port.
        hello: `process_id`, `num_processes` and `facts`, and the secret where there is one.
        timeout: seconds to wait.

    Returns:
        The connection, and what process 0 says at the start.

    Raises:
        ValueError: process 0 is not reached in time, or rejects this process.
    """
    deadline = time.monotonic() + timeout
    address = f"{hosts[0]}:{port}"
    while True:
        for host in hosts:
            left = deadline - time.monotonic()
            try:
                connection = socket.create_connection((host, port), timeout=max(left, 0.001))
            except OSError as error:
                reason = str(error.strerror or error)
                continue
            return connection, _greet(connection, hello, address, timeout)
        if time.monotonic() > deadline:
            raise ValueError(
                f"coordinator: process 0 is not reached at {address} within {timeout:.0f} s "
                f"({reason}); start it there with --process-id 0, and let its firewall pass "
                "connections among the machines"
            )
        time.sleep(_SECONDS_BETWEEN_TRIES)


def receive(connection: socket.socket, timeout: float) -> dict[str, Any]:
    """Read one message.

    Raises:
        ValueError: something else.
        OSError: nothing in time.
    """
    deadline = time.monotonic() + timeout
    # Not a byte more: what follows belongs to the link.
    frame = bytearray()
    needed = 4
    while len(frame) < needed:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        received = connection.recv(needed - len(frame))
        if not received:
            raise ValueError("the connection is closed")
        frame += received
        if len(frame) == 4 == needed:
            needed = frame_length(frame)
    connection.settimeout(None)
    return unpack(frame)[0]


def _greet(
    connection: socket.socket, hello: Mapping[str, Any], address: str, timeout: float
) -> dict[str, Any]:
    try:
        connection.sendall(pack({"protocol": _PROTOCOL} | dict(hello)))
        answer = receive(connection, timeout + _SECONDS_MORE)
    except (OSError, ValueError) as error:
        connection.close()
        raise ValueError(
            f"coordinator: what listens at {address} is not process 0 of this program, or has "
            f"ended ({error}); use another port, and start all processes again"
        ) from error
    if "start" not in answer:
        connection.close()
        raise ValueError(str(answer.get("error", "process 0 gave no answer")))
    return answer["start"]


def _compare(
    hello: Mapping[str, Any],
    num_processes: int,
    facts: Mapping[str, Any],
    joined: Mapping[int, socket.socket],
) -> str | None:
    """What is wrong with a process that has come; None where nothing is."""
    if hello["protocol"] != _PROTOCOL or hello.get("secret") != facts.get("secret"):
        raise ValueError("another program")
    process, others = int(hello["process_id"]), dict(hello["facts"])
    if hello["num_processes"] != num_processes:
        return (
            f"num_processes: process {process} has {hello['num_processes']}, and process 0 has "
            f"{num_processes}; give all the same number"
        )
    if process in joined or not 0 < process < num_processes:
        return f"process_id: {process} was given to two processes; give each its own number"
    for name, value in facts.items():
        if name != "secret" and others.get(name) != json.loads(json.dumps(value)):
            return (
                f"{name}: process {process} has {others.get(name)}, and process 0 has {value}; "
                "install the same versions on all machines"
            )
    return None


def _missing(missing: list[int], num_processes: int, address: str, timeout: float) -> str:
    names = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    return (
        f"num_processes: of {num_processes} processes, {names} did not come to {address} within "
        f"{timeout:.0f} s; start each with its own --process-id, and let the firewall of process 0 "
        "pass connections among the machines"
    )


def _tell(connections: list[socket.socket], message: dict[str, Any]) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(pack(message))
