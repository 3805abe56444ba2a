"""Buy or not: which visits of a shop end with a purchase?

    python -m experiments.purchase                                  # 12 330 visits, 15.5 % buy
    python -m experiments.purchase --data visits.csv --label bought

Each fold of a cross-validation is predicted by an ensemble of networks, whose probabilities are
averaged, and by HistGradientBoosting of scikit-learn with its defaults, both trained on the other
folds. Boosting takes the codes of browsers, regions and the like as numbers, networks as
categories. Numbers such as durations are skewed; what makes them features of a network is fitted on
the training rows. A purchase is expected where its probability is at least `false_positive_cost /
(false_positive_cost + false_negative_cost)`, which has the least expected cost where probabilities
are right; `cost` is the mean cost of a visit. The options were chosen on folds that were held out
of the training part, without the fold that tests. Results: docs/results.md.

Source of the data: Sakar, Polat, Katircioglu and Kastro (2019), "Real-time prediction of online
shoppers' purchasing intention", UCI Machine Learning Repository, data set 468, whose licence
(CC BY 4.0, as far as known) is stated there.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.figure import Figure

import jaxnet as jn
from experiments.classification import experiment as classification
from experiments.classification.config import Config as ClassificationConfig
from experiments.command import finish, show, statistics, stopwatch
from experiments.config import DataOptions
from experiments.data import Dataset
from experiments.data.named.download import user_folders
from experiments.data.splits import folds
from experiments.memory import check_memory
from experiments.model import num_parameters, stacked_sha256
from experiments.placement import place
from experiments.prepare import load_checked
from experiments.purchase.config import Config
from experiments.purchase.features import fit_features
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.summary import describe_data
from experiments.training import (
    config_optimizer,
    network_at,
    network_keys,
    open_directory,
    train_options,
)
from jaxnet import metrics

__all__ = ["Config", "load_data", "run"]

PEER = "HistGradientBoosting"
_NAME, _FILE = "online-shoppers", "online_shoppers_intention.csv"
# Numbers that stand for kinds.
_CODES = ("OperatingSystems", "Browser", "Region", "TrafficType")


def load_data(config: Config, *, with_codes: bool = False) -> Dataset:
    """The table of a config.

    Args:
        config: the options.
        with_codes: whether the named data set has codes of kinds as numbers, instead of a column
            for each kind.

    Raises:
        ValueError: there is no such data set, or the file cannot be used.
        FileNotFoundError: there is no such file.
    """
    given = {name: getattr(config, name) for name in DataOptions.__dataclass_fields__}
    if config.data is None:
        if config.dataset != _NAME:
            raise ValueError(f"unknown data set {config.dataset!r} of purchases; known: {_NAME}")
        folders = [folder / _NAME / _FILE for folder in user_folders(config.data_dir)]
        path = next((path for path in folders if path.is_file()), None)
        if path is None:
            places = " or ".join(map(str, folders)) or "a folder that JAXNET_DATA names"
            raise ValueError(
                f"the data set {_NAME} is not in {places}; set JAXNET_DATA to the folder that "
                f"holds {_NAME}/{_FILE}, or use --data FILE --label COLUMN"
            )
        given |= {"data": path, "label": "Revenue", "categories": () if with_codes else _CODES}
    dataset = classification.load_data(ClassificationConfig(**given))
    name = dataset.name if config.data is not None else _NAME
    return dataclasses.replace(dataset, name=name)


def check(config: Config, dataset: Dataset) -> None:
    """Check that the data are a table of two classes.

    Raises:
        ValueError: they are something else.
    """
    if dataset.x.ndim != 2 or dataset.is_tokens:
        raise ValueError("experiments.purchase reads tables; use experiments.classification")
    if dataset.num_classes != 2:
        raise ValueError(
            f"label: the table has {dataset.num_classes} classes, expected two: no purchase and "
            "purchase; use experiments.classification for more"
        )
    if config.precision != "float32":
        raise ValueError(f"precision {config.precision} is not for purchases; leave it out")


def run(config: Config) -> dict[str, Any]:
    """Predict each fold by networks and by boosting that are trained on the others.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`; the metrics have one value for each fold.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, dataset = load_checked(config, load_data, check)
    trains, tests = folds(dataset.y, num_folds=config.num_folds, num_repeats=1, seed=config.seed)
    # All networks take the same number of steps; what is left out is a row of some folds.
    length = min(map(len, trains))
    config = dataclasses.replace(config, batch_size=min(config.batch_size, length))
    order = np.random.default_rng(config.seed)
    trains = [order.permutation(rows)[:length] for rows in trains]
    features = [fit_features(dataset.x[rows]) for rows in trains]
    x = [fitted(dataset.x) for fitted in features]
    widths = {values.shape[1] for values in x}
    if len(widths) > 1:
        # A column has two values in one training part, and more in another.
        x = [np.pad(values, ((0, 0), (0, max(widths) - values.shape[1]))) for values in x]
    network = jn.mlp(
        [max(widths), *config.hidden_dims, 1], activation=jax.nn.silu, dropout=config.dropout
    )
    learner = jn.gradient_learner(
        network.init, jn.binary_classification(network), config_optimizer(config, length)
    )
    check_memory(config, learner.init)
    num_networks = config.num_folds * config.num_seeds
    config, placement = place(config, num_networks, [config.batch_size])
    with open_directory(config, dataset.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            # Networks of a fold are one after the other.
            repeated = np.repeat(np.arange(config.num_folds), config.num_seeds)
            trained = placement.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(network_keys(config.seed, num_networks)),
                {
                    "x": np.stack([x[fold][trains[fold]] for fold in repeated]),
                    "y": np.stack([dataset.y[trains[fold]] for fold in repeated]),
                },
                batches=jn.training.per_run(config.batch_size),
                options=train_options(config),
            )
            networks = _probabilities_by(network)
            ensembles, single = [], []
            for fold, test in enumerate(tests):
                own = network_at(trained.params, np.flatnonzero(repeated == fold))
                probabilities = np.asarray(networks(own, x[fold][test]))
                single.append(probabilities)
                ensembles.append(probabilities.mean(axis=0))
        plain = load_data(config, with_codes=True)
        boosted = [
            _boosting(plain, train, test, config.seed)
            for train, test in zip(trains, tests, strict=True)
        ]
        labels = [dataset.y[test] for test in tests]
        ensemble_scores = _scores(config, ensembles, labels)
        boosted_scores = _scores(config, boosted, labels)
        alone = _scores(
            config,
            [each for fold in single for each in fold],
            [each for each in labels for _ in range(config.num_seeds)],
        )
        captions = draw_figure(
            directory,
            "learning_curves",
            "Learning curves: mean and range over all networks.",
            lambda: figures.learning_curves(trained.history),
        )
        pooled = {"ensemble": np.concatenate(ensembles), PEER: np.concatenate(boosted)}
        captions |= draw_figure(
            directory,
            "decisions",
            "Precision and recall at all thresholds, and the fraction of purchases among visits of "
            "similar probability; each visit is predicted by a model that was trained without it.",
            lambda: decisions(pooled, np.concatenate(labels)),
        )
        summary = {
            "title": f"Purchases on {config.dataset}",
            "metrics": {name: statistics(values) for name, values in ensemble_scores.items()},
            "baseline": {
                "name": PEER,
                "metrics": {name: float(np.mean(each)) for name, each in boosted_scores.items()},
            },
            "tables": {
                f"{config.num_folds}-fold cross-validation": _table(
                    {
                        f"ensemble of {config.num_seeds} networks": ensemble_scores,
                        "one network": alone,
                        PEER: boosted_scores,
                    }
                )
            },
            "unit": f"folds ({config.num_folds}-fold cross-validation)",
            "data": describe_data(dataset),
            "num_examples": {"all": len(dataset.x)},
            "num_parameters": num_parameters(trained.params),
            "params_sha256": stacked_sha256(trained.params),
            "state_sha256": trained.state_sha256,
            "seconds": seconds,
            "num_seeds": config.num_folds,
            "notes": _notes(ensemble_scores, boosted_scores),
        }
        return finish(directory, config, summary, captions)


def _probabilities_by(network: jn.Network) -> Callable[..., Array]:
    """`(params, x) -> (networks, n)`: probabilities by networks whose parameters are stacked."""

    def probabilities(params: Any, x: Array) -> Array:
        return jax.nn.sigmoid(jn.predict(network.apply, params, x)[..., 0])

    return jax.jit(jax.vmap(probabilities, (0, None)))


def _boosting(dataset: Dataset, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=seed)
    model.fit(dataset.x[train], dataset.y[train])
    return model.predict_proba(dataset.x[test])[:, 1].astype(np.float32)


def _scores(
    config: Config, probabilities: list[np.ndarray], labels: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Metrics of each part."""
    positive, negative = config.false_positive_cost, config.false_negative_cost
    threshold = positive / (positive + negative)

    def of_part(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
        expected = p >= threshold
        cost = positive * (expected & (y == 0)) + negative * (~expected & (y == 1))
        values = {name: float(value) for name, value in _scores_without_costs(p, y).items()}
        return values | {"cost": float(np.mean(cost))}

    parts = [of_part(p, y) for p, y in zip(probabilities, labels, strict=True)]
    return {name: np.array([part[name] for part in parts]) for name in parts[0]}


@jax.jit
def _scores_without_costs(p: Array, y: Array) -> dict[str, Array]:
    return {
        "average_precision": metrics.average_precision(p, y),
        "roc_auc": metrics.roc_auc(p, y),
        "calibration_error": metrics.expected_calibration_error(jnp.stack([1 - p, p], axis=1), y),
    }


def _table(scores: dict[str, dict[str, np.ndarray]]) -> list[tuple[str, ...]]:
    names = list(next(iter(scores.values())))
    return [
        ("model", *(name.replace("_", " ") for name in names)),
        *(
            (model, *(show(statistics(values[name])) for name in names))
            for model, values in scores.items()
        ),
    ]


def _notes(own: dict[str, np.ndarray], peer: dict[str, np.ndarray]) -> list[str]:
    is_better = {
        name: (own[name].mean() > peer[name].mean()) == (name in ("average_precision", "roc_auc"))
        for name in own
    }
    return [
        f"{name.replace('_', ' ')} is not better than that of {PEER}, {peer[name].mean():.4f}"
        for name, better in is_better.items()
        if not better
    ]


def decisions(probabilities: dict[str, np.ndarray], labels: np.ndarray) -> Figure:
    """Precision against recall, and observed against predicted fractions.

    Args:
        probabilities: of each model, `(n,)`.
        labels: whether there was a purchase, `(n,)`.
    """
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    edges = np.linspace(0, 1, 11)
    for name, values in probabilities.items():
        curve = jax.jit(metrics.threshold_curve)(values, labels)
        left.plot(np.asarray(curve.recall), np.asarray(curve.precision), lw=1, label=name)
        group = np.digitize(values, edges[1:-1])
        sizes = np.maximum(np.bincount(group, minlength=10), 1)
        mean = np.bincount(group, values, 10) / sizes
        observed = np.bincount(group, labels, 10) / sizes
        right.plot(mean, observed, marker="o", label=name)
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    right.plot([0, 1], [0, 1], color="gray", lw=1, linestyle="--")
    right.set(xlabel="mean probability", ylabel="fraction of purchases")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure
