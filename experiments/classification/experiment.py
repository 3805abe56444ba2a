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
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxnet as jn
from experiments.baselines import class_baseline
from experiments.calibration import count_held, divide_validation
from experiments.classification import calibrated, cross_validation, evaluation, streamed
from experiments.classification.checks import check, is_cross_validated
from experiments.classification.config import Config
from experiments.classification.network import arrange, build_learner, build_network
from experiments.classification.out_of_scope import out_of_scope_metrics
from experiments.classification.recipes import recipe
from experiments.command import finish
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
from experiments.model import SavedModel, save_model
from experiments.prepare import Prepared, load_labelled, prepare
from experiments.summary import describe, summarize_split
from experiments.task import Evaluate, Score, run_task
from jaxnet import runs

__all__ = [
    "Config",
    "build_network",
    "check",
    "fit_inputs",
    "load_data",
    "predict",
    "prediction_suffix",
    "prepare_task",
    "recipe",
    "run",
    "scale_inputs",
]

# By what a sweep chooses, and which options it may change; the first are those that may be traced.
SCORE = Score("accuracy", is_larger_better=True)
TRACED = ("learning_rate", "weight_decay", "clip_norm", "label_smoothing", "l2_weight")
TRACED += ("dropout", "input_dropout", "token_dropout")
SWEPT = (*TRACED, "optimizer", "schedule", "batch_size")


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
    if is_cross_validated(config):
        config, dataset, *_ = prepare(
            config, load=load_data, check=check, fit=None, scale=scale_inputs, divide=False
        )
        return cross_validation.run(config, dataset, fit_inputs, scale_inputs)
    return run_task(prepare_task(config))


def prepare_task(config: Config) -> "ClassificationTask":
    """Load, check, split and scale the data for a training on one split.

    Raises:
        ValueError: a mistake in the options or the data.
    """
    prepared = prepare(config, load=load_data, check=check, fit=fit_inputs, scale=scale_inputs)
    return ClassificationTask(prepared)


