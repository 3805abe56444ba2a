"""Tables: the default network for a user's table beside scikit-learn's classifiers.

    python -m experiments.tables
    python -m experiments.tables --tables digits noisy --num-seeds 3
    python -m experiments.tables --data credit.csv churn.csv --label class churned

The network is that of `python -m experiments.classification --data FILE`, with all its defaults,
one for each split; scikit-learn's LogisticRegression (1 000 iterations), MLPClassifier and
HistGradientBoostingClassifier have their defaults. All learn from the same standardized training
rows (64 %); the validation rows (16 %) stop the network early, and the test rows (20 %) compare.
Differences are paired: of the same split.

The defaults of the network were chosen by these tables' validation rows, never by test rows:
`experiments/classification/recipes.py`. Measured: docs/results.md.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines import class_baseline
from experiments.classification import evaluation, recipes
from experiments.classification.config import Config as Network
from experiments.command import finish, print_table, show, statistics, stopwatch
from experiments.config import replace
from experiments.data import Dataset, split
from experiments.facts import facts_of
from experiments.model import stacked_sha256
from experiments.placement import Placement, place
from experiments.prepare import resolve_threads
from experiments.tables.classifiers import PEERS, Table, divide, score_peer, train_networks
from experiments.tables.config import Config
from experiments.tables.inputs import load_tables
from experiments.training import batch_size, check_directory, open_directory
from jaxnet import runs
from jaxnet.checkpoint import params_sha256

__all__ = ["Config", "default_network", "run"]

_FEW_ROWS = 1000

Scores = dict[str, dict[str, np.ndarray]]


def run(config: Config) -> dict[str, Any]:
    """Train the network and its peers on each table.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
    """
    check_directory(config)
    config = resolve_threads(config)
    datasets = load_tables(config)
    splits = {
        dataset.name: [
            split(dataset, seed=config.seed + i) for i in range(num_splits(config, dataset))
        ]
        for dataset in datasets
    }
    batches = [
        batch_size(default_network(each), len(splits[each.name][0].train)) for each in datasets
    ]
    config, placement = place(config, math.gcd(*map(len, splits.values())), batches)
    data_sha256 = params_sha256({dataset.name: dataset.x for dataset in datasets})
    metrics, hashes, states = {}, {}, {}
    rows: list[tuple[str, ...]] = [
        (
            *("table", "rows", "features", "classes", "splits", "majority", "jaxnet"),
            *PEERS,
            "minus MLP",
        )
    ]
    losses: list[tuple[str, ...]] = [("table", "jaxnet", *PEERS)]
    notes: list[str] = []
    with open_directory(config, data_sha256) as directory:
        with stopwatch() as seconds:
            for dataset in datasets:
                network = replace(default_network(dataset), precision=config.precision)
                table = divide(network, dataset, splits[dataset.name])
                stage = directory.stage(_folder(dataset.name))
                scores, trained = _score(stage, network, table, config.seed, placement)
                name = dataset.name
                hashes[name] = stacked_sha256(trained.params)
                states[name] = trained.state_sha256
                metrics |= {
                    f"{name}: {score} of {model}": statistics(values)
                    for model, of_model in scores.items()
                    for score, values in of_model.items()
                }
                rows.append(_row(table, scores))
                losses.append(
                    (name, *(show(statistics(values["log_loss"]), 3) for values in scores.values()))
                )
                notes += _note(name, scores)
                print("  ".join(rows[-1]), flush=True)
        print_table(rows)
        print_table(losses)
        summary = {
            "title": "Default networks beside scikit-learn",
            "unit": f"splits (of tables of fewer than {_FEW_ROWS} rows: four times this number)",
            "metrics": metrics,
            "params_sha256": hashes,
            "state_sha256": states,
            "seconds": seconds,
            "notes": notes,
            "tables": {"Test accuracy": rows, "Log loss on the test rows": losses},
        }
        return finish(directory, config, summary, {})


def num_splits(config: Config, dataset: Dataset) -> int:
    """Splits of a table: more of small ones, whose test parts are small."""
    return config.num_seeds * (4 if len(dataset.x) < _FEW_ROWS else 1)


def default_network(dataset: Dataset) -> Network:
    """The options with which experiments.classification would train on a user's table."""
    return recipes.recipe(facts_of(dataset))


def _score(
    directory: runs.RunDirectory,
    network: Network,
    table: Table,
    seed: int,
    placement: Placement,
) -> tuple[Scores, runs.TrainResult]:
    """Test accuracy and log loss of the network and of each peer, one value for each split."""
    outputs = train_networks(directory, network, table, seed, placement)
    labels = jnp.asarray(table.y["test"])
    tested = jax.jit(jax.vmap(evaluation.learning_metrics))(outputs.test, labels)
    scores = {
        "jaxnet": {
            "accuracy": np.asarray(tested["accuracy"]),
            "log_loss": np.asarray(tested["loss"]),
        }
    }
    return scores | {name: score_peer(name, table, seed) for name in PEERS}, outputs.trained


def difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Mean of the paired differences and its standard error (infinite for one pair).

    >>> difference(np.array([0.75, 1.0]), np.array([0.5, 0.75]))
    (0.25, 0.0)
    """
    differences = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if len(differences) < 2:
        return float(differences.mean()), math.inf
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return float(differences.mean()), float(error)


def _row(table: Table, scores: Scores) -> tuple[str, ...]:
    dataset = table.dataset
    majority = np.mean(
        [
            class_baseline(train, test, dataset.class_names).metrics["accuracy"]
            for train, test in zip(table.y["train"], table.y["test"], strict=True)
        ]
    )
    mean, error = difference(scores["jaxnet"]["accuracy"], scores["MLPClassifier"]["accuracy"])
    return (
        dataset.name,
        str(len(dataset.x)),
        str(dataset.x.shape[1]),
        str(dataset.num_classes),
        str(len(table.parts)),
        f"{majority:.3f}",
        *(show(statistics(values["accuracy"])) for values in scores.values()),
        f"{round(mean, 4) + 0:+.4f} ± {error:.4f}"
        if math.isfinite(error)
        else f"{round(mean, 4) + 0:+.4f}",
    )


def _note(name: str, scores: Scores) -> list[str]:
    mean, error = difference(scores["jaxnet"]["accuracy"], scores["MLPClassifier"]["accuracy"])
    if mean >= -error:
        return []
    return [
        f"{name}: the network is less accurate than MLPClassifier by {-mean:.4f}, more than the "
        f"standard error {error:.4f}"
    ]


def _folder(name: str) -> str:
    """A table's name as that of a folder."""
    return "table-" + "".join(x if x.isascii() and x.isalnum() else "_" for x in name)
