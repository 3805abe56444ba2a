"""Logs of users: which blocks of a log did someone else make?

    python -m experiments.logs                       # generated logs
    python -m experiments.logs --dataset schonlau    # 50 users, 15 000 UNIX commands each
    python -m experiments.logs --data log.csv --user account --event action --time at
    python -m experiments.predict RUN --data later.csv       # blocks of later logs

A network learns to tell the users apart by blocks of their own events, as one logistic regression
for each user with common hidden layers; the score of a block is minus the logit of the user whose
log it is in. One threshold holds for all users. It is chosen on training data alone: groups of
users are left out in turn, and their blocks are strangers to networks of the others. Events that
training does not have count as nothing, neither for nor against the user. Naive Bayes of each user
against all others (Maxion, Townsend 2002) is scored on the same blocks in the same run.

Published costs take the threshold with the lowest cost on the test blocks; `cost` is that, and
`cost_at_chosen_threshold` is that of the threshold from training data. On the commands of Schonlau
et al. naive Bayes has 58.5; the second command above reaches 47.2 in 153 seconds on one core:
docs/results.md.
"""

from typing import Any

import jax
import numpy as np

from experiments.command import finish, statistics, stopwatch
from experiments.data.logs import Logs, load_user_logs
from experiments.data.named.generated_logs import generate_logs
from experiments.data.named.schonlau import load_schonlau
from experiments.logs.alarms import find_alarms, write_alarms
from experiments.logs.blocks import Blocks, cut, known_tokens, masquerades
from experiments.logs.config import Config
from experiments.logs.figures import draw
from experiments.logs.models import (
    bayes_scores,
    build_network,
    logits_without,
    network_scores,
)
from experiments.logs.prediction import predict
from experiments.logs.saving import save
from experiments.logs.scores import chosen_threshold, score_metrics
from experiments.logs.validation import (
    Validation,
    build_learner,
    training_blocks,
    training_events,
    validate,
    with_batch_for,
    with_epochs,
)
from experiments.memory import check_memory
from experiments.model import num_parameters, stacked_sha256
from experiments.placement import place
from experiments.prepare import load_checked
from experiments.training import (
    batch_size,
    open_directory,
    seed_keys,
    train_options,
)

__all__ = ["Config", "load_data", "predict", "run"]

BAYES = "naive Bayes of each user against all others (Maxion, Townsend 2002)"
MIN_USERS = 4


def load_data(config: Config) -> Logs:
    """The logs of a config.

    Raises:
        ValueError: there is no such data set, or the file cannot be used.
        FileNotFoundError: there is no such file.
    """
    if config.data is not None:
        return load_user_logs(
            config.data,
            user=config.user,
            event=config.event,
            time=config.time,
            label=config.label,
            fraction=config.train_fraction,
            options=config,
        )
    if config.dataset == "generated":
        return generate_logs()
    if config.dataset == "schonlau":
        return load_schonlau(config.data_dir)
    raise ValueError(f"unknown data set {config.dataset!r} of logs; known: generated, schonlau")


