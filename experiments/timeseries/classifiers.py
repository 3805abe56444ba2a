"""A network of random convolutions with a trained layer, and ROCKET, on the same series."""

import functools
import importlib.util
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import jaxnet as jn
from experiments.classification.config import Config as Network
from experiments.classification.config import Linear
from experiments.classification.network import build_learner, build_network
from experiments.data import Dataset, fit_standardization, standardize_inputs, take, valid_steps
from experiments.placement import Placement
from experiments.timeseries.config import Config
from experiments.training import network_keys, train_options
from jaxnet import runs


class Parts(NamedTuple):
    """The official training and test series of a set, channels standardized on the training part.

    Attributes:
        dataset: the set.
        train: training series.
        test: test series.
        y_train: their classes.
        y_test: their classes.
    """

    dataset: Dataset
    train: jn.Sequences
    test: jn.Sequences
    y_train: np.ndarray
    y_test: np.ndarray


def divide(dataset: Dataset) -> Parts:
    """Standardize a set by the channels of its training series, and divide it.

    Args:
        dataset: series with an official test set.
    """
    inputs = dataset.inputs
    assert isinstance(inputs, jn.Sequences)
    rows = np.split(np.arange(len(dataset.y)), [-dataset.num_official_test])
    train = take(inputs, rows[0])
    scaled = standardize_inputs(fit_standardization(valid_steps(train)), inputs)
    assert isinstance(scaled, jn.Sequences)
    scaled = jax.tree.map(np.asarray, jn.nn.zero_padding(scaled))
    return Parts(
        dataset, *(take(scaled, part) for part in rows), *(dataset.y[part] for part in rows)
    )


def head_options(config: Config) -> Network:
    """The options of the trained layer: logistic regression by L-BFGS on all series."""
    return Network(
        model=Linear(),
        optimizer="lbfgs",
        learning_rate=None,
        schedule="constant",
        batch_size="all",
        num_epochs=config.num_epochs,
        label_smoothing=0.0,
        l2_weight=config.l2_weight,
        num_seeds=config.num_seeds,
        precision=config.precision,
        checkpoint_every=config.checkpoint_every,
        tensorboard=config.tensorboard,
    )


def random_features(
    config: Config, parts: Parts
) -> tuple[Float[jax.Array, "seeds train features"], Float[jax.Array, "seeds test features"]]:
    """Features of random convolutions of each seed, centered and scaled by the training series.

    One scale for all: one for each feature was worse in cross-validation on training series.

    Args:
        config: the options.
        parts: the series.

    Returns:
        Of the training and of the test series; the mean square norm on training series is 1.
    """
    longest, channels = int(parts.train.length.max()), parts.train.values.shape[-1]
    network = jn.nn.random_convolutions(channels, longest, num_features=config.num_features)

    def features(key: jax.Array, train: jn.Sequences, test: jn.Sequences) -> tuple:
        params = network.fit(key, train)
        known, new = (network.apply(params, series) for series in (train, test))
        mean = known.mean(0)
        scale = jnp.sqrt(((known - mean) ** 2).sum(1).mean())
        return (known - mean) / scale, (new - mean) / scale

    keys = network_keys(config.seed, config.num_seeds, "convolutions")
    # One seed after the other: outputs of convolutions of all seeds do not fit into caches.
    map_seeds = jax.jit(lambda keys, *series: jax.lax.map(lambda key: features(key, *series), keys))
    return map_seeds(keys, parts.train, parts.test)


class Outputs(NamedTuple):
    """What a method predicts for the test series.

    Attributes:
        accuracy: test accuracy of each seed.
        seconds: of features, training and prediction, for one seed.
        params: of the trained layers; None for a peer.
        state_sha256: of the training; None for a peer.
    """

    accuracy: np.ndarray
    seconds: float
    params: object = None
    state_sha256: str | None = None


def train_networks(
    directory: runs.RunDirectory, config: Config, parts: Parts, placement: Placement
) -> Outputs:
    """Train one layer on the features of each seed, all in one program.

    Args:
        directory: the directory of the set.
        config: the options.
        parts: the series.
        placement: how the networks are spread over devices.
    """
    start = time.perf_counter()
    train, test = random_features(config, parts)
    options, num_classes = head_options(config), parts.dataset.num_classes
    network = build_network(options, train.shape[2:], num_classes)
    learner = build_learner(options, network, num_classes, train.shape[1])
    trained = placement.train(
        directory,
        learner,
        jax.jit(jax.vmap(learner.init))(network_keys(config.seed, config.num_seeds)),
        {"x": train, "y": np.tile(parts.y_train, (config.num_seeds, 1))},
        batches=jn.training.per_run(train.shape[1]),
        options=train_options(options),
    )
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))(trained.params, test)
    predicted = outputs[..., 0] > 0 if num_classes == 2 else outputs.argmax(-1)
    accuracy = np.asarray(predicted == parts.y_test, np.float64).mean(axis=1)
    seconds = (time.perf_counter() - start) / config.num_seeds
    return Outputs(accuracy, seconds, trained.params, trained.state_sha256)


def has_rocket() -> bool:
    """Whether the package aeon is installed."""
    return importlib.util.find_spec("aeon") is not None


def score_rocket(config: Config, parts: Parts) -> Outputs:
    """Train ROCKET with the defaults of aeon, once for each seed.

    It takes series of one length, so shorter ones are padded with zeros.

    Args:
        config: the options.
        parts: the series.
    """
    from aeon.classification.convolution_based import (  # pyright: ignore[reportMissingImports]
        RocketClassifier,
    )

    start = time.perf_counter()
    train, test = (
        np.asarray(x.values, np.float64).swapaxes(1, 2) for x in (parts.train, parts.test)
    )
    accuracy = []
    for index in range(config.num_seeds):
        model = RocketClassifier(random_state=config.seed + index).fit(train, parts.y_train)
        accuracy.append(float((model.predict(test) == parts.y_test).mean()))
    seconds = (time.perf_counter() - start) / config.num_seeds
    return Outputs(np.array(accuracy), seconds)
