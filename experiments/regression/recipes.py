"""Default configs of experiments.regression by data set and model.

Values were chosen on validation data, never on the test set. Results: docs/results.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.facts import Facts, batch_size_for, is_large
from experiments.regression.config import Config, Linear, Mlp


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a data set and a model.

    A linear model is a convex problem with a closed solution: a line search on all the data finds
    it exactly.

    Args:
        facts: sizes of the data set.
        method: name of the model; None is linear.
        given: options that are given; no default depends on them.

    >>> from experiments.facts import named_facts
    >>> recipe(named_facts("line")).optimizer, recipe(named_facts("line"), "mlp").optimizer
    ('lbfgs', 'adam')
    """
    dataset = facts.name or Config().dataset
    if (method or "linear") == "linear":
        return Config(dataset=dataset, model=Linear())
    config = Config(
        dataset=dataset,
        model=Mlp(dropout=0.0 if facts.name else 0.1),
        optimizer="adam",
        learning_rate=0.01,
        schedule="cosine",
        batch_size=32 if facts.name else batch_size_for(facts.num_examples),
        num_epochs=200,
    )
    if facts.name == "diabetes":
        return dataclasses.replace(config, l2_weight=0.1, num_epochs=50)
    if facts.name:
        return config
    # On a user's table the best parameters on the validation rows are kept.
    config = dataclasses.replace(config, patience=30)
    return dataclasses.replace(config, num_epochs=20, num_seeds=3) if is_large(facts) else config
