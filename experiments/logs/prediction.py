"""Scores of the blocks of new logs, by the networks of a finished run."""

import dataclasses
from typing import Any

import numpy as np

from experiments.data.logs import load_new_logs
from experiments.logs.alarms import NUM_SHOWN, describe_events, find_alarms
from experiments.logs.blocks import cut
from experiments.logs.config import Config
from experiments.logs.models import build_network, logits_without, network_scores
from experiments.logs.saving import load
from jaxnet import anomaly


def predict(config: Any, options: Config) -> dict[str, np.ndarray]:
    """Score the blocks of the logs of users whom the run knows, in a table like that of the run.

    Args:
        config: of experiments.predict: the run and the table.
        options: those of the run, which name the columns.

    Returns:
        Columns `(n,)` with a row for each block, by user and time: `user`, `first_row` and
        `last_row`, those of its first and last event in the file, counted from 1 without the
        header; `score`, the mean over the networks; `alarm`; and for alarms the events that raise
        the score most, `behind_1` to `behind_5`. Where the last events of a log do not fill a
        block, another one overlaps the one before.

    Raises:
        ValueError: no table, or one without the columns of the run or without a log to score.
    """
    if config.data is None:
        raise ValueError("data: name the file of the new logs with --data")
    model = load(config.run, options)
    logs = load_new_logs(
        config.data,
        user=options.user,
        event=options.event,
        time=options.time,
        users=model.users,
        min_events=options.block_size,
        options=dataclasses.replace(
            options, missing=(*options.missing, *config.missing), encoding=config.encoding
        ),
    )
    tokens = anomaly.event_tokens(logs.vocabulary, model.vocabulary)
    everyone = range(len(logs.users))
    blocks = cut(
        logs,
        everyone,
        [0 for _ in everyone],
        [len(log) for log in logs.events],
        block_size=options.block_size,
        stride=options.block_size,
    )
    notes = list(logs.notes)
    unknown = tokens[blocks.events] == 0
    if unknown.any():
        notes.append(
            f"{unknown.mean():.1%} of the events were in no training part; they count as nothing"
        )
    for note in notes:
        print(f"note: {note}", flush=True)
    network = build_network(options, len(model.vocabulary) + 1, len(model.users))
    outputs = np.array([model.users.index(name) for name in logs.users], np.int32)
    scores = network_scores(
        network, model.params, tokens[blocks.events], outputs[blocks.user]
    ).mean(axis=0)
    alarms = find_alarms(
        logs,
        blocks,
        scores,
        model.threshold,
        None,
        effects=(logits_without(network), model.params, tokens),
        outputs=outputs,
    )
    behind = {
        (alarm.user, alarm.start): describe_events(logs, alarm, options.block_size)
        for alarm in alarms
    }
    empty = [""] * NUM_SHOWN
    places = [*zip(blocks.user.tolist(), blocks.start.tolist(), strict=True)]
    reasons = [behind.get(place, empty) for place in places]
    last = options.block_size - 1
    print(f"{len(alarms)} alarms in {len(places)} blocks of {len(logs.users)} users")
    return {
        "user": np.array([logs.users[user] for user, _ in places]),
        "first_row": np.array([logs.rows[user][start] for user, start in places]),
        "last_row": np.array([logs.rows[user][start + last] for user, start in places]),
        "score": scores,
        "alarm": np.array([place in behind for place in places]),
        **{
            f"behind_{number + 1}": np.array([each[number] for each in reasons])
            for number in range(NUM_SHOWN)
        },
    }
