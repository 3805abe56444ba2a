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
from experiments.classification.network import build_learner, build_network
from experiments.classification.plan import Plan, ScaleOfFold, out_of_fold, padded, plan, scaled
from experiments.command import finish, stopwatch
from experiments.data import Dataset, Inputs, Standardization
from experiments.leaks import note_leaks
from experiments.placement import place
from experiments.summary import describe, summarize
from experiments.training import batch_size, network_keys, open_directory, train_options
from jaxnet import metrics

Fit = Callable[[Config, Dataset, np.ndarray], Standardization]
Scale = Callable[[Config, Standardization, Inputs], Inputs]


def run(config: Config, dataset: Dataset, fit: Fit, scale: Scale) -> dict[str, Any]:
    """Train one network for each fold of each repeat, all in one program.

    With a budget of false positives, one more for each pair of folds, which choose the thresholds.
    The metrics that are called pooled have one value for each repeat.

    Args:
        config: a resolved config.
        dataset: the data.
        fit: what scales the inputs, fitted on some rows.
        scale: examples as the networks take them.

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
        groups=None if config.group is None else dataset.groupings[config.group],
    )
    budgets = np.zeros(len(folded.tests))
    if rate is not None:
        outside = [np.delete(dataset.y, fold) for fold in folded.tests]
        budgets = np.array([evaluation.budget_on(rate, int(np.sum(y == 0))) for y in outside])
    fitted = [fit(config, dataset, fold) for fold in folded.trains]
    scales = [functools.partial(scale, config, each) for each in fitted]
    rows = folded.rows(config.seed)
    network = build_network(config, dataset.in_shape, dataset.num_classes)
    learner = build_learner(config, network, dataset.num_classes, rows.shape[1])
    config, placement = place(config, len(rows), [batch_size(config, rows.shape[1])])
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            print(f"training {len(rows)} networks in one program ...", flush=True)
            trained = placement.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(network_keys(config.seed, len(rows))),
                {"x": scaled(scales, dataset.inputs, rows), "y": dataset.y[rows]},
                batches=jn.training.per_run(batch_size(config, rows.shape[1])),
                options=options,
            )
            predict = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply)))
            tested = _evaluate(predict, trained.params, folded, scales, dataset)
            metrics_by_fold = dict(
                jax.jit(jax.vmap(evaluation.final_metrics))(
                    tested.outputs, tested.labels, tested.weights
                )
            )
            if rate is not None:
                inner = jax.tree.map(lambda leaf: leaf[len(folded.tests) :], trained.params)
                evaluated, _ = padded(folded.evaluated)
                inner_scales = scales[len(folded.tests) :]
                chosen = predict(inner, scaled(inner_scales, dataset.inputs, evaluated))
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
        summary["unit"] = f"folds ({_describe_folds(config, folded)})"
        if config.group is not None:
            summary["tables"] = {"Groups": group_table(config, dataset, folded, metrics_by_fold)}
        captions = evaluation.draw_learning(directory, trained.history)
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _evaluate(
    predict: Callable[[Any, Inputs], Array],
    params: Any,
    folded: Plan,
    scales: Sequence[ScaleOfFold],
    dataset: Dataset,
) -> "HeldOut":
    """Outputs of the network of each fold for its test examples."""
    num_folds = len(folded.tests)
    outer = jax.tree.map(lambda leaf: leaf[:num_folds], params)
    tests, weights = padded(folded.tests)
    outputs = predict(outer, scaled(scales[:num_folds], dataset.inputs, tests))
    return HeldOut(outputs, jax.device_put(dataset.y[tests]), weights)


def _describe_folds(config: Config, folded: Plan) -> str:
    num_folds = len(folded.tests) // config.repeats
    if config.group is None:
        return f"{config.repeats} x {num_folds}-fold cross-validation"
    if config.cross_validate:
        return f"{config.repeats} x {num_folds}-fold cross-validation by {config.group}"
    return f"each of {num_folds} groups by {config.group} left out, {config.repeats} seeds"


def group_table(
    config: Config, dataset: Dataset, folded: Plan, metrics_by_fold: dict[str, Any]
) -> list[tuple[str, ...]]:
    """The accuracy of each test fold, with the groups in it: mean and deviation over the repeats.

    Args:
        config: a resolved config with `group`.
        dataset: the data.
        folded: the plan.
        metrics_by_fold: `accuracy` of each fold of each repeat.

    Returns:
        Rows of text, the first of which is the head.
    """
    groups = np.asarray(dataset.groupings[str(config.group)])
    accuracy: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for test, value in zip(folded.tests, np.asarray(metrics_by_fold["accuracy"]), strict=True):
        name = ", ".join(map(str, np.unique(groups[test])))
        accuracy.setdefault(name, []).append(float(value))
        sizes[name] = len(test)
    rows: list[tuple[str, ...]] = [(str(config.group), "test examples", "accuracy")]
    for name, values in accuracy.items():
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        rows.append((name, str(sizes[name]), f"{np.mean(values):.4f}{spread}"))
    return rows


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
        threshold = evaluation.threshold_within(values, jax.device_put(y), budget, weights)
        costs = evaluation.Costs(1.0, 1.0)
        outputs, labels, weight = jax.device_put(tested)
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
