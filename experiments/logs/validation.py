"""Scores of strangers, from training data alone: each group of users is left out once."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

import jaxnet as jn
from experiments.data.logs import Logs
from experiments.logs.blocks import Blocks, cut, known_tokens
from experiments.logs.config import Config
from experiments.logs.models import bayes_scores, network_scores, user_objective
from experiments.placement import Placement
from experiments.precision import scaled
from experiments.training import batch_size, config_optimizer, network_keys, train_options
from jaxnet import runs

MAX_CLAIMED, NUM_STEPS = 100_000, 1_000


class Validation(NamedTuple):
    """Scores of blocks of the users' own and of strangers, from training data alone.

    Attributes:
        network: scores by networks, `(n,)`.
        bayes: scores by naive Bayes, `(n,)`.
        is_stranger: which blocks are of strangers, `(n,)`.
    """

    network: np.ndarray
    bayes: np.ndarray
    is_stranger: np.ndarray


def training_blocks(config: Config, logs: Logs, users: Any, begin: Any, end: Any) -> Blocks:
    """Overlapping blocks of a part of the logs of some users, from which networks learn."""
    stride = min(config.stride, config.block_size)
    return cut(logs, list(users), begin, end, block_size=config.block_size, stride=stride)


def training_events(
    logs: Logs, users: Iterable[int], end: Sequence[int]
) -> dict[int, Int[np.ndarray, " time"]]:
    """The first part of the logs of some users, by user."""
    return {int(user): logs.events[user][: end[user]] for user in users}


def build_learner(config: Config, network: jn.Chain, num_users: int, num_train: int) -> jn.Learner:
    """The learner of networks, for a number of training blocks, which a schedule depends on."""
    objective = user_objective(network, num_users)
    optimizer = config_optimizer(with_batch_for(config, num_train), num_train)
    return jn.gradient_learner(network.init, scaled(config, objective), optimizer)


def with_batch_for(config: Config, num_train: int) -> Config:
    """The options with a batch that is not larger than the training data."""
    if config.batch_size == "all":
        return config
    return dataclasses.replace(config, batch_size=min(config.batch_size, num_train))


def with_epochs(config: Config, num_train: int) -> Config:
    """The options with a number of passes over the training blocks."""
    if config.num_epochs is not None:
        return config
    steps = max(1, num_train // batch_size(with_batch_for(config, num_train), num_train))
    return dataclasses.replace(config, num_epochs=-(-NUM_STEPS // steps))


def validate(
    directory: runs.RunDirectory,
    config: Config,
    logs: Logs,
    network: jn.Chain,
    placement: Placement,
) -> Validation:
    """Scores of networks that were trained without a group of users and the end of each log."""
    size, num_users = config.block_size, len(logs.users)
    end = np.array(logs.num_training)
    # At least one block for each part.
    middle = np.clip((end * 4) // 5, size, end - size)
    order = np.random.default_rng(config.seed).permutation(num_users)
    options = train_options(config)
    learners: dict[int, jn.Learner] = {}
    parts: list[Validation] = []
    num_folds = min(config.num_folds, num_users // 2)
    for fold in range(num_folds):
        strangers = np.sort(order[fold::num_folds])
        users = np.setdiff1d(order, strangers)
        train = training_blocks(config, logs, users, np.zeros(num_users, int), middle)
        tokens = known_tokens(train, len(logs.vocabulary))
        num_train = len(train.user)
        # Folds of equal size are one compiled program.
        learner = learners.setdefault(
            num_train, build_learner(config, network, num_users, num_train)
        )
        keys = network_keys(config.seed, 1, f"fold {fold}")
        trained = placement.train(
            directory.stage(f"fold_{fold + 1}"),
            learner,
            jax.jit(jax.vmap(learner.init))(keys),
            {"x": tokens[train.events], "y": train.user},
            batches=batch_size(with_batch_for(config, num_train), num_train),
            options=options,
        )
        blocks, is_stranger = _claimed(config, logs, users, strangers, middle)
        scores = network_scores(network, trained.params, tokens[blocks.events], blocks.user)
        bayes = bayes_scores(training_events(logs, users, middle.tolist()), tokens, blocks)
        parts.append(Validation(scores[0], bayes, is_stranger))
    return Validation(*map(np.concatenate, zip(*parts, strict=True)))


def _claimed(
    config: Config, logs: Logs, users: np.ndarray, strangers: np.ndarray, middle: np.ndarray
) -> tuple[Blocks, np.ndarray]:
    """The last training blocks of users, and those of strangers as if each user had made them."""
    size = config.block_size
    own, others = (
        cut(logs, list(each), middle.tolist(), logs.num_training, block_size=size, stride=size)
        for each in (users, strangers)
    )
    # Of many, some at equal distances.
    step = -(-len(others.user) * len(users) // MAX_CLAIMED)
    others = Blocks(*(values[::step] for values in others))
    blocks = Blocks(
        np.concatenate([own.events, np.tile(others.events, (len(users), 1))]),
        np.concatenate([own.user, np.repeat(users, len(others.user)).astype(np.int32)]),
        np.concatenate([own.start, np.tile(others.start, len(users))]),
    )
    return blocks, np.arange(len(blocks.user)) >= len(own.user)
