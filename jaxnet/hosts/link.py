"""Messages among the processes of a program, beside those of JAX: values, mistakes, signs of life.

JAX has no public way to learn that another process failed: a collective operation waits for it, or
raises an error that names a connection. So the processes keep one TCP connection each to process 0,
over which they agree on values, tell each other their errors, and notice at once when one ends: the
operating system closes the connections of a process that dies, also by `kill -9`. A machine that is
cut off is noticed by its silence.
"""

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from jaxnet.hosts.frames import pack, unpack

_SECONDS_BETWEEN_SIGNS = 2.0
# Below the 60 s within which the others end. A busy process sends signs of life from a thread.
_SECONDS_OF_SILENCE = 40.0
# Until a process that has heard of another one's error ends, whatever it is doing.
_SECONDS_TO_LEAVE = 5.0


class HostError(RuntimeError):
    """Another process ended, or has an error, so this one cannot go on.

    Args:
        message: what happened, in one sentence.
        exit_status: the exit status with which this process ends.

    Attributes:
        exit_status: as given.

    >>> HostError("process 1: no such file", 2).exit_status
    2
    """

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def end_process(message: str, exit_status: int) -> None:
    """Print a message and end this process, from any thread, whatever the others do.

    Args:
        message: one line.
        exit_status: of the process.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"error: {message}\n".encode())
    os._exit(exit_status)


class Link:
    """The connections of one process.

    Args:
        index: number of this process.
        count: number of processes.
        connections: process -> a connected socket: of process 0 to all others, of the others to
            process 0.
        end: what ends this process when another one is lost: a function of the message and the
            exit status.
        silence: seconds without a sign of life after which a process counts as lost.

    Attributes:
        index: as given.
        count: as given.
    """

    def __init__(
        self,
        index: int,
        count: int,
        connections: Mapping[int, socket.socket],
        *,
        end: Callable[[str, int], None] = end_process,
        silence: float = _SECONDS_OF_SILENCE,
    ) -> None:
        self.index, self.count = index, count
        self._connections = dict(connections)
        self._end, self._silence = end, silence
        self._changed = threading.Condition()
        self._sending = {peer: threading.Lock() for peer in connections}
        self._numbers: dict[str, int] = {}
        self._values: dict[tuple[str, int], dict[int, tuple[str, Any]]] = {}
        self._results: dict[tuple[str, int], dict[str, Any]] = {}
        self._problem: HostError | None = None
        self._deadline: float | None = None
        # Whoever has said why it leaves, or is gone.
        self._left: set[int] = set()
        self._gone: set[int] = set()
        self._closed = False
        self._wake, self._woken = socket.socketpair()
        self._pump = threading.Thread(target=self._run, name="jaxnet-hosts", daemon=True)
        self._pump.start()

    def gather(self, name: str, value: Any, *, channel: str = "main") -> list[Any]:
        """The values of all processes, in their order; each waits for all others.

        Args:
            name: what the value is; all processes must be at the same name.
            value: anything that JSON holds.
            channel: calls of one channel must come in the same order on all processes. A thread
                beside the main one uses a channel of its own.

        Returns:
            The values, as JSON holds them.

        Raises:
            HostError: another process has an error, ended, or is at another name.
        """
        number = self._numbers[channel] = self._numbers.get(channel, -1) + 1
        key = (channel, number)
        if self.index == 0:
            self._keep(key, 0, name, json.loads(json.dumps(value)))
            self._wait(lambda: len(self._values.get(key, ())) == self.count)
            result = _combine(self._values.pop(key))
            for peer in self._connections:
                self._send(peer, {"kind": "result", "key": key} | result)
        else:
            self._send(0, {"kind": "value", "key": key, "name": name, "value": value})
            self._wait(lambda: key in self._results)
            result = self._results.pop(key)
        if "error" in result:
            raise HostError(result["error"])
        return result["values"]

    def fail(self, message: str, exit_status: int) -> HostError | None:
        """Tell the others that this process ends with an error, and wait until they know.

        Where another process is lost, that is the error of this one too, and ends it.

        Args:
            message: the error, in one line.
            exit_status: with which this process is about to end.

        Returns:
            The error of another process that came first, which may be the cause.
        """
        with self._changed:
            # Errors of collective operations come at the same time as the end of a connection.
            self._changed.wait_for(lambda: self._problem is not None, timeout=1.0)
            problem, self._deadline, self._closed = self._problem, None, True
        if problem is None:
            for peer in self._connections:
                self._send(peer, self._failure(self.index, message, exit_status))
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with self._changed:
            everyone = set(self._connections)
            limit = 2 * _SECONDS_TO_LEAVE
            self._changed.wait_for(lambda: everyone <= self._gone, timeout=limit)
        self._stop()
        return problem

    def close(self) -> None:
        """End without an error, once all processes do.

        Raises:
            HostError: as `gather`.
        """
        self.gather("the end", None)
        with self._changed:
            self._closed = True
        for peer in self._connections:
            self._send(peer, {"kind": "left"})

    def stop(self) -> None:
        """Close the connections; nothing that others do ends this process from now on."""
        with self._changed:
            self._closed = True
        self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        if threading.current_thread() is not self._pump:
            self._pump.join(timeout=_SECONDS_TO_LEAVE)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._problem is not None or condition())
            if not condition():
                assert self._problem is not None
                raise HostError(str(self._problem), self._problem.exit_status)

    def _keep(self, key: tuple[str, int], peer: int, name: str, value: Any) -> None:
        with self._changed:
            self._values.setdefault(key, {})[peer] = (name, value)
            self._changed.notify_all()

    def _send(self, peer: int, message: dict[str, Any]) -> None:
        frame = pack(message)
        with contextlib.suppress(OSError), self._sending[peer]:
            # An error of a connection is found by the thread that reads it.
            self._connections[peer].sendall(frame)

    def _run(self) -> None:
        """The thread that reads, sends signs of life, and watches those of the others."""
        heard = dict.fromkeys(self._connections, time.monotonic())
        buffers = {peer: bytearray() for peer in self._connections}
        signed = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ, None)
            for peer, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, peer)
            while True:
                for key, _ in selector.select(timeout=0.5):
                    peer = key.data
                    if peer is None:
                        self._release()
                        return
                    if self._read(peer, buffers[peer]):
                        heard[peer] = time.monotonic()
                    else:
                        selector.unregister(key.fileobj)
                now = time.monotonic()
                if now - signed >= _SECONDS_BETWEEN_SIGNS:
                    signed = now
                    for peer in set(self._connections) - self._gone:
                        self._sign(peer)
                for peer in set(self._connections) - self._gone - self._left:
                    if now - heard[peer] > self._silence:
                        self._lose(peer, f"has been silent for {self._silence:.0f} s")
                if self._deadline is not None and now > self._deadline and self._problem:
                    self._deadline = None
                    self._end(str(self._problem), self._problem.exit_status)

    def _sign(self, peer: int) -> None:
        lock = self._sending[peer]
        # A long message that is being sent is a sign of life itself.
        if lock.acquire(blocking=False):
            try:
                with contextlib.suppress(OSError):
                    self._connections[peer].sendall(pack({"kind": "alive"}))
            finally:
                lock.release()

    def _release(self) -> None:
        for connection in (*self._connections.values(), self._wake, self._woken):
            connection.close()

    def _read(self, peer: int, buffer: bytearray) -> bool:
        """Read what a connection has; False once it is closed."""
        try:
            received = self._connections[peer].recv(1 << 16)
        except OSError:
            received = b""
        if not received:
            with self._changed:
                self._gone.add(peer)
                self._changed.notify_all()
            self._lose(peer, "ended without a message, perhaps killed or out of memory")
            return False
        buffer += received
        try:
            for message in unpack(buffer):
                self._handle(peer, message)
        except (ValueError, KeyError, TypeError) as error:
            self._lose(peer, f"sent what is not a message ({error})")
        return True

    def _handle(self, peer: int, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "value":
            channel, number = message["key"]
            self._keep((channel, number), peer, message["name"], message["value"])
        elif kind == "result":
            channel, number = message["key"]
            with self._changed:
                self._results[channel, number] = message
                self._changed.notify_all()
        elif kind == "left":
            with self._changed:
                self._left.add(peer)
        elif kind == "lost":
            self._lose(message["process"], message["why"])
        elif kind == "failed":
            with self._changed:
                self._left.add(peer)
            self._learn(message)

    def _failure(self, process: int, message: str, exit_status: int) -> dict[str, Any]:
        return {
            "kind": "failed",
            "process": process,
            "message": message,
            "exit_status": exit_status,
        }

    def _learn(self, failure: dict[str, Any]) -> None:
        """Another process has an error: this one ends by itself, or soon by the thread."""
        process, status = failure["process"], int(failure["exit_status"])
        with self._changed:
            if self._closed or self._problem is not None:
                return
            self._problem = HostError(f"process {process}: {failure['message']}", status)
            self._deadline = time.monotonic() + _SECONDS_TO_LEAVE
            self._changed.notify_all()
        self._relay(process, self._failure(process, failure["message"], status))

    def _lose(self, process: int, why: str) -> None:
        with self._changed:
            if process in self._left or self._problem is not None or self._closed:
                return
            message = f"process {process} {why}; this process ends too"
            self._problem = HostError(message)
            self._changed.notify_all()
        self._relay(process, {"kind": "lost", "process": process, "why": why})
        self._end(message, 1)

    def _relay(self, process: int, message: dict[str, Any]) -> None:
        if self.index == 0:
            for peer in set(self._connections) - self._gone - {process}:
                self._send(peer, message)


def _combine(values: dict[int, tuple[str, Any]]) -> dict[str, Any]:
    name = values[0][0]
    for process, (other, _) in sorted(values.items()):
        if other != name:
            return {
                "error": f"process {process} is at {other!r}, and process 0 at {name!r}; run the "
                "same program with the same options on all processes"
            }
    return {"values": [values[process][1] for process in sorted(values)]}
