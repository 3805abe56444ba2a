"""Predictions of a finished run for new examples."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import jaxnet as jn
from experiments.facts import named_facts
from experiments.model import SavedModel, stacked_shapes
from experiments.semi_supervised.config import OF_LABELS, Config, MethodName
from experiments.semi_supervised.inputs import Directions, apply_directions
from experiments.semi_supervised.methods import Method, build_methods
from jaxnet.typing import Sequences


def build_network(config: Config, in_shape: Sequence[int], num_classes: int) -> jn.Network:
    """The network of the method that predicts.

    Args:
        config: the options.
        in_shape: shape of one example, or the number of different tokens.
        num_classes: number of classes.
    """
    return _methods(config, in_shape, num_classes)[predictor(config)].predictor


def predictor(config: Config) -> MethodName:
    """The method whose networks predict.

    >>> predictor(Config(methods=("supervised", "mean_teacher"))), predictor(Config(methods=()))
    ('mean_teacher', 'supervised')
    """
    if config.predictor is not None:
        return config.predictor
    others: list[MethodName] = [name for name in config.methods if name not in OF_LABELS]
    return others[-1] if others else config.methods[0]


def saved_params(config: Config, in_shape: Sequence[int], num_classes: int) -> Any:
    """Shapes and dtypes of the parameters that a run saves: those of all methods.

    Args:
        config: the options.
        in_shape: shape of one example, or the number of different tokens.
        num_classes: number of classes.
    """
    num_networks = config.num_draws * config.num_seeds
    methods = _methods(config, in_shape, num_classes)
    saved: dict[str, Any] = {
        "methods": {
            name: stacked_shapes(method.predictor.init, num_networks)
            for name, method in methods.items()
        }
    }
    if _is_tokens(config):
        num_tokens, float32 = in_shape[0], np.float32
        saved["directions"] = Directions(
            np.zeros(num_tokens, float32), np.zeros((num_tokens, config.num_features), float32)
        )._asdict()
    return saved


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are a table."""
    return ".csv"


def predict(config: Config, model: SavedModel, x: Any) -> dict[str, np.ndarray]:
    """Classes of new examples, by the mean probability of the networks of each method.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled inputs, or tokens.

    Returns:
        `class`, `probability` of that class and that of every class, by the method that predicts,
        and the class by each other method, `(n,)` each.
    """
    if isinstance(x, Sequences):
        x = apply_directions(Directions(**model.params["directions"]), x)
    names, chosen = np.asarray(model.class_names), predictor(config)
    methods = _methods(config, model.in_shape, len(names))
    probabilities = {
        name: _probabilities(method, model.params["methods"][name], x)
        for name, method in methods.items()
    }
    ours = probabilities.pop(chosen)
    columns = {"class": names[ours.argmax(axis=1)], "probability": ours.max(axis=1)}
    columns |= {f"probability of {name}": ours[:, i] for i, name in enumerate(names)}
    return columns | {
        f"class by {name}": names[values.argmax(axis=1)] for name, values in probabilities.items()
    }


def _probabilities(method: Method, params: Any, x: np.ndarray) -> np.ndarray:
    def mean(params: Any, x: jax.Array) -> jax.Array:
        logits = jax.vmap(method.predictor.apply, (0, None))(params, x)
        return jax.nn.softmax(logits).mean(axis=0)

    return np.asarray(jax.jit(mean)(params, jax.device_put(x)))


def _methods(config: Config, in_shape: Sequence[int], num_classes: int) -> dict[MethodName, Method]:
    shape = (config.num_features,) if _is_tokens(config) else in_shape
    return build_methods(config, shape, num_classes, num_steps=1)


def _is_tokens(config: Config) -> bool:
    if config.data is not None:
        return config.text is not None
    facts = named_facts(config.dataset)
    return facts is not None and facts.is_tokens
