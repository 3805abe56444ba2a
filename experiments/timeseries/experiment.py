"""Time series: random convolutions with a trained layer beside ROCKET, on official splits.

    python -m experiments.timeseries
    python -m experiments.timeseries --sets GunPoint JapaneseVowels --num-seeds 3

One recipe for all sets: channels standardized on the training series, the features of
`jaxnet.nn.random_convolutions` (Dempster, Schmidt, Webb 2021), centered, and logistic
regression with an L2 penalty, trained by L-BFGS. All seeds of a set, each with its own
convolutions, are one program. The recipe was chosen by cross-validation of the training series,
never by test series. ROCKET (Dempster, Petitjean, Webb 2020) is that of aeon with its defaults,
where aeon is installed.

Published: accuracies of InceptionTime (Ismail Fawaz et al. 2020). Measured: docs/results.md.
"""

from typing import Any

import numpy as np

from experiments.baselines import class_baseline
from experiments.command import finish, print_table, show, statistics, stopwatch
from experiments.data import load
from experiments.data.named.timeseries import NAMES, timeseries_name
from experiments.model import stacked_sha256
from experiments.placement import place
from experiments.prepare import resolve_threads
from experiments.timeseries.classifiers import (
    Outputs,
    Parts,
    divide,
    has_rocket,
    score_rocket,
    train_networks,
)
from experiments.timeseries.config import Config
from experiments.training import check_directory, open_directory
from jaxnet.checkpoint import params_sha256

__all__ = ["Config", "run"]

_OURS, _PEER = "jaxnet", "ROCKET"
# Accuracies of InceptionTime on the same splits: Ismail Fawaz et al. (2020), their repository.
_PUBLISHED = {
    "ACSF1": 0.910,
    "ArrowHead": 0.863,
    "GunPoint": 1.000,
    "ItalyPowerDemand": 0.966,
    "OSULeaf": 0.921,
}


def run(config: Config) -> dict[str, Any]:
    """Train the networks and ROCKET on each set.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
    """
    check_directory(config)
    config = resolve_threads(config)
    names = _set_names(config)
    sets = [divide(load(name, data_dir=config.data_dir)) for name in names]
    config, placement = place(config, config.num_seeds, [len(parts.y_train) for parts in sets])
    with_peer = config.peer and has_rocket()
    data_sha256 = params_sha256({parts.dataset.name: parts.dataset.x for parts in sets})
    results: dict[str, dict[str, Outputs]] = {}
    rows = [_header(with_peer)]
    with open_directory(config, data_sha256) as directory:
        with stopwatch() as seconds:
            for parts in sets:
                name = parts.dataset.name
                results[name] = {
                    _OURS: train_networks(directory.stage(name), config, parts, placement)
                }
                if with_peer:
                    results[name][_PEER] = score_rocket(config, parts)
                rows.append(_row(parts, results[name]))
                print("  ".join(rows[-1]), flush=True)
        print_table(rows)
        ours = {name: outputs[_OURS] for name, outputs in results.items()}
        summary = {
            "title": "Time series by random convolutions",
            "metrics": _metrics(results),
            "params_sha256": {name: stacked_sha256(output.params) for name, output in ours.items()},
            "state_sha256": {name: output.state_sha256 for name, output in ours.items()},
            "seconds": seconds,
            "notes": [] if with_peer else ["ROCKET was not trained: that needs the package aeon"],
            "tables": {"Test accuracy": rows},
        }
        return finish(directory, config, summary, {})


def _metrics(results: dict[str, dict[str, Outputs]]) -> dict[str, Any]:
    """Accuracies of each set and method, and of each method the mean over the sets."""
    metrics = {
        f"{name}: accuracy of {method}": statistics(output.accuracy)
        for name, outputs in results.items()
        for method, output in outputs.items()
    }
    methods = next(iter(results.values()))
    return metrics | {
        f"mean accuracy of {method}": statistics(
            np.mean([outputs[method].accuracy for outputs in results.values()], axis=0)
        )
        for method in methods
    }


def _set_names(config: Config) -> list[str]:
    """The names of the sets as the archive has them, each once."""
    names = []
    for name in config.sets or NAMES:
        known = timeseries_name(name)
        if known is None:
            raise ValueError(f"sets: unknown set {name!r}; known: {', '.join(NAMES)}")
        names.append(known)
    return list(dict.fromkeys(names))


def _header(with_peer: bool) -> tuple[str, ...]:
    peer = (_PEER, f"seconds {_PEER}") if with_peer else ()
    sizes = ("set", "train", "test", "steps", "channels", "classes", "majority")
    return (*sizes, _OURS, f"seconds {_OURS}", *peer, "InceptionTime (published)")


def _row(parts: Parts, outputs: dict[str, Outputs]) -> tuple[str, ...]:
    baseline = class_baseline(parts.y_train, parts.y_test, parts.dataset.class_names)
    cells = [
        cell
        for output in outputs.values()
        for cell in (show(statistics(output.accuracy)), f"{output.seconds:.1f}")
    ]
    published = _PUBLISHED.get(parts.dataset.name)
    lengths = np.concatenate([parts.train.length, parts.test.length])
    steps = f"{lengths.min()}-{lengths.max()}" if np.ptp(lengths) else f"{lengths.max()}"
    return (
        parts.dataset.name,
        *(str(size) for size in (len(parts.y_train), len(parts.y_test))),
        steps,
        *(str(size) for size in (parts.train.values.shape[-1], parts.dataset.num_classes)),
        f"{baseline.metrics['accuracy']:.3f}",
        *cells,
        "" if published is None else f"{published:.3f}",
    )
