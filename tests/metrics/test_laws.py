"""Properties of all metrics: weights, NaN, empty data, `jax.vmap`, and messages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as oracle

from jaxnet import metrics
from jaxnet.metrics.weighting import example_weights, require_shape

NUM_CLASSES = 5
COSTS = {"false_positive_cost": 2.0, "false_negative_cost": 3.0}
softmax = jax.jit(jax.nn.softmax)


def calibration(compiled):
    def function(logits, labels, *, weight=None):
        return compiled.expected_calibration_error(softmax(logits), labels, weight=weight)

    return function


def of_probabilities(name, **options):
    """A metric of probabilities as a function of logits."""

    def of(compiled):
        def function(logits, labels, *, weight=None):
            metric = getattr(compiled, name)
            return metric(softmax(logits), labels, weight=weight, **options)

        return function

    return of


def confusion(compiled):
    def function(logits, labels, *, weight=None):
        # Counts cannot be NaN, so a NaN prediction becomes a class here.
        return compiled.confusion_matrix(
            labels, logits.argmax(-1), num_classes=NUM_CLASSES, weight=weight
        )

    return function


MULTICLASS = {
    "accuracy": lambda compiled: compiled.accuracy,
    "top_2": lambda compiled: functools.partial(compiled.top_k_accuracy, k=2),
    "confusion_matrix": confusion,
    "log_loss": lambda compiled: compiled.log_loss,
    "calibration": calibration,
    "brier_score": of_probabilities("brier_score"),
    "brier_decomposition": of_probabilities("brier_decomposition"),
    "debiased_calibration": of_probabilities("debiased_calibration_error"),
}
BINARY = {
    "binary_log_loss": lambda compiled: compiled.binary_log_loss,
    "roc_auc": lambda compiled: compiled.roc_auc,
    "average_precision": lambda compiled: compiled.average_precision,
    "cost_threshold": lambda compiled: functools.partial(compiled.cost_threshold, **COSTS),
    "budget": lambda compiled: functools.partial(
        compiled.threshold_at_false_positive_rate, budget=0.2
    ),
    "threshold_curve": lambda compiled: compiled.threshold_curve,
}
REGRESSION = {
    "mean_squared_error": lambda compiled: compiled.mean_squared_error,
    "r2_score": lambda compiled: compiled.r2_score,
}
CASES = [*MULTICLASS, *BINARY, *REGRESSION]


@pytest.fixture(params=CASES)
def case(request, compiled, multiclass_data, binary_data, regression_data):
    """A metric `function(a, b, weight=...)`, and `data(seed)` for it."""
    for functions, data in (
        (MULTICLASS, multiclass_data),
        (BINARY, functools.partial(binary_data, ties=True)),
        (REGRESSION, regression_data),
    ):
        if request.param in functions:
            return functions[request.param](compiled), data


def test_vmap_agrees_with_single_calls(assert_close, case):
    function, data = case
    batches = [data(seed) for seed in range(3)]
    single = [function(a, b, weight=w) for a, b, w in batches]
    stacked = [np.stack(arrays) for arrays in zip(*batches, strict=True)]
    vmapped = jax.jit(jax.vmap(lambda a, b, w: function(a, b, weight=w)))(*stacked)
    assert_close(vmapped, jax.tree.map(lambda *leaves: np.stack(leaves), *single))


@pytest.mark.parametrize("filling", [0.0, np.nan, np.inf, -np.inf])
def test_masked_examples_change_nothing(assert_close, case, filling):
    function, data = case
    first, second, weight = data(8)
    expected = function(first, second, weight=weight)

    def insert(array, value):
        return np.insert(array, [0, 0, 30, 60, 60], value, axis=0)

    second_filling = filling if np.issubdtype(second.dtype, np.floating) else -1
    actual = function(
        insert(first, filling), insert(second, second_filling), weight=insert(weight, 0.0)
    )
    if isinstance(expected, metrics.ThresholdCurve):
        last = np.repeat(np.array(expected)[:, -1:], 5, axis=1)
        expected = metrics.ThresholdCurve(*np.hstack([np.array(expected), last]))
    assert_close(actual, expected)


def test_no_weight_is_ones(compiled, multiclass_data, binary_data, assert_close):
    logits, labels, _ = multiclass_data(9)
    weight = np.ones(60)
    assert_close(
        compiled.log_loss(logits, labels), compiled.log_loss(logits, labels, weight=weight)
    )
    scores, labels, _ = binary_data(9)
    assert_close(compiled.roc_auc(scores, labels), compiled.roc_auc(scores, labels, weight=weight))


def test_booleans_are_weights(compiled, multiclass_data, assert_close):
    logits, labels, _ = multiclass_data(9)
    mask = np.arange(60) < 30
    expected = oracle.accuracy_score(labels[:30], logits[:30].argmax(-1))
    assert_close(compiled.accuracy(logits, labels, weight=mask), expected)


@pytest.mark.parametrize(
    "case", [name for name in CASES if name != "confusion_matrix"], indirect=True
)
def test_a_nan_never_passes_for_a_number(case):
    function, data = case
    first, second, weight = data(10)
    first[7] = np.nan
    result = jax.device_get(function(first, second, weight=weight))
    if isinstance(result, metrics.ThresholdCurve):
        rates = result._replace(thresholds=np.nan, precision=result.precision[-1])
        result = tuple(rates)
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(result))


def test_without_examples_there_is_no_number(case):
    function, data = case
    first, second, weight = data(11)
    for result in (
        function(first, second, weight=np.zeros(60)),
        function(first[:0], second[:0], weight=weight[:0]),
    ):
        if isinstance(result, metrics.ThresholdCurve):
            result = (result.false_positive_rate, result.false_negative_rate, result.recall)
        expected = 0 if getattr(result, "shape", ()) == (NUM_CLASSES, NUM_CLASSES) else np.nan
        for leaf in jax.tree.leaves(result):
            np.testing.assert_array_equal(leaf, expected)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: metrics.top_k_accuracy(jnp.zeros((2, 3)), jnp.zeros(2, int), k=0),
            r"top_k_accuracy: k must lie between 1 and 3, found 0",
        ),
        (
            lambda: metrics.top_k_accuracy(jnp.zeros((2, 3)), jnp.zeros(2, int), k=4),
            r"top_k_accuracy: k must lie between 1 and 3, found 4; choose a smaller k",
        ),
        (
            lambda: metrics.expected_calibration_error(
                jnp.ones((2, 1)), jnp.zeros(2, int), num_bins=0
            ),
            r"num_bins must be at least 1, found 0; 15 is customary",
        ),
        (
            lambda: metrics.confusion_matrix(jnp.zeros(2, int), jnp.zeros(2, int), num_classes=0),
            r"num_classes must be at least 1, found 0; pass the number",
        ),
        (
            lambda: metrics.cost_threshold(
                jnp.zeros(2), jnp.zeros(2, int), false_positive_cost=-1, false_negative_cost=1
            ),
            r"cost_threshold: false_positive_cost must not be negative, found -1; state costs",
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
        # The type checker of the tests rejects wrong shapes before the check, which is called here.
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


@pytest.mark.parametrize("name", CASES)
def test_shapes_that_would_broadcast_raise(name, as_users_run):
    function = {**MULTICLASS, **BINARY, **REGRESSION}[name](metrics)
    first = np.ones((6, NUM_CLASSES)) if name in MULTICLASS else np.ones(6)
    second = np.ones(6) if name in REGRESSION else np.arange(6) % 2
    wrong = [
        (first, second[:, None], None),
        (first, second[:5], None),
        *((first, second, np.ones(shape)) for shape in ((), (1,), (6, 1), (5,))),
    ]
    if name in BINARY:
        wrong.append((first[:, None], second[:, None], None))
    elif name in MULTICLASS and name != "confusion_matrix":
        wrong += [(first[:, 0], second, None), (first[:, :1], second, None)]
    for a, b, weight in wrong:
        with pytest.raises(ValueError, match="has shape"):
            function(a, b, weight=weight)
