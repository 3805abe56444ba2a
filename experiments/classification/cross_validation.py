"""Cross-validation: one network for each fold, all in one program; thresholds chosen out of fold.

Where a threshold is chosen for a budget of false positives, this is a nested cross-validation: each
pair of folds has a network that is trained without both, and its outputs for one fold choose the
threshold that the other tests. So the network of a pair is used twice, K folds need K (K - 1) / 2
of them, and each threshold is chosen on all examples outside of its test fold.

Source: Stone (1974), "Cross-Validatory Choice and Assessment of Statistical Predictions".
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import jaxnet as jn
from experiments.baselines import class_baseline
from experiments.classification import evaluation
from experiments.classification.config import Config
from experiments.classification.network import arrange, build_learner, build_network
from experiments.command import finish, stopwatch
from experiments.data import Dataset, Standardization, folds
from experiments.leaks import note_leaks
from experiments.summary import describe, summarize
from experiments.training import batch_size, network_keys, open_directory, train_options
from jaxnet import metrics, runs

Fit = Callable[[Config, Dataset, np.ndarray], Standardization]


def run(config: Config, dataset: Dataset, fit: Fit) -> dict[str, Any]:
    """Train one network for each fold of each repeat, all in one program.

    With a budget of false positives, one more for each pair of folds, which choose the thresholds.
    The metrics that are called pooled have one value for each repeat.

    Args:
        config: a resolved config.
        dataset: the data.
        fit: what scales the inputs, fitted on some rows.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: more folds than examples of the rarest class, or a budget for which a fold has
            too few negative examples; nothing was written.
    """
    rate, options = config.max_false_positive_rate, train_options(config)
    folded = plan(
        dataset.y,
        num_folds=config.cross_validate,
        num_repeats=config.repeats,
        seed=config.seed,
        nested=rate is not None,
    )
    budgets = np.zeros(len(folded.tests))
    if rate is not None:
        outside = [np.delete(dataset.y, fold) for fold in folded.tests]
        budgets = np.array([evaluation.budget_on(rate, int(np.sum(y == 0))) for y in outside])
    fitted = [fit(config, dataset, fold) for fold in folded.trains]
    inputs = arrange(config, dataset.x)
    rows = folded.rows(config.seed)
    network = build_network(config, inputs.shape[1:], dataset.num_classes)
    learner = build_learner(config, network, dataset.num_classes, rows.shape[1])
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            print(f"training {len(rows)} networks in one program ...", flush=True)
            trained = runs.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(network_keys(config.seed, len(rows))),
                {"x": scaled(fitted, inputs, rows), "y": dataset.y[rows]},
                batches=jn.training.per_run(batch_size(config, rows.shape[1])),
                options=options,
            )
            predict = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))
            tested = _evaluate(predict, trained.params, folded, fitted, (inputs, dataset.y))
            metrics_by_fold = dict(
                jax.jit(jax.vmap(evaluation.final_metrics))(
                    tested.outputs, tested.labels, tested.weights
                )
            )
            if rate is not None:
                inner = jax.tree.map(lambda leaf: leaf[len(folded.tests) :], trained.params)
                evaluated, _ = padded(folded.evaluated)
                chosen = predict(inner, scaled(fitted[len(folded.tests) :], inputs, evaluated))
                pooled = out_of_fold(folded, np.asarray(chosen), len(dataset.y))
                metrics_by_fold |= decide(pooled, dataset.y, budgets, tested)
                metrics_by_fold |= pooled_metrics(tested, config.repeats, rate)
        summary = summarize(
            trained.params,
            metrics_by_fold,
            num_examples={"all": len(dataset.x)},
            state_sha256=trained.state_sha256,
            seconds=seconds,
        )
        folds_of = zip(folded.trains, folded.tests, strict=False)
        baselines = [
            class_baseline(dataset.y[train], dataset.y[test], dataset.class_names)
            for train, test in folds_of
        ]
        mean = {
            name: float(np.mean([baseline.metrics[name] for baseline in baselines]))
            for name in baselines[0].metrics
        }
        baseline = baselines[0]._replace(metrics=mean)
        summary |= describe(dataset, baseline, metrics_by_fold, notes=note_leaks(dataset))
        summary["num_seeds"] = len(folded.tests)
        summary["unit"] = (
            f"folds ({config.repeats} x {config.cross_validate}-fold cross-validation)"
        )
        captions = evaluation.draw_learning(directory, trained.history)
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _evaluate(
    predict: Callable[[Any, np.ndarray], Array],
    params: Any,
    folded: "Plan",
    fitted: Sequence[Standardization],
    data: tuple[np.ndarray, np.ndarray],
) -> "HeldOut":
    """Outputs of the network of each fold for its test examples."""
    inputs, labels = data
    num_folds = len(folded.tests)
    outer = jax.tree.map(lambda leaf: leaf[:num_folds], params)
    tests, weights = padded(folded.tests)
    outputs = predict(outer, scaled(fitted[:num_folds], inputs, tests))
    return HeldOut(outputs, jnp.asarray(labels[tests]), weights)


class Plan(NamedTuple):
    """The examples on which each network is trained and evaluated, as indices.

    Attributes:
        trains: the training examples of each fold, then of each pair.
        tests: the test examples of each fold.
        pairs: the folds of each pair, of the same repeat.
    """

    trains: list[np.ndarray]
    tests: list[np.ndarray]
    pairs: list[tuple[int, int]]

    @property
    def evaluated(self) -> list[np.ndarray]:
        """The examples on which the network of each pair is evaluated: first fold, second fold."""
        return [np.concatenate([self.tests[one], self.tests[other]]) for one, other in self.pairs]

    def rows(self, seed: int) -> np.ndarray:
        """The training examples of all networks in one array `(networks, num_train)`.

        A network of a pair has fewer examples, which are repeated in random order, so that all
        networks take the same number of steps.
        """
        rng = np.random.default_rng(seed)
        length = len(self.trains[0])
        rows = self.trains[: len(self.tests)]
        pairs = self.trains[len(self.tests) :]
        return np.stack([*rows, *(np.resize(rng.permutation(fold), length) for fold in pairs)])


def plan(labels: np.ndarray, *, num_folds: int, num_repeats: int, seed: int, nested: bool) -> Plan:
    """Plan a cross-validation.

    Args:
        labels: of all examples, `(n,)`.
        num_folds: folds of each repeat.
        num_repeats: repeats, each with other folds.
        seed: decides the folds.
        nested: whether there are pairs.

    Returns:
        The plan. Training folds are cut to the length of the shortest.

    Raises:
        ValueError: as `folds`.

    >>> three = plan(np.array([0, 1] * 6), num_folds=3, num_repeats=1, seed=0, nested=True)
    >>> three.pairs, [len(train) for train in three.trains], three.rows(0).shape
    ([(0, 1), (0, 2), (1, 2)], [8, 8, 8, 4, 4, 4], (6, 8))
    """
    trains, tests = folds(labels, num_folds=num_folds, num_repeats=num_repeats, seed=seed)
    pairs = [
        (first + one, first + other)
        for first in range(0, num_folds * num_repeats if nested else 0, num_folds)
        for one in range(num_folds)
        for other in range(one + 1, num_folds)
    ]
    length = min(map(len, trains))
    inner = [np.setdiff1d(trains[one], tests[other]) for one, other in pairs]
    return Plan([*(fold[:length] for fold in trains), *inner], tests, pairs)


def scaled(fitted: Sequence[Standardization], inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The inputs of each network, scaled as fitted for it, `(networks, rows, ...)`."""
    x = np.empty((*rows.shape, *inputs.shape[1:]), np.float32)
    for index, scale in enumerate(fitted):
        x[index] = (inputs[rows[index]] - scale.mean) / scale.scale
    return x


