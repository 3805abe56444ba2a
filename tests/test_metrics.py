"""Metrics against scikit-learn; masked, NaN, one-class and malformed data against their laws."""

import functools
import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as oracle
from scipy.special import softmax

from jaxnet import metrics
from jaxnet.metrics.weighting import example_weights, require_shape

NUM_CLASSES = 5
COSTS = {"false_positive_cost": 2.0, "false_negative_cost": 3.0}

# Whole functions compile faster than their operations one by one, and only once for all tests.
compiled = types.SimpleNamespace(
    **{
        name: jax.jit(
            getattr(metrics, name),
            static_argnames=[
                argument
                for argument in inspect.signature(getattr(metrics, name)).parameters
                if argument in ("k", "num_bins", "num_classes")
            ],
        )
        for name in metrics.__all__
        if name.islower()
    }
)

pytestmark = pytest.mark.usefixtures("x64")


def multiclass_data(seed: int, n: int = 60):
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, NUM_CLASSES))
    noisy = (logits + 2 * generator.normal(size=logits.shape)).argmax(-1)
    return jnp.array(logits), jnp.array(noisy), jnp.array(generator.uniform(0.1, 3, n))


def binary_data(seed: int, n: int = 60, *, ties: bool = False):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    labels[:2] = 0, 1
    scores = labels + generator.normal(size=n)
    scores = np.round(2 * scores) / 2 if ties else scores
    return jnp.array(scores), jnp.array(labels), jnp.array(generator.uniform(0.1, 3, n))


def regression_data(seed: int, n: int = 60):
    generator = np.random.default_rng(seed)
    targets = generator.normal(size=(n, 3)) * [1, 10, 100] + 5
    predictions = targets + generator.normal(size=(n, 3)) * [0.5, 8, 20]
    return jnp.array(predictions), jnp.array(targets), jnp.array(generator.uniform(0.1, 3, n))


def softmax_calibration_error(logits, labels, *, weight=None):
    return compiled.expected_calibration_error(jax.nn.softmax(logits), labels, weight=weight)


def predicted_confusion(logits, labels, *, weight=None):
    predictions = logits.argmax(-1)
    # The matrix holds counts, in which a NaN prediction cannot appear: a class stands for it.
    return compiled.confusion_matrix(labels, predictions, num_classes=NUM_CLASSES, weight=weight)


MULTICLASS = {
    "accuracy": compiled.accuracy,
    "top_2": functools.partial(compiled.top_k_accuracy, k=2),
    "confusion_matrix": predicted_confusion,
    "log_loss": compiled.log_loss,
    "calibration": softmax_calibration_error,
}
BINARY = {
    "binary_log_loss": compiled.binary_log_loss,
    "roc_auc": compiled.roc_auc,
    "average_precision": compiled.average_precision,
    "cost_threshold": functools.partial(compiled.cost_threshold, **COSTS),
    "budget": functools.partial(compiled.threshold_at_false_positive_rate, budget=0.2),
}
CURVE = {"threshold_curve": compiled.threshold_curve}
REGRESSION = {"mean_squared_error": compiled.mean_squared_error, "r2_score": compiled.r2_score}
CASES = [
    pytest.param(function, data, id=name)
    for functions, data in (
        (MULTICLASS, multiclass_data),
        (BINARY, functools.partial(binary_data, ties=True)),
        (CURVE, functools.partial(binary_data, ties=True)),
        (REGRESSION, regression_data),
    )
    for name, function in functions.items()
]


