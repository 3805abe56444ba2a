"""The networks of experiments.regression, and their metrics."""

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


def build_network(config: Config, in_shape: Sequence[int], num_classes: int = 0) -> jn.Network:
    """The network of a config, with one output."""
    model = config.model
    if isinstance(model, Linear):
        return in_precision(config, jn.mlp([*in_shape, 1]))
    network = build_mlp(math.prod(in_shape), model.hidden_dims, 1, dropout=model.dropout)
    return in_precision(config, network)


def build_learner(config: Config, network: jn.Network, num_train: int) -> jn.Learner:
    """The learner of a config for a number of training examples.

    Raises:
        ValueError: as `config_optimizer`.
    """
    objective = jn.regression(network)
    if not is_zero(config.l2_weight):
        objective = jn.with_l2(objective, config.l2_weight)
    optimizer = config_optimizer(config, num_train)
    return jn.gradient_learner(network.init, scaled(config, objective), optimizer)


def learning_metrics(outputs: Float[Array, "n 1"], y: Float[Array, " n"]) -> dict[str, Array]:
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
