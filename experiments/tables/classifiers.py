"""A network and scikit-learn's classifiers on the same splits of a table."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

import jaxnet as jn
from experiments.classification import evaluation
from experiments.classification import experiment as classification
from experiments.classification.config import Config
from experiments.classification.network import build_learner
from experiments.data import Dataset, Split
from experiments.placement import Placement
from experiments.training import batch_size, network_keys, train_options
from jaxnet import runs


class Table(NamedTuple):
    """A table, split and scaled in several ways of equal sizes.

    Attributes:
        dataset: the table.
        parts: the splits.
        x: part -> scaled features `(splits, n, features)`.
        y: part -> labels `(splits, n)`.
    """

    dataset: Dataset
    parts: Sequence[Split]
    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]


def divide(config: Config, dataset: Dataset, parts: Sequence[Split]) -> Table:
    """Scale a table as fitted on the training part of each split.

    Args:
        config: the options of the network.
        dataset: the table.
        parts: splits of equal sizes.
    """
    x: dict[str, list[np.ndarray]] = {name: [] for name in Split._fields}
    for part in parts:
        fitted = classification.fit_inputs(config, dataset, part.train)
        scaled = classification.scale_inputs(config, fitted, dataset.x)
        for name, rows in part._asdict().items():
            x[name].append(scaled[rows])
    y = {name: np.stack([dataset.y[getattr(part, name)] for part in parts]) for name in x}
    return Table(dataset, parts, {name: np.stack(values) for name, values in x.items()}, y)


class Outputs(NamedTuple):
    """Outputs of the network of each split, and the epochs of its parameters.

    Attributes:
        validation: for the validation part, `(splits, n, outputs)`.
        test: for the test part.
        best_epochs: `(splits,)`.
        trained: the result of the training.
    """

    validation: jax.Array
    test: jax.Array
    best_epochs: np.ndarray
    trained: runs.TrainResult


def train_networks(
    directory: runs.RunDirectory,
    config: Config,
    table: Table,
    seed: int,
    placement: Placement,
) -> Outputs:
    """Train the network of each split, all in one program, as experiments.classification does.

    Args:
        directory: the directory of the table.
        config: the options of the network.
        table: the table.
        seed: decides initial parameters and the order of the examples.
        placement: how the networks are spread over devices.
    """
    num_classes, num_train = table.dataset.num_classes, table.y["train"].shape[1]
    network = classification.build_network(config, table.x["train"].shape[2:], num_classes)
    learner = build_learner(config, network, num_classes, num_train)
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))
    evaluate = jax.jit(jax.vmap(evaluation.learning_metrics))
    validation = jax.device_put(table.x["validation"]), jax.device_put(table.y["validation"])
    trained = placement.train(
        directory,
        learner,
        jax.jit(jax.vmap(learner.init))(network_keys(seed, len(table.parts))),
        {"x": table.x["train"], "y": table.y["train"]},
        batches=jn.training.per_run(batch_size(config, num_train)),
        options=train_options(config),
        evaluate=lambda params, _: evaluate(outputs(params, validation[0]), validation[1]),
    )
    return Outputs(
        outputs(trained.params, validation[0]),
        outputs(trained.params, jax.device_put(table.x["test"])),
        trained.best_epochs,
        trained,
    )


def _logistic_regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


PEERS: dict[str, Callable[[int], Any]] = {
    "LogisticRegression": _logistic_regression,
    "MLPClassifier": _mlp,
    "HistGradientBoosting": _boosting,
}


def score_peer(name: str, table: Table, seed: int) -> dict[str, Float[np.ndarray, " splits"]]:
    """Train a classifier of scikit-learn, with its defaults, on the training part of each split.

    Args:
        name: one of `PEERS`.
        table: the table.
        seed: decides its random numbers.

    Returns:
        Test accuracy and log loss.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import log_loss

    scores: dict[str, list[float]] = {"accuracy": [], "log_loss": []}
    for index in range(len(table.parts)):
        model = PEERS[name](seed + index)
        with warnings.catch_warnings():
            # Its defaults are what is compared, the number of iterations included.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(table.x["train"][index], table.y["train"][index])
        probabilities = model.predict_proba(table.x["test"][index])
        y = table.y["test"][index]
        scores["accuracy"].append(float((probabilities.argmax(axis=1) == y).mean()))
        scores["log_loss"].append(float(log_loss(y, probabilities, labels=model.classes_)))
    return {name: np.array(values) for name, values in scores.items()}