def assert_close(actual, expected, **tolerance):
    tolerance = {"rtol": 1e-12, "atol": 1e-14} | tolerance
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_multiclass_metrics_equal_scikit_learn(weighted):
    logits, labels, weight = multiclass_data(1)
    weight = weight if weighted else jnp.ones_like(weight)
    predictions, probabilities = logits.argmax(-1), softmax(logits, axis=-1)
    assert_close(
        compiled.accuracy(logits, labels, weight=weight),
        oracle.accuracy_score(labels, predictions, sample_weight=weight),
    )
    for k in range(1, NUM_CLASSES):
        assert_close(
            compiled.top_k_accuracy(logits, labels, k=k, weight=weight),
            oracle.top_k_accuracy_score(labels, logits, k=k, sample_weight=weight),
        )
    assert_close(
        compiled.confusion_matrix(labels, predictions, num_classes=NUM_CLASSES, weight=weight),
        oracle.confusion_matrix(labels, predictions, sample_weight=weight),
    )
    assert_close(
        compiled.log_loss(logits, labels, weight=weight),
        oracle.log_loss(labels, probabilities, sample_weight=weight),
    )


def test_top_k_of_all_classes_is_one_and_of_equal_logits_the_first_classes_count():
    logits, labels, _ = multiclass_data(2)
    assert compiled.top_k_accuracy(logits, labels, k=NUM_CLASSES) == 1
    equal = jnp.zeros((4, 4))
    assert compiled.top_k_accuracy(equal, jnp.arange(4), k=2) == 0.5
    assert compiled.top_k_accuracy(equal, jnp.arange(4), k=1) == compiled.accuracy(
        equal, jnp.arange(4)
    )


def test_labels_of_any_integer_type_and_logits_of_low_precision():
    logits = jnp.zeros((1000, 2), jnp.bfloat16)
    labels = (jnp.arange(1000) % 4 == 0).astype(jnp.uint8)
    assert compiled.accuracy(logits, labels) == 0.75
    assert_close(compiled.log_loss(logits, labels), np.log(2))
    assert_close(compiled.binary_log_loss(logits[:, 0], labels == 1), np.log(2))
    assert compiled.confusion_matrix(labels, labels, num_classes=2)[0, 0] == 750
    assert compiled.roc_auc(logits[:, 0], labels) == 0.5


