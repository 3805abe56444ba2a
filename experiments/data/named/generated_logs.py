"""Logs of users who do not exist: habits drawn at random, and blocks that others made."""

import numpy as np

from experiments.data.logs import Logs, encode_logs

NUM_USERS, NUM_OTHERS, NUM_EVENTS, BLOCK_SIZE = 12, 4, 6_000, 100
_NUM_COMMANDS, _RATE = 80, 0.05


def generate_logs(seed: int = 0) -> Logs:
    """Logs of 12 users: a third is training data, and of the blocks after it 5 % are of others.

    Each user draws commands independently, with probabilities that are drawn from a Dirichlet
    distribution around common ones. Four other users, who have no log, make the blocks that are not
    the user's own.

    Args:
        seed: of all random numbers.

    Returns:
        The logs.
    """
    generator = np.random.default_rng(seed)
    common = generator.dirichlet(np.full(_NUM_COMMANDS, 0.5))
    habits = generator.dirichlet(common * 30 + 1e-3, NUM_USERS + NUM_OTHERS)
    commands = np.array([f"command{number:02d}" for number in range(_NUM_COMMANDS)])
    num_training = NUM_EVENTS // 3
    logs, labels = [], []
    for user in range(NUM_USERS):
        others = generator.random((NUM_EVENTS - num_training) // BLOCK_SIZE) < _RATE
        is_other = np.zeros(NUM_EVENTS, bool)
        is_other[num_training:] = others.repeat(BLOCK_SIZE)
        stranger = NUM_USERS + generator.integers(NUM_OTHERS)
        own = generator.choice(commands, NUM_EVENTS, p=habits[user])
        other = generator.choice(commands, NUM_EVENTS, p=habits[stranger])
        logs.append(np.where(is_other, other, own).tolist())
        labels.append(is_other)
    vocabulary, events = encode_logs(logs)
    return Logs(
        "generated",
        tuple(f"user{number + 1}" for number in range(NUM_USERS)),
        vocabulary,
        events,
        (num_training,) * NUM_USERS,
        tuple(labels),
        is_named=True,
    )
