"""A connection to JAX's coordinator that does not close when the coordinator ends.

Where its connection to the coordinator closes, JAX ends a process at once with the trace of a C++
program, which no public option changes. Through a forwarder on the same machine the connection
stays open, and the process has time to say in one line why it ends.
"""

import contextlib
import socket
import threading
import time

_SECONDS_TO_CONNECT = 100.0


def forward(host: str, port: int) -> int:
    """Listen on a port of this machine and forward each connection, until the process ends.

    Args:
        host: machine of the coordinator.
        port: its port.

    Returns:
        The port of this machine.
    """
    server = socket.create_server(("127.0.0.1", 0))
    _thread(_accept, server, host, port)
    return server.getsockname()[1]


def _accept(server: socket.socket, host: str, port: int) -> None:
    with server:
        while True:
            near, _ = server.accept()
            _thread(_connect, near, host, port)


def _connect(near: socket.socket, host: str, port: int) -> None:
    deadline = time.monotonic() + _SECONDS_TO_CONNECT
    while True:
        try:
            far = socket.create_connection((host, port), timeout=5.0)
            break
        except OSError:
            # The coordinator has not started yet.
            if time.monotonic() > deadline:
                near.close()
                return
            time.sleep(0.05)
    for connection in (near, far):
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _thread(_copy, near, far, True)
    _thread(_copy, far, near, False)


def _copy(source: socket.socket, target: socket.socket, closes: bool) -> None:
    """Copy what arrives; the end of the near side closes the far one, and not the reverse."""
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
    if closes:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _thread(function, *arguments) -> None:
    threading.Thread(target=function, args=arguments, name="jaxnet-forward", daemon=True).start()