class ClassificationTask:
    """A classification on one split of its data; see `experiments.task.Task`.

    Args:
        prepared: the data.
    """

    def __init__(self, prepared: Prepared[Config]) -> None:
        self.config, self.dataset, self.parts, self.inputs, self.x = prepared
        self.num_train = len(self.parts.train)
        self.held = divide_validation(
            self.parts.validation,
            seed=self.config.seed,
            stops=self.config.patience is not None,
            scales=self.config.calibrate != "none",
            coverage=self.config.coverage,
        )
        self.budget = _budget(self.config, self.dataset.y[self.held.watched])
        self.data = {"x": take(self.x, self.parts.train), "y": self.dataset.y[self.parts.train]}

    def learner(self, config: Config) -> jn.Learner:
        """The learner of a config."""
        return build_learner(
            config, self._network(config), self.dataset.num_classes, self.num_train
        )

    def evaluate(self, config: Config) -> Evaluate | None:
        """Log loss and accuracy on the validation examples."""
        if not len(self.parts.validation):
            return None
        outputs, (x, y) = self._outputs(config), self._examples(self.held.watched)
        metrics = jax.jit(jax.vmap(evaluation.learning_metrics, (0, None)))
        return lambda params, _: metrics(outputs(params, x), y)

    def test(self, config: Config, params: Any) -> "_Tested":
        """Outputs and metrics for the test examples."""
        outputs, (x, y) = self._outputs(config), self._examples(self.parts.test)
        tested, found = outputs(params, x), None
        if calibrated.is_calibrated(config):
            scaling, conformal = (
                self._tested(outputs, params, rows)
                for rows in (self.held.scaling, self.held.conformal)
            )
            found = calibrated.calibrate(config, scaling, conformal, (np.asarray(tested), y))
            tested = calibrated.rescale(tested, found.scaling)
        metrics = dict(jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))(tested, y))
        if self.dataset.out_of_scope is not None:
            others = scale_inputs(config, self.inputs, self.dataset.out_of_scope)
            metrics |= out_of_scope_metrics(tested, outputs(params, others))
        threshold = None
        if self.dataset.num_classes == 2:
            x, labels = self._examples(self.held.watched)
            validated = outputs(params, x), labels
            if found is not None:
                validated = calibrated.rescale(validated[0], found.scaling), labels
            decisions = evaluation.decide(config, validated, (tested, y), self.budget)
            metrics |= decisions
            threshold = float(decisions["threshold"].mean())
        if found is not None:
            metrics |= found.metrics
        return _Tested(np.asarray(tested), metrics, threshold, found)

    def conclude(
        self,
        directory: runs.RunDirectory,
        config: Config,
        trained: runs.TrainResult,
        tested: "_Tested",
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        """Save the model, draw figures and write the summary."""
        dataset, parts, threshold = self.dataset, self.parts, tested.threshold
        found = tested.calibration
        model = SavedModel.of(
            dataset,
            self.inputs,
            trained.params,
            threshold=threshold,
            calibration=None if found is None else found.saved,
        )
        save_model(directory, model)
        captions = evaluation.draw_learning(directory, trained.history)
        captions |= evaluation.draw(
            directory,
            tested.outputs,
            dataset.y[parts.test],
            dataset.class_names,
            images=dataset.x[parts.test] if dataset.is_image else None,
            threshold=threshold,
        )
        if found is not None:
            captions |= calibrated.draw(directory, found, dataset.y[parts.test], self.held)
        summary = summarize_split(trained, tested.metrics, parts, seconds)
        summary["num_examples"] |= count_held(self.held)
        summary |= describe(
            dataset,
            class_baseline(dataset.y[parts.train], dataset.y[parts.test], dataset.class_names),
            tested.metrics,
            history=trained.history if config.patience is None else None,
            notes=note_leaks(dataset),
        )
        classes = evaluation.class_table(tested.outputs, dataset.y[parts.test], dataset.class_names)
        summary["tables"] = {} if found is None else {"Calibration": found.table}
        summary["tables"]["Classes"] = classes
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)

    def _network(self, config: Config) -> jn.Network:
        return build_network(config, self.dataset.in_shape, self.dataset.num_classes)

    def _outputs(self, config: Config) -> Any:
        """Outputs of a batch of networks for some examples."""
        apply = self._network(config).apply
        return jax.jit(jax.vmap(functools.partial(jn.predict, apply), (0, None)))

    def _tested(self, outputs: Any, params: Any, rows: np.ndarray) -> calibrated.Examples | None:
        """Outputs and labels of some examples; None for none."""
        if not len(rows):
            return None
        x, y = self._examples(rows)
        return np.asarray(outputs(params, x)), y

    def _examples(self, rows: np.ndarray) -> Any:
        return jax.device_put((take(self.x, rows), self.dataset.y[rows]))


class _Tested(NamedTuple):
    """What the networks of a run say about the test examples."""

    outputs: np.ndarray
    metrics: dict[str, Any]
    threshold: float | None
    calibration: calibrated.Calibrated | None


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
        the run), `set` and `set size` (of a run with a coverage) and the probability of every
        class, `(n,)` each.
    """
    network = build_network(config, model.in_shape, len(model.class_names))
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    of_networks = outputs(model.params, jax.device_put(x))
    calibration = model.calibration
    of_ensemble = calibrated.ensemble_probabilities(calibration, of_networks)
    probabilities = np.asarray(of_ensemble)
    names = np.asarray(model.class_names)
    columns = {
        "class": names[probabilities.argmax(axis=1)],
        "probability": probabilities.max(axis=1),
    }
    if model.threshold is not None:
        columns["decision"] = names[(probabilities[:, 1] >= model.threshold).astype(int)]
    if calibration is not None and calibration.coverage is not None:
        columns |= calibrated.set_columns(calibration, of_ensemble, names)
    return columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)}
