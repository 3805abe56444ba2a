"""The processes of a program, of which most programs have one."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from jaxnet.hosts.link import HostError, Link


class Processes:
    """All processes of a program, seen from one of them; made by `jaxnet.hosts.connect`.

    Every method but `fail` is called by all processes, in the same order.

    Args:
        link: the connections; None is a program of one process.

    Attributes:
        index: number of this process.
        count: number of processes.

    >>> processes = Processes()
    >>> processes.is_first, processes.gather("loss", 0.5)
    (True, [0.5])
    """

    def __init__(self, link: Link | None = None) -> None:
        self._link = link
        self.index = 0 if link is None else link.index
        self.count = 1 if link is None else link.count

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, which writes files and prints."""
        return self.index == 0

    def gather(self, name: str, value: Any, *, channel: str = "main") -> list[Any]:
        """The values of all processes, in their order.

        Args:
            name: what the value is.
            value: anything that JSON holds.
            channel: for a thread beside the main one, a name of its own.

        Returns:
            One value for each process.

        Raises:
            HostError: another process ended, has an error, or is elsewhere in the program.
        """
        if self._link is None:
            return [value]
        return self._link.gather(name, value, channel=channel)

    def from_first(self, name: str, function: Callable[[], Any], *, channel: str = "main") -> Any:
        """Call a function on process 0 only, and give all its result.

        Args:
            name: what the result is.
            function: of no arguments; its result is anything that JSON holds.
            channel: as of `gather`.

        Returns:
            The result.

        Raises:
            HostError: as `gather`.
        """
        return self.gather(name, function() if self.is_first else None, channel=channel)[0]

    def require_same(self, name: str, value: Any, *, remedy: str) -> None:
        """Raise on all processes where a value differs among them.

        Args:
            name: what the value is.
            value: anything that JSON holds; of a dict, the entry that differs is named.
            remedy: what to do.

        Raises:
            ValueError: the value of a process is not that of process 0.
            HostError: as `gather`.

        >>> Processes().require_same("seed", 3, remedy="give the same to all")
        """
        values = self.gather(name, value)
        for process, other in enumerate(values):
            if (different := _difference(name, values[0], other)) is not None:
                part, expected, found = different
                raise ValueError(
                    f"{part}: process {process} has {found}, and process 0 has {expected}; {remedy}"
                )


def _difference(name: str, expected: Any, found: Any) -> tuple[str, Any, Any] | None:
    """Name of the first part that differs, what is expected and what is found."""
    if expected == found:
        return None
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *found]:
            parts = expected.get(key, "nothing"), found.get(key, "nothing")
            if (different := _difference(key, *parts)) is not None:
                return different
    return name, expected, found


_ALONE = Processes()
_current: contextvars.ContextVar[Processes] = contextvars.ContextVar("processes", default=_ALONE)


def current() -> Processes:
    """The processes of the innermost `jaxnet.hosts.connect`; outside of one, this process alone.

    Returns:
        The processes.

    >>> current().count
    1
    """
    return _current.get()


@contextlib.contextmanager
def entered(processes: Processes) -> Iterator[Processes]:
    """Make processes the current ones inside the context.

    Args:
        processes: such as those of a test.

    Yields:
        The processes.

    >>> with entered(Processes()) as processes:
    ...     current() is processes
    True
    """
    token = _current.set(processes)
    try:
        yield processes
    finally:
        _current.reset(token)


__all__ = ["HostError", "Processes", "current", "entered"]
