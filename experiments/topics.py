"""Topics of short texts: a bag of embeddings beside linear classifiers on TF-IDF, on the same rows.

    python -m experiments.topics
    python -m experiments.topics --datasets clinc150 --num-seeds 3

The networks are those of `python -m experiments.classification --dataset NAME`, with all defaults
of the data set: CLINC150 on its official split, Banking77 by a cross-validation of 5 folds of its
training file, repeated with other folds for each seed. The peers are scikit-learn's LinearSVC on
TF-IDF weights of words and pairs of words, and of these and 2 to 5 characters; they are
deterministic, so they see the split, or the folds of the first repeat. Detection of out-of-scope
texts: area under the ROC curve, of the largest decision value for the peers.

The settings of the networks were chosen on the validation part of CLINC150. Measured:
docs/results.md.
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.classification import experiment as classification
from experiments.classification.config import Config as Network
from experiments.classification.recipes import recipe
from experiments.command import main, print_table, show, statistics
from experiments.config import PositiveInt, PrecisionOptions
from experiments.data import Dataset, folds, load, split
from experiments.data.named.clinc150 import load_out_of_scope
from experiments.facts import named_facts

_NUM_FOLDS = 5
_PEERS = ("linear SVM, words", "linear SVM, words and characters")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(PrecisionOptions):
    """Compare bags of embeddings with linear classifiers on the topics of short texts."""

    experiment: ClassVar[str] = "topics"

    datasets: tuple[str, ...] = ("banking77", "clinc150")
    """Names of data sets of texts."""
    num_seeds: PositiveInt = 5
    """Networks on an official split, or repeats of the cross-validation."""
    seed: int = 0
    """Seed of folds and networks."""
    data_dir: Path | None = None
    """Folder with the files of named data sets; None uses the one that JAXNET_DATA names."""


def run(config: Config) -> dict[str, dict[str, Any]]:
    """Train the networks and the peers, and print a table.

    Returns:
        Data set -> learner -> metric -> `statistics` of it; `seconds` too.

    Raises:
        ValueError: a data set that is not one of texts, or a mistake in the options.
    """
    results: dict[str, dict[str, Any]] = {}
    for name in config.datasets:
        dataset = load(name, task="classification", data_dir=config.data_dir)
        if not dataset.is_tokens:
            raise ValueError(f"datasets: {name} is not a data set of texts; leave it out")
        summary = classification.run(_network(config, dataset))
        of_network = {
            metric: value
            for metric, value in summary["metrics"].items()
            if metric == "accuracy" or metric.startswith("out_of_scope")
        }
        results[name] = {"bag of embeddings": of_network | {"seconds": summary["seconds"]["total"]}}
        for peer in _PEERS:
            results[name][peer] = _score_peer(peer, config, dataset)
    rows = [("data set", "learner", "metric", "value", "seconds")]
    for name, learners in results.items():
        for learner, values in learners.items():
            seconds = f"{values['seconds']:.1f}"
            metrics = {metric: value for metric, value in values.items() if metric != "seconds"}
            rows += [(name, learner, metric, show(v), seconds) for metric, v in metrics.items()]
    print_table(rows)
    return results


def _network(config: Config, dataset: Dataset) -> Network:
    network = dataclasses.replace(
        recipe(named_facts(dataset.name), "bag_of_embeddings"),  # pyright: ignore[reportArgumentType]
        num_seeds=config.num_seeds,
        seed=config.seed,
        data_dir=config.data_dir,
        precision=config.precision,
    )
    if dataset.num_official_test:
        return network
    return dataclasses.replace(network, cross_validate=_NUM_FOLDS, repeats=config.num_seeds)


def _parts(config: Config, dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of the peers."""
    if dataset.num_official_test:
        parts = split(dataset, seed=config.seed)
        return [(parts.train, parts.test)]
    trains, tests = folds(
        dataset.y, num_folds=_NUM_FOLDS, num_repeats=config.num_seeds, seed=config.seed
    )
    return list(zip(trains[:_NUM_FOLDS], tests[:_NUM_FOLDS], strict=True))


def _score_peer(peer: str, config: Config, dataset: Dataset) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    start = time.perf_counter()
    texts = np.array(dataset.titles, object)
    accuracies, areas = [], []
    for train, test in _parts(config, dataset):
        fitted = _peer(peer).fit(texts[train], dataset.y[train])
        inside = fitted.decision_function(texts[test])
        accuracies.append(np.mean(inside.argmax(axis=1) == dataset.y[test]))
        if dataset.out_of_scope is not None:
            outside = fitted.decision_function(load_out_of_scope(config.data_dir))
            is_outside = np.repeat([0, 1], [len(inside), len(outside)])
            scores = -np.concatenate([inside, outside]).max(axis=1)
            areas.append(roc_auc_score(is_outside, scores))
    result: dict[str, Any] = {"accuracy": statistics(accuracies)}
    if areas:
        result["out_of_scope_auc_decision_value"] = statistics(areas)
    return result | {"seconds": time.perf_counter() - start}


def _peer(name: str) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    if name == _PEERS[0]:
        return make_pipeline(words, LinearSVC())
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return make_pipeline(make_union(words, characters), LinearSVC())


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
