"""Ratings of users and items that do not exist: two tastes, and items that are popular."""

import numpy as np

from experiments.data.interactions import Interactions

NUM_USERS, NUM_ITEMS = 120, 80
_PROBABILITY, _NOISE = 0.3, 0.5


def generate_ratings(seed: int = 0) -> Interactions:
    """Ratings from 1 to 5 by 120 users of 80 items, about 30 % of all pairs.

    A rating is a mean, a bias of user and item, and a product of two tastes, with noise, rounded.
    Items that a user likes and items that are popular are rated more often.

    Args:
        seed: of all random numbers.
    """
    generator = np.random.default_rng(seed)
    taste, kind = generator.normal(size=(NUM_USERS, 2)), generator.normal(size=(NUM_ITEMS, 2))
    user_bias, item_bias = generator.normal(0, 0.3, NUM_USERS), generator.normal(0, 0.4, NUM_ITEMS)
    liking = 0.7 * taste @ kind.T + item_bias
    popularity = generator.normal(0, 0.7, NUM_ITEMS)
    odds = np.log(_PROBABILITY / (1 - _PROBABILITY)) - 0.6 + popularity + 0.9 * liking
    rated = generator.random(liking.shape) < 1 / (1 + np.exp(-odds))
    # Everybody has rated something.
    rated[np.arange(NUM_USERS), generator.integers(NUM_ITEMS, size=NUM_USERS)] = True
    noise = generator.normal(0, _NOISE, liking.shape)
    ratings = np.clip(np.rint(3.3 + user_bias[:, None] + liking + noise), 1, 5)
    pairs = np.argwhere(rated).astype(np.int32)
    return Interactions(
        "generated",
        tuple(f"user{number + 1}" for number in range(NUM_USERS)),
        tuple(f"item{number + 1:02d}" for number in range(NUM_ITEMS)),
        pairs,
        ratings[rated].astype(np.float32),
        generator.permutation(len(pairs)).astype(np.float64),
        is_named=True,
    )
