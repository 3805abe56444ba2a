"""Default configs of experiments.reconstruction by data set and model.

Values were chosen on validation data, never on the test set. Results: docs/results.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.config import methods, replace
from experiments.facts import Facts, batch_size_for, is_large
from experiments.reconstruction.config import (
    AutoencoderOptions,
    Config,
    DeepBelief,
    Rbm,
    Sparse,
    Vae,
)

# The sizes of Hinton and Salakhutdinov (2006).
_DEEP = (1000, 500, 250)


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a data set and a model.

    Args:
        facts: sizes of the data set.
        method: name of the model; None is autoencoder.
        given: options that are given; with `channels`, the autoencoder is convolutional.

    >>> from experiments.facts import named_facts
    >>> recipe(named_facts("digits")).model.code_dim, recipe(named_facts("mnist")).model.code_dim
    (10, 30)
    """
    model: Any = methods(Config)[method or "autoencoder"]()
    config = Config(dataset=facts.name or Config().dataset, model=model)
    channels = bool((given or {}).get("channels"))
    if isinstance(model, Vae):
        config = replace(config, learning_rate=2e-3, num_epochs=150)
    elif isinstance(model, Rbm):
        config = replace(config, learning_rate=5e-3, weight_decay=1e-3, num_epochs=150)
    elif isinstance(model, AutoencoderOptions) and channels:
        config = replace(config, tied=False, hidden_dims=(128,), num_epochs=60)
    if facts.name in ("mnist", "fashion_mnist"):
        return _mnist(config, channels=channels)
    if facts.name and facts.is_image:
        return config
    return _table(config, facts)


def _mnist(config: Config, *, channels: bool) -> Config:
    config = replace(config, learning_rate=1e-3, weight_decay=0.0, batch_size=128, num_epochs=20)
    config = replace(config, num_seeds=1, code_dim=30)
    model = config.model
    if isinstance(model, Vae):
        # That of Burda et al. (2016), section 5, with one stochastic layer.
        return replace(config, hidden_dims=(200, 200), code_dim=50, binarize=True)
    if isinstance(model, Rbm):
        config = replace(config, optimizer="sgd", learning_rate=0.05, weight_decay=None)
        return replace(config, batch_size=100, code_dim=500, binarize=True, num_epochs=10)
    if isinstance(model, DeepBelief):
        return replace(config, hidden_dims=_DEEP, pretrain_epochs=10)
    if channels:
        return config
    return replace(config, hidden_dims=_DEEP, activation="silu", tied=False)


def _table(config: Config, facts: Facts) -> Config:
    """For tables and users' files: codes of at most half the features."""
    config = dataclasses.replace(config, batch_size=batch_size_for(facts.num_examples))
    if is_large(facts):
        config = dataclasses.replace(config, num_epochs=20, num_seeds=3)
    model = config.model
    if isinstance(model, Sparse | Rbm):
        return config
    return replace(config, code_dim=max(1, min(model.code_dim, facts.num_features // 2)))
