"""Alarms: the blocks whose score reaches the threshold, and the events that make them so."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.data.logs import Logs
from experiments.logs.blocks import Blocks
from experiments.logs.models import event_effects
from jaxnet._files import atomic_write

MAX_EXPLAINED, NUM_SHOWN = 500, 5


class Alarm(NamedTuple):
    """A block that someone else may have made.

    Attributes:
        user: index of the user whose log it is in.
        start: position of its first event in the log.
        score: mean over the networks.
        is_masquerade: whether someone else made it; None where this is not known.
        behind: the events that raise the score most: position in the log, and by how much the
            score falls without the event. Empty beyond the first `MAX_EXPLAINED` alarms.
    """

    user: int
    start: int
    score: float
    is_masquerade: bool | None
    behind: list[tuple[int, float]]


def find_alarms(
    logs: Logs,
    blocks: Blocks,
    scores: np.ndarray,
    threshold: float,
    labels: np.ndarray | None,
    effects: tuple[Callable[..., Any], Any, np.ndarray],
    outputs: Int[np.ndarray, " users"] | None = None,
) -> list[Alarm]:
    """The blocks whose score reaches the threshold, the highest score first.

    Args:
        logs: the logs.
        blocks: the blocks that were scored.
        scores: one for each.
        threshold: the threshold.
        labels: which blocks someone else made, or None.
        effects: compiled logits without single events, parameters, and the tokens of the events.
        outputs: the output of the networks for each user of the logs; None where they are the same.
    """
    run, params, tokens = effects
    order = np.argsort(-scores, kind="stable")
    alarms: list[Alarm] = []
    for block in order[scores[order].astype(np.float32) >= threshold]:
        user, start = int(blocks.user[block]), int(blocks.start[block])
        behind: list[tuple[int, float]] = []
        if len(alarms) < MAX_EXPLAINED:
            output = user if outputs is None else int(outputs[user])
            found = event_effects(run, params, tokens[blocks.events[block]], output, NUM_SHOWN)
            behind = [(start + position, effect) for position, effect in found]
        label = None if labels is None else bool(labels[block])
        alarms.append(Alarm(user, start, float(scores[block]), label, behind))
    return alarms


def write_alarms(path: Path, logs: Logs, alarms: list[Alarm], block_size: int) -> None:
    """Write a table with a row for each alarm.

    Events are counted from 1 in each log. Of a user's file the rows of the events behind an alarm
    are given, counted from 1 without the header.

    Args:
        path: the file.
        logs: the logs.
        alarms: of `find_alarms`.
        block_size: events of a block.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["user", "first_event", "last_event", "score", "is_masquerade"]
    writer.writerow([*header, *(f"behind_{number + 1}" for number in range(NUM_SHOWN))])
    for alarm in alarms:
        label = "" if alarm.is_masquerade is None else int(alarm.is_masquerade)
        behind = describe_events(logs, alarm, block_size)
        last = alarm.start + block_size
        name = logs.users[alarm.user]
        writer.writerow([name, alarm.start + 1, last, f"{alarm.score:.4f}", label, *behind])
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def describe_events(logs: Logs, alarm: Alarm, block_size: int) -> list[str]:
    """The events behind an alarm as text, and empty texts up to `NUM_SHOWN`.

    Args:
        logs: the logs.
        alarm: of `find_alarms`.
        block_size: events of a block.
    """
    behind = [_describe(logs, alarm, *each, block_size) for each in alarm.behind]
    return behind + [""] * (NUM_SHOWN - len(behind))


def _describe(logs: Logs, alarm: Alarm, position: int, effect: float, block_size: int) -> str:
    log = logs.events[alarm.user]
    event, block = log[position], log[alarm.start : alarm.start + block_size]
    times = int((block == event).sum())
    kind, number = "event", position + 1
    if logs.rows:
        kind, number = "row", int(logs.rows[alarm.user][position])
    first = f"{kind} {number}" if times == 1 else f"{times} times, first in {kind} {number}"
    return f"{logs.vocabulary[event]} ({first}): {effect:+.3f}"