def run(config: Config) -> dict[str, Any]:
    """Train networks on the first part of each log, and score the blocks of the rest.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, logs = load_checked(config, load_data, check)
    users = np.arange(len(logs.users))
    train = training_blocks(config, logs, users, np.zeros(len(users), int), logs.num_training)
    config = with_epochs(config, len(train.user))
    tested = cut(
        logs,
        users.tolist(),
        logs.num_training,
        [len(log) for log in logs.events],
        block_size=config.block_size,
        stride=config.block_size,
    )
    tokens = known_tokens(train, len(logs.vocabulary))
    network = build_network(config, int(tokens.max()) + 1, len(users))
    learner = build_learner(config, network, len(users), len(train.user))
    check_memory(config, learner.init)
    size = batch_size(with_batch_for(config, len(train.user)), len(train.user))
    config, placement = place(config, config.num_seeds, [size])
    with open_directory(config, logs.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            validation = validate(directory, config, logs, network, placement)
            trained = placement.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": tokens[train.events], "y": train.user},
                batches=size,
                options=train_options(config),
            )
            scores = network_scores(network, trained.params, tokens[tested.events], tested.user)
            events = training_events(logs, users, logs.num_training)
            bayes = bayes_scores(events, tokens, tested)
        labels = masquerades(logs, tested)
        threshold = chosen_threshold(
            validation.network, validation.is_stranger, config.false_alarm_cost
        )
        alarms = find_alarms(
            logs,
            tested,
            scores.mean(axis=0),
            threshold,
            labels,
            effects=(logits_without(network), trained.params, tokens),
        )
        if directory.is_writer:
            write_alarms(directory.path / "alarms.csv", logs, alarms, config.block_size)
        save(directory, config, logs, tokens, threshold, trained.params)
        summary = _summary(config, logs, validation, scores, bayes, labels)
        summary |= {
            "num_parameters": num_parameters(trained.params),
            "num_examples": {"train": len(train.user), "test": len(tested.user)},
            "params_sha256": stacked_sha256(trained.params),
            "state_sha256": trained.state_sha256,
            "seconds": seconds,
            "threshold": threshold,
            "notes": _notes(tested, tokens, logs),
        }
        captions = draw(directory, trained.history, scores, bayes, labels, threshold, config)
        print(f"{len(alarms)} alarms: {directory.path / 'alarms.csv'}")
        return finish(directory, config, summary, captions, logs.published)


def check(config: Config, logs: Logs) -> None:
    """Check that each log has blocks to learn from and to score.

    Raises:
        ValueError: a log that is too short, or too few users.
    """
    for name, log, length in zip(logs.users, logs.events, logs.num_training, strict=True):
        # The last fifth of the training part is for the threshold.
        needed = 2 * config.block_size
        if length < needed or len(log) - length < config.block_size:
            raise ValueError(
                f"user {name!r} has {length} events for training and {len(log) - length} after "
                f"them, expected at least {needed} and {config.block_size}: use a smaller "
                "--block-size or another --train-fraction, or leave the user out"
            )
    if len(logs.users) < MIN_USERS:
        raise ValueError(
            f"the logs are of {len(logs.users)} users, expected at least {MIN_USERS}: they are "
            "told apart from each other, and some are left out to choose the threshold"
        )


def _summary(
    config: Config,
    logs: Logs,
    validation: Validation,
    scores: np.ndarray,
    bayes: np.ndarray,
    labels: np.ndarray | None,
) -> dict[str, Any]:
    """Metrics of each network, of their mean and of naive Bayes, on the blocks and in training."""
    cost = config.false_alarm_cost
    in_training = {
        "network": score_metrics(validation.network, validation.is_stranger, cost),
        "naive Bayes": score_metrics(validation.bayes, validation.is_stranger, cost),
    }
    chosen = {
        "network": chosen_threshold(validation.network, validation.is_stranger, cost),
        "naive Bayes": chosen_threshold(validation.bayes, validation.is_stranger, cost),
    }
    tables = {"Validation: strangers among the users": _rows(in_training)}
    sizes = {
        "users": len(logs.users),
        "events": sum(map(len, logs.events)),
        "different events": len(logs.vocabulary),
        "blocks": scores.shape[1],
    }
    if labels is None or not 0 < labels.sum() < len(labels):
        rates = (scores >= chosen["network"]).mean(axis=1)
        return {"data": sizes, "metrics": {"alarm_rate": statistics(rates)}, "tables": tables}
    sizes["blocks of someone else"] = int(labels.sum())
    tested = {
        "mean of the networks": score_metrics(scores.mean(axis=0), labels, cost, chosen["network"]),
        "naive Bayes": score_metrics(bayes, labels, cost, chosen["naive Bayes"]),
    }
    each = [score_metrics(values, labels, cost, chosen["network"]) for values in scores]
    return {
        "data": sizes,
        "metrics": {name: statistics([values[name] for values in each]) for name in each[0]},
        "baseline": {"name": BAYES, "metrics": tested["naive Bayes"]},
        "tables": {"Test": _rows(tested)} | tables,
    }


def _rows(metrics: dict[str, dict[str, float]]) -> list[tuple[str, ...]]:
    names = list(next(iter(metrics.values())))
    return [
        ("scores", *(name.replace("_", " ") for name in names)),
        *((model, *(f"{values[name]:.4f}" for name in names)) for model, values in metrics.items()),
    ]


def _notes(blocks: Blocks, tokens: np.ndarray, logs: Logs) -> list[str]:
    unknown = tokens[blocks.events] == 0
    if not unknown.any():
        return []
    return [
        f"{unknown.mean():.1%} of the events after the training part are not in any training "
        f"part ({len(logs.vocabulary) - int(tokens.max())} different ones); they count as nothing"
    ]
