"""Rungs and brackets against the published table, and sums over them."""

import itertools
import math

import numpy as np
import pytest

from jaxnet.search import best_of, hyperband, hyperband_until, successive_halving, total_resource

# Li et al. (2018), table 1: R = 81, eta = 3; trials and epochs of each rung.
TABLE = {
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(34, 3), (11, 9), (3, 27), (1, 81)],
    2: [(15, 9), (5, 27), (1, 81)],
    1: [(8, 27), (2, 81)],
    0: [(5, 81)],
}


def test_hyperband_is_the_published_table():
    brackets = hyperband(81, eta=3)
    assert {len(bracket) - 1: list(bracket) for bracket in brackets} == TABLE


@pytest.mark.parametrize(("resource", "eta"), [(81, 3), (64, 2), (100, 4), (7, 3), (1, 2)])
def test_hyperband_follows_algorithm_1(resource, eta):
    largest = max(s for s in range(20) if eta**s <= resource)
    for cuts, bracket in zip(range(largest, -1, -1), hyperband(resource, eta=eta), strict=True):
        budget = (largest + 1) * resource
        assert bracket[0].num_trials == math.ceil(budget / resource * eta**cuts / (cuts + 1))
        assert len(bracket) == cuts + 1
        assert bracket[-1].resource == resource
        for rung, following in itertools.pairwise(bracket):
            assert following.num_trials == max(1, rung.num_trials // eta)
            assert following.resource >= rung.resource


def test_successive_halving_stops_at_the_smallest_resource():
    bracket = successive_halving(64, max_resource=64, min_resource=4, eta=4)
    assert list(bracket) == [(64, 4), (16, 16), (4, 64)]
    assert total_resource([bracket]) == 64 * 4 + 16 * 12 + 4 * 48
    # Trials run out before the resource does.
    assert list(successive_halving(5, max_resource=100, eta=2)) == [(5, 25), (2, 50), (1, 100)]
    assert list(successive_halving(1, max_resource=9)) == [(1, 9)]


@pytest.mark.parametrize("number", [1, 2, 80, 81, 82, 143, 144, 300])
def test_brackets_use_the_number_of_trials(number):
    brackets = hyperband_until(number, 81)
    assert sum(bracket[0].num_trials for bracket in brackets) == number
    whole = hyperband(81)
    for index, bracket in enumerate(brackets[:-1]):
        assert bracket == whole[index % 5]
    assert all(bracket[-1].resource == 81 for bracket in brackets)


def test_the_best_are_the_largest_and_never_nan():
    nan = float("nan")
    assert best_of([nan, 0.3, -np.inf, 0.7, 0.3], 4) == [3, 1, 4, 2]
    assert best_of([nan, 1.0], 9) == [1, 0]
    assert best_of([nan, -np.inf], 1) == [1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hyperband(0), "max_resource must be at least 1, found 0"),
        (lambda: hyperband(9, eta=1), "eta must be at least 2"),
        (lambda: hyperband(9, min_resource=10), "min_resource must lie between 1 and 9"),
        (lambda: successive_halving(0, max_resource=1), "num_trials must be at least 1"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()
