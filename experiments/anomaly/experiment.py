"""Anomalies in time series: scores of steps, alarms, and the records behind each alarm.

    python -m experiments.anomaly                                 # NAB, online networks
    python -m experiments.anomaly novelty
    python -m experiments.anomaly pca
    python -m experiments.anomaly autoencoder
    python -m experiments.anomaly --data load.csv --time when

`online` forecasts each step of each series by a network that has learned from the steps before, and
scores it by the distance of its error and of recent means to those of the nearest earlier step.
`novelty` does the same without a network, `level` scores deviations of the values. No score of
these depends on a later step. The other methods compare windows of the whole series. Labelled
windows only evaluate. `alarms.csv` lists the alarms with the rows of the
file that they were computed from, `scores.npz` holds all scores.

For labelled series the threshold is the one of the highest NAB score over all series, as in that
benchmark; without labels it is the lowest with at most --max-alarms alarms.

Published, NAB standard profile: KNN-CAD 58.0, HTM 70.1 (results of the benchmark's repository);
mean VUS-PR of TSB-AD's series of NAB: Sub-PCA .436, autoencoder .317 (Liu, Paparrizos 2024).
Measured figures: docs/results.md.
"""

import io
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from experiments.anomaly import alarms, figures
from experiments.anomaly.config import Autoencoder, Config, Level, Novelty, Online
from experiments.anomaly.detection import online_scores
from experiments.anomaly.evaluation import nab_metrics, step_metrics
from experiments.anomaly.features import standardize
from experiments.anomaly.novelty import novelty_scores
from experiments.anomaly.online_scores import learn_series
from experiments.anomaly.recipes import recipe
from experiments.anomaly.user_series import load_user_series
from experiments.anomaly.window_scores import check_windows, score_windows, window_batch
from experiments.command import finish, statistics, stopwatch
from experiments.data.labelled_series import Series, SeriesCollection
from experiments.data.named.nab import load_nab
from experiments.facts import Facts
from experiments.placement import Placement, place
from experiments.precision import require_float32
from experiments.prepare import load_checked
from experiments.report.drawing import draw_figure
from experiments.training import open_directory
from jaxnet import runs
from jaxnet._files import atomic_write
from jaxnet.checkpoint import params_sha256

__all__ = ["Config", "check", "facts", "load_data", "recipe", "run"]

_PUBLISHED = (
    "NAB standard KNN-CAD 58.0, HTM 70.1 (results of numenta/NAB); mean VUS-PR Sub-PCA .436, "
    "autoencoder .317 (Liu, Paparrizos 2024)"
)


def facts(given: Mapping[str, Any]) -> Facts:
    """What recipes need: nothing that depends on the data, which are not loaded."""
    return Facts(0, (), name=given.get("dataset", ""))


def load_data(config: Config) -> SeriesCollection:
    """The series of a config.

    Raises:
        ValueError: an unknown data set, or data that cannot be read.
        FileNotFoundError: there is no such file.
    """
    if config.data is not None:
        return load_user_series(config.data, time=config.time, ignore=config.ignore)
    if config.time is not None or config.ignore:
        raise ValueError(
            f"time and ignore are for a user's file, found data set {config.dataset}; name the "
            "file with --data"
        )
    if config.dataset == "schonlau":
        raise ValueError(
            "data set 'schonlau' is of logs; use python -m experiments.logs --dataset schonlau"
        )
    if config.dataset != "nab":
        raise ValueError(f"unknown data set {config.dataset!r} of series; known: nab")
    return load_nab(config.data_dir)


def check(config: Config, collection: SeriesCollection) -> None:
    """Check that the options fit the data.

    Raises:
        ValueError: series that are too short for windows; several networks of a method without
            random numbers.
    """
    if not isinstance(config.method, Online | Novelty | Level):
        check_windows(config.method, collection.series)
    if not isinstance(config.method, Online | Autoencoder):
        require_float32(config, f"method {config.method.name}")
    if config.num_seeds > 1 and not isinstance(config.method, Online | Autoencoder):
        raise ValueError(
            f"num_seeds must be 1 for {config.method.name}, which draws no random numbers, found "
            f"{config.num_seeds}"
        )


