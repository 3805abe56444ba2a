"""Default configs of experiments.recommendation by method.

Values were chosen on the folds of seed 1 of movielens-latest-small. Results: docs/results.md.
"""

from collections.abc import Mapping
from typing import Any

from experiments.config import methods, replace
from experiments.recommendation.config import Config

_OPTIONS: dict[str, dict[str, Any]] = {
    "factorization": {"batch_size": 2048},
    "item_autorec": {"batch_size": 256, "learning_rate": 3e-3, "num_epochs": 30},
    "user_autorec": {"batch_size": 64, "learning_rate": 3e-3, "num_epochs": 30},
    "rbm": {"batch_size": 64, "learning_rate": 3e-3, "num_epochs": 10},
    "ease": {},
    "mult_vae": {"batch_size": 64, "learning_rate": 2e-3, "num_epochs": 60},
}


def recipe(
    facts: object, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a method.

    Args:
        facts: not used: the defaults do not depend on sizes.
        method: its name; None is factorization.
        given: options that are given; one that names the data is kept.

    >>> recipe(None, "ease").num_seeds, recipe(None).batch_size
    (1, 2048)
    """
    name = method or "factorization"
    config = Config(method=methods(Config)[name]())  # pyright: ignore[reportArgumentType]
    return replace(config, **_OPTIONS[name])
