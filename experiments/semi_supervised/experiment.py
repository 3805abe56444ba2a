"""Labels first, then data without labels: methods of semi-supervised learning in one table.

    python -m experiments.semi_supervised                     # digits, 10 labels of each class
    python -m experiments.semi_supervised --labels-per-class 5 --methods fixmatch mean_teacher
    python -m experiments.semi_supervised --dataset nsmc --labels-per-class 500
    python -m experiments.semi_supervised --data table.csv --label kind   # some cells are empty

Each method begins with the labels alone and goes on with all training examples, whose other labels
it does not see; pre-training begins with examples without labels. `supervised` goes on with the
labels alone for the same number of steps, and `augmented` does so on images that are moved. The
networks of all draws of labels and all seeds of a method are one compiled program, and each of its
trainings is a stage of the run. Errors are those on held-out examples, which choose nothing. The
variance of draws and that of seeds are apart (`variance.py`), and differences to `supervised` are
paired by draws. Methods of scikit-learn learn from the same draws.

Published and measured figures, the commands and their times: docs/results.md.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

import jaxnet as jn
from experiments.command import finish, print_table, statistics, stopwatch
from experiments.data import Dataset, Standardization
from experiments.memory import check_memory
from experiments.model import SavedModel, num_parameters, save_model, stacked_sha256
from experiments.placement import place
from experiments.prepare import prepare
from experiments.report.drawing import draw_figure
from experiments.semi_supervised import figures, tables
from experiments.semi_supervised.checks import check
from experiments.semi_supervised.config import Config
from experiments.semi_supervised.draws import Parts, divide
from experiments.semi_supervised.inputs import (
    apply_directions,
    as_vectors,
    fit_directions,
    fit_scale,
)
from experiments.semi_supervised.loading import load_data
from experiments.semi_supervised.methods import build_methods
from experiments.semi_supervised.peers import TFIDF, peers_for, score_peer
from experiments.semi_supervised.prediction import (
    build_network,
    predict,
    prediction_suffix,
    saved_params,
)
from experiments.semi_supervised.recipes import recipe
from experiments.semi_supervised.tables import Score
from experiments.semi_supervised.training import Problem, Training, sizes_of
from experiments.summary import describe_data
from experiments.training import open_directory
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
    "saved_params",
    "scale_inputs",
]


def run(config: Config) -> dict[str, Any]:
    """Train all methods on all draws, and compare them.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, dataset, *_ = prepare(
        config, load=load_data, check=check, fit=None, scale=scale_inputs, divide=False
    )
    parts = divide(
        dataset,
        test_size=config.test_size,
        labels_per_class=config.labels_per_class,
        num_draws=config.num_draws,
        seed=config.seed,
        on_validation=config.evaluate_on == "validation",
    )
    inputs, directions = fit_inputs(config, dataset, parts.train), None
    x = scale_inputs(config, inputs, dataset.inputs)
    if dataset.is_tokens:
        directions = fit_directions(
            _rows(x, parts.train), dataset.num_tokens, config.num_features, config.seed
        )
        x = apply_directions(directions, x)
    problem = Problem(np.asarray(x, np.float32), dataset.y, parts, dataset.is_image)
    sizes = sizes_of(config, len(parts.train), parts.labeled.shape[1])
    in_shape = dataset.in_shape if dataset.is_image else x.shape[1:]
    methods = build_methods(
        config, in_shape, dataset.num_classes, config.num_epochs * sizes.steps_per_epoch
    )
    num_networks = config.num_seeds * len(parts.labeled)
    check_memory(
        dataclasses.replace(config, num_seeds=num_networks),
        next(iter(methods.values())).network.init,
    )
    config, placement = place(config, num_networks, [sizes.labeled, sizes.unlabeled])
    with open_directory(config, dataset.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            training = Training(directory, config, problem, placement)
            scores: dict[str, Score] = {}
            params, curves = {}, {}
            for name, method in methods.items():
                start = time.perf_counter()
                trained = training.train(name, method)
                learned = method.saved(trained.params, trained.extra)
                errors = np.asarray(training.errors(method, learned), np.float64)
                shape = len(parts.labeled), config.num_seeds
                scores[name] = Score(errors.reshape(shape), time.perf_counter() - start)
                params[name], curves[name] = learned, trained.history["error"]["validation"]
        # The trainings are stages: the run itself has no epochs.
        directory.write_log([])
        peers = _score_peers(dataset, problem)
        saved: dict[str, Any] = {"methods": params}
        if directions is not None:
            saved["directions"] = directions._asdict()
        save_model(directory, SavedModel.of(dataset, inputs, saved))
        summary = _summarize(config, dataset, parts, scores, peers)
        summary |= {
            "num_parameters": num_parameters(params["supervised"]),
            "params_sha256": {name: stacked_sha256(each) for name, each in params.items()},
            "state_sha256": training.hashes,
            "seconds": seconds,
        }
        print_table(summary["tables"]["Errors"])
        captions = _draw(directory, scores | peers, curves)
        return finish(directory, config, summary, captions)


def fit_inputs(config: Config, dataset: Dataset, rows: np.ndarray) -> Standardization:
    """Mean and scale of each column of a table; images and texts stay as they are."""
    return fit_scale(dataset, rows)


def scale_inputs(config: Config, fitted: Standardization, x: Any) -> Any:
    """Standardized examples as vectors; texts stay tokens."""
    return as_vectors(fitted, x)


def _score_peers(dataset: Dataset, problem: Problem) -> dict[str, Score]:
    scores = {}
    for name, peer in peers_for(len(problem.parts.train), is_text=dataset.is_tokens).items():
        start = time.perf_counter()
        x = np.array(dataset.titles, object) if name == TFIDF else problem.x
        errors = score_peer(peer, x, problem.y, problem.parts)
        scores[name] = Score(errors[:, None], time.perf_counter() - start)
    return scores


def _summarize(
    config: Config,
    dataset: Dataset,
    parts: Parts,
    scores: Mapping[str, Score],
    peers: Mapping[str, Score],
) -> dict[str, Any]:
    num_draws, num_labels = parts.labeled.shape
    every = {**scores, **peers}
    held_out = "held out" if config.evaluate_on == "test" else "validation, held out"
    return {
        "title": f"{num_labels} labels of {dataset.name}, {len(parts.train)} examples",
        "num_seeds": num_draws * config.num_seeds,
        "unit": f"networks: {num_draws} draws of labels, {config.num_seeds} seeds of each; "
        "methods of scikit-learn: draws",
        "num_examples": {
            "labelled": num_labels,
            "training": len(parts.train),
            held_out: len(parts.held_out),
        },
        "metrics": {
            f"error of {name}": statistics(score.errors.ravel()) for name, score in every.items()
        },
        "variance": tables.components_of(every, "supervised"),
        "tables": {"Errors": tables.table_of(every, "supervised")},
        "data": describe_data(dataset),
        "notes": tables.notes_of(scores, "supervised", peers),
    }


def _draw(
    directory: runs.RunDirectory,
    scores: Mapping[str, Score],
    curves: Mapping[str, np.ndarray],
) -> dict[str, str]:
    captions = draw_figure(
        directory,
        "errors",
        "Error on the held-out examples: a point for each draw of labels, the mean of its seeds; "
        "the line is the mean. Points of one color are the same labels.",
        lambda: figures.errors_of_draws(scores),
    )
    return captions | draw_figure(
        directory,
        "curves",
        "Error on the held-out examples during training, the mean of all networks. It chooses "
        "nothing: the last epoch counts.",
        lambda: figures.error_curves(curves),
    )


def _rows(x: jn.Sequences, rows: np.ndarray) -> jn.Sequences:
    return jn.Sequences(x.values[rows], x.length[rows])
