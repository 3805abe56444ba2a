"""Blocks of consecutive events, as the networks take them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from experiments.data.logs import Logs


class Blocks(NamedTuple):
    """Blocks of equal size.

    Attributes:
        events: indices into the vocabulary of the logs, `(n, block_size)`.
        user: whose log each is in, `(n,)`.
        start: position of its first event in the log, `(n,)`.
    """

    events: Int[np.ndarray, "n block_size"]
    user: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " n"]

    @property
    def size(self) -> int:
        """Number of events in a block."""
        return self.events.shape[1]


def cut(
    logs: Logs,
    users: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    *,
    block_size: int,
    stride: int,
) -> Blocks:
    """Blocks of a part of the logs of some users.

    Where the last events of a part do not fill a block, another one ends with the last event, and
    overlaps the one before.

    Args:
        logs: the logs.
        users: their indices.
        begin: position of the first event of the part, for each user of the logs.
        end: position after its last event.
        block_size: events of a block.
        stride: events between the first events of two blocks.

    Returns:
        The blocks, by user and time; none of a part that is shorter than a block.

    >>> logs = Logs("some", ("ann",), tuple("abcdefg"), (np.arange(7, dtype=np.int32),), (0,))
    >>> cut(logs, [0], [0], [7], block_size=3, stride=3).events.tolist()
    [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    """
    rows, owners, starts = [], [], []
    for user in users:
        first, last = begin[user], end[user] - block_size
        positions = [*range(first, last + 1, stride)]
        if positions and positions[-1] < last:
            positions.append(last)
        rows += [logs.events[user][position : position + block_size] for position in positions]
        owners += [user] * len(positions)
        starts += positions
    events = np.array(rows, np.int32).reshape(len(rows), block_size)
    return Blocks(events, np.array(owners, np.int32), np.array(starts, np.int32))


def known_tokens(blocks: Blocks, num_events: int) -> Int[np.ndarray, " num_events"]:
    """The token of each event of the vocabulary: from 1 for those in some blocks, 0 for others.

    >>> blocks = Blocks(np.array([[3, 1]]), np.zeros(1, np.int32), np.zeros(1, np.int32))
    >>> known_tokens(blocks, 4).tolist()
    [0, 1, 0, 2]
    """
    tokens = np.zeros(num_events, np.int32)
    known = np.unique(blocks.events)
    tokens[known] = np.arange(1, len(known) + 1)
    return tokens


def masquerades(logs: Logs, blocks: Blocks) -> Bool[np.ndarray, " n"] | None:
    """Which blocks have an event of someone else; None where this is not known."""
    if logs.is_masquerade is None:
        return None
    labels = logs.is_masquerade
    return np.array(
        [
            labels[user][start : start + blocks.size].any()
            for user, start in zip(blocks.user, blocks.start, strict=True)
        ],
        bool,
    )
