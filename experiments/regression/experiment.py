"""Regression: a line through points, several inputs, and a real table.

    python -m experiments.regression                          # one input: slope and intercept
    python -m experiments.regression --dataset crop_yield     # fertilizer, rain and sun
    python -m experiments.regression mlp --dataset diabetes
    python -m experiments.regression --data table.csv --label price
    python -m experiments.regression mlp --data packed --optimizer adam --batch-size 256

A linear model is compared with ordinary least squares on the same examples: docs/results.md.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.baselines import mean_baseline
from experiments.calibration import count_held, divide_validation
from experiments.command import finish, print_table
from experiments.data import Dataset, Standardization, fit_standardization, standardize
from experiments.data.streams.packed import is_packed, load_packed
from experiments.leaks import note_leaks
from experiments.model import SavedModel, save_model
from experiments.prepare import Prepared, load_labelled, prepare
from experiments.regression import intervals, streamed
from experiments.regression.coefficients import coefficient_table, linear_coefficients
from experiments.regression.config import Config, Linear
from experiments.regression.network import (
    build_learner,
    build_network,
    final_metrics,
    learning_metrics,
)
from experiments.regression.recipes import recipe
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.summary import describe, summarize_split
from experiments.task import Evaluate, Score, run_task
from jaxnet import runs
from jaxnet.runs import RunDirectory

# By what a sweep chooses, and which options it may change; the first are those that may be traced.
SCORE = Score("mean_squared_error", is_larger_better=False)
TRACED = ("learning_rate", "weight_decay", "clip_norm", "l2_weight", "dropout")
SWEPT = (*TRACED, "optimizer", "schedule", "batch_size")

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


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
    """
    if config.data is not None and is_packed(config.data):
        return load_packed(config.data, task="regression")
    return load_labelled(config, task="regression")


def run(config: Config) -> dict[str, Any]:
    """Train networks on one split and test them.

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
    return run_task(prepare_task(config))


def prepare_task(config: Config) -> "RegressionTask":
    """Load, check, split and scale the data.

    Raises:
        ValueError: a mistake in the options or the data.
    """
    prepared = prepare(config, load=load_data, check=check, fit=fit_inputs, scale=scale_inputs)
    return RegressionTask(prepared)


class RegressionTask:
    """A regression on one split of its data; see `experiments.task.Task`.

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
            scales=False,
            coverage=self.config.coverage,
        )
        self.targets = fit_standardization(self.dataset.y[self.parts.train])
        self.y = standardize(self.targets, self.dataset.y)
        self.data = {"x": self.x[self.parts.train], "y": self.y[self.parts.train]}

    def learner(self, config: Config) -> jn.Learner:
        """The learner of a config."""
        network = build_network(config, self.x.shape[1:])
        return build_learner(config, network, self.num_train)

    def evaluate(self, config: Config) -> Evaluate | None:
        """Mean squared error on the validation examples, of the standardized target."""
        rows = self.held.watched
        x, y = jax.device_put(self.x[rows]), jax.device_put(self.y[rows])
        outputs, metrics = self._outputs(config), jax.jit(jax.vmap(learning_metrics, (0, None)))
        return lambda params, _: metrics(outputs(params, x), y)

    def test(self, config: Config, params: Any) -> "_Tested":
        """Metrics and predictions for the test examples."""
        rows, targets = self.parts.test, self.targets
        whole = self._outputs(config)(params, self.x[rows])
        outputs, found = whole[..., 0], None
        # Without the mean, which changes no error, since float32 might not tell targets apart.
        centered = np.asarray(self.dataset.y[rows] - targets.mean, np.float32)
        metrics = jax.jit(jax.vmap(final_metrics, (0, None)))(
            jnp.float32(targets.scale) * outputs, jax.device_put(centered)
        )
        if config.coverage is not None:
            known = self.held.conformal
            found = intervals.calibrate(
                config,
                (np.asarray(self._outputs(config)(params, self.x[known])), self.y[known]),
                (np.asarray(whole), self.y[rows]),
                float(targets.scale),
            )
            metrics = dict(metrics) | found.metrics
        predicted = targets.mean + targets.scale * np.asarray(outputs, np.float64)
        return _Tested(metrics, predicted, found)

    def conclude(
        self,
        directory: RunDirectory,
        config: Config,
        trained: runs.TrainResult,
        tested: "_Tested",
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        """Save the model, draw figures and write the summary."""
        dataset, parts, inputs, targets = self.dataset, self.parts, self.inputs, self.targets
        params, found = trained.params, tested.calibration
        saved = None if found is None else found.saved
        model = SavedModel.of(dataset, inputs, params, targets=targets, calibration=saved)
        save_model(directory, model)
        summary = summarize_split(trained, tested.metrics, parts, seconds)
        summary["num_examples"] |= count_held(self.held)
        if found is not None:
            summary["tables"] = {"Intervals": found.table}
        if isinstance(config.model, Linear):
            coefficients = linear_coefficients(params, inputs, targets)
            rows = coefficient_table(dataset, parts.train, coefficients, inputs.scale)
            summary["tables"] = summary.get("tables", {}) | {"Coefficients": rows}
            print_table(rows)
        summary |= describe(
            dataset,
            mean_baseline(dataset.y[parts.train], dataset.y[parts.test]),
            tested.metrics,
            history=trained.history if config.patience is None else None,
            notes=note_leaks(dataset),
        )
        captions = _draw(directory, dataset, parts.test, tested.predicted, trained.history)
        if found is not None:
            lower, upper = (targets.mean + targets.scale * each for each in found.intervals)
            captions |= intervals.draw(
                directory,
                tested.predicted.mean(axis=0),
                lower,
                upper,
                dataset.y[parts.test],
                unit=dataset.unit,
            )
        if dataset.x.shape[1] == 1:
            grid = np.linspace(dataset.x.min(), dataset.x.max(), 200, dtype=np.float32)[:, None]
            curves = self._outputs(config)(params, standardize(inputs, grid))[..., 0]
            curves = targets.mean + targets.scale * np.asarray(curves)
            captions |= draw_figure(
                directory,
                "fit",
                "All examples, and the function that each network fitted.",
                lambda: figures.fitted_line(dataset.x[:, 0], dataset.y, grid[:, 0], curves),
            )
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)

    def _outputs(self, config: Config) -> Any:
        """Outputs of a batch of networks for some examples."""
        apply = build_network(config, self.x.shape[1:]).apply
        return jax.jit(jax.vmap(functools.partial(jn.predict, apply), (0, None)))


