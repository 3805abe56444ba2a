"""Classification: softmax or logistic networks on labelled data.

    python -m experiments.classification                    # digits, 10 networks in one program
    python -m experiments.classification linear --dataset breast_cancer --cross-validate 10
    python -m experiments.classification cnn --dataset mnist
    python -m experiments.classification --dataset emails --cross-validate 5 \\
        --max-false-positive-rate 0.003                     # spam or not
    python -m experiments.classification --data table.csv --label species
    python -m experiments.classification --dataset JapaneseVowels       # series; or a .ts file
    python -m experiments.classification --dataset fsdd --group speaker # recordings
    python -m experiments.classification --data calls.csv --text said --label topic
    python -m experiments.classification --data packed                  # larger than memory

Published and measured figures, the commands and their times: docs/results.md.
"""

import functools
from typing import Any

import jax
import numpy as np

import jaxnet as jn
from experiments.baselines import class_baseline
from experiments.classification import cross_validation, evaluation, streamed
from experiments.classification.checks import check, is_cross_validated
from experiments.classification.config import Config
from experiments.classification.network import arrange, build_learner, build_network
from experiments.classification.out_of_scope import out_of_scope_metrics
from experiments.classification.probabilities import class_probabilities
from experiments.classification.recipes import recipe
from experiments.command import finish, stopwatch
from experiments.data import (
    Dataset,
    Inputs,
    Standardization,
    fit_idf,
    fit_standardization,
    standardize_inputs,
    take,
    valid_steps,
)
from experiments.data.streams.packed import is_packed, load_packed
from experiments.leaks import note_leaks
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.placement import place
from experiments.prepare import load_labelled, prepare
from experiments.summary import describe, summarize_split
from experiments.training import batch_size, open_directory, seed_keys, train_options

__all__ = [
    "Config",
    "build_network",
    "check",
    "fit_inputs",
    "load_data",
    "predict",
    "prediction_suffix",
    "recipe",
    "run",
    "scale_inputs",
]


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
    """
    if config.data is not None and is_packed(config.data):
        return load_packed(config.data)
    return load_labelled(config, task="classification")


def run(config: Config) -> dict[str, Any]:
    """Train networks on one split and test them, or train one for each fold.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    if is_packed(config.data):
        return streamed.run(config)
    config, dataset, parts, inputs, x = prepare(
        config,
        load=load_data,
        check=check,
        fit=None if is_cross_validated(config) else fit_inputs,
        scale=scale_inputs,
        divide=not is_cross_validated(config),
    )
    if is_cross_validated(config):
        return cross_validation.run(config, dataset, fit_inputs, scale_inputs)
    num_classes, options = dataset.num_classes, train_options(config)
    budget = _budget(config, dataset.y[parts.validation])
    network = build_network(config, dataset.in_shape, num_classes)
    learner = build_learner(config, network, num_classes, len(parts.train))
    check_memory(config, learner.init)
    num_train = len(parts.train)
    config, placement = place(config, config.num_seeds, [batch_size(config, num_train)])
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    validation, test = (
        jax.device_put((take(x, rows), dataset.y[rows])) for rows in (parts.validation, parts.test)
    )
    learning_metrics = jax.jit(jax.vmap(evaluation.learning_metrics, (0, None)))

    def evaluate(params: Any, _: Any) -> dict[str, jax.Array]:
        return learning_metrics(outputs(params, validation[0]), validation[1])

    with open_directory(config, dataset.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            trained = placement.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": take(x, parts.train), "y": dataset.y[parts.train]},
                batches=batch_size(config, num_train),
                options=options,
                evaluate=evaluate if len(parts.validation) else None,
            )
            tested = outputs(trained.params, test[0])
            metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, test[1]))
            if dataset.out_of_scope is not None:
                others = outputs(trained.params, scale_inputs(config, inputs, dataset.out_of_scope))
                metrics |= out_of_scope_metrics(tested, others)
            threshold = None
            if num_classes == 2:
                validated = outputs(trained.params, validation[0]), validation[1]
                decisions = evaluation.decide(config, validated, (tested, test[1]), budget)
                metrics |= decisions
                threshold = float(decisions["threshold"].mean())
        save_model(directory, SavedModel.of(dataset, inputs, trained.params, threshold=threshold))
        captions = evaluation.draw_learning(directory, trained.history)
        captions |= evaluation.draw(
            directory,
            np.asarray(tested),
            dataset.y[parts.test],
            dataset.class_names,
            images=dataset.x[parts.test] if dataset.is_image else None,
            threshold=threshold,
        )
        summary = summarize_split(trained, metrics, parts, seconds)
        summary |= describe(
            dataset,
            class_baseline(dataset.y[parts.train], dataset.y[parts.test], dataset.class_names),
            metrics,
            history=trained.history if config.patience is None else None,
            notes=note_leaks(dataset),
        )
        classes = evaluation.class_table(
            np.asarray(tested), dataset.y[parts.test], dataset.class_names
        )
        summary["tables"] = {"Classes": classes}
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def fit_inputs(config: Config, dataset: Dataset, rows: np.ndarray) -> Standardization:
    """Mean and scale of each column or channel, or of all pixels, or the weights of words."""
    x = take(dataset.inputs, rows)
    if isinstance(x, jn.Sequences):
        if dataset.is_tokens:
            return Standardization(np.zeros((), np.float32), np.ones((), np.float32))
        return fit_standardization(valid_steps(x))
    if dataset.is_text:
        return fit_idf(x)
    return fit_standardization(x, per_feature=not dataset.is_image)


def scale_inputs(config: Config, fitted: Standardization, x: Inputs) -> Inputs:
    """Standardized examples, with the axes that the model takes; tokens stay as they are."""
    return arrange(config, standardize_inputs(fitted, x))


def _budget(config: Config, labels: np.ndarray) -> float | None:
    rate = config.max_false_positive_rate
    return None if rate is None else evaluation.budget_on(rate, int(np.sum(labels == 0)))


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are a table."""
    return ".csv"


def predict(config: Config, model: SavedModel, x: Inputs) -> dict[str, np.ndarray]:
    """Classes of new examples, by the mean probability of all networks.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled inputs.

    Returns:
        `class`, `probability` (of that class), `decision` (with two classes, at the threshold of
        the run) and the probability of every class, `(n,)` each.
    """
    network = build_network(config, model.in_shape, len(model.class_names))
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    of_networks = outputs(model.params, jax.device_put(x))
    probabilities = np.asarray(class_probabilities(of_networks))
    names = np.asarray(model.class_names)
    columns = {
        "class": names[probabilities.argmax(axis=1)],
        "probability": probabilities.max(axis=1),
    }
    if model.threshold is not None:
        columns["decision"] = names[(probabilities[:, 1] >= model.threshold).astype(int)]
    return columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)}
