"""The networks of experiments.regression, and their metrics."""

import functools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.precision import in_precision, scaled
from experiments.regression.config import Config, Linear
from experiments.sizes import build_mlp
from experiments.training import config_optimizer
from jaxnet import metrics
from jaxnet._checks import is_zero
from jaxnet.objectives.quantiles import pinball_losses


def build_network(config: Config, in_shape: Sequence[int], num_classes: int = 0) -> jn.Network:
    """The network of a config: the prediction, and two more outputs for its quantiles."""
    model, num_outputs = config.model, 3 if has_quantiles(config) else 1
    if isinstance(model, Linear):
        return in_precision(config, jn.mlp([*in_shape, num_outputs]))
    network = build_mlp(math.prod(in_shape), model.hidden_dims, num_outputs, dropout=model.dropout)
    return in_precision(config, network)


def build_learner(config: Config, network: jn.Network, num_train: int) -> jn.Learner:
    """The learner of a config for a number of training examples.

    Raises:
        ValueError: as `config_optimizer`.
    """
    if config.coverage is not None and has_quantiles(config):
        objective = jn.supervised(network, functools.partial(_with_quantiles, config.coverage))
    else:
        objective = jn.regression(network)
    if not is_zero(config.l2_weight):
        objective = jn.with_l2(objective, config.l2_weight)
    optimizer = config_optimizer(config, num_train)
    return jn.gradient_learner(network.init, scaled(config, objective), optimizer)


def has_quantiles(config: Config) -> bool:
    """Whether the networks of a config also learn the ends of intervals."""
    return config.coverage is not None and config.interval == "quantile"


def _with_quantiles(
    coverage: float, outputs: Float[Array, "batch 3"], targets: Float[Array, " batch"]
) -> tuple[Array, dict[str, Array]]:
    """The squared error of the prediction and the pinball losses of both quantiles, added up."""
    squared = (outputs[:, 0] - targets) ** 2
    levels = jnp.array([(1 - coverage) / 2, (1 + coverage) / 2])
    losses = pinball_losses(outputs[:, 1:], targets, levels)
    return squared + losses.sum(axis=1), {"mean_squared_error": squared}


def learning_metrics(outputs: Float[Array, "n outputs"], y: Float[Array, " n"]) -> dict[str, Array]:
    """Squared error of the standardized target, after each epoch."""
    error = metrics.mean_squared_error(outputs[:, 0], y)
    return {"loss": error, "mean_squared_error": error}


def final_metrics(predicted: Float[Array, " n"], y: Float[Array, " n"]) -> dict[str, Array]:
    """All metrics of one network, in the unit of the target."""
    error = metrics.mean_squared_error(predicted, y)
    return {
        "mean_squared_error": error,
        "root_mean_squared_error": jnp.sqrt(error),
        "mean_absolute_error": jnp.mean(jnp.abs(predicted - y)),
        "r2": metrics.r2_score(predicted, y),
    }