def run(config: Config) -> dict[str, Any]:
    """Score the series, list alarms, and evaluate them where there are labels.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, collection = load_checked(config, load_data, check)
    config, placement = place(config, *networks_and_batches(config, len(collection.series)))
    with open_directory(config, collection.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            scores, params, state_sha256 = _score(config, collection, directory, placement)
            results, threshold = _evaluate(config, collection, scores)
        listed = alarms.find_alarms(collection, scores[0], threshold, reach=_reach(config))
        alarms.write_alarms(directory, collection, listed)
        _write_scores(directory, collection, scores)
        summary = {
            "method": config.method.name,
            "num_series": len(collection.series),
            "num_parameters": sum(
                leaf.size // (config.num_seeds * len(collection.series))
                for leaf in jax.tree.leaves(params)
            ),
            "metrics": {name: statistics(values) for name, values in results.items()},
            "threshold": threshold if np.isfinite(threshold) else None,
            "params_sha256": params_sha256(params),
            "state_sha256": state_sha256 or params_sha256(params),
            "seconds": seconds,
            "data": _describe(collection),
            "notes": list(collection.notes),
            "tables": {"Alarms of the first network": alarms.alarm_rows(collection, listed)},
        }
        captions = {}
        for index in figures.shown_series(collection, listed):
            series = collection.series[index]
            captions |= draw_figure(
                directory,
                f"series_{index}",
                f"{series.name}: values and scores by the first network. Labelled windows are "
                "green, alarms red lines, the threshold is dashed.",
                lambda series=series, index=index: figures.draw_series(
                    series,
                    scores[0][index],
                    threshold,
                    [alarm for alarm in listed if alarm.series == index],
                ),
            )
        published = _PUBLISHED if collection.is_named else None
        return finish(directory, config, summary, captions, published)


def networks_and_batches(config: Config, num_series: int) -> tuple[int, list[int]]:
    """The number of networks that are spread over devices, and the sizes of their batches."""
    if isinstance(config.method, Autoencoder):
        return config.num_seeds * num_series, [window_batch(config.method)]
    # Steps in the order of time are learned one after the other.
    return config.num_seeds if isinstance(config.method, Online) else 1, [1]


def _score(
    config: Config,
    collection: SeriesCollection,
    directory: runs.RunDirectory,
    placement: Placement,
) -> tuple[list[list[np.ndarray]], Any, Any]:
    """Scores by network and series, parameters, and the hash of the last state."""
    method = config.method
    if isinstance(method, Level):
        return [[_level_scores(method, each) for each in collection.series]], [], None
    if isinstance(method, Novelty):
        values = [standardize(each.values, method.scale_steps) for each in collection.series]
        scores = novelty_scores(values, None, ratios=method.ratios, rest_steps=method.rest_steps)
        return [scores], [], None
    if not isinstance(method, Online):
        result = score_windows(config, collection.series, directory, placement)
        return result.scores, result.params, result.state_sha256
    learned = learn_series(config, collection.series, directory, placement)
    scores = [
        novelty_scores(
            learned.values,
            [method.error_weight * rows for rows in network],
            ratios=method.ratios,
            rest_steps=method.rest_steps,
        )
        for network in learned.errors
    ]
    return scores, learned.params, learned.state_sha256


def _level_scores(method: Level, series: Series) -> np.ndarray:
    """Scores of the values themselves, standardized by those before."""
    return online_scores(
        np.abs(standardize(series.values, method.scale_steps)),
        short_windows=method.short_windows,
        rest_steps=method.rest_steps,
    )


def _evaluate(
    config: Config, collection: SeriesCollection, scores: list[list[np.ndarray]]
) -> tuple[dict[str, list[float]], float]:
    """Metrics, one value for each network, and the threshold of the first."""
    if not collection.is_labelled:
        threshold = alarms.threshold_of(scores[0], config.max_alarms)
        num_alarms = [
            float(
                sum(
                    (rows >= alarms.threshold_of(network, config.max_alarms)).sum()
                    for rows in network
                )
            )
            for network in scores
        ]
        return {"num_alarms": num_alarms}, threshold
    results: list[dict[str, float]] = []
    thresholds = []
    for network in scores:
        values, threshold = nab_metrics(collection.series, network)
        thresholds.append(threshold)
        results.append(values | step_metrics(collection.series, network))
    return {name: [each[name] for each in results] for name in results[0]}, thresholds[0]


def _reach(config: Config) -> tuple[int, int]:
    """Steps before and after a step that its score was computed from, besides all earlier ones.

    Of a method of windows, a window of the longest period on both sides.
    """
    if isinstance(config.method, Online | Novelty):
        return max((*config.method.ratios, 1)) ** 2 - 1, 0
    if isinstance(config.method, Level):
        return max((*config.method.short_windows, 1)) - 1, 0
    return config.method.num_points, config.method.num_points


def _write_scores(
    directory: runs.RunDirectory, collection: SeriesCollection, scores: list[list[np.ndarray]]
) -> None:
    """Write `scores.npz`: `names`, and `series_0`, ..., of `(networks, time)` in their order."""
    content = io.BytesIO()
    arrays = {"names": np.array([series.name for series in collection.series])} | {
        f"series_{index}": np.stack([network[index] for network in scores])
        for index in range(len(collection.series))
    }
    np.savez_compressed(content, allow_pickle=False, **arrays)
    if not directory.is_writer:
        return
    with atomic_write(directory.path / "scores.npz") as temporary:
        temporary.write_bytes(content.getvalue())


def _describe(collection: SeriesCollection) -> dict[str, Any]:
    described: dict[str, Any] = {
        "series": len(collection.series),
        "steps": sum(len(series.values) for series in collection.series),
    }
    if collection.is_labelled:
        described["labelled windows"] = sum(len(series.windows) for series in collection.series)
    return described
