"""Programs of several processes on this machine."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jaxnet.hosts.link import Link

ROOT = Path(__file__).resolve().parents[2]


class Programs:
    """The processes of one program, each with its output in a file."""

    def __init__(self, arguments, folder, environment):
        folder.mkdir(parents=True, exist_ok=True)
        self.outputs = [folder / f"output-{index}" for index in range(len(arguments))]
        self.processes = []
        for each, output in zip(arguments, self.outputs, strict=True):
            with open(output, "w", encoding="utf-8") as file:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, *map(str, each)],
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env=environment,
                    )
                )

    def output(self, index):
        """What a process has printed, without the lines of the library of JAX's collectives."""
        lines = self.outputs[index].read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("[Gloo]")]

    def wait_until(self, condition, seconds=100):
        """Wait until a condition holds, while all processes run."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert all(process.poll() is None for process in self.processes), self
            assert time.monotonic() < deadline, self
            time.sleep(0.002)

    def wait(self, seconds=100):
        """The exit statuses of all processes."""
        try:
            return [process.wait(timeout=seconds) for process in self.processes]
        finally:
            self.end()

    def end(self):
        """Kill those that run."""
        for process in self.processes:
            process.kill()
            process.wait()

    def __repr__(self):
        return "\n".join(
            f"process {index}, exit status {process.poll()}:\n{output.read_text()}"
            for index, (process, output) in enumerate(
                zip(self.processes, self.outputs, strict=True)
            )
        )


@pytest.fixture
def free_address():
    """`free_address()` is an address of this machine whose port is free."""

    def address():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{free.getsockname()[1]}"

    return address


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The folder of compiled programs, which are kept between processes."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def start(user_flags, compiled):
    """`start(arguments, folder, ...)` starts a process for each list of arguments of Python.

    Those that are `killed` only read compiled programs: JAX writes these in place. Of processes
    that are connected it is the first that writes; another that reads meanwhile compiles as well.
    """
    groups = []

    def make(arguments, folder, *, killed=False, **environment):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        base = os.environ | {
            "PYTHONPATH": path,
            "XLA_FLAGS": user_flags,
            "NPROC": "1",
            "JAX_COMPILATION_CACHE_DIR": str(compiled),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9" if killed else "0",
            "PYTHONWARNINGS": "ignore:Error reading persistent compilation cache entry",
            # Each program that is read from the cache would be a long warning.
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        groups.append(Programs(arguments, folder, base | environment))
        return groups[-1]

    yield make
    for group in groups:
        group.end()


class Links:
    """Links of some processes in one process; `ends` records what would have ended each."""

    def __init__(self, count, silence=60.0):
        pairs = {peer: socket.socketpair() for peer in range(1, count)}
        self.ends = {index: [] for index in range(count)}
        self.sockets = {peer: pair[1] for peer, pair in pairs.items()}
        connections = [{peer: pair[0] for peer, pair in pairs.items()}]
        connections += [{0: pairs[peer][1]} for peer in range(1, count)]
        self.links = [
            Link(index, count, each, end=self._recorder(index), silence=silence)
            for index, each in enumerate(connections)
        ]

    def _recorder(self, index):
        return lambda message, status: self.ends[index].append((message, status))

    def everywhere(self, function):
        """The results, or the errors, of a function called with each link at the same time."""
        results = {}

        def call(link):
            try:
                results[link.index] = function(link)
            except Exception as error:
                results[link.index] = error

        threads = [threading.Thread(target=call, args=(link,)) for link in self.links]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return [results[index] for index in range(len(self.links))]

    def wait_for_ends(self, indices):
        deadline = time.monotonic() + 30
        while not all(self.ends[index] for index in indices):
            assert time.monotonic() < deadline, self.ends
            time.sleep(0.01)
        return [self.ends[index] for index in indices]


@pytest.fixture
def group(monkeypatch):
    """`group(3)` are the links of three processes, played by threads."""
    monkeypatch.setattr("jaxnet.hosts.link._SECONDS_TO_LEAVE", 0.3)
    groups = []

    def make(count, **options):
        groups.append(Links(count, **options))
        return groups[-1]

    yield make
    for made in groups:
        for link in made.links:
            link.stop()
