"""Default configs of experiments.semi_supervised by data set.

Values were chosen on validation labels and other draws (`--evaluate-on validation`), never on the
test part. Results, and what of this holds for which value: docs/results.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.facts import Facts
from experiments.semi_supervised.config import METHODS, OF_IMAGES, Config


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a data set.

    Args:
        facts: sizes of the data set.
        method: None; the methods are an option.
        given: options that are given; no default depends on them.

    >>> from experiments.facts import named_facts
    >>> recipe(named_facts("digits")).test_size, "fixmatch" in recipe(named_facts("iris")).methods
    (500, False)
    """
    config = Config(dataset=facts.name or Config().dataset)
    if facts.name == "digits":
        return config
    config = dataclasses.replace(config, test_size=None)
    if facts.is_image:
        return dataclasses.replace(config, hidden_dims=(512, 256))
    methods = tuple(name for name in METHODS if name not in OF_IMAGES)
    config = dataclasses.replace(config, methods=methods)
    if facts.is_tokens:
        return dataclasses.replace(
            config,
            labels_per_class=50,
            num_draws=5,
            hidden_dims=(128,),
            dropout=0.5,
            learning_rate=1e-3,
            labeled_batch_size=64,
            batch_size=256,
            supervised_epochs=10,
            num_epochs=4,
            noise=0.5,
            pi_weight=3.0,
            teacher_weight=3.0,
            vat_radius=1.0,
            vat_entropy_weight=0.3,
            pretrain_epochs=4,
        )
    if facts.name:
        return dataclasses.replace(config, labels_per_class=5, batch_size=32)
    return dataclasses.replace(config, labels_per_class=None, num_draws=1, num_seeds=5)