class _Tested(NamedTuple):
    """Metrics and predictions for the test examples."""

    metrics: dict[str, Any]
    predicted: np.ndarray
    calibration: intervals.Calibrated | None


def check(config: Config, dataset: Dataset) -> None:
    """Check the data, and that the options fit each other.

    Raises:
        ValueError: data that are not finite, kinds of intervals without a coverage.
    """
    if config.interval != "residual" and config.coverage is None:
        raise ValueError(
            f"interval {config.interval} needs --coverage, the probability that an interval holds "
            "the true number; add it, or leave interval out"
        )
    jn.check_data(dataset.x, dataset.y)


def fit_inputs(config: Config, dataset: Dataset, rows: np.ndarray) -> Standardization:
    """Mean and scale of each column."""
    return fit_standardization(dataset.x[rows])


def scale_inputs(config: Config, fitted: Standardization, x: np.ndarray) -> np.ndarray:
    """Standardized features."""
    return standardize(fitted, x)


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are a table."""
    return ".csv"


def predict(config: Config, model: SavedModel, x: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers predicted for new examples, by the mean of all networks.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled features `(n, features)`.

    Returns:
        `prediction`, of several networks `std`, the standard deviation over them, and of a run with
        a coverage `lower` and `upper`, in the unit of the target, `(n,)` each.
    """
    assert model.targets is not None
    network = build_network(config, x.shape[1:])
    apply = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))
    whole = np.asarray(apply(model.params, jax.device_put(x)))
    mean, scale = model.targets.mean, model.targets.scale
    values = mean + scale * whole[..., 0].astype(np.float64)
    columns = {"prediction": values.mean(axis=0)}
    if len(values) > 1:
        columns["std"] = values.std(axis=0, ddof=1)
    if model.calibration is not None:
        ends = intervals.of_ensemble(config, model.calibration, whole)
        columns |= {name: mean + scale * end for name, end in ends._asdict().items()}
    return columns


def _draw(
    directory: RunDirectory,
    dataset: Dataset,
    test_part: np.ndarray,
    predicted: np.ndarray,
    history: dict[str, dict[str, np.ndarray]],
) -> dict[str, str]:
    captions = draw_figure(
        directory,
        "learning_curves",
        "Learning curves, of the standardized target: mean and range.",
        lambda: figures.learning_curves(history),
    )
    return captions | draw_figure(
        directory,
        "predictions",
        "Mean prediction of all networks on the test set.",
        lambda: figures.predictions(dataset.y[test_part], predicted.mean(axis=0), dataset.unit),
    )
