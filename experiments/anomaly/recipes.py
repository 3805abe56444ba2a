"""Default configs of experiments.anomaly by method.

They were chosen on the series at even places in the order of the names of NAB. Results:
docs/results.md.
"""

from collections.abc import Mapping
from typing import Any

from experiments.anomaly.config import Config
from experiments.config import methods
from experiments.facts import Facts


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a method.

    Args:
        facts: not used: the same defaults serve all series.
        method: name of the method; None is online.
        given: options that are given; no default depends on them.

    >>> recipe(Facts(0, ()), "pca").num_seeds
    1
    """
    name = method or "online"
    chosen: Any = methods(Config)[name]
    # Without random numbers, all networks of a series would be the same.
    num_seeds = Config().num_seeds if name in ("online", "autoencoder") else 1
    return Config(method=chosen(), num_seeds=num_seeds)
