"""Classification: softmax or logistic networks on labelled data.

    python -m experiments.classification                    # digits, 10 networks in one program
    python -m experiments.classification linear --dataset breast_cancer --cross-validate 10
    python -m experiments.classification cnn --dataset mnist
    python -m experiments.classification --dataset emails --cross-validate 5 \\
        --max-false-positive-rate 0.003                     # spam or not
    python -m experiments.classification --data table.csv --label species

Published and measured figures, the commands and their times: docs/results.md.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.baselines import class_baseline
from experiments.classification import cross_validation, evaluation
from experiments.classification.config import Cnn, Config
from experiments.classification.network import arrange, build_learner, build_network
from experiments.classification.recipes import recipe
from experiments.command import finish, stopwatch
from experiments.data import Dataset, Standardization, fit_idf, fit_standardization, standardize
from experiments.leaks import note_leaks
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.prepare import load_labelled, prepare
from experiments.summary import describe, summarize_split
from experiments.training import batch_size, open_directory, seed_keys, train_options
from jaxnet import runs

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
    config, dataset, parts, inputs, x = prepare(
        config,
        load=load_data,
        check=check,
        fit=None if config.cross_validate else fit_inputs,
        scale=scale_inputs,
        divide=not config.cross_validate,
    )
    if config.cross_validate:
        return cross_validation.run(config, dataset, fit_inputs)
    num_classes, options = dataset.num_classes, train_options(config)
    budget = _budget(config, dataset.y[parts.validation])
    network = build_network(config, x.shape[1:], num_classes)
    learner = build_learner(config, network, num_classes, len(parts.train))
    check_memory(config, learner.init)
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    validation = jnp.asarray(x[parts.validation]), jnp.asarray(dataset.y[parts.validation])
    test = jnp.asarray(x[parts.test]), jnp.asarray(dataset.y[parts.test])
    evaluate = jax.jit(jax.vmap(evaluation.learning_metrics, (0, None)))
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            trained = runs.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                {"x": x[parts.train], "y": dataset.y[parts.train]},
                batches=batch_size(config, len(parts.train)),
                options=options,
                evaluate=lambda params, _: evaluate(outputs(params, validation[0]), validation[1]),
            )
            tested = outputs(trained.params, test[0])
            metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, test[1]))
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
    """Mean and scale of each column, or of all pixels together, or the weights of words."""
    x = arrange(config, dataset.x[rows])
    if dataset.is_text:
        return fit_idf(x)
    return fit_standardization(x, per_feature=not dataset.is_image)


def scale_inputs(config: Config, fitted: Standardization, x: np.ndarray) -> np.ndarray:
    """Standardized examples: images for a cnn, vectors for all other models."""
    return standardize(fitted, arrange(config, x))


def _budget(config: Config, labels: np.ndarray) -> float | None:
    rate = config.max_false_positive_rate
    return None if rate is None else evaluation.budget_on(rate, int(np.sum(labels == 0)))


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are a table."""
    return ".csv"


def predict(config: Config, model: SavedModel, x: np.ndarray) -> dict[str, np.ndarray]:
    """Classes of new examples, by the mean probability of all networks.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled inputs `(n, ...)`.

    Returns:
        `class`, `probability` (of that class), `decision` (with two classes, at the threshold of
        the run) and the probability of every class, `(n,)` each.
    """
    network = build_network(config, x.shape[1:], len(model.class_names))
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    logits = evaluation.class_logits(outputs(model.params, jnp.asarray(x)))
    probabilities = np.asarray(jax.nn.softmax(logits)).mean(axis=0)
    names = np.asarray(model.class_names)
    columns = {
        "class": names[probabilities.argmax(axis=1)],
        "probability": probabilities.max(axis=1),
    }
    if model.threshold is not None:
        columns["decision"] = names[(probabilities[:, 1] >= model.threshold).astype(int)]
    return columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)}


def check(config: Config, dataset: Dataset) -> None:
    """Check data, and that the options fit them and each other.

    Raises:
        ValueError: they do not.
    """
    jn.check_data(dataset.x, dataset.y, num_classes=dataset.num_classes)
    if isinstance(config.model, Cnn) and not dataset.is_image:
        raise ValueError(f"model cnn needs images, and {dataset.name} is a table; use mlp")
    if config.label_smoothing > 0 and dataset.num_classes == 2:
        raise ValueError(
            "label_smoothing needs more than two classes, since two have one logistic output, "
            f"found {config.label_smoothing}; leave it out"
        )
    if config.cross_validate == 1:
        raise ValueError("cross_validate must be 0 or at least 2, found 1; use more folds")
    if config.cross_validate and config.patience is not None:
        raise ValueError(
            f"patience {config.patience} needs validation data, and cross_validate leaves none; "
            "leave one of the two out"
        )
    if config.cross_validate and config.impute is not None:
        raise ValueError(
            "impute takes medians from the training rows of one split, which are others in each "
            "fold of cross_validate; leave one of the two out, or fill the cells before"
        )
    rate = config.max_false_positive_rate
    if rate is None:
        return
    if dataset.num_classes != 2:
        raise ValueError(
            f"max_false_positive_rate is for two classes, {dataset.name} has "
            f"{dataset.num_classes}; leave it out"
        )
    if config.cross_validate == 2:
        raise ValueError(
            "max_false_positive_rate with cross_validate needs at least 3 folds, found 2: one "
            "tests, one chooses the threshold, the others train; use more folds"
        )
    if (config.false_positive_cost, config.false_negative_cost) != (1, 1):
        raise ValueError(
            "max_false_positive_rate chooses the threshold, and so do costs; leave one out"
        )