def padded(examples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Indices padded to one length, and their weights: 0 for the padding.

    >>> padded([np.array([4, 5]), np.array([6])])[1].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    length = max(map(len, examples))
    weights = np.stack([np.arange(length) < len(rows) for rows in examples])
    indices = np.stack([np.pad(rows, (0, length - len(rows))) for rows in examples])
    return indices, weights.astype(np.float32)


def out_of_fold(
    nested: Plan, outputs: Float[np.ndarray, "pairs padded 1"], num_examples: int
) -> tuple[Float[np.ndarray, "folds n 1"], Float[np.ndarray, "folds n"]]:
    """For each test fold the outputs for all other examples, of networks that saw neither.

    Args:
        nested: the plan.
        outputs: of the network of each pair for `nested.evaluated`.
        num_examples: examples of the data set, n.

    Returns:
        The outputs, and their weights: 0 for the test fold, 1 for all others.
    """
    values = np.zeros((len(nested.tests), num_examples, 1), np.float32)
    weights = np.zeros((len(nested.tests), num_examples), np.float32)
    for (one, other), of_pair in zip(nested.pairs, outputs, strict=True):
        first, second = nested.tests[one], nested.tests[other]
        values[other, first], weights[other, first] = of_pair[: len(first)], 1
        values[one, second], weights[one, second] = of_pair[len(first) :][: len(second)], 1
    return values, weights


class HeldOut(NamedTuple):
    """The test folds, padded to one length.

    Attributes:
        outputs: of the network of each fold, `(folds, padded, 1)`.
        labels: `(folds, padded)`.
        weights: 0 for the padding, `(folds, padded)`.
    """

    outputs: Array
    labels: Array
    weights: np.ndarray


def decide(
    pooled: tuple[Float[np.ndarray, "folds n 1"], Float[np.ndarray, "folds n"]],
    y: Int[np.ndarray, " n"],
    budgets: Float[np.ndarray, " folds"],
    tested: HeldOut,
) -> dict[str, Array]:
    """Metrics of the decisions in each test fold, at a threshold that was chosen without it.

    Args:
        pooled: of `out_of_fold`.
        y: labels of all examples.
        budgets: of `evaluation.budget_on` for the examples outside of each test fold.
        tested: the test folds.

    Returns:
        `(folds,)` each; there is no cost, as none has chosen the threshold.
    """

    @jax.jit
    @jax.vmap
    def evaluate(values: Array, weights: Array, budget: Array, tested: HeldOut) -> dict[str, Array]:
        threshold = evaluation.threshold_within(values, jnp.asarray(y), budget, weights)
        costs = evaluation.Costs(1.0, 1.0)
        outputs, labels, weight = map(jnp.asarray, tested)
        return evaluation.decision_metrics(outputs, labels, threshold, costs, weight)

    decisions = dict(evaluate(*pooled, budgets, tested))
    del decisions["cost"]
    return decisions


def pooled_metrics(
    tested: HeldOut, num_repeats: int, max_false_positive_rate: float
) -> dict[str, Array]:
    """Metrics of the ROC curve of all test folds of a repeat together; no threshold is chosen.

    Args:
        tested: the test folds.
        num_repeats: number of repeats, with one curve each.
        max_false_positive_rate: where the recall is read off.

    Returns:
        `(num_repeats,)` each.
    """

    @jax.jit
    @jax.vmap
    def evaluate(scores: Array, labels: Array, weight: Array) -> dict[str, Array]:
        threshold = metrics.threshold_at_false_positive_rate(
            scores, labels, budget=max_false_positive_rate, weight=weight
        )
        positives = labels * weight
        return {
            "pooled_roc_auc": metrics.roc_auc(scores, labels, weight=weight),
            "pooled_recall": jnp.sum(positives * (scores >= threshold)) / jnp.sum(positives),
        }

    return dict(evaluate(*(jnp.reshape(values, (num_repeats, -1)) for values in tested)))
