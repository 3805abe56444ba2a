"""The expected best of n against enumeration, sampling and a closed form."""

import itertools

import numpy as np
import pytest

from jaxnet.search import expected_maximum

VALUES = np.array([0.31, 0.92, 0.5, 0.5, 0.77])


@pytest.mark.parametrize("replacement", [True, False])
def test_all_draws_are_enumerated(replacement):
    mean, std = expected_maximum(VALUES, replacement=replacement)
    for n in range(1, 6):
        if replacement:
            draws = list(itertools.product(VALUES, repeat=n))
        else:
            draws = list(itertools.combinations(VALUES, n))
        best = np.max(draws, axis=1)
        np.testing.assert_allclose([mean[n - 1], std[n - 1]], [best.mean(), best.std()], atol=1e-12)


def test_random_draws():
    values = np.random.default_rng(0).normal(1000.0, 1.0, 40)
    mean, std = expected_maximum(values, max_draws=50)
    draws = np.random.default_rng(1).choice(values, (20_000, 50))
    best = np.maximum.accumulate(draws, axis=1)
    np.testing.assert_allclose(mean, best.mean(axis=0), atol=5 * std.max() / np.sqrt(20_000))
    np.testing.assert_allclose(std, best.std(axis=0), rtol=0.05)


def test_many_uniform_values_have_the_closed_form():
    # The best of n uniform numbers is n / (n + 1) in expectation.
    values = (np.arange(100_000) + 0.5) / 100_000
    mean, _ = expected_maximum(values, max_draws=20)
    np.testing.assert_allclose(mean, np.arange(1, 21) / np.arange(2, 22), atol=1e-5)


def test_mistakes():
    for values in (np.array([]), np.array([1.0, np.nan]), np.array([1.0, -np.inf])):
        with pytest.raises(ValueError, match="values must be at least one, all finite"):
            expected_maximum(values)
    with pytest.raises(ValueError, match="max_draws must lie between 1 and 5, found 6"):
        expected_maximum(VALUES, replacement=False, max_draws=6)