@pytest.mark.parametrize("num_bins", [1, 7, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_expected_calibration_error_is_the_sum_over_bins(num_bins, weighted):
    logits, labels, weight = map(np.asarray, multiclass_data(3))
    weight = weight if weighted else np.ones(len(labels))
    probabilities = softmax(logits, axis=-1)
    confidences, hits = probabilities.max(-1), probabilities.argmax(-1) == labels
    expected = 0.0
    for m in range(num_bins):
        members = (confidences > m / num_bins) & (confidences <= (m + 1) / num_bins)
        if members.any():
            share = weight[members].sum() / weight.sum()
            hit_rate = np.average(hits[members], weights=weight[members])
            confidence = np.average(confidences[members], weights=weight[members])
            expected += share * abs(hit_rate - confidence)
    actual = compiled.expected_calibration_error(
        jnp.array(probabilities), jnp.array(labels), num_bins=num_bins, weight=jnp.array(weight)
    )
    assert_close(actual, expected)


def test_calibration_of_certain_predictions_is_their_error_rate():
    certain = jnp.eye(3)[jnp.array([0, 1, 2, 2])]
    assert compiled.expected_calibration_error(certain, jnp.array([0, 1, 2, 0])) == 0.25


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_binary_metrics_equal_scikit_learn(seed, ties, weighted):
    scores, labels, weight = binary_data(seed, ties=ties)
    weight = weight if weighted else jnp.ones_like(weight)
    assert_close(
        compiled.roc_auc(scores, labels, weight=weight),
        oracle.roc_auc_score(labels, scores, sample_weight=weight),
    )
    assert_close(
        compiled.average_precision(scores, labels, weight=weight),
        oracle.average_precision_score(labels, scores, sample_weight=weight),
    )
    assert_close(
        compiled.binary_log_loss(scores, labels, weight=weight),
        oracle.log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weight),
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_threshold_curve_equals_scikit_learn(ties, weighted):
    scores, labels, weight = binary_data(4, ties=ties)
    weight = weight if weighted else jnp.ones_like(weight)
    curve = compiled.threshold_curve(scores, labels, weight=weight)
    curve = metrics.ThresholdCurve(*map(np.asarray, curve))
    assert all(len(values) == len(scores) + 1 for values in curve)
    _, distinct = np.unique(-curve.thresholds, return_index=True)

    false_positive_rate, recall, thresholds = oracle.roc_curve(
        labels, scores, sample_weight=weight, drop_intermediate=False
    )
    assert_close(curve.thresholds[distinct], thresholds)
    assert_close(curve.false_positive_rate[distinct], false_positive_rate)
    assert_close(curve.recall[distinct], recall)
    assert_close(curve.false_negative_rate[distinct], 1 - recall)
    precision, _, _ = oracle.precision_recall_curve(labels, scores, sample_weight=weight)
    assert_close(curve.precision[distinct], precision[::-1])

    for position, threshold in enumerate(curve.thresholds):  # every position of a group agrees
        first = int(np.argmax(curve.thresholds == threshold))
        assert all(values[position] == values[first] for values in curve)


def test_rates_are_monotone_and_end_exactly_with_fractional_weights():
    with jax.enable_x64(False):
        generator = np.random.default_rng(5)
        scores = jnp.array(generator.normal(size=5000), jnp.float32)
        labels = jnp.array(generator.integers(0, 2, 5000), jnp.int32)
        weight = jnp.array(10.0 ** generator.uniform(-6, 3, 5000), jnp.float32)
        curve = compiled.threshold_curve(scores, labels, weight=weight)
    for rate in (curve.false_positive_rate, curve.recall, -curve.false_negative_rate):
        assert np.all(np.diff(rate) >= 0)
    ends = np.array(curve)[1:, [0, -1]].T
    np.testing.assert_array_equal(ends[0], [0, 1, 1, 0])
    np.testing.assert_array_equal(ends[1][[0, 1, 3]], [1, 0, 1])


def brute_force_cost(threshold, scores, labels, weight, costs):
    decision = np.asarray(scores) >= threshold
    false_positive = decision & (np.asarray(labels) == 0)
    false_negative = ~decision & (np.asarray(labels) == 1)
    total = costs["false_positive_cost"] * (weight * false_positive).sum()
    total += costs["false_negative_cost"] * (weight * false_negative).sum()
    return total / weight.sum()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ratio", [0.0, 0.02, 0.5, 1.0, 3.0, 100.0])
def test_cost_threshold_is_the_best_of_all_thresholds(ratio, weighted, ties):
    costs = {"false_positive_cost": ratio, "false_negative_cost": 1.0}
    choose = compiled.cost_threshold
    for seed in range(4):
        scores, labels, weight = binary_data(seed, ties=ties)
        weight = weight if weighted else jnp.ones(60)
        threshold, cost = choose(scores, labels, weight=weight, **costs)
        # Distinct decisions: each score, one above all of them, one below.
        candidates = np.concatenate([scores, [-np.inf, np.inf]])
        brute = [brute_force_cost(t, scores, labels, weight, costs) for t in candidates]
        assert_close(cost, min(brute))
        assert_close(brute_force_cost(threshold, scores, labels, weight, costs), min(brute))


@pytest.mark.parametrize(
    "labels, false_positive_cost, false_negative_cost, expected",
    [
        ([0, 0, 1, 1], 1.0, 1.0, (2.5, 0.0)),  # separable: the middle of the gap
        ([0, 1, 0, 1], 1.0, 1.0, (3.5, 0.25)),  # tie with 1.5: the higher threshold
        ([1, 0, 0, 0], 1.0, 1.0, (np.inf, 0.25)),  # never positive
        ([1, 1, 1, 0], 1.0, 1.0, (-np.inf, 0.25)),  # always positive
        ([0, 1, 1, 0], 1.0, 1.0, (1.5, 0.25)),  # better than both extremes
        ([1, 0, 1, 0], 1.0, 2.0, (-np.inf, 0.5)),
        ([1, 0, 0, 1], 1.0, 1.0, (3.5, 0.25)),
        ([0, 1, 0, 0], 1.0, 2.0, (1.5, 0.5)),  # tie with "never": the finite one
        ([1, 0, 0, 1], 1.0, 3.0, (-np.inf, 0.5)),
        ([0, 0, 0, 0], 1.0, 1.0, (np.inf, 0.0)),  # one class only
        ([1, 1, 1, 1], 1.0, 1.0, (-np.inf, 0.0)),
        ([0, 0, 1, 1], 0.0, 0.0, (3.5, 0.0)),  # every threshold alike
    ],
)
def test_cost_threshold_choice(labels, false_positive_cost, false_negative_cost, expected):
    actual = compiled.cost_threshold(
        jnp.array([1.0, 2.0, 3.0, 4.0]),
        jnp.array(labels),
        false_positive_cost=false_positive_cost,
        false_negative_cost=false_negative_cost,
    )
    assert tuple(map(float, actual)) == expected


@pytest.mark.parametrize(
    "low, high",
    [
        (1.0, np.nextafter(np.float32(1), np.float32(2))),
        (-3.0e38, 3.3e38),
        (2.5e38, 3.3e38),
        (-np.inf, 1.0),
        (1.0, np.inf),
        (-np.inf, np.inf),
    ],
)
def test_cost_threshold_separates_neighbours_at_the_limits_of_floats(low, high):
    with jax.enable_x64(False):
        scores = jnp.array([low, high], jnp.float32)
        threshold, cost = compiled.cost_threshold(scores, jnp.array([0, 1]), **COSTS)
        assert cost == 0
        np.testing.assert_array_equal(scores >= threshold, [False, True])


@pytest.mark.parametrize("ties", [False, True])
def test_threshold_at_false_positive_rate_is_the_lowest_within_the_budget(ties):
    scores, labels, weight = binary_data(6, ties=ties)
    choose = compiled.threshold_at_false_positive_rate
    for budget in [0.0, 0.01, 0.1, 0.33, 0.8, 1.0]:
        threshold = choose(scores, labels, budget=budget, weight=weight)
        negative_weight = np.where(labels == 0, weight, 0)
        allowed = [
            candidate
            for candidate in [np.inf, *np.asarray(scores)]
            if negative_weight[scores >= candidate].sum() <= budget * negative_weight.sum() + 1e-12
        ]
        assert threshold == min(allowed)


def test_a_budget_that_is_a_possible_rate_is_used_up():
    num_negatives = 49  # float32(1 / 49) * 49 is less than 1
    with jax.enable_x64(False):
        scores = jnp.arange(num_negatives + 1.0, 0, -1)
        labels = jnp.array([0] * num_negatives + [1])
        budgets = [count / num_negatives for count in range(1, num_negatives)]
        choose = functools.partial(compiled.threshold_at_false_positive_rate, scores, labels)
        thresholds = jax.vmap(lambda budget: choose(budget=budget))(jnp.array(budgets))
        np.testing.assert_array_equal(thresholds, scores[: num_negatives - 1])


def test_a_curve_ends_exactly():
    count = 49  # XLA's division of an array by one number makes 49 / 49 another number than 1
    with jax.enable_x64(False):
        labels = jnp.arange(2 * count) % 2
        curve = compiled.threshold_curve(jnp.arange(2.0 * count), labels)
    assert curve.recall[-1] == curve.false_positive_rate[-1] == 1
    assert curve.false_negative_rate[-1] == 0
    assert max(curve.recall.max(), curve.false_positive_rate.max()) == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_regression_metrics_equal_scikit_learn(outputs, weighted):
    predictions, targets, weight = regression_data(7)
    columns = 0 if outputs is None else slice(outputs)
    predictions, targets = predictions[:, columns], targets[:, columns]
    weight = weight if weighted else jnp.ones_like(weight)
    assert_close(
        compiled.mean_squared_error(predictions, targets, weight=weight),
        oracle.mean_squared_error(targets, predictions, sample_weight=weight),
    )
    assert_close(
        compiled.r2_score(predictions, targets, weight=weight),
        oracle.r2_score(targets, predictions, sample_weight=weight),
    )


def test_r2_of_the_mean_is_zero_and_of_a_constant_undefined():
    targets = jnp.array([1.0, 2.0, 6.0])
    assert compiled.r2_score(jnp.full(3, 3.0), targets) == 0
    with jax.enable_x64(False):
        constant = jnp.full(1000, 0.1)  # whose float32 mean is not 0.1
        assert jnp.isnan(compiled.r2_score(constant, constant))
    assert jnp.isnan(compiled.r2_score(targets[:1], targets[:1]))


@pytest.mark.parametrize("function, data", CASES)
def test_vmap_agrees_with_single_calls(function, data):
    batches = [data(seed) for seed in range(3)]
    single = [function(a, b, weight=w) for a, b, w in batches]
    stacked = [jnp.array(np.stack(arrays)) for arrays in zip(*batches, strict=True)]
    vmapped = jax.jit(jax.vmap(lambda a, b, w: function(a, b, weight=w)))(*stacked)
    assert_close(vmapped, jax.tree.map(lambda *leaves: np.stack(leaves), *single))


@pytest.mark.parametrize("filling", [0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function, data", CASES)
def test_masked_examples_change_nothing(function, data, filling):
    first, second, weight = data(8)
    expected = function(first, second, weight=weight)

    def insert(array, value):
        return jnp.array(np.insert(array, [0, 0, 30, 60, 60], value, axis=0))

    second_filling = filling if jnp.issubdtype(second.dtype, jnp.floating) else -1
    actual = function(
        insert(first, filling), insert(second, second_filling), weight=insert(weight, 0.0)
    )
    if isinstance(expected, metrics.ThresholdCurve):
        last = np.repeat(np.array(expected)[:, -1:], 5, axis=1)
        expected = metrics.ThresholdCurve(*np.hstack([np.array(expected), last]))
    assert_close(actual, expected)


def test_no_weight_is_ones():
    logits, labels, _ = multiclass_data(9)
    weight = jnp.ones(60)
    assert_close(
        compiled.log_loss(logits, labels), compiled.log_loss(logits, labels, weight=weight)
    )
    scores, labels, _ = binary_data(9)
    assert_close(compiled.roc_auc(scores, labels), compiled.roc_auc(scores, labels, weight=weight))


def test_booleans_are_weights():
    logits, labels, _ = multiclass_data(9)
    mask = jnp.arange(60) < 30
    expected = oracle.accuracy_score(labels[:30], logits[:30].argmax(-1))
    assert_close(compiled.accuracy(logits, labels, weight=mask), expected)


@pytest.mark.parametrize(
    "function, data", [case for case in CASES if case.id != "confusion_matrix"]
)
def test_a_nan_never_passes_for_a_number(function, data):
    first, second, weight = data(10)
    result = function(first.at[7].set(jnp.nan), second, weight=weight)
    if isinstance(result, metrics.ThresholdCurve):
        rates = result._replace(thresholds=jnp.nan, precision=result.precision[-1])
        result = tuple(rates)
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(result))


@pytest.mark.parametrize("function, data", CASES)
def test_without_examples_there_is_no_number(function, data):
    first, second, weight = data(11)
    for result in (
        function(first, second, weight=jnp.zeros(60)),
        function(first[:0], second[:0], weight=weight[:0]),
    ):
        if isinstance(result, metrics.ThresholdCurve):
            result = (result.false_positive_rate, result.false_negative_rate, result.recall)
        expected = 0 if getattr(result, "shape", ()) == (NUM_CLASSES, NUM_CLASSES) else np.nan
        for leaf in jax.tree.leaves(result):
            np.testing.assert_array_equal(leaf, expected)


def test_one_class_leaves_undefined_rates_nan():
    scores = jnp.array([0.1, 0.9])
    negative = compiled.threshold_curve(scores, jnp.zeros(2, int))
    np.testing.assert_array_equal(negative.false_positive_rate, [0, 0.5, 1])
    np.testing.assert_array_equal(negative.precision, [1, 0, 0])
    assert jnp.isnan(negative.recall).all() and jnp.isnan(negative.false_negative_rate).all()
    positive = compiled.threshold_curve(scores, jnp.ones(2, int))
    np.testing.assert_array_equal(positive.recall, [0, 0.5, 1])
    assert jnp.isnan(positive.false_positive_rate).all()
    for labels in (jnp.zeros(2, int), jnp.ones(2, int)):
        assert jnp.isnan(compiled.roc_auc(scores, labels))
    assert jnp.isnan(compiled.average_precision(scores, jnp.zeros(2, int)))
    assert compiled.average_precision(scores, jnp.ones(2, int)) == 1
    budgeted = functools.partial(compiled.threshold_at_false_positive_rate, scores, budget=0.5)
    assert jnp.isnan(budgeted(jnp.ones(2, int)))
    assert budgeted(jnp.zeros(2, int)) == 0.9


def test_costs_and_budgets_may_be_swept():
    scores, labels, _ = binary_data(12)
    ratios = jnp.array([0.1, 1.0, 10.0])
    thresholds, _ = jax.vmap(
        lambda cost: compiled.cost_threshold(
            scores, labels, false_positive_cost=cost, false_negative_cost=1.0
        )
    )(ratios)
    assert np.all(np.diff(thresholds) >= 0)
    budgets = jnp.array([0.0, 0.1, 0.5, 1.0])
    thresholds = jax.vmap(
        lambda budget: compiled.threshold_at_false_positive_rate(scores, labels, budget=budget)
    )(budgets)
    assert np.all(np.diff(thresholds) <= 0) and thresholds[-1] == scores.min()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: metrics.top_k_accuracy(jnp.zeros((2, 3)), jnp.zeros(2, int), k=0),
            r"k is 0, expected 1 to 3",
        ),
        (
            lambda: metrics.top_k_accuracy(jnp.zeros((2, 3)), jnp.zeros(2, int), k=4),
            r"k is 4, expected 1 to 3.*choose a smaller k",
        ),
        (
            lambda: metrics.expected_calibration_error(
                jnp.ones((2, 1)), jnp.zeros(2, int), num_bins=0
            ),
            r"num_bins is 0, expected at least 1; 15 is customary",
        ),
        (
            lambda: metrics.confusion_matrix(jnp.zeros(2, int), jnp.zeros(2, int), num_classes=0),
            r"num_classes is 0, expected at least 1; pass the number",
        ),
        (
            lambda: metrics.cost_threshold(
                jnp.zeros(2), jnp.zeros(2, int), false_positive_cost=-1, false_negative_cost=1
            ),
            r"false_positive_cost must not be negative, found -1; state costs",
        ),
        (
            lambda: metrics.cost_threshold(
                jnp.zeros(2),
                jnp.zeros(2, int),
                false_positive_cost=1,
                false_negative_cost=float("inf"),
            ),
            r"false_negative_cost must be at least 0 and finite, found inf",
        ),
        (
            lambda: metrics.threshold_at_false_positive_rate(
                jnp.zeros(2), jnp.zeros(2, int), budget=5
            ),
            r"budget must lie in \[0, 1\], found 5; 5 per cent is 0.05",
        ),
        # The type checker of the tests sees wrong shapes first, so the check is called itself.
        (
            lambda: require_shape("roc_auc", "labels", jnp.zeros((2, 1)), (2,)),
            r"roc_auc: labels has shape \(2, 1\), expected \(2,\).*reshape labels",
        ),
        (
            lambda: example_weights("accuracy", 2, jnp.ones(3)),
            r"accuracy: weight has shape \(3,\), expected \(2,\)",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
