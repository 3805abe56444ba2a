"""Ctrl-C and SIGTERM: the first ends the run once it is saved, a second ends it at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal ended the run. Not an `Exception`, so that no handler of errors catches it.

    Args:
        signal_number: the signal.
        message: what happened.
        path: directory of the run, where it has been saved.

    Attributes:
        exit_status: 130 for SIGINT (Ctrl-C), 143 for SIGTERM, as in shells.
        path: directory of the run, or None.
    """

    def __init__(
        self, signal_number: int, message: str = "interrupted", path: Path | None = None
    ) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number
        self.path = path


class Deferred:
    """Whether a signal has been received.

    Attributes:
        signal_number: the first signal, or None.
    """

    signal_number: int | None = None


@contextlib.contextmanager
def deferred_interruption() -> Iterator[Deferred]:
    """Record the first signal inside the context; a second one ends the process at once.

    Yields:
        The record, whose `signal_number` is None before the first signal.

    >>> with deferred_interruption() as interruption:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     print(interruption.signal_number == signal.SIGTERM)
    True
    """
    deferred = Deferred()

    def note(number: int, frame: FrameType | None) -> None:
        if deferred.signal_number is not None:
            os._exit(128 + number)
        deferred.signal_number = number

    with _handlers(note):
        yield deferred


@contextlib.contextmanager
def immediate_interruption() -> Iterator[None]:
    """Raise `Interrupted` at the first signal inside the context; a second one ends the process.

    Yields:
        None.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM.

    >>> try:
    ...     with immediate_interruption():
    ...         signal.raise_signal(signal.SIGINT)
    ... except Interrupted as interrupted:
    ...     print(interrupted.exit_status)
    130
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for blocked in _SIGNALS:
            signal.signal(blocked, lambda number, frame: os._exit(128 + number))
        raise Interrupted(number)

    with _handlers(interrupt):
        yield


@contextlib.contextmanager
def _handlers(handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Python handles signals in the main thread only.
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
