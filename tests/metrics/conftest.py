"""Compiled metrics, shared by all their tests, and data of NumPy to measure on."""

import inspect
import types

import jax
import numpy as np
import pytest

from jaxnet import metrics

NUM_CLASSES = 5
# These run on the host.
ON_HOST = (
    "best_assignment",
    "clustering_accuracy",
    "contingency_table",
    "hits_at_false_alarms",
    "nab_score",
    "vus_pr",
    "vus_roc",
)


@pytest.fixture(scope="session")
def compiled():
    """All metrics as compiled functions, which compile once for all tests."""
    functions = {
        name: getattr(metrics, name)
        for name in metrics.__all__
        if name.islower() and name not in ON_HOST
    }
    static = ("k", "num_bins", "num_draws", "binning", "num_classes", "num_clusters", "block_size")
    return types.SimpleNamespace(
        **{
            name: jax.jit(
                function,
                static_argnames=[
                    name for name in inspect.signature(function).parameters if name in static
                ],
            )
            for name, function in functions.items()
        }
    )


@pytest.fixture(autouse=True)
def in_float64(x64):
    """Every test of a metric uses float64 unless it says otherwise."""


@pytest.fixture(scope="session")
def assert_close():
    """`assert_close(actual, expected, **tolerance)` of two pytrees."""

    def assert_close(actual, expected, **tolerance):
        tolerance = {"rtol": 1e-12, "atol": 1e-14} | tolerance
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)

    return assert_close


@pytest.fixture(scope="session")
def multiclass_data():
    """`multiclass_data(seed, n=60)`: logits, labels of 5 classes and weights."""

    def multiclass_data(seed: int, n: int = 60):
        generator = np.random.default_rng(seed)
        logits = 2 * generator.normal(size=(n, NUM_CLASSES))
        noisy = (logits + 2 * generator.normal(size=logits.shape)).argmax(-1)
        return logits, noisy, generator.uniform(0.1, 3, n)

    return multiclass_data


@pytest.fixture(scope="session")
def binary_data():
    """`binary_data(seed, n=60)`: scores, labels and weights."""

    def binary_data(seed: int, n: int = 60, *, ties: bool = False):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, n)
        labels[:2] = 0, 1
        scores = labels + generator.normal(size=n)
        scores = np.round(2 * scores) / 2 if ties else scores
        return scores, labels, generator.uniform(0.1, 3, n)

    return binary_data


@pytest.fixture(scope="session")
def regression_data():
    """`regression_data(seed, n=60)`: predictions, targets and weights."""

    def regression_data(seed: int, n: int = 60):
        generator = np.random.default_rng(seed)
        targets = generator.normal(size=(n, 3)) * [1, 10, 100] + 5
        predictions = targets + generator.normal(size=(n, 3)) * [0.5, 8, 20]
        return predictions, targets, generator.uniform(0.1, 3, n)

    return regression_data
