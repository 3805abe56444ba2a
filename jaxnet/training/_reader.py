"""A thread that reads ahead into a bounded buffer, and ends with whoever reads from it."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax


class Reader:
    """The items of an iterator, read by a thread of its own, in order.

    An error of the iterator is raised where its item would have been returned.

    Args:
        iterate: makes the iterator, in the thread.
        limit: items that are read ahead, at least 1.

    >>> reader = Reader(lambda: iter("ab"), 1)
    >>> [reader.next(), reader.next(), reader.next()]
    ['a', 'b', None]
    >>> reader.close()
    """

    def __init__(self, iterate: Callable[[], Iterator[Any]], limit: int) -> None:
        self._buffer = _Buffer(limit)
        # Threads do not inherit these two.
        settings = jax.config.jax_enable_x64, jax.config.jax_default_device  # pyright: ignore
        self._thread = threading.Thread(
            target=_read_all, args=(iterate, self._buffer, *settings), name="jaxnet-reader"
        )
        self._thread.daemon = True
        self._thread.start()

    def next(self) -> Any:
        """The next item, or None at the end; waits for it.

        Raises:
            BaseException: what the iterator raised.
        """
        item, error = self._buffer.get()
        if error is not None:
            raise error
        return item

    def close(self) -> None:
        """End the thread, which closes the iterator; waits until it has, for at most a minute."""
        self._buffer.close()
        if self._thread is not threading.current_thread():
            self._thread.join(60)


class _Buffer:
    """Items and at the end an error or None, which the thread puts and the reader gets."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Any] = deque()
        self._condition = threading.Condition()
        self._is_closed = False

    def put(self, item: Any, error: BaseException | None = None) -> bool:
        """Add an item once there is room; False where nobody reads any more."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_closed or len(self._items) < self._limit)
            self._items.append((item, error))
            self._condition.notify_all()
            return not self._is_closed

    def get(self) -> tuple[Any, BaseException | None]:
        with self._condition:
            self._condition.wait_for(lambda: self._items)
            item, error = self._items[0]
            if item is not None:  # The end stays, whoever asks again.
                self._items.popleft()
            self._condition.notify_all()
            return item, error

    def close(self) -> None:
        with self._condition:
            self._is_closed = True
            self._items.clear()
            self._condition.notify_all()


def _read_all(
    iterate: Callable[[], Iterator[Any]], buffer: _Buffer, x64: bool, device: Any
) -> None:
    try:
        with jax.enable_x64(x64), jax.default_device(device):
            iterator = iterate()
            try:
                for item in iterator:
                    if not buffer.put(item):
                        return
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        buffer.put(None)
    except BaseException as error:  # Raised again in the thread that reads.
        buffer.put(None, error)
